//! Requests that wait for ordering: one queue per client, served in turn, so that no client can
//! crowd out another (docs/protocol.md R7.1, R15). Bounded per client, in number and in bytes.
//!
//! Room is shared as well as turns. When there is none left, whoever holds most gives way to
//! whoever holds less: a client that floods takes room from itself, and never from those that ask
//! for little. A turn is worth a share of a batch's bytes, so large requests come less often. And
//! while others wait or are being served, nobody has much more in flight than most of them: what is
//! ordered costs every replica, so a client that has hundreds of requests ordered with every few of
//! the others would take their share of that. Whoever floods has no more in flight than they have.

mod fairness;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::ids::{ClientId, RequestId};
use crate::request::Request;
use crate::settings::{Limits, Policy};
use crate::time::Instant;
use fairness::{FLOOD_PENDING_MAX, Fairness, REQUEST_WEIGHT, Share};

/// The bytes of the pool are at least so many clients' worth.
const CLIENTS_PER_BYTES_MAX: usize = 2;
/// When room is short each client has an equal part of it, and no less than this.
pub(crate) const FAIR_PENDING_MIN: usize = 4;
/// A client with so many requests pending is not modest any more: the next one waits for them.
const MODEST_MAX: usize = 8;
/// A turn is worth this part of a batch's bytes; a larger request waits for several.
const TURNS_PER_BATCH: u32 = 64;

/// Who offers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The client, while this many requests may wait in all.
    Client {
        /// At most the bound of the policy.
        room: usize,
    },
    /// A backup, which will give the primary up if the request is never ordered. It takes the
    /// place of the same client's newest ones if need be, so that no client can have a correct
    /// primary suspected by filling its own share here and asking for something else there.
    Replica {
        /// Of it each client still has no more than its share.
        room: usize,
    },
}

impl Asker {
    fn room(self) -> usize {
        match self {
            Asker::Client { room } | Asker::Replica { room } => room,
        }
    }
}

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
    /// When it came, if its client had few others pending then. One that asks for much waits for
    /// its own turns, and that is no delay of the primary's.
    seen: Option<Instant>,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// The client has all that one client may have.
    OwnShare,
    /// All clients together have all that there is.
    Everybody,
}

/// Pending requests.
#[derive(Clone, Debug)]
pub struct Pool {
    requests_max: usize,
    bytes_max: usize,
    per_client_max: usize,
    per_client_bytes_max: usize,
    entries: BTreeMap<RequestId, Entry>,
    /// All entries in the order in which they came.
    arrivals: BTreeMap<u64, RequestId>,
    arrived: u64,
    per_client: BTreeMap<ClientId, Share>,
    /// The clients by what they hold.
    heaviest: BTreeSet<(usize, ClientId)>,
    queues: BTreeMap<ClientId, VecDeque<RequestId>>,
    /// Clients with queued requests, in the order in which they are served next.
    turn: VecDeque<ClientId>,
    /// Bytes that clients have saved up for a request larger than one turn.
    saved: BTreeMap<ClientId, usize>,
    bytes: usize,
    queued: usize,
    queued_bytes: usize,
    waiting_since: Option<Instant>,
    fairness: Fairness,
}

impl Pool {
    /// An empty pool with the bounds of `policy`.
    pub fn new(policy: &Policy) -> Self {
        Pool {
            requests_max: policy.pending_requests_max,
            bytes_max: policy.pending_bytes_max,
            per_client_max: policy.pending_per_client_max,
            per_client_bytes_max: policy.pending_bytes_max / CLIENTS_PER_BYTES_MAX,
            entries: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            arrived: 0,
            per_client: BTreeMap::new(),
            heaviest: BTreeSet::new(),
            queues: BTreeMap::new(),
            turn: VecDeque::new(),
            saved: BTreeMap::new(),
            bytes: 0,
            queued: 0,
            queued_bytes: 0,
            waiting_since: None,
            fairness: Fairness::new(policy.pending_per_client_max),
        }
    }

    /// Takes a verified request in, unless it is known or a bound is reached. Those that gave way
    /// to it are added to `displaced`; their clients are told as if they had found no room.
    pub fn offer(
        &mut self,
        now: Instant,
        asker: Asker,
        request: Request,
        displaced: &mut Vec<RequestId>,
    ) -> Offer {
        let id = request.id;
        if self.entries.contains_key(&id) {
            return Offer::Known;
        }
        let size = request.raw().len();
        let mut crowded = false;
        self.fairness.asks(id.client, now);
        while let Some(obstacle) = self.obstacle(asker, id.client, size) {
            let Some(gives_way) = self.gives_way(asker, obstacle, id.client, size) else {
                let own = obstacle == Obstacle::OwnShare && matches!(asker, Asker::Client { .. });
                if own && self.floods(id.client, now) {
                    displaced.extend(self.trim_client(id.client, FLOOD_PENDING_MAX));
                }
                return Offer::Full;
            };
            self.remove(&gives_way);
            displaced.push(gives_way);
            crowded = true;
        }
        let few = self.share(id.client).requests < MODEST_MAX;
        let modest = few && !self.fairness.is_flooding(id.client);
        self.reweigh(id.client, |share| {
            share.requests += 1;
            share.bytes += size;
        });
        self.bytes += size;
        self.arrived += 1;
        self.arrivals.insert(self.arrived, id);
        self.entries.insert(
            id,
            Entry {
                request,
                queued: false,
                arrival: self.arrived,
                seen: modest.then_some(now),
            },
        );
        self.enqueue(now, id, size);
        if crowded && matches!(asker, Asker::Replica { .. }) {
            self.bring_forward(id);
        }
        Offer::Queued
    }

