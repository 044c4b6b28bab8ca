//! Decisions just below the low watermark, kept for replicas that lag a little behind
//! (docs/protocol.md R13).
//!
//! A stable checkpoint lets a replica forget a slot while up to f correct replicas have not
//! executed it. Without the archive each of them, the primary included, would need a transfer of
//! the whole state for a handful of lost messages. It is an aid and nothing rests on it: it is
//! bounded in slots and in bytes, and what has left it is transferred as state. Nobody executes or
//! proposes it again here, so a batch is no more than its bytes: taken apart, each of some hundred
//! thousand requests would be a third as much again.

use std::collections::VecDeque;

use super::certificate::Certificate;
use crate::ids::SeqNo;
use crate::raw_batch::RawBatch;

/// Bytes of batches kept below the low watermark.
const BYTES_MAX: usize = 16 << 20;

/// A decided slot that has left the window.
#[derive(Clone, Debug)]
pub(super) struct Archived {
    seq: SeqNo,
    /// What decided it.
    pub(super) certificate: Certificate,
    /// `None`: the null batch.
    pub(super) batch: Option<RawBatch>,
}

/// The newest decided slots at or below the low watermark, ascending.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive {
    slots_max: usize,
    bytes: usize,
    decisions: VecDeque<Archived>,
}

impl Archive {
    /// Decisions held.
    pub(super) fn len(&self) -> usize {
        self.decisions.len()
    }

    /// An archive of at most `log_window` (L) slots: the primary, which cannot propose more than L
    /// above its own low watermark, can never fall out of it by slots alone.
    pub(super) fn new(log_window: u64) -> Self {
        Archive {
            slots_max: usize::try_from(log_window).unwrap_or(usize::MAX),
            ..Self::default()
        }
    }

    /// Keeps a decision; the oldest make room.
    pub(super) fn keep(&mut self, seq: SeqNo, certificate: Certificate, batch: Option<RawBatch>) {
        self.bytes += size(&batch);
        self.decisions.push_back(Archived {
            seq,
            certificate,
            batch,
        });
        while self.decisions.len() > self.slots_max || self.bytes > BYTES_MAX {
            let Some(oldest) = self.decisions.pop_front() else {
                return;
            };
            self.bytes -= size(&oldest.batch);
        }
    }

    /// The decision of `seq`, if it is still here.
    pub(super) fn get(&self, seq: SeqNo) -> Option<&Archived> {
        let at = self
            .decisions
            .binary_search_by_key(&seq, |archived| archived.seq)
            .ok()?;
        self.decisions.get(at)
    }
}

fn size(batch: &Option<RawBatch>) -> usize {
    batch.as_ref().map_or(0, RawBatch::bytes)
}
