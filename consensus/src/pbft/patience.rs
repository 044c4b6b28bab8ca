//! When to send again (docs/protocol.md R13).
//!
//! Messages that are late are mostly under way: in a queue, in a busy peer's inbox. Sending them
//! again makes the queue longer and the peer busier, so whoever repeats waits for T_rtx without
//! any progress first, by its own clock, and twice as long before each further attempt.

use std::time::Duration;

use crate::time::Instant;

/// The wait doubles this often and then stays: 16 x T_rtx.
const DOUBLINGS_MAX: u32 = 4;

/// One reason to wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
    attempts: u32,
}

impl Patience {
    /// Things move: the wait begins anew, and short.
    pub(super) fn progress(&mut self, now: Instant) {
        self.since = Some(now);
        self.attempts = 0;
    }

    /// Nothing has moved. Is it time for an attempt? If so, which: 0, 1, 2, …
    pub(super) fn attempt(&mut self, now: Instant, first: Duration) -> Option<u32> {
        let since = *self.since.get_or_insert(now);
        let wait = first.saturating_mul(1 << self.attempts.min(DOUBLINGS_MAX));
        if now.since(since) < wait {
            return None;
        }
        let attempt = self.attempts;
        self.since = Some(now);
        self.attempts = self.attempts.saturating_add(1);
        Some(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_further_and_further_apart_until_there_is_progress() {
        let mut patience = Patience::default();
        let first = Duration::from_millis(100);
        let ms = |ms: u64| Instant(ms * 1_000_000);
        let tried: Vec<(u64, u32)> = (0..=2000)
            .step_by(50)
            .filter_map(|at| patience.attempt(ms(at), first).map(|attempt| (at, attempt)))
            .collect();
        assert_eq!(tried, [(100, 0), (300, 1), (700, 2), (1500, 3)]);
        patience.progress(ms(2000));
        assert_eq!(patience.attempt(ms(2050), first), None);
        assert_eq!(patience.attempt(ms(2100), first), Some(0));
    }
}
