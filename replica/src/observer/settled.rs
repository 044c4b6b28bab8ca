//! Slots that PREPAREs have decided here, so that the votes that are left over need not be verified.
//!
//! The fast quorum is complete, and a vote for what it decided changes nothing any more (docs/protocol.md R7.3, R8). A vote
//! for something else is looked at all the same: it may convict its sender (R18).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use consensus::pbft::certificate::Statement;
use consensus::report::Path;
use consensus::{Epoch, Report, SeqNo};

/// Slots remembered: what is left over comes within a few slots of the decision.
const SLOTS_MAX: usize = 256;

/// The latest decisions by PREPAREs.
#[derive(Debug, Default)]
pub struct Settled(Mutex<BTreeMap<(Epoch, SeqNo), Statement>>);

impl Settled {
    /// Takes in a report of the core. A slot that COMMITs decided still waits for its PREPAREs: how late they are tells
    /// whether the fast path is worth waiting for (R8).
    pub(super) fn report(&self, report: &Report) {
        if let Report::Decided {
            epoch,
            seq,
            view,
            digest,
            path: Path::Fast,
        } = report
        {
            let statement = Statement {
                view: *view,
                seq: *seq,
                digest: *digest,
            };
            let mut slots = self.lock();
            slots.insert((*epoch, *seq), statement);
            while slots.len() > SLOTS_MAX {
                slots.pop_first();
            }
        }
    }

    /// Is a PREPARE for this left over?
    pub fn has(&self, epoch: Epoch, statement: &Statement) -> bool {
        self.lock().get(&(epoch, statement.seq)) == Some(statement)
    }

    /// Whole at every moment, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Epoch, SeqNo), Statement>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::View;
    use crypto::Digest;

    fn decided(epoch: u64, seq: u64, path: Path) -> Report {
        Report::Decided {
            epoch: Epoch(epoch),
            seq: SeqNo(seq),
            view: View(3),
            digest: Digest([1; 32]),
            path,
        }
    }

    fn vote(view: u64, seq: u64, digest: u8) -> Statement {
        Statement {
            view: View(view),
            seq: SeqNo(seq),
            digest: Digest([digest; 32]),
        }
    }

    #[test]
    fn only_what_prepares_have_decided_is_left_over() {
        let settled = Settled::default();
        settled.report(&decided(0, 7, Path::Fast));
        settled.report(&decided(0, 8, Path::Slow));
        settled.report(&decided(0, 9, Path::Transfer));
        let left_over = [
            (0, vote(3, 7, 1), true),
            (1, vote(3, 7, 1), false),
            (0, vote(4, 7, 1), false),
            (0, vote(3, 7, 2), false),
            (0, vote(3, 8, 1), false),
            (0, vote(3, 9, 1), false),
        ];
        for (epoch, vote, wanted) in left_over {
            assert_eq!(settled.has(Epoch(epoch), &vote), wanted, "{epoch} {vote:?}");
        }
    }

    #[test]
    fn the_latest_slots_are_remembered() {
        let settled = Settled::default();
        let slots = SLOTS_MAX as u64;
        (1..=slots + 1).for_each(|seq| settled.report(&decided(0, seq, Path::Fast)));
        assert!(!settled.has(Epoch(0), &vote(3, 1, 1)));
        assert!(settled.has(Epoch(0), &vote(3, 2, 1)));
        settled.report(&decided(1, 1, Path::Fast));
        assert!(
            !settled.has(Epoch(0), &vote(3, 2, 1)),
            "of an epoch that is over"
        );
        assert!(settled.has(Epoch(1), &vote(3, 1, 1)));
    }
}
