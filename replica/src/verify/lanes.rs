//! What waits at one verification worker: clients' requests, one queue for each client, served in
//! turn (docs/protocol.md R15).
//!
//! A connection's budget bounds what one process can have waiting, and that is a second of work; a
//! queue in order of arrival would make everybody wait for it. In turn, a client with one request
//! waits for one request of each of the others. A client whose signatures were bad is suspect: its
//! requests are verified apart from the others', since one bad signature makes a whole batch be
//! verified one by one, and only a few of them in a round.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use consensus::ClientId;
use tokio::sync::OwnedSemaphorePermit;

use super::{ClientRequests, Source};
use crate::transport::clients::claimed_id;

/// Requests in one round of a worker: the next votes wait for them, 10 us each.
pub const ROUND_REQUESTS_MAX: usize = 256;
/// Requests of suspects in one round.
pub const ROUND_SUSPECTS_MAX: usize = 8;
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
#[derive(Default)]
pub(super) struct Lanes {
    /// Bounded by [`CLIENT_WAITING_MAX`] each, and by the budgets of the connections together.
    queues: BTreeMap<ClientId, VecDeque<Waiting>>,
    /// Clients with waiting requests, next first.
    turn: VecDeque<ClientId>,
    /// Suspects, and how many good signatures they still owe. Clients of the configuration only.
    suspects: BTreeMap<ClientId, u32>,
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.turn.is_empty()
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
    /// share of the round keep their turns.
    pub(super) fn next_round(&mut self) -> Round {
        let mut round = Round::default();
        let mut passed_over = VecDeque::new();
        while round.trusted.len() < ROUND_REQUESTS_MAX {
            let Some(client) = self.turn.pop_front() else {
                break;
            };
            let suspect = self.suspects.contains_key(&client);
            if suspect && round.suspects.len() >= ROUND_SUSPECTS_MAX {
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
        round
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
        let (mut lanes, source) = (Lanes::default(), Arc::new(Told::default()));
        push(&mut lanes, &source, 1, 0..1000);
        push(&mut lanes, &source, 2, 0..3);
        let round = lanes.next_round();
        let clients: Vec<u32> = round.trusted[..7].iter().map(|one| one.client.0).collect();
        assert_eq!(clients, [1, 2, 1, 2, 1, 2, 1]);
        assert_eq!(round.trusted.len(), ROUND_REQUESTS_MAX);
        push(&mut lanes, &source, 3, 0..1);
        assert!(
            lanes.next_round().trusted[..2]
                .iter()
                .any(|one| one.client.0 == 3)
        );
    }

    #[test]
    fn a_client_can_have_so_many_waiting_and_no_more() {
        let (mut lanes, source) = (Lanes::default(), Arc::new(Told::default()));
        let over = CLIENT_WAITING_MAX as u64 + 2;
        push(&mut lanes, &source, 1, 0..over);
        push(&mut lanes, &source, 2, 0..1);
        let told = source.0.lock().map(|told| told.len());
        assert_eq!(told.ok(), Some(2), "told, not dropped");
        let mut rounds = 0;
        while !lanes.is_empty() {
            lanes.next_round();
            rounds += 1;
        }
        assert_eq!(rounds, 5);
    }

    #[test]
    fn suspects_are_kept_apart_few_in_a_round_and_until_they_are_cleared() {
        let (mut lanes, source) = (Lanes::default(), Arc::new(Told::default()));
        lanes.suspect(ClientId(1));
        push(&mut lanes, &source, 1, 0..100);
        push(&mut lanes, &source, 2, 0..100);
        let round = lanes.next_round();
        assert_eq!(
            (round.suspects.len(), round.trusted.len()),
            (ROUND_SUSPECTS_MAX, 100)
        );
        assert_eq!(count(&round.trusted, 1), 0);
        for _ in 0..CLEARED_AFTER {
            lanes.good(ClientId(1));
        }
        let round = lanes.next_round();
        assert_eq!((round.suspects.len(), count(&round.trusted, 1)), (0, 92));
        assert!(lanes.is_empty() && lanes.nobody_is_suspect());
    }
}
