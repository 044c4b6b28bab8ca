//! How fast a connection is read whose requests are turned away.
//!
//! Each "busy" costs an answer. A client that heeds it pauses; one that does not would have
//! thousands of requests a second read and answered. So the connection of such a one is not read
//! for a while: QUIC's flow control then holds its requests back at their source.

use std::time::{Duration, Instant};

/// The time over which answers are counted.
const MOMENT: Duration = Duration::from_millis(100);
/// Requests turned away in a moment from which on a connection is read more slowly: what a
/// process with several clients may have outstanding when everything is full.
pub(super) const TURNED_AWAY_MAX: usize = 2048;
/// How long it is not read.
const PAUSE: Duration = Duration::from_millis(20);

/// What one connection was refused of late.
#[derive(Debug, Default)]
pub(super) struct TurnedAway {
    since: Option<Instant>,
    count: usize,
}

impl TurnedAway {
    /// Notes that so many requests were turned away; how long to wait before reading on.
    pub(super) fn note(&mut self, refused: usize, now: Instant) -> Option<Duration> {
        if self.since.is_none_or(|since| now >= since + MOMENT) {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count = self.count.saturating_add(refused);
        (refused > 0 && self.count > TURNED_AWAY_MAX).then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_heed_busy_is_read_more_slowly_until_it_does() {
        let (mut refused, now) = (TurnedAway::default(), Instant::now());
        assert_eq!(refused.note(TURNED_AWAY_MAX, now), None);
        assert_eq!(refused.note(1, now), Some(PAUSE));
        assert_eq!(refused.note(0, now), None, "nothing was turned away");
        assert_eq!(refused.note(1, now + MOMENT), None, "a new moment");
    }
}
