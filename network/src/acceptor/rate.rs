//! How many handshakes may begin in a second: each costs a signature, a verification and an agreement on keys, some
//! half a millisecond, on the thread that also carries the votes.

use std::time::{Duration, Instant};

/// A bucket of tokens, one for each handshake that may begin now.
#[derive(Debug)]
pub(super) struct Rate {
    every: Duration,
    burst: u32,
    tokens: u32,
    filled_at: Instant,
}

impl Rate {
    /// `per_s` on the average, `burst` at once.
    pub(super) fn new(per_s: u32, burst: u32, now: Instant) -> Self {
        Rate {
            every: Duration::from_secs(1) / per_s.max(1),
            burst: burst.max(1),
            tokens: burst.max(1),
            filled_at: now,
        }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled_at);
        let more = since.as_nanos() / self.every.as_nanos().max(1);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if more >= self.burst.saturating_sub(self.tokens) {
            self.tokens = self.burst;
            self.filled_at = now;
        } else if more > 0 {
            self.tokens = self.tokens.saturating_add(more);
            self.filled_at += self.every.saturating_mul(more);
        }
        let Some(left) = self.tokens.checked_sub(1) else {
            return false;
        };
        self.tokens = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_then_so_many_a_second() {
        let start = Instant::now();
        let mut rate = Rate::new(100, 20, start);
        let granted =
            |rate: &mut Rate, at: Duration| (0..1_000).filter(|_| rate.take(start + at)).count();
        assert_eq!(granted(&mut rate, Duration::ZERO), 20);
        let in_a_second: usize = (1..=1_000)
            .map(|ms| granted(&mut rate, Duration::from_millis(ms)))
            .sum();
        assert_eq!(in_a_second, 100);
        assert_eq!(granted(&mut rate, Duration::from_secs(60)), 20);
    }
}
