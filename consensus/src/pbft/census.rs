//! What a replica holds because others said something, counted: for whoever wants to see that all of it has an end.
//!
//! | held | at most | because |
//! |---|---|---|
//! | slots | 2 L | nothing below h or above h + 2 L is kept (R5) |
//! | votes | slots x n x 2 views x 2 kinds | one of each replica, view and kind (R5) |
//! | bodies | slots x 4 | header, own vote, prepared certificate, decision |
//! | parsed | bodies of slots that are not executed | nobody asks what the others consist of |
//! | requests | `pending_requests_max` | more are answered "busy" (R6) |
//! | claims | 3 L / K x n | one of each replica and checkpoint: in (h, h + 2 L], and in one window above a certificate farther ahead (R9, R13) |
//! | reports | n | the newest of each replica (R10) |
//! | proofs | n | one says all there is to say (R18) |
//! | decisions | L | the archive, which has a bound in bytes as well (R13) |

use super::Pbft;
use super::slot::Slot;

/// Counts of what a [`Pbft`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Slots above the low watermark.
    pub slots: usize,
    /// PREPAREs and COMMITs.
    pub votes: usize,
    /// Batches of slots.
    pub bodies: usize,
    /// Those of them that are held taken apart, too.
    pub parsed: usize,
    /// Requests that wait to be ordered or executed.
    pub requests: usize,
    /// Claims of states at checkpoints.
    pub claims: usize,
    /// VIEW-CHANGEs.
    pub reports: usize,
    /// Proofs of equivocation.
    pub proofs: usize,
    /// Decisions kept for those who lag behind.
    pub decisions: usize,
}

impl Pbft {
    /// Counts what is held.
    pub fn census(&self) -> Census {
        let slots = || self.window.iter().map(|(_, slot)| slot);
        Census {
            slots: slots().count(),
            votes: slots()
                .map(|slot| slot.prepares.iter().count() + slot.commits.iter().count())
                .sum(),
            bodies: slots().map(Slot::bodies_held).sum(),
            parsed: slots().map(Slot::parsed_held).sum(),
            requests: self.pool.len(),
            claims: self
                .claims
                .values()
                .map(super::checkpoint::Claims::len)
                .sum(),
            reports: self.view_changes.len(),
            proofs: self.evidence().count(),
            decisions: self.archive.len(),
        }
    }
}
