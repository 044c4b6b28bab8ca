//! When a primary closes a batch that is not full (docs/protocol.md R7.1). Cost and latency depend on it, safety does not.
//!
//! ```text
//!   nothing undecided ───────────────────────────────────────────► at once: an idle cluster adds no delay
//!   as many requests wait as are undecided ──────────────────────► after T_batch
//!   fewer: the slot is not worth the votes of those before it ───► after T_batch or line, whichever is longer
//! ```
//!
//! *line* is how much longer than the shortest of the latest slots the median of them took: the time that slots spend waiting
//! for processors. Where replicas are busy, votes are what a larger batch saves, and a request that leaves early would only wait somewhere else;
//! where the network is far and the processors are free, slots all take the same time and line is next to nothing.

use std::collections::VecDeque;
use std::time::Duration;

/// Slot times that count: the latest.
const LATEST: usize = 64;

/// The latest slots of this primary, and how long its requests may wait for company.
#[derive(Clone, Debug, Default)]
pub(super) struct Closing {
    slots: VecDeque<Duration>,
    /// What they say, worked out when somebody asks.
    line: Option<Duration>,
}

/// What waits, and what is on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// Requests that the next batch could take.
    pub(super) ready: usize,
    /// They fill a batch.
    pub(super) full: bool,
    /// How long the oldest of them has been waiting.
    pub(super) waited: Duration,
    /// Proposals that are undecided.
    pub(super) slots: usize,
    /// Requests in those.
    pub(super) requests: usize,
}

impl Closing {
    /// Another view: what slots took under another primary says nothing.
    pub(super) fn begin_view(&mut self) {
        *self = Closing::default();
    }

    /// A slot took so long from its proposal to the decision.
    pub(super) fn decided(&mut self, took: Duration) {
        if self.slots.len() == LATEST {
            self.slots.pop_front();
        }
        self.slots.push_back(took);
        self.line = None;
    }

    /// How much longer than the shortest of the latest slots the median of them took.
    fn line(&mut self) -> Duration {
        let slots = &self.slots;
        *self.line.get_or_insert_with(|| {
            let mut sorted: Vec<Duration> = slots.iter().copied().collect();
            sorted.sort_unstable();
            let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
            median - sorted.first().copied().unwrap_or_default()
        })
    }

    /// How much longer the batch stays open, unless something else happens; `None`: it is closed now. `delay`: T_batch.
    pub(super) fn stays_open(&mut self, waiting: &Waiting, delay: Duration) -> Option<Duration> {
        if waiting.slots == 0 || waiting.full {
            return None;
        }
        let patience = if waiting.ready >= waiting.requests {
            delay
        } else {
            delay.max(self.line())
        };
        let left = patience.saturating_sub(waiting.waited);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = ms(1);

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Nine wait, ten are undecided.
    const NINE: Waiting = Waiting {
        ready: 9,
        full: false,
        waited: Duration::ZERO,
        slots: 2,
        requests: 10,
    };

    /// After slots that took so long.
    fn after(slots: &[u64]) -> Closing {
        let mut closing = Closing::default();
        slots.iter().for_each(|took| closing.decided(ms(*took)));
        closing
    }

    #[test]
    fn a_batch_leaves_at_once_if_nothing_is_undecided_or_it_is_full() {
        let mut closing = after(&[2, 30, 30]);
        assert_eq!(closing.stays_open(&NINE, DELAY), Some(ms(28)));
        let idle = Waiting {
            slots: 0,
            requests: 0,
            ..NINE
        };
        let full = Waiting { full: true, ..NINE };
        assert_eq!(closing.stays_open(&idle, DELAY), None);
        assert_eq!(closing.stays_open(&full, DELAY), None);
    }

    #[test]
    fn one_that_is_worth_as_much_as_what_is_undecided_waits_for_the_shortest_delay_alone() {
        let mut closing = after(&[2, 30, 30]);
        let worth = Waiting { ready: 10, ..NINE };
        assert_eq!(closing.stays_open(&worth, DELAY), Some(DELAY));
        let waited = Waiting {
            waited: DELAY,
            ..worth
        };
        assert_eq!(closing.stays_open(&waited, DELAY), None);
    }

    #[test]
    fn where_all_slots_take_the_same_time_a_request_waits_for_the_shortest_delay_alone() {
        for mut closing in [after(&[]), after(&[150; 20])] {
            assert_eq!(closing.stays_open(&NINE, DELAY), Some(DELAY));
            let waited = Waiting {
                waited: DELAY,
                ..NINE
            };
            assert_eq!(closing.stays_open(&waited, DELAY), None);
        }
    }

    #[test]
    fn where_slots_wait_in_line_a_request_waits_as_long_and_no_longer() {
        let mut closing = after(&[20, 3, 20, 25, 20]);
        let waited = |time| Waiting {
            waited: ms(time),
            ..NINE
        };
        assert_eq!(closing.stays_open(&waited(5), DELAY), Some(ms(12)));
        assert_eq!(closing.stays_open(&waited(17), DELAY), None);
    }

    #[test]
    fn what_slots_took_long_ago_or_in_another_view_is_forgotten() {
        let mut closing = after(&[1]);
        for _ in 0..LATEST {
            closing.decided(ms(50));
        }
        assert_eq!(closing.stays_open(&NINE, DELAY), Some(DELAY));
        closing.decided(ms(1));
        assert_eq!(closing.stays_open(&NINE, DELAY), Some(ms(49)));
        closing.begin_view();
        assert_eq!(closing.stays_open(&NINE, DELAY), Some(DELAY));
    }
}
