//! What waits at one verification worker: clients' requests, one queue for each client, served in
//! turn (docs/protocol.md R15).
//!
//! A connection's budget bounds what one process can have waiting, and that is a second of work; a
//! queue in order of arrival would make everybody wait for it. In turn, a client with one request
//! waits for one request of each of the others. A client whose signatures were bad is suspect: its
//! requests are verified apart from the others', since one bad signature makes a whole batch be
//! verified one by one, and only so many in a second, however idle the worker is: the processor may
//! be wanted elsewhere.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use consensus::ClientId;
use tokio::sync::OwnedSemaphorePermit;

use super::{ClientRequests, Source};
use crate::transport::clients::claimed_id;

/// Requests in one round of a worker: the next votes wait for them, 10 us each.
pub const ROUND_REQUESTS_MAX: usize = 256;
/// Requests of suspects in one round.
pub const ROUND_SUSPECTS_MAX: usize = 8;
/// Time for each request of a suspect: 40 us of it are work, and whoever is none after all has shown
/// that after a fifteenth of a second.
pub const SUSPECT_PACE: Duration = Duration::from_millis(1);
/// Requests of one client that wait at a worker: four windows; more are answered "busy".
pub const CLIENT_WAITING_MAX: usize = 1024;
/// Good signatures in a row after which a client is no suspect any more.
const CLEARED_AFTER: u32 = 64;

/// One request that waits.
pub(super) struct Waiting {
    /// Whose it claims to be; the port has checked that this client may speak here.
    pub(super) client: ClientId,
    pub(super) raw: Bytes,
    pub(super) source: Arc<dyn Source>,
    /// Goes back when the last request that came with it is verified.
    _permits: Arc<[Option<OwnedSemaphorePermit>; 2]>,
}

/// A round's work.
#[derive(Default)]
pub(super) struct Round {
    /// To be verified as one batch.
    pub(super) trusted: Vec<Waiting>,
    /// To be verified one by one.
    pub(super) suspects: Vec<Waiting>,
}

/// The queues of one worker.
pub(super) struct Lanes {
    /// Bounded by [`CLIENT_WAITING_MAX`] each, and by the budgets of the connections together.
    queues: BTreeMap<ClientId, VecDeque<Waiting>>,
    /// Clients with waiting requests, next first.
    turn: VecDeque<ClientId>,
    /// Suspects, and how many good signatures they still owe. Clients of the configuration only.
    suspects: BTreeMap<ClientId, u32>,
    /// Up to here suspects have had their time.
    paced: Instant,
}

impl Lanes {
    pub(super) fn new(now: Instant) -> Self {
        Lanes {
            queues: BTreeMap::new(),
            turn: VecDeque::new(),
            suspects: BTreeMap::new(),
            paced: now,
        }
    }

