//! What an attack does again and again, on the member's own clock.

use std::time::Duration;

use consensus::Instant;

use crate::span::Span;

/// The shortest pause: a member that does nothing else would starve the process that it runs in.
const PAUSE_MIN: Duration = Duration::from_micros(100);

/// A beat; what was missed while the process stood still is not made up for.
pub(crate) struct Beat {
    every: Duration,
    next: Option<Instant>,
}

impl Beat {
    pub(crate) fn new(every: Span) -> Self {
        Beat {
            every: every.0.max(PAUSE_MIN),
            next: None,
        }
    }

    /// Is it time again? The first call begins the beat.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|next| now >= next);
        if due || self.next.is_none() {
            self.next = Some(now + self.every);
        }
        due
    }

    /// When to ask again.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_comes_again_and_again_and_makes_up_for_nothing() {
        let mut beat = Beat::new(Span(Duration::from_millis(1)));
        let at = |micros: u64| Instant(micros * 1_000);
        assert_eq!(beat.wake(), None);
        assert!(!beat.is_due(at(0)) && !beat.is_due(at(999)));
        assert!(beat.is_due(at(1_000)) && !beat.is_due(at(1_001)));
        assert!(beat.is_due(at(90_000)) && !beat.is_due(at(90_500)));
        assert_eq!(beat.wake(), Some(at(91_000)));
    }
}
