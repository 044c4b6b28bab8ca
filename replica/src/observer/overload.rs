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
    pub fn turned_away(&self) {
        self.until
            .store(nanos(self.origin.elapsed() + HOLD), Ordering::Relaxed);
    }

    /// Should requests be turned away unread?
    pub fn now(&self) -> bool {
        nanos(self.origin.elapsed()) < self.until.load(Ordering::Relaxed)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_busy_stands_for_a_moment_and_not_for_ever() {
        let overload = Overload::default();
        assert!(!overload.now());
        overload.turned_away();
        assert!(overload.now());
        std::thread::sleep(HOLD * 2);
        assert!(!overload.now());
    }
}