    /// When the next round has something in it; `None` if nothing waits.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let is_suspect = |client| self.suspects.contains_key(client);
        match self.turn.is_empty() {
            true => None,
            false if self.suspects.is_empty() || !self.turn.iter().all(is_suspect) => Some(now),
            false => Some(self.paced + SUSPECT_PACE),
        }
    }

    /// Takes in what came by one connection.
    pub(super) fn push(&mut self, arrived: ClientRequests) {
        let ClientRequests {
            source,
            requests,
            permits,
        } = arrived;
        let permits = Arc::new(permits);
        for raw in requests {
            let Some(id) = claimed_id(&raw) else {
                // Too short for any request; whoever is at the other end sent it.
                source.charge(None, "malformed request");
                continue;
            };
            let queue = self.queues.entry(id.client).or_default();
            if queue.len() >= CLIENT_WAITING_MAX {
                source.turn_away(id);
                continue;
            }
            if queue.is_empty() {
                self.turn.push_back(id.client);
            }
            queue.push_back(Waiting {
                client: id.client,
                raw,
                source: Arc::clone(&source),
                _permits: Arc::clone(&permits),
            });
        }
    }

    /// One request of each client in turn, up to a round's share. Suspects that have had their
    /// share keep their turns.
    pub(super) fn next_round(&mut self, now: Instant) -> Round {
        let mut round = Round::default();
        let mut passed_over = VecDeque::new();
        let suspects_max = self.suspects_max(now);
        while round.trusted.len() < ROUND_REQUESTS_MAX {
            let Some(client) = self.turn.pop_front() else {
                break;
            };
            let suspect = self.suspects.contains_key(&client);
            if suspect && round.suspects.len() >= suspects_max {
                passed_over.push_back(client);
                continue;
            }
            let Some(queue) = self.queues.get_mut(&client) else {
                continue;
            };
            let taken = queue.pop_front();
            if queue.is_empty() {
                self.queues.remove(&client);
            } else {
                self.turn.push_back(client);
            }
            match suspect {
                true => round.suspects.extend(taken),
                false => round.trusted.extend(taken),
            }
        }
        passed_over.append(&mut self.turn);
        self.turn = passed_over;
        for _ in &round.suspects {
            self.paced += SUSPECT_PACE;
        }
        round
    }

    /// What suspects may have in a round now. Time that they left is theirs for one full round.
    fn suspects_max(&mut self, now: Instant) -> usize {
        let mut count = 0;
        while count < ROUND_SUSPECTS_MAX && self.paced + SUSPECT_PACE * (count as u32 + 1) <= now {
            count += 1;
        }
        if count == ROUND_SUSPECTS_MAX {
            self.paced = now - SUSPECT_PACE * count as u32;
        }
        count
    }

    /// A signature of this client was bad.
    pub(super) fn suspect(&mut self, client: ClientId) {
        self.suspects.insert(client, CLEARED_AFTER);
    }

    /// A signature of this client was good.
    pub(super) fn good(&mut self, client: ClientId) {
        if let Some(owed) = self.suspects.get_mut(&client) {
            *owed = owed.saturating_sub(1);
            if *owed == 0 {
                self.suspects.remove(&client);
            }
        }
    }

    /// Nobody is suspect: without suspects there is nothing to note of good signatures.
    pub(super) fn nobody_is_suspect(&self) -> bool {
        self.suspects.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::RequestId;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Told(Mutex<Vec<RequestId>>);

    impl Source for Told {
        fn charge(&self, _client: Option<ClientId>, _why: &str) {}
        fn turn_away(&self, id: RequestId) {
            self.0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(id);
        }
    }

    fn raw(client: u32, number: u64) -> Bytes {
        let mut raw = client.to_le_bytes().to_vec();
        raw.extend(1u64.to_le_bytes());
        raw.extend(number.to_le_bytes());
        raw.into()
    }

    fn push(lanes: &mut Lanes, source: &Arc<Told>, client: u32, numbers: std::ops::Range<u64>) {
        lanes.push(ClientRequests {
            source: Arc::<Told>::clone(source),
            requests: numbers.map(|number| raw(client, number)).collect(),
            permits: [None, None],
        });
    }

    fn count(of: &[Waiting], client: u32) -> usize {
        of.iter().filter(|one| one.client.0 == client).count()
    }

    #[test]
    fn a_client_with_one_request_waits_for_one_of_each_of_the_others() {
        let (mut lanes, source) = (Lanes::new(Instant::now()), Arc::new(Told::default()));
        push(&mut lanes, &source, 1, 0..1000);
        push(&mut lanes, &source, 2, 0..3);
        let round = lanes.next_round(Instant::now());
        let clients: Vec<u32> = round.trusted[..7].iter().map(|one| one.client.0).collect();
        assert_eq!(clients, [1, 2, 1, 2, 1, 2, 1]);
        assert_eq!(round.trusted.len(), ROUND_REQUESTS_MAX);
        push(&mut lanes, &source, 3, 0..1);
        assert!(
            lanes.next_round(Instant::now()).trusted[..2]
                .iter()
                .any(|one| one.client.0 == 3)
        );
    }

    #[test]
    fn a_client_can_have_so_many_waiting_and_no_more() {
        let (mut lanes, source) = (Lanes::new(Instant::now()), Arc::new(Told::default()));
        let over = CLIENT_WAITING_MAX as u64 + 2;
        push(&mut lanes, &source, 1, 0..over);
        push(&mut lanes, &source, 2, 0..1);
        let told = source.0.lock().map(|told| told.len());
        assert_eq!(told.ok(), Some(2), "told, not dropped");
        let mut rounds = 0;
        while lanes.due(Instant::now()).is_some() {
            lanes.next_round(Instant::now());
            rounds += 1;
        }
        assert_eq!(rounds, 5);
    }

    #[test]
    fn suspects_are_kept_apart_few_in_a_round_and_until_they_are_cleared() {
        let begun = Instant::now();
        let (mut lanes, source) = (Lanes::new(begun), Arc::new(Told::default()));
        let mut now = begun + Duration::from_secs(9);
        lanes.suspect(ClientId(1));
        push(&mut lanes, &source, 1, 0..100);
        push(&mut lanes, &source, 2, 0..100);
        let round = lanes.next_round(now);
        assert_eq!(
            (round.suspects.len(), round.trusted.len()),
            (ROUND_SUSPECTS_MAX, 100)
        );
        assert_eq!(count(&round.trusted, 1), 0);
        now += SUSPECT_PACE;
        for _ in 0..CLEARED_AFTER {
            lanes.good(ClientId(1));
        }
        let round = lanes.next_round(now);
        assert_eq!((round.suspects.len(), count(&round.trusted, 1)), (0, 92));
        assert!(lanes.due(now).is_none() && lanes.nobody_is_suspect());
    }

    #[test]
    fn suspects_have_one_turn_in_a_time_also_when_nobody_else_waits() {
        let begun = Instant::now();
        let (mut lanes, source) = (Lanes::new(begun), Arc::new(Told::default()));
        lanes.suspect(ClientId(1));
        push(&mut lanes, &source, 1, 0..100);
        assert_eq!(lanes.due(begun), Some(begun + SUSPECT_PACE));
        assert_eq!(lanes.next_round(begun).suspects.len(), 0);
        let later = begun + SUSPECT_PACE * 3;
        assert_eq!(lanes.next_round(later).suspects.len(), 3);
        assert_eq!(lanes.next_round(later).suspects.len(), 0);
        // Time that was left is no store of turns.
        let much_later = later + Duration::from_secs(9);
        assert_eq!(
            lanes.next_round(much_later).suspects.len(),
            ROUND_SUSPECTS_MAX
        );
        assert_eq!(lanes.next_round(much_later).suspects.len(), 0);
        push(&mut lanes, &source, 2, 0..1);
        assert_eq!(
            lanes.due(much_later),
            Some(much_later),
            "others do not wait"
        );
        assert_eq!(lanes.next_round(much_later).trusted.len(), 1);
    }
}
