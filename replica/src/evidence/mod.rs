//! Evidence: what two signatures of one replica prove, as files that anybody can check with the public keys alone.
//!
//! A correct replica never signs two different contents for one kind of message, epoch, view and sequence number, not even
//! across restarts (docs/protocol.md R12, R18). So every replica remembers for a while what the others have signed
//! ([`Witness`]); whoever contradicts himself has signed a [`Proof`], which goes to `evidence/` in the replica's directory.
//!
//! ```text
//! verified messages ─► testimonies ─► Witness ─ contradiction ─► queue ─► thread ─► evidence/<kind>-<culprit>-….json
//! ```
//!
//! This is beside the protocol, which has its own proofs for what it acts upon (double proposals and votes): here
//! COMMITs, CHECKPOINTs, VIEW-CHANGEs and NEW-VIEWs are watched, too, and nothing follows but a file. Who tells some replicas of
//! one state and some of another is not seen to contradict himself by any of them; but f + 1 who vouch for the same state
//! include a correct one, and convict who claims another. Everything is bounded, so that nobody can fill memory or disk with
//! contradictions (M7).

mod proof;
mod testimony;
mod witness;

pub use proof::{
    BODY_BYTES_MAX, Content, NoProof, PROOF_BYTES_MAX, PROOF_SCHEMA, Proof, ProofKind, Voucher,
};
pub use testimony::{Testify, Testimony};
pub use witness::{EvidenceError, PROOFS_MAX, SEEN_MAX, Witness};

/// The folder in a replica's directory.
pub const EVIDENCE: &str = "evidence";
