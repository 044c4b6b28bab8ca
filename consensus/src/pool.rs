//! Requests that wait for ordering: one queue per client, served in turn, so that no client can
//! crowd out another (docs/protocol.md R7.1, R15). Bounded per client, in number and in bytes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::ids::{ClientId, RequestId};
use crate::request::Request;
use crate::settings::{Limits, Policy};
use crate::time::Instant;

/// What became of a request that was offered to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It waits for a proposal.
    Queued,
    /// It waits already, or is in an undecided proposal.
    Known,
    /// A bound is reached; the client is told.
    Full,
}

#[derive(Clone, Debug)]
struct Entry {
    request: Request,
    queued: bool,
    /// Place in the order of arrival.
    arrival: u64,
}

/// Pending requests.
#[derive(Clone, Debug)]
pub struct Pool {
    requests_max: usize,
    bytes_max: usize,
    per_client_max: usize,
    entries: BTreeMap<RequestId, Entry>,
    /// All entries in the order in which they came.
    arrivals: BTreeMap<u64, RequestId>,
    arrived: u64,
    per_client: BTreeMap<ClientId, usize>,
    queues: BTreeMap<ClientId, VecDeque<RequestId>>,
    /// Clients with queued requests, in the order in which they are served next.
    turn: VecDeque<ClientId>,
    bytes: usize,
    queued: usize,
    queued_bytes: usize,
    waiting_since: Option<Instant>,
}

impl Pool {
    /// An empty pool with the bounds of `policy`.
    pub fn new(policy: &Policy) -> Self {
        Pool {
            requests_max: policy.pending_requests_max,
            bytes_max: policy.pending_bytes_max,
            per_client_max: policy.pending_per_client_max,
            entries: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            arrived: 0,
            per_client: BTreeMap::new(),
            queues: BTreeMap::new(),
            turn: VecDeque::new(),
            bytes: 0,
            queued: 0,
            queued_bytes: 0,
            waiting_since: None,
        }
    }

    /// Takes a verified request in, unless it is known or a bound is reached.
    pub fn offer(&mut self, now: Instant, request: Request) -> Offer {
        let id = request.id;
        if self.entries.contains_key(&id) {
            return Offer::Known;
        }
        let size = request.raw().len();
        let of_client = self.per_client.get(&id.client).copied().unwrap_or(0);
        if self.entries.len() >= self.requests_max
            || self.bytes.saturating_add(size) > self.bytes_max
            || of_client >= self.per_client_max
        {
            return Offer::Full;
        }
        self.per_client.insert(id.client, of_client + 1);
        self.bytes += size;
        self.arrived += 1;
        self.arrivals.insert(self.arrived, id);
        self.entries.insert(
            id,
            Entry {
                request,
                queued: false,
                arrival: self.arrived,
            },
        );
        self.enqueue(now, id, size);
        Offer::Queued
    }

