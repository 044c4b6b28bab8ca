//! The latest order delays, and whose requests they are of (docs/protocol.md R15.2).
//!
//! Clients are no better than primaries. One that signs well for the backups and badly for the
//! primary makes every request of its own late, whatever the primary does; so nobody's delays are
//! more than a part of those that count, and the longest are measured from when the backups had
//! passed the requests on: the client has nothing to do with what follows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::ids::ClientId;
use crate::time::Instant;

/// Order delays that count: the latest.
const LATEST: usize = 128;
/// With fewer nothing is said about a primary. As many of each client count at least.
pub(super) const ENOUGH: usize = 8;
/// Of one in so many clients, and of one if there is another, the delays count in part.
const DOUBTED_PART: usize = 4;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct OrderDelays(VecDeque<OrderDelay>);

#[derive(Clone, Copy, Debug)]
struct OrderDelay {
    client: ClientId,
    delay: Duration,
    /// When the proposal came.
    at: Instant,
}

impl OrderDelays {
    /// A request of this client was ordered after so long, by a proposal that came at this time.
    pub(super) fn push(&mut self, client: ClientId, delay: Duration, at: Instant) {
        let clients: BTreeSet<ClientId> = self.0.iter().map(|one| one.client).collect();
        let others = clients.len() - usize::from(clients.contains(&client));
        let share = (LATEST / (others + 1)).max(ENOUGH);
        let own = self.0.iter().filter(|one| one.client == client).count();
        if own >= share {
            let oldest = self.0.iter().position(|one| one.client == client);
            oldest.map(|at| self.0.remove(at));
        } else if self.0.len() == LATEST {
            self.0.pop_front();
        }
        self.0.push_back(OrderDelay { client, delay, at });
    }

    /// When the latest one that is longer than this came; one of an attack that is over says
    /// nothing about the primary now.
    pub(super) fn last_above(&self, bound: Duration) -> Option<Instant> {
        let longer = self.0.iter().filter(|one| one.delay > bound);
        longer.map(|one| one.at).max()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The delay that nine of ten do not exceed; zero of none. Of the clients with the longest
    /// delays only what is longer than `passed_on` counts: by then the backups have passed a request
    /// on.
    pub(super) fn p90(&self, passed_on: Duration) -> Duration {
        let mut of: BTreeMap<ClientId, Vec<Duration>> = BTreeMap::new();
        for one in &self.0 {
            of.entry(one.client).or_default().push(one.delay);
        }
        let mut clients: Vec<Vec<Duration>> = of.into_values().collect();
        let doubted = match clients.len() {
            0 | 1 => 0,
            several => several.div_ceil(DOUBTED_PART),
        };
        clients.iter_mut().for_each(|delays| delays.sort_unstable());
        clients.sort_by_key(|delays| std::cmp::Reverse(delays.get(delays.len() / 2).copied()));
        let mut counted: Vec<Duration> = Vec::with_capacity(self.0.len());
        for (at, delays) in clients.into_iter().enumerate() {
            let part = |delay: Duration| match at < doubted {
                true => delay.saturating_sub(passed_on),
                false => delay,
            };
            counted.extend(delays.into_iter().map(part));
        }
        counted.sort_unstable();
        let at = counted.len() * 9 / 10;
        counted.get(at).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    const PASSED_ON: Duration = ms(200);
    const NOW: Instant = Instant(1);

    /// So many delays of each of these clients, in turn.
    fn delays(rounds: usize, of: &[(u32, u64)]) -> OrderDelays {
        let mut delays = OrderDelays::default();
        for _ in 0..rounds {
            for (client, delay) in of {
                delays.push(ClientId(*client), ms(*delay), NOW);
            }
        }
        delays
    }

    #[test]
    fn one_client_alone_counts_in_full() {
        let mut one = delays(100, &[(1, 5)]);
        assert_eq!(one.p90(PASSED_ON), ms(5));
        (0..28).for_each(|_| one.push(ClientId(1), ms(150), NOW));
        assert_eq!((one.len(), one.p90(PASSED_ON)), (128, ms(150)));
    }

    #[test]
    fn a_client_that_is_late_by_itself_is_no_fault_of_the_primary() {
        let honest: Vec<(u32, u64)> = (0..8).map(|client| (client, 5)).collect();
        let mut all = delays(4, &honest);
        // Many more than the others, and each as late as backups are with passing it on.
        for _ in 0..1000 {
            all.push(ClientId(8), ms(203), NOW);
        }
        assert_eq!(all.p90(PASSED_ON), ms(5));
        let of_the_loud_one = all.0.iter().filter(|one| one.client.0 == 8);
        assert_eq!(of_the_loud_one.count(), LATEST / 9);
    }

    #[test]
    fn a_primary_that_holds_one_client_back_is_seen() {
        let mut clients: Vec<(u32, u64)> = (0..8).map(|client| (client, 5)).collect();
        clients[3].1 = 500;
        assert_eq!(delays(16, &clients).p90(PASSED_ON), ms(300));
    }

    #[test]
    fn a_primary_that_holds_everybody_back_is_seen_with_two_clients_and_with_many() {
        for count in [2, 3, 4, 20] {
            let clients: Vec<(u32, u64)> = (0..count).map(|client| (client, 90)).collect();
            assert_eq!(delays(16, &clients).p90(PASSED_ON), ms(90), "{count}");
        }
    }

    #[test]
    fn more_clients_than_there_is_room_for_push_the_oldest_out() {
        let clients: Vec<(u32, u64)> = (0..300).map(|client| (client, 7)).collect();
        let all = delays(2, &clients);
        assert_eq!((all.len(), all.p90(PASSED_ON)), (LATEST, ms(7)));
    }
}