    /// The bound that another request would break.
    fn obstacle(&self, asker: Asker, client: ClientId, size: usize) -> Option<Obstacle> {
        let own = self.share(client);
        let room = match asker {
            Asker::Client { room } => room.min(self.requests_max),
            Asker::Replica { .. } => self.requests_max,
        };
        let own_max = match self.fairness.is_flooding(client) {
            true => FLOOD_PENDING_MAX,
            false => self.own_max(asker.room()),
        };
        let bytes = own.bytes.saturating_add(size);
        // What is in flight cannot give way to what a backup waits for.
        let requests_max = match asker {
            Asker::Replica { .. } if !self.queues.contains_key(&client) => own_max * 2,
            _ => own_max,
        };
        if own.requests >= requests_max || own.requests > 0 && bytes > self.per_client_bytes_max {
            return Some(Obstacle::OwnShare);
        }
        let full = self.entries.len() >= room || self.bytes.saturating_add(size) > self.bytes_max;
        full.then_some(Obstacle::Everybody)
    }

    /// The newest queued request of whoever has to give way, if anybody has to.
    fn gives_way(
        &self,
        asker: Asker,
        obstacle: Obstacle,
        client: ClientId,
        size: usize,
    ) -> Option<RequestId> {
        let would_hold = self.share(client).weight() + size + REQUEST_WEIGHT;
        let heaviest = self.heaviest.last().copied();
        let other = heaviest.filter(|(weight, _)| *weight > would_hold);
        let from = match (obstacle, asker) {
            (Obstacle::Everybody, _) if other.is_some() => other?.1,
            (_, Asker::Replica { .. }) => client,
            (_, Asker::Client { .. }) => return None,
        };
        self.queues.get(&from)?.back().copied()
    }

    /// Requests that one client may have pending when all may have so many. Served in turn, a
    /// client that had more than an equal part could wait for longer than backups are patient.
    fn own_max(&self, room: usize) -> usize {
        if room >= self.requests_max {
            return self.per_client_max;
        }
        let equal = room / self.per_client.len().max(1);
        equal.max(FAIR_PENDING_MIN).min(self.per_client_max)
    }

    /// Room has become short: each client keeps its oldest requests and no more than its part.
    /// Gives back what had to go; the clients are told as if there had been no room.
    pub fn trim(&mut self, room: usize) -> Vec<RequestId> {
        let most = self.own_max(room);
        let mut trimmed = Vec::new();
        let over =
            |(client, share): (&ClientId, &Share)| (share.requests > most).then_some(*client);
        let over: Vec<ClientId> = self.per_client.iter().filter_map(over).collect();
        for client in over {
            trimmed.extend(self.trim_client(client, most));
        }
        trimmed
    }

    /// The client keeps its oldest requests, no more than `most`, and what is in flight.
    fn trim_client(&mut self, client: ClientId, most: usize) -> Vec<RequestId> {
        let excess = self.share(client).requests.saturating_sub(most);
        let mut trimmed = Vec::new();
        for _ in 0..excess {
            let queue = self.queues.get(&client);
            let Some(newest) = queue.and_then(|queue| queue.back().copied()) else {
                break;
            };
            self.remove(&newest);
            trimmed.push(newest);
        }
        trimmed
    }

    /// The client was refused for its own share: does it flood?
    fn floods(&mut self, client: ClientId, now: Instant) -> bool {
        self.fairness.refuse(client, now, &self.per_client)
    }

    fn share(&self, client: ClientId) -> Share {
        self.per_client.get(&client).copied().unwrap_or_default()
    }

    fn reweigh(&mut self, client: ClientId, change: impl FnOnce(&mut Share)) {
        let share = self.per_client.entry(client).or_default();
        self.heaviest.remove(&(share.weight(), client));
        change(share);
        if share.requests == 0 {
            self.per_client.remove(&client);
        } else {
            self.heaviest.insert((share.weight(), client));
        }
    }

    fn bring_forward(&mut self, id: RequestId) {
        if let Some(queue) = self.queues.get_mut(&id.client)
            && queue.back() == Some(&id)
        {
            queue.pop_back();
            queue.push_front(id);
        }
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
        let share = self.per_client.entry(id.client).or_default();
        share.queued += 1;
        share.queued_bytes += size;
        if self.fairness.admits(id.client, *share) {
            self.waiting_since.get_or_insert(now);
        }
    }