    fn enqueue(&mut self, now: Instant, id: RequestId, size: usize) {
        let queue = self.queues.entry(id.client).or_default();
        if queue.is_empty() {
            self.turn.push_back(id.client);
        }
        queue.push_back(id);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.queued = true;
        }
        self.queued += 1;
        self.queued_bytes += size;
        self.waiting_since.get_or_insert(now);
    }

    /// Takes the next batch: one request of each waiting client in turn, until the batch is full
    /// or nobody waits. The requests count as in flight until [`Pool::executed`].
    pub fn take_batch(&mut self, now: Instant, limits: &Limits) -> Vec<Request> {
        let mut batch = Vec::new();
        let mut bytes = 0usize;
        while batch.len() < limits.batch_requests_max as usize {
            let Some(client) = self.turn.pop_front() else {
                break;
            };
            let Some(queue) = self.queues.get_mut(&client) else {
                continue;
            };
            let Some(id) = queue.front().copied() else {
                continue;
            };
            let Some(entry) = self.entries.get_mut(&id) else {
                // Executed while it was queued.
                queue.pop_front();
                self.requeue_client(client);
                continue;
            };
            let size = entry.request.raw().len();
            if bytes + size > limits.batch_bytes_max as usize {
                self.turn.push_front(client);
                break;
            }
            queue.pop_front();
            entry.queued = false;
            bytes += size;
            self.queued -= 1;
            self.queued_bytes -= size;
            batch.push(entry.request.clone());
            self.requeue_client(client);
        }
        self.waiting_since = (self.queued > 0).then(|| self.waiting_since.unwrap_or(now));
        batch
    }

    fn requeue_client(&mut self, client: ClientId) {
        match self.queues.get(&client) {
            Some(queue) if !queue.is_empty() => self.turn.push_back(client),
            _ => {
                self.queues.remove(&client);
            }
        }
    }

    /// Forgets a request that was executed, and what can never execute any more once it was:
    /// requests of the client's earlier sessions, and those that it has acknowledged (R6). A
    /// backup would otherwise keep for good what a client gave up and the primary never ordered.
    pub fn executed(&mut self, id: &RequestId, ack: u64) {
        self.remove(id);
        let first = RequestId {
            client: id.client,
            session: 0,
            number: 0,
        };
        let last = RequestId { number: ack, ..*id };
        while let Some((dead, _)) = self.entries.range(first..=last).next() {
            let dead = *dead;
            self.remove(&dead);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.arrivals.clear();
        self.per_client.clear();
        self.queues.clear();
        self.turn.clear();
        (self.bytes, self.queued, self.queued_bytes) = (0, 0, 0);
        self.waiting_since = None;
    }

    fn remove(&mut self, id: &RequestId) {
        let Some(entry) = self.entries.remove(id) else {
            return;
        };
        let size = entry.request.raw().len();
        self.bytes -= size;
        self.arrivals.remove(&entry.arrival);
        if let Some(count) = self.per_client.get_mut(&id.client) {
            *count -= 1;
            if *count == 0 {
                self.per_client.remove(&id.client);
            }
        }
        if entry.queued {
            // On a backup nobody takes batches: the queue must shrink here, or it would grow for ever.
            self.unqueue(id, size);
        }
    }

    fn unqueue(&mut self, id: &RequestId, size: usize) {
        self.queued -= 1;
        self.queued_bytes -= size;
        if let Some(queue) = self.queues.get_mut(&id.client) {
            queue.retain(|queued| queued != id);
            if queue.is_empty() {
                self.queues.remove(&id.client);
                self.turn.retain(|client| *client != id.client);
            }
        }
        if self.queued == 0 {
            self.waiting_since = None;
        }
    }

    /// A new view: what an earlier primary had proposed waits for a proposal again.
    pub fn requeue(&mut self, now: Instant) {
        let unqueued: Vec<RequestId> = self
            .arrivals
            .values()
            .filter(|id| self.entries.get(id).is_some_and(|entry| !entry.queued))
            .copied()
            .collect();
        if unqueued.is_empty() {
            return;
        }
        self.queues.clear();
        self.turn.clear();
        (self.queued, self.queued_bytes) = (0, 0);
        // Everything in the order of arrival, or a client's later request would overtake.
        let all: Vec<RequestId> = self.arrivals.values().copied().collect();
        for id in all {
            let size = self.entries.get(&id).map(|entry| entry.request.raw().len());
            self.enqueue(now, id, size.unwrap_or(0));
        }
    }

    /// Requests of a batch that the new view proposes again: they are in flight.
    pub fn propose_again(&mut self, requests: &[Request]) {
        for request in requests {
            if let Some(entry) = self.entries.get_mut(&request.id)
                && entry.queued
            {
                entry.queued = false;
                let size = entry.request.raw().len();
                self.unqueue(&request.id, size);
            }
        }
    }

    /// The request that has been pending for longest.
    pub fn oldest(&self) -> Option<RequestId> {
        self.arrivals.values().next().copied()
    }

    /// Is the request pending?
    pub fn holds(&self, id: &RequestId) -> bool {
        self.entries.contains_key(id)
    }

    /// A pending request's bytes.
    pub fn raw(&self, id: &RequestId) -> Option<Bytes> {
        self.entries
            .get(id)
            .map(|entry| entry.request.raw().clone())
    }

    /// The bytes of everything pending, in the order of arrival.
    pub fn all_raw(&self) -> impl Iterator<Item = Bytes> {
        self.arrivals.values().filter_map(|id| self.raw(id))
    }

    /// Requests that wait for a proposal.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Is there enough for a full batch?
    pub fn fills_batch(&self, limits: &Limits) -> bool {
        self.queued >= limits.batch_requests_max as usize
            || self.queued_bytes >= limits.batch_bytes_max as usize
    }

    /// Since when the oldest queued request (at most) has been waiting.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// All pending requests, in flight or queued.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing pending?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::byte_list::ByteList;
    use crypto::{ClusterId, Digest, SecretKey};

    fn request(number: u64) -> Request {
        let id = RequestId {
            client: ClientId(1),
            session: 1,
            number,
        };
        let key = SecretKey::from_seed(&[1; 32]);
        let ops = ByteList::from_iter([b"op"]);
        Request::sign(&key, &ClusterId(Digest([0; 32])), id, 0, false, &ops)
    }

    #[test]
    fn nothing_is_left_of_what_was_forgotten() {
        let mut pool = Pool::new(&Policy::default());
        for number in 1..=3 {
            pool.offer(Instant(number), request(number));
        }
        pool.take_batch(Instant(4), &Limits::default());
        pool.clear();
        assert_eq!((pool.oldest(), pool.len(), pool.queued()), (None, 0, 0));
        // One proposed request that a new view queues again: what was forgotten stays so.
        pool.offer(Instant(5), request(9));
        pool.take_batch(Instant(5), &Limits::default());
        pool.requeue(Instant(6));
        assert_eq!(pool.queued(), 1);
        let batch = pool.take_batch(Instant(7), &Limits::default());
        let numbers: Vec<u64> = batch.iter().map(|request| request.id.number).collect();
        assert_eq!((numbers, pool.queued()), (vec![9], 0));
    }
}
