//! Which work of a checkpoint is done ahead of it.
//!
//! A checkpoint hashes every key that has changed since the last one, once. If those are many, execution stands still
//! for long. Hashed in portions as they change, they cost as much in smaller pieces, unless the same keys change again:
//! of a thousand busy keys every portion would hash the same thousand. Nobody knows beforehand, so it is tried, and
//! given up for some checkpoints where keys repeat.
//!
//! ```text
//!   2048 keys wait ──► hash them ──► few of them were hashed since the checkpoint ──► and so on
//!                                └─► many were: not again before eight checkpoints have passed
//! ```

/// Keys that wait, at least, before they are hashed: some milliseconds' work.
const PORTION: usize = 2048;
/// One in so many may have been hashed since the last checkpoint already.
const REPEATED_ONE_IN: usize = 8;
/// Checkpoints without it after a portion in which too many keys repeated.
const PAUSE: u32 = 8;

/// Whether to go ahead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead {
    /// Not before so many checkpoints have passed.
    paused: u32,
}

impl Ahead {
    /// Is it time, if so many keys wait?
    pub(crate) fn is_due(&self, waiting: usize) -> bool {
        self.paused == 0 && waiting >= PORTION
    }

    /// So many keys were hashed, and that many of them had been since the last checkpoint.
    pub(crate) fn hashed(&mut self, keys: usize, repeated: usize) {
        if repeated.saturating_mul(REPEATED_ONE_IN) > keys {
            self.paused = PAUSE;
        }
    }

    pub(crate) fn checkpoint(&mut self) {
        self.paused = self.paused.saturating_sub(1);
    }
}
