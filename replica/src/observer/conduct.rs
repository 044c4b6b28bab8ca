//! Peers that may not come in for a while (docs/protocol.md R15).
//!
//! A correct replica sends no malformed frame and no bad signature, ever. One that has sent several is Byzantine or broken: each of
//! its messages costs a verification, and nothing that it says is needed, for it is one of the f. So it is cut off, and for twice as
//! long each time: no connection of it is taken, and what of it waits for verification is dropped unseen. The allowance of a few is for what is nobody's fault: a replica whose process dies in the middle of a
//! frame, bytes that a broken machine bent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Offences after which a peer is cut off.
pub const OFFENCES_MAX: u64 = 16;
/// How long a peer is cut off for the first time.
pub const BAN_MIN: Duration = Duration::from_millis(500);
/// The longest time for which a peer is cut off.
pub const BAN_MAX: Duration = Duration::from_secs(64);
/// After so many times its last ban without another one a peer has a clean record.
const FORGIVEN_AFTER: u32 = 8;
/// Offences that lie this far apart are none of a flood.
const WINDOW: Duration = Duration::from_secs(60);

/// The record of one peer.
#[derive(Debug, Default)]
pub struct Conduct(Mutex<Record>);

#[derive(Debug, Default)]
struct Record {
    /// Offences that were counted up to the beginning of the window.
    before: u64,
    window_from: Option<Instant>,
    length: Duration,
    until: Option<Instant>,
}

impl Conduct {
    /// Looks at how many offences were counted in all; for how long the peer is cut off now, if these were too many.
    pub(super) fn judge(&self, offences: u64, now: Instant) -> Option<Duration> {
        let mut record = self.lock();
        let window_from = *record.window_from.get_or_insert(now);
        if now >= window_from + WINDOW {
            record.window_from = Some(now);
            record.before = offences;
        }
        // What it had sent before it was cut off is no second offence.
        if record.until.is_some_and(|until| now < until) {
            record.before = offences;
            return None;
        }
        if offences < record.before + OFFENCES_MAX {
            return None;
        }
        let forgiven = |until: Instant| now >= until + record.length * FORGIVEN_AFTER;
        if record.until.is_none_or(forgiven) {
            record.length = Duration::ZERO;
        }
        record.length = (record.length * 2).clamp(BAN_MIN, BAN_MAX);
        record.until = Some(now + record.length);
        record.before = offences;
        record.window_from = Some(now);
        Some(record.length)
    }

    /// For how long the peer is still cut off at this time.
    pub fn banned(&self, now: Instant) -> Option<Duration> {
        let until = self.lock().until?;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A record is whole at every moment, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_goes_on_is_cut_off_for_longer_and_longer() {
        let conduct = Conduct::default();
        let mut now = Instant::now();
        let mut offences = 0;
        let mut lengths = Vec::new();
        for _ in 0..9 {
            offences += OFFENCES_MAX - 1;
            assert_eq!(conduct.judge(offences, now), None, "a few are let pass");
            offences += 1;
            let length = conduct.judge(offences, now).unwrap_or_default();
            assert_eq!(conduct.banned(now), Some(length));
            // What is still under way when it is cut off.
            offences += 1_000;
            assert_eq!(conduct.judge(offences, now), None);
            now += length;
            assert_eq!(conduct.banned(now), None);
            assert_eq!(conduct.judge(offences, now), None);
            lengths.push(length.as_millis());
        }
        assert_eq!(
            lengths,
            [
                500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 64_000
            ]
        );
        now += BAN_MAX * FORGIVEN_AFTER;
        // The first look begins a new window.
        assert_eq!(conduct.judge(offences, now), None);
        assert_eq!(conduct.judge(offences + OFFENCES_MAX, now), Some(BAN_MIN));
    }

    #[test]
    fn offences_far_apart_do_not_add_up() {
        let conduct = Conduct::default();
        let start = Instant::now();
        for number in 0..200 {
            let now = start + Duration::from_secs(5) * number;
            assert_eq!(conduct.judge(u64::from(number), now), None);
        }
    }
}
