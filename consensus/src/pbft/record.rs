//! What must survive a crash (docs/protocol.md R5, R12).

use bincode::{Decode, Encode};
use crypto::Signature;

use super::certificate::{Certificate, StableCertificate, Statement};
use super::message::{Mode, SignedNewView, SignedViewChange};
use crate::configuration::Nonce;
use crate::ids::{Epoch, SeqNo, View};
use crate::raw_batch::RawBatch;

/// A durable promise or the ground of one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Record {
    /// The latest PREPARE vote of a slot, and the body that it rests on (`None`: the null batch).
    Vote {
        /// The epoch: the vote is void in every other (R16).
        epoch: Epoch,
        /// What was voted for.
        statement: Statement,
        /// primary(view)'s signature of the header.
        header_signature: Signature,
        /// The batch.
        batch: Option<RawBatch>,
    },
    /// The highest prepared certificate of a slot: before the first COMMIT leaves.
    Prepared(Certificate),
    /// The low watermark with its certificate.
    Stable(StableCertificate),
    /// The view and mode, with the VIEW-CHANGE that was sent or the NEW-VIEW that was accepted.
    View {
        /// The epoch that the view belongs to.
        epoch: Epoch,
        /// The view.
        view: View,
        /// Normal or leaving.
        mode: Mode,
        /// Own VIEW-CHANGE for the view, byte for byte, to be sent again after a restart.
        view_change: Option<SignedViewChange>,
        /// The NEW-VIEW that opened the view.
        new_view: Option<SignedNewView>,
    },
    /// The epoch: everything recorded in another one is void (R16).
    Epoch {
        /// The epoch.
        epoch: Epoch,
        /// The slot that it began behind.
        start: SeqNo,
        /// The final certificate of the epoch before; `None` if this replica came by state
        /// transfer.
        base: Option<StableCertificate>,
    },
    /// Whether the replica has a vote. The first record of every log: one that has none is not
    /// known to hold all that was promised.
    Role(Role),
    /// Batches of a slot that its latest vote is not for. Earlier votes, or certificates made of
    /// them, may still lead a later view to one of them (R11, L4).
    Bodies {
        /// The slot.
        seq: SeqNo,
        /// At most as many as a slot keeps.
        batches: Vec<RawBatch>,
    },
}

/// What a replica may do after what has become of its records (R12, R16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Role {
    /// Everything that it promised in this epoch and later ones is in its records.
    Member {
        /// The first epoch in which it votes.
        from: Epoch,
    },
    /// It has lost records and promises nothing until it is renewed.
    Learner {
        /// This life of it.
        nonce: Nonce,
    },
}

impl Record {
    /// The slot whose passing below the low watermark makes the record useless; 0: it is kept
    /// until a newer one of its kind replaces it.
    pub fn seq(&self) -> SeqNo {
        match self {
            Record::Vote { statement, .. } => statement.seq,
            Record::Prepared(certificate) => certificate.statement.seq,
            Record::Bodies { seq, .. } => *seq,
            Record::Stable(_) | Record::View { .. } | Record::Epoch { .. } | Record::Role(_) => {
                SeqNo(0)
            }
        }
    }

    /// A small number for the kind, stable across versions.
    pub fn kind(&self) -> u8 {
        match self {
            Record::Vote { .. } => 1,
            Record::Prepared(_) => 2,
            Record::Stable(_) => 3,
            Record::View { .. } => 4,
            Record::Epoch { .. } => 5,
            Record::Role(_) => 6,
            Record::Bodies { .. } => 7,
        }
    }
}
