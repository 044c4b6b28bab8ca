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
/// As above, when every replica's low watermark is above them: for one that loses its disk and begins anew.
const SPARE_BYTES_MAX: usize = 4 << 20;

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

    /// Everybody's low watermark is at `seq` or above it, so nobody lacks what is not above it. Near saturation that is most
    /// of what is here.
    pub(super) fn spare_upto(&mut self, seq: SeqNo) {
        while self.bytes > SPARE_BYTES_MAX
            && let Some(oldest) = self.decisions.pop_front_if(|oldest| oldest.seq <= seq)
        {
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

#[cfg(test)]
mod tests {
    use crypto::Digest;

    use super::super::certificate::{Phase, Signers, Statement};
    use super::*;
    use crate::ids::{Epoch, View};

    /// An archive of so many slots in which these decisions were kept, one MiB each.
    fn kept(slots_max: u64, seqs: std::ops::RangeInclusive<u64>) -> Archive {
        let mut archive = Archive::new(slots_max);
        for seq in seqs.map(SeqNo) {
            let batch: RawBatch = std::iter::once(vec![7; 1 << 20]).collect();
            let statement = Statement {
                view: View(0),
                seq,
                digest: Digest::of("test", &[]),
            };
            let certificate = Certificate {
                epoch: Epoch(0),
                phase: Phase::Prepare,
                statement,
                signers: Signers(Vec::new()),
            };
            archive.keep(seq, certificate, Some(batch));
        }
        archive
    }

    fn held(archive: &Archive) -> Vec<u64> {
        (0..100)
            .filter(|seq| archive.get(SeqNo(*seq)).is_some())
            .collect()
    }

    #[test]
    fn the_newest_are_kept_within_slots_and_bytes() {
        assert_eq!(held(&kept(3, 1..=50)), [48, 49, 50]);
        let bytes = held(&kept(256, 1..=50));
        assert_eq!(bytes, (35..=50).collect::<Vec<_>>(), "16 MiB");
    }

    #[test]
    fn few_are_kept_of_those_that_nobody_lacks_and_all_of_the_others() {
        let mut archive = kept(256, 1..=10);
        archive.spare_upto(SeqNo(2));
        assert_eq!(held(&archive), (3..=10).collect::<Vec<_>>());
        archive.spare_upto(SeqNo(50));
        assert_eq!(held(&archive), [7, 8, 9, 10], "4 MiB");
    }
}
