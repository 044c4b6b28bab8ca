//! How many requests a replica lets wait (docs/protocol.md R15).
//!
//! Backups watch the requests that they know of and give the primary up when one waits longer than
//! T_req. A queue that takes longer than that to drain would make an overloaded primary look like
//! one that censors, so clients are told to come back once the queue is half of T_req long at the
//! rate at which requests are executed, and by backups as well: what they hold is what they watch.
//! What backups pass on has room beyond that.

use std::time::Duration;

use crate::time::Instant;

/// The queue may always be this long: a burst says nothing about the rate.
const ALLOWED_MIN: usize = 256;
/// A rate is taken over at least this long.
const SAMPLE_MIN: Duration = Duration::from_millis(200);

/// The rate of execution, and the queue that goes with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog {
    since: Instant,
    executed: u64,
    /// Requests a second, averaged; `None` before the first sample.
    rate: Option<u64>,
}

impl Backlog {
    /// Requests were executed.
    pub(super) fn executed(&mut self, requests: usize) {
        self.executed = self.executed.saturating_add(requests as u64);
    }

    /// Time passes; `waiting` requests wait. Idle times say nothing about the rate.
    pub(super) fn tick(&mut self, now: Instant, waiting: usize) {
        let elapsed = now.since(self.since);
        if elapsed < SAMPLE_MIN {
            return;
        }
        if waiting >= ALLOWED_MIN / 2 {
            let millis = u64::try_from(elapsed.as_millis())
                .unwrap_or(u64::MAX)
                .max(1);
            let sample = self.executed.saturating_mul(1000) / millis;
            self.rate = Some(match self.rate {
                Some(rate) => rate - rate / 4 + sample / 4,
                None => sample,
            });
        } else {
            self.rate = None;
        }
        self.since = now;
        self.executed = 0;
    }

    /// Requests that may wait when one of them may wait for `patience`.
    pub(super) fn allowed(&self, patience: Duration) -> usize {
        let Some(rate) = self.rate else {
            return usize::MAX;
        };
        let millis = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let queue = rate.saturating_mul(millis) / 2 / 1000;
        usize::try_from(queue)
            .unwrap_or(usize::MAX)
            .max(ALLOWED_MIN)
    }
}

#[cfg(test)]
mod hiccup;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    fn seconds(count: u64) -> Instant {
        Instant(count * 1_000_000_000)
    }

    #[test]
    fn the_queue_is_half_of_what_is_executed_while_backups_are_patient() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.allowed(PATIENCE), usize::MAX, "nothing is known");
        for second in 1..40 {
            backlog.executed(20_000);
            backlog.tick(seconds(second), 5000);
        }
        assert_eq!(backlog.allowed(PATIENCE), 5000);
        for second in 40..80 {
            backlog.executed(100);
            backlog.tick(seconds(second), 5000);
        }
        assert_eq!(backlog.allowed(PATIENCE), ALLOWED_MIN);
    }

    #[test]
    fn an_idle_time_limits_nothing() {
        let mut backlog = Backlog::default();
        backlog.executed(10);
        backlog.tick(seconds(1), 5000);
        assert_eq!(backlog.allowed(PATIENCE), ALLOWED_MIN);
        backlog.tick(seconds(2), 3);
        assert_eq!(backlog.allowed(PATIENCE), usize::MAX);
    }
}
