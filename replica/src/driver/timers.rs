//! The protocol's timers: one deadline for each member of the closed set.

use std::time::Duration;

use consensus::{Instant, Timer};

const ALL: [Timer; 8] = [
    Timer::Batch,
    Timer::Status,
    Timer::Fast,
    Timer::Request,
    Timer::NewView,
    Timer::Retransmit,
    Timer::Heartbeat,
    Timer::Wrapper,
];

/// Deadlines by timer; setting one replaces it.
#[derive(Debug, Default)]
pub(super) struct Timers {
    deadlines: [Option<Instant>; ALL.len()],
}

impl Timers {
    pub(super) fn set(&mut self, now: Instant, timer: Timer, after: Duration) {
        *self.slot(timer) = Some(now + after);
    }

    pub(super) fn cancel(&mut self, timer: Timer) {
        *self.slot(timer) = None;
    }

    /// When the next timer runs out.
    pub(super) fn next(&self) -> Option<Instant> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// Takes the timer that ran out first, if one has run out.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Timer> {
        let (deadline, timer) = ALL
            .into_iter()
            .zip(&self.deadlines)
            .filter_map(|(timer, deadline)| deadline.map(|deadline| (deadline, timer)))
            .min()?;
        if deadline > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }

    fn slot(&mut self, timer: Timer) -> &mut Option<Instant> {
        let at = match timer {
            Timer::Batch => 0,
            Timer::Status => 1,
            Timer::Fast => 2,
            Timer::Request => 3,
            Timer::NewView => 4,
            Timer::Retransmit => 5,
            Timer::Heartbeat => 6,
            Timer::Wrapper => 7,
        };
        &mut self.deadlines[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_replaces_and_the_earliest_fires_first_and_once() {
        let mut timers = Timers::default();
        for (index, timer) in ALL.into_iter().enumerate() {
            timers.set(Instant(0), timer, Duration::from_nanos(100 - index as u64));
        }
        timers.set(Instant(0), Timer::Batch, Duration::from_nanos(7));
        timers.cancel(Timer::Heartbeat);
        timers.cancel(Timer::Wrapper);
        assert_eq!(timers.next(), Some(Instant(7)));
        assert_eq!(timers.expired(Instant(6)), None);
        assert_eq!(timers.expired(Instant(200)), Some(Timer::Batch));
        assert_eq!(timers.expired(Instant(200)), Some(Timer::Retransmit));
        assert_eq!(timers.expired(Instant(95)), None, "NewView is due at 96");
        assert_eq!(timers.next(), Some(Instant(96)));
    }
}
