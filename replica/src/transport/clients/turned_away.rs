//! How fast a connection is read whose requests are turned away.
//!
//! Each "busy" costs an answer. A client that heeds it pauses; one that does not would have
//! thousands of requests a second read and answered. So the connection of such a one is not read
//! for a while: QUIC's flow control then holds its requests back at their source.

use std::time::{Duration, Instant};

/// Requests that may be turned away at once: what a process with several clients may have
/// outstanding when everything is full ...
pub(super) const TURNED_AWAY_MAX: usize = 2048;
/// ... and in a second of each client that the connection speaks for. One that heeds "busy" comes
/// with no more than its window every hundred milliseconds.
const TURNED_AWAY_PER_SECOND: usize = 2048;
/// The longest time for which a connection is not read: what one reading of a full window is worth,
/// and more.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What one connection was refused of late.
#[derive(Debug, Default)]
pub(super) struct TurnedAway {
    since: Option<Instant>,
    /// Drains at the rate above.
    level: f64,
}

impl TurnedAway {
    /// Notes that so many requests of a connection with so many clients were turned away; how long
    /// to wait before reading on.
    pub(super) fn note(
        &mut self,
        refused: usize,
        clients: usize,
        now: Instant,
    ) -> Option<Duration> {
        let rate = (TURNED_AWAY_PER_SECOND * clients.max(1)) as f64;
        let elapsed = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.since = Some(now);
        self.level = (self.level - elapsed.as_secs_f64() * rate).max(0.0) + refused as f64;
        let excess = self.level - TURNED_AWAY_MAX as f64;
        (refused > 0 && excess > 0.0).then(|| Duration::from_secs_f64(excess / rate).min(PAUSE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_heed_busy_is_read_no_faster_than_it_may_be_told_so() {
        // A frame, and all that a window holds of the smallest requests.
        for at_once in [256, 1_500] {
            let (mut refused, start) = (TurnedAway::default(), Instant::now());
            assert_eq!(refused.note(TURNED_AWAY_MAX, 1, start), None);
            let (mut now, mut told) = (start, 0);
            while now < start + Duration::from_secs(10) {
                told += at_once;
                let pause = refused.note(at_once, 1, now);
                now += pause.unwrap_or(Duration::from_millis(10));
            }
            let most = 10 * TURNED_AWAY_PER_SECOND + 2 * at_once;
            assert!((most / 2..=most).contains(&told), "{told}");
        }
        let (mut refused, now) = (TurnedAway::default(), Instant::now());
        assert!(refused.note(TURNED_AWAY_MAX + 1, 1, now).is_some());
        assert_eq!(refused.note(0, 1, now), None, "nothing was turned away");
        assert_eq!(refused.note(256, 1, now + Duration::from_secs(2)), None);
    }

    #[test]
    fn a_process_may_be_told_as_often_as_it_has_clients() {
        let (mut refused, mut now) = (TurnedAway::default(), Instant::now());
        for _ in 0..100 {
            now += Duration::from_millis(100);
            assert_eq!(refused.note(8 * 256, 16, now), None);
        }
    }
}
