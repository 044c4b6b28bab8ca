//! Which work of a checkpoint is done ahead of it.
//!
//! A checkpoint hashes every key that has changed since the last one, once. If those are many, execution stands still
//! for long, on all replicas at once. Hashed in portions as they change, they cost as much in smaller pieces, unless the
//! same keys change again: of a thousand busy keys every portion would hash the same thousand. Nobody knows beforehand,
//! so it is tried, and given up for some checkpoints where it costs half as much again.
//!
//! ```text
//!   2048 keys wait ──► hash them ──► of all since the checkpoint few were hashed twice ──► and so on
//!                                └─► many were: not again before eight checkpoints have passed
//! ```

/// Keys that wait, at least, before they are hashed: some milliseconds' work.
const PORTION: usize = 2048;
/// One in so many of those that were hashed since the last checkpoint may have been hashed before.
const REPEATED_ONE_IN: usize = 3;
/// Checkpoints without it after one in which too many keys repeated.
const PAUSE: u32 = 8;

/// Whether to go ahead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead {
    /// Not before so many checkpoints have passed.
    paused: u32,
    /// Hashed since the last checkpoint ...
    hashed: usize,
    /// ... and of those the ones that had been, before.
    repeated: usize,
}

impl Ahead {
    /// Is it time, if so many keys wait?
    pub(crate) fn is_due(&self, waiting: usize) -> bool {
        self.paused == 0 && waiting >= PORTION
    }

    /// So many keys were hashed, and that many of them had been since the last checkpoint.
    pub(crate) fn hashed(&mut self, keys: usize, repeated: usize) {
        self.hashed = self.hashed.saturating_add(keys);
        self.repeated = self.repeated.saturating_add(repeated);
        if self.repeated.saturating_mul(REPEATED_ONE_IN) > self.hashed {
            self.paused = PAUSE;
        }
    }

    pub(crate) fn checkpoint(&mut self) {
        self.paused = self.paused.saturating_sub(1);
        (self.hashed, self.repeated) = (0, 0);
    }
}