    /// Takes the next batch: one request of each waiting client in turn, until the batch is full
    /// or nobody waits. A request larger than a turn's share of the bytes waits until its client
    /// has had as many turns as it is worth, unless nobody else waits. The requests count as in
    /// flight until [`Pool::executed`].
    pub fn take_batch(&mut self, now: Instant, limits: &Limits) -> Vec<Request> {
        let most = limits.batch_requests_max as usize;
        let mut batch = Vec::with_capacity(self.queued.min(most));
        let mut bytes = 0usize;
        let mut held_back = VecDeque::new();
        self.fairness.tick(now, &self.per_client);
        let turn_bytes = (limits.batch_bytes_max / TURNS_PER_BATCH).max(1) as usize;
        while batch.len() < most {
            let Some(client) = self.turn.pop_front() else {
                break;
            };
            if !self.fairness.admits(client, self.share(client)) {
                held_back.push_back(client);
                continue;
            }
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
            if size > turn_bytes && !self.turn.is_empty() {
                let saved = self.saved.entry(client).or_default();
                *saved += turn_bytes;
                if *saved < size {
                    self.turn.push_back(client);
                    continue;
                }
            }
            if bytes + size > limits.batch_bytes_max as usize {
                self.turn.push_front(client);
                break;
            }
            self.saved.remove(&client);
            queue.pop_front();
            entry.queued = false;
            bytes += size;
            self.queued -= 1;
            self.queued_bytes -= size;
            batch.push(entry.request.clone());
            if let Some(share) = self.per_client.get_mut(&client) {
                share.queued -= 1;
                share.queued_bytes -= size;
            }
            self.requeue_client(client);
        }
        held_back.append(&mut self.turn);
        self.turn = held_back;
        let left = self.ready().0 > 0;
        self.waiting_since = left.then(|| self.waiting_since.unwrap_or(now));
        batch
    }

    /// Requests that a batch may take now, and their bytes: all that are queued, but for those of
    /// clients that have enough in flight.
    fn ready(&self) -> (usize, usize) {
        let waiting = self
            .turn
            .iter()
            .map(|client| (*client, self.share(*client)));
        let ready = waiting.filter(|(client, share)| self.fairness.admits(*client, *share));
        ready.fold((0, 0), |(requests, bytes), (_, share)| {
            (requests + share.queued, bytes + share.queued_bytes)
        })
    }

    /// Is there anything for a batch? From now on it waits.
    pub fn wants_batch(&mut self, now: Instant) -> bool {
        let wants = self.ready().0 > 0;
        if wants {
            self.waiting_since.get_or_insert(now);
        }
        wants
    }

    fn requeue_client(&mut self, client: ClientId) {
        match self.queues.get(&client) {
            Some(queue) if !queue.is_empty() => self.turn.push_back(client),
            _ => {
                self.queues.remove(&client);
                self.saved.remove(&client);
            }
        }
    }

    /// Forgets a request that was executed; says when it came, if its client had few others then.
    /// Forgets as well what can never execute any more: requests of the client's earlier sessions,
    /// and those that it has acknowledged (R6). A backup would otherwise keep for good what a client
    /// gave up and the primary never ordered.
    pub fn executed(&mut self, id: &RequestId, ack: u64) -> Option<Instant> {
        let seen = self.entries.get(id).and_then(|entry| entry.seen);
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
        seen
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.arrivals.clear();
        self.per_client.clear();
        self.heaviest.clear();
        self.saved.clear();
        self.queues.clear();
        self.turn.clear();
        (self.bytes, self.queued, self.queued_bytes) = (0, 0, 0);
        self.waiting_since = None;
        self.fairness = Fairness::new(self.per_client_max);
    }

    fn remove(&mut self, id: &RequestId) {
        let Some(entry) = self.entries.remove(id) else {
            return;
        };
        let size = entry.request.raw().len();
        self.bytes -= size;
        self.arrivals.remove(&entry.arrival);
        if entry.queued {
            // On a backup nobody takes batches: the queue must shrink here, or it would grow for ever.
            self.unqueue(id, size);
        }
        self.reweigh(id.client, |share| {
            share.requests -= 1;
            share.bytes -= size;
        });
    }

    fn unqueue(&mut self, id: &RequestId, size: usize) {
        self.queued -= 1;
        self.queued_bytes -= size;
        if let Some(share) = self.per_client.get_mut(&id.client) {
            share.queued -= 1;
            share.queued_bytes -= size;
        }
        if let Some(queue) = self.queues.get_mut(&id.client) {
            queue.retain(|queued| queued != id);
            if queue.is_empty() {
                self.queues.remove(&id.client);
                self.saved.remove(&id.client);
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
        for share in self.per_client.values_mut() {
            (share.queued, share.queued_bytes) = (0, 0);
        }
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

    /// How many requests the next batch could take, and whether they fill one.
    pub fn ready_for(&self, limits: &Limits) -> (usize, bool) {
        let (requests, bytes) = self.ready();
        let full = requests >= limits.batch_requests_max as usize
            || bytes >= limits.batch_bytes_max as usize;
        (requests, full)
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
