//! Which clients the replica is turning away, as the client port needs to know it.
//!
//! When the protocol has no room for a client's requests, each further one would have its
//! signature verified only to be answered with "busy". So after such an answer the client port says
//! "busy" to that client by itself for a moment; then some of its requests get through and find out
//! whether there is room. More follow only when the protocol has said what became of these, however
//! long that takes: if there was room twice as many, and if not the client is held back for longer.
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

/// Requests that get through to find out ...
const TRIAL_MIN: u32 = 32;
/// ... and as many as have found out that there is room again: what a client may have pending.
const TRIAL_MAX: u32 = 256;
/// No trial lasts longer: a verdict that has not come by then was lost, with its requests.
const VERDICT_MAX: Duration = Duration::from_secs(1);

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
    /// Requests that may get through then, before the protocol has said what became of them.
    trial: u32,
    /// Those that have.
    through: u32,
    /// Requests that the protocol has turned away: tells whether one more was.
    refused: u64,
}

/// Clients of whose requests the protocol is about to say what becomes of them.
#[derive(Debug, Default)]
pub struct Trials(BTreeMap<ClientId, u64>);

impl Overload {
    /// The protocol has turned a request of this client away.
    pub fn turned_away(&self, client: ClientId, now: Instant) {
        let mut holds = self.lock();
        let (length, refused) = match holds.get_mut(&client) {
            // Further answers to what was let through before.
            Some(hold) if now < hold.until => {
                hold.refused = hold.refused.saturating_add(1);
                return;
            }
            Some(hold) => ((hold.length * 2).min(HOLD_MAX), hold.refused),
            None => (HOLD_MIN, 0),
        };
        let hold = Hold {
            until: now + length,
            length,
            trial: TRIAL_MIN,
            through: 0,
            refused: refused.saturating_add(1),
        };
        holds.insert(client, hold);
    }

    /// Should this client's requests be turned away unread?
    pub fn holds(&self, client: ClientId, now: Instant) -> bool {
        let mut holds = self.lock();
        let Some(hold) = holds.get_mut(&client) else {
            return false;
        };
        if now < hold.until {
            return true;
        }
        if now >= hold.until + VERDICT_MAX {
            holds.remove(&client);
            return false;
        }
        let held = hold.through >= hold.trial;
        if !held {
            hold.through += 1;
        }
        held
    }

    /// Which of these clients, whose requests the protocol is about to see, are on trial.
    pub fn trials(&self, clients: impl Iterator<Item = ClientId>) -> Trials {
        let holds = self.lock();
        if holds.is_empty() {
            return Trials::default();
        }
        let on_trial = |client: ClientId| {
            let hold = holds.get(&client).filter(|hold| hold.through > 0)?;
            Some((client, hold.refused))
        };
        Trials(clients.filter_map(on_trial).collect())
    }

    /// The protocol has seen the requests of these. Whoever had none of them turned away may have
    /// twice as many looked at next, and is not held back any more when that is all it could have.
    pub fn over(&self, trials: Trials) {
        if trials.0.is_empty() {
            return;
        }
        let mut holds = self.lock();
        for (client, refused) in trials.0 {
            let Some(hold) = holds.get_mut(&client) else {
                continue;
            };
            if hold.refused != refused {
                continue;
            }
            if hold.trial >= TRIAL_MAX {
                holds.remove(&client);
                continue;
            }
            hold.trial *= 2;
            hold.through = 0;
        }
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

    /// How many of a thousand requests get through now.
    fn passed(overload: &Overload, now: Instant) -> usize {
        (0..1000).filter(|_| !overload.holds(GREEDY, now)).count()
    }

    fn trials(overload: &Overload) -> Trials {
        overload.trials([GREEDY, ClientId(4), GREEDY].into_iter())
    }

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
    fn more_get_through_when_there_was_room_for_the_first_and_not_before() {
        let overload = Overload::default();
        let mut now = Instant::now();
        overload.turned_away(GREEDY, now);
        now += HOLD_MIN;
        assert_eq!(passed(&overload, now), 32);
        now += VERDICT_MAX / 2;
        assert_eq!(passed(&overload, now), 0, "a late verdict is no room");
        for expected in [64, 128, 256, 1000] {
            overload.over(trials(&overload));
            assert_eq!(passed(&overload, now), expected);
        }
        overload.turned_away(GREEDY, now);
        assert!(!overload.holds(GREEDY, now + HOLD_MIN), "all is forgiven");
    }

    #[test]
    fn what_came_before_a_trial_says_nothing_about_it() {
        let overload = Overload::default();
        let now = Instant::now();
        overload.turned_away(GREEDY, now);
        let early = trials(&overload);
        assert_eq!(passed(&overload, now + HOLD_MIN), 32);
        overload.over(early);
        assert_eq!(passed(&overload, now + HOLD_MIN), 0);
    }

    #[test]
    fn one_that_is_turned_away_outweighs_those_that_found_room() {
        let overload = Overload::default();
        let mut now = Instant::now();
        let mut lengths = Vec::new();
        for _ in 0..7 {
            let found_room = trials(&overload);
            overload.turned_away(GREEDY, now);
            overload.turned_away(GREEDY, now);
            overload.over(found_room);
            let start = now;
            while overload.holds(GREEDY, now) {
                now += Duration::from_millis(1);
            }
            lengths.push((now - start).as_millis());
            assert_eq!(1 + passed(&overload, now), 32);
            // On a machine that is busy the verdict takes its time.
            now += VERDICT_MAX / 2;
        }
        assert_eq!(lengths, [5, 10, 20, 40, 80, 80, 80]);
    }

    #[test]
    fn a_verdict_that_does_not_come_is_not_waited_for() {
        let overload = Overload::default();
        let now = Instant::now();
        overload.turned_away(GREEDY, now);
        let after = now + HOLD_MIN;
        assert_eq!(passed(&overload, after), 32);
        assert_eq!(passed(&overload, after + VERDICT_MAX), 1000);
    }
}
