//! A process's clock: it may jump, and run fast or slow. What the process reads never goes back,
//! as with any monotonic clock: set back, it stands still until it has caught up.

use std::time::Duration;

use consensus::Instant;

/// Parts per million.
const MILLION: u128 = 1_000_000;

/// The clock of one process against virtual time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// Where this stretch began, in virtual and in local time.
    since: Instant,
    local: u64,
    /// Local nanoseconds in a virtual millisecond.
    rate: u32,
    /// The latest time that was read.
    read: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Clock {
            since: Instant(0),
            local: 0,
            rate: 1_000_000,
            read: 0,
        }
    }
}

impl Clock {
    fn unclamped(&self, now: Instant) -> u64 {
        let passed = now.0.saturating_sub(self.since.0);
        if self.rate == 1_000_000 {
            return self.local + passed;
        }
        let local = u128::from(passed) * u128::from(self.rate) / MILLION;
        self.local + u64::try_from(local).expect("simulated times are below 500 years")
    }

    /// The local time.
    pub(crate) fn read(&mut self, now: Instant) -> Instant {
        self.read = self.read.max(self.unclamped(now));
        Instant(self.read)
    }

    /// How much virtual time passes until `deadline` in local time, if nothing happens to the clock.
    pub(crate) fn until(&self, now: Instant, deadline: Instant) -> Duration {
        let local = u128::from(deadline.0.saturating_sub(self.unclamped(now)));
        let left = local * MILLION / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// Runs at `rate` parts per million of virtual time from now on.
    pub(crate) fn drift(&mut self, now: Instant, rate: u32) {
        self.local = self.unclamped(now);
        self.since = now;
        self.rate = rate;
    }

    /// Jumps forward.
    pub(crate) fn jump(&mut self, by: Duration) {
        self.local += crate::network::nanos(by);
    }

    /// Is set back.
    pub(crate) fn set_back(&mut self, now: Instant, by: Duration) {
        let back = self
            .unclamped(now)
            .saturating_sub(crate::network::nanos(by));
        self.local = back;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_fast_clock_gains_and_its_timers_run_out_early() {
        let mut clock = Clock::default();
        clock.drift(Instant(SECOND), 1_100_000);
        let now = Instant(2 * SECOND);
        assert_eq!(clock.read(now), Instant(SECOND + SECOND * 11 / 10));
        let deadline = Instant(SECOND + SECOND * 22 / 10);
        assert_eq!(clock.until(now, deadline), Duration::from_secs(1));
    }

    #[test]
    fn a_clock_that_is_set_back_stands_still() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(Instant(5)), Instant(5));
        clock.set_back(Instant(5), Duration::from_nanos(3));
        assert_eq!(clock.read(Instant(6)), Instant(5));
        assert_eq!(clock.read(Instant(9)), Instant(6));
        assert_eq!(clock.until(Instant(9), Instant(6)), Duration::ZERO);
    }

    #[test]
    fn a_jump_is_seen_at_once() {
        let mut clock = Clock::default();
        clock.jump(Duration::from_secs(3600));
        assert_eq!(clock.read(Instant(1)), Instant(3600 * SECOND + 1));
    }
}
