//! Which clients the replica is turning away, as the client port needs to know it.
//!
//! When the protocol has no room for a client's requests, each further one would have its
//! signature verified only to be answered with "busy". So after such an answer the client port says
//! "busy" to that client by itself for a moment; then some of its requests get through again and
//! find out whether there is room, a few at a time. A client that keeps on coming too early is held back for longer.
//! The others are not held back at all: that one asks for too much is no reason to turn away
//! another (docs/protocol.md R15).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use consensus::ClientId;

/// How long the first "busy" of the protocol stands for the requests behind it.
const HOLD_MIN: Duration = Duration::from_millis(5);
/// The longest that one "busy" stands for: clients are asked to pause for no less.
const HOLD_MAX: Duration = Duration::from_millis(80);

/// Requests that get through to find out, for as long again as their client was held back.
const PROBES_MAX: u32 = 32;

/// Shared by the driver, which reports, and the client port, which asks. Bounded: only clients of
/// the configuration have requests that are turned away.
#[derive(Debug, Default)]
pub struct Overload {
    holds: Mutex<BTreeMap<ClientId, Hold>>,
}

/// How one client is held back.
#[derive(Clone, Copy, Debug)]
struct Hold {
    until: Instant,
    length: Duration,
    /// Let through since.
    probes: u32,
}

impl Overload {
    /// The protocol has turned a request of this client away.
    pub fn turned_away(&self, client: ClientId, now: Instant) {
        let mut holds = self.lock();
        let before = holds.get(&client).copied();
        let length = match before {
            // Further answers to what was let through before.
            Some(hold) if now < hold.until => return,
            Some(hold) if now < hold.until + hold.length => (hold.length * 2).min(HOLD_MAX),
            _ => HOLD_MIN,
        };
        let until = now + length;
        let probes = 0;
        holds.insert(
            client,
            Hold {
                until,
                length,
                probes,
            },
        );
    }

    /// Should this client's requests be turned away unread?
    pub fn holds(&self, client: ClientId, now: Instant) -> bool {
        let mut holds = self.lock();
        let Some(hold) = holds.get_mut(&client) else {
            return false;
        };
        let on_trial = now < hold.until + hold.length;
        let held = now < hold.until || on_trial && hold.probes >= PROBES_MAX;
        if on_trial && !held {
            hold.probes += 1;
        }
        held
    }

    /// Each entry is whole at every moment, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClientId, Hold>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEDY: ClientId = ClientId(3);

    #[test]
    fn one_busy_stands_for_a_moment_and_for_that_client_only() {
        let overload = Overload::default();
        let now = Instant::now();
        assert!(!overload.holds(GREEDY, now));
        overload.turned_away(GREEDY, now);
        assert!(overload.holds(GREEDY, now) && overload.holds(GREEDY, now + HOLD_MIN / 2));
        assert!(!overload.holds(GREEDY, now + HOLD_MIN));
        assert!(!overload.holds(ClientId(4), now), "another one is not held");
    }

    #[test]
    fn a_few_requests_find_out_whether_there_is_room_again() {
        let overload = Overload::default();
        let now = Instant::now();
        overload.turned_away(GREEDY, now);
        let after = now + HOLD_MIN;
        let passed = (0..1000).filter(|_| !overload.holds(GREEDY, after)).count();
        assert_eq!(passed, PROBES_MAX as usize);
        let later = after + HOLD_MIN;
        assert!(
            (0..1000).all(|_| !overload.holds(GREEDY, later)),
            "there was"
        );
    }

    #[test]
    fn whoever_comes_too_early_again_and_again_is_held_for_longer() {
        let overload = Overload::default();
        let mut now = Instant::now();
        let mut lengths = Vec::new();
        for _ in 0..7 {
            overload.turned_away(GREEDY, now);
            let start = now;
            while overload.holds(GREEDY, now) {
                now += Duration::from_millis(1);
            }
            lengths.push((now - start).as_millis());
        }
        assert_eq!(lengths, [5, 10, 20, 40, 80, 80, 80]);
        now += HOLD_MAX;
        overload.turned_away(GREEDY, now);
        assert!(
            !overload.holds(GREEDY, now + HOLD_MIN),
            "a pause is forgiven"
        );
    }
}
