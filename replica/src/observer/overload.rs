//! Whether the replica is turning requests away, as the client port needs to know it.
//!
//! When the protocol's queue of requests is full, every further request would have its signature
//! verified only to be answered with "busy". So after such an answer the client port says "busy"
//! by itself for a moment; then some requests get through again and find out whether there is
//! room.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long one "busy" of the protocol stands for the requests behind it.
const HOLD: Duration = Duration::from_millis(5);

/// Shared by the driver, which reports, and the client port, which asks.
#[derive(Debug)]
pub struct Overload {
    origin: Instant,
    /// Nanoseconds after the origin at which requests are let through again.
    until: AtomicU64,
}

impl Default for Overload {
    fn default() -> Self {
        Overload {
            origin: Instant::now(),
            until: AtomicU64::new(0),
        }
    }
}

impl Overload {
    /// The protocol has turned a request away.
    pub fn turned_away(&self, now: Instant) {
        self.until.store(self.nanos(now + HOLD), Ordering::Relaxed);
    }

    /// Should requests be turned away unread?
    pub fn holds(&self, now: Instant) -> bool {
        self.nanos(now) < self.until.load(Ordering::Relaxed)
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_busy_stands_for_a_moment_and_not_for_ever() {
        let overload = Overload::default();
        let now = Instant::now();
        assert!(!overload.holds(now));
        overload.turned_away(now);
        assert!(overload.holds(now) && overload.holds(now + HOLD / 2));
        assert!(!overload.holds(now + HOLD));
    }
}
