//! What the protocol replicates: a deterministic state machine (docs/protocol.md R1, R9), and how
//! its state travels to a replica that lags too far behind (R13).
//!
//! The state is a tree of digests whose root is [`StateMachine::root`]. A *part* is what lies under
//! one node of it. Whoever knows the digest of a part can check the part alone, whoever it came
//! from; so a liar is found out with the first bytes that it sends.
//!
//! ```text
//!   root ── manifest ──┬── part ──┬── part     outline: the digests of the parts below
//!                      │          └── part     content: everything that the part holds
//!                      └── part
//! ```

use bincode::{Decode, Encode};
use crypto::Digest;

use crate::ids::SeqNo;
use crate::read::ReadVersion;

/// An application. Everything it does must follow from the operations alone: no clock, no
/// chance, no iteration order that can differ between replicas.
pub trait StateMachine {
    /// A piece of durable state, as it is written to disk at a checkpoint.
    type Change: Clone + Send + 'static;
    /// Executes one operation at `seq` and returns its encoded result. Malformed operations have
    /// a result that says so: nothing that was ordered may fail. An operation whose result would
    /// take more than `room` bytes is refused, without effect, by a result of a few bytes.
    fn apply(&mut self, seq: SeqNo, op: &[u8], room: usize) -> Vec<u8>;

    /// Executes operations so that all take effect or none does (R17). One result per operation;
    /// if one fails, the others' results say that they were rolled back. All results together
    /// take at most `room` bytes, or one is refused as in [`StateMachine::apply`].
    fn apply_atomic(
        &mut self,
        seq: SeqNo,
        ops: &mut dyn Iterator<Item = &[u8]>,
        room: usize,
    ) -> Vec<Vec<u8>>;

    /// Executes one operation on the state as it is, changing nothing: its encoded result, as
    /// [`StateMachine::apply`] would give it, and what that depends on (R14). `None` if it is an
    /// operation that may change something, or none at all.
    fn read(&self, _op: &[u8], _room: usize) -> Option<(Vec<u8>, ReadVersion)> {
        None
    }

    /// `kv_root`: digest of the whole state. Its cost grows with what was changed since the last
    /// call, not with what is held (R9).
    fn root(&mut self) -> Digest;

    /// What changed since the last call, for the durable copy of the state.
    fn take_changes(&mut self) -> Vec<Self::Change>;
}

/// A state machine whose state other replicas can fetch part by part.
pub trait Transferable: StateMachine {
    /// The checked content of a part.
    type Content;

    /// From here on the state as it is now can be served under `seq`, while execution goes on:
    /// what is changed later is kept as it was (R9). Higher than every `seq` frozen before.
    fn freeze(&mut self, seq: SeqNo);

    /// Forgets the state frozen under `seq`, if there is one.
    fn thaw(&mut self, seq: SeqNo);

    /// Memory that frozen states take, in bytes: it grows with what was changed since.
    fn frozen_bytes(&self) -> usize;

    /// The manifest of the state frozen under `seq`: what [`Transferable::read_manifest`] reads.
    fn manifest(&self, seq: SeqNo) -> Option<Vec<u8>>;

    /// The root that a manifest stands for, and the parts that it names. `None` if it is none.
    fn read_manifest(manifest: &[u8]) -> Option<(Digest, Vec<(PartId, Digest)>)>;

    /// A part of the state frozen under `seq`: its content if that takes at most `room` bytes and
    /// no outline is wanted, its outline if it has one, else its content all the same. `None` if
    /// there is no such state or part.
    fn part(&mut self, seq: SeqNo, part: PartId, outline: bool, room: usize) -> Option<Vec<u8>>;

    /// Does the state as it is now hold this part with this digest?
    fn holds(&mut self, part: PartId, digest: &Digest) -> bool;

    /// Does the state as it is now hold so much under this part that its outline is worth a round
    /// trip, since the parts below may be here already?
    fn is_worth_comparing(&mut self, part: PartId) -> bool;

    /// Checks what a peer sent as the part with this digest.
    ///
    /// # Errors
    /// If it is anything else. The peer is to blame.
    fn check_part(
        part: PartId,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<Part<Self::Content>, WrongPart>;

    /// Replaces the parts given by their checked contents, and what the manifest itself holds;
    /// everything else stays. The difference counts as changed. Frozen states are forgotten.
    fn install(&mut self, manifest: &[u8], parts: Vec<(PartId, Self::Content)>);
}

/// A node of the tree of digests: everything whose path begins with the first `bits` bits of
/// `path`. The other bits of `path` are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct PartId {
    /// The leading bits.
    pub path: u128,
    /// How many of them count.
    pub bits: u8,
}

/// What a part turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<C> {
    /// The parts below it, with their digests.
    Outline(Vec<(PartId, Digest)>),
    /// What it holds.
    Content(C),
}

/// A peer sent something else than the part that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a part that is not what the certified manifest says")]
pub struct WrongPart;
