//! How soon clients have made up for a pause: the real sessions of 64 clients of an open loop, the
//! real pool and backlog, and between them a machine that orders so many requests in a hundredth of
//! a second (docs/protocol.md R6, R15.6).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crypto::{Digest, SecretKey, Signature, Signer};

use super::*;
use crate::byte_list::ByteList;
use crate::client::{Action, ClientSession, Pace, SessionId};
use crate::cluster::{Cluster, FastQuorum};
use crate::ids::{ClientId, Epoch, ReplicaId, RequestId, SeqNo, Term, View};
use crate::pool::{Asker, Offer, Pool};
use crate::reply::{Outcome, Reply, ResultBody};
use crate::request::Request;
use crate::settings::{Limits, Policy};

/// Length of a step, in ns: what is sent in one arrives in the next.
const STEP: u64 = 10_000_000;
/// Requests that are proposed in a step: 8,000 a second.
const BATCH: u32 = 80;
/// Steps from a proposal to its execution.
const ORDERING: usize = 4;
const CLIENTS: u32 = 64;
/// Of a thousand half steps those in which a client asks for something: 7,168 a second, 90 % of
/// what can be ordered.
const LOAD: u64 = 560;
/// As the core asks for.
const BUSY: Outcome = Outcome::Busy {
    retry_after_ms: 100,
};

/// Nobody here looks at signatures, and making many takes its time.
struct Nobody;

impl Signer for Nobody {
    fn sign(&self, _: &Digest) -> Signature {
        Signature([0; 64])
    }
}

struct Client {
    session: ClientSession,
    /// Step in which each request was asked for, of those without a result.
    open: BTreeMap<u64, u64>,
    /// Number of the last one that was asked for, and of the last one that had room in the window.
    asked: u64,
    submitted: u64,
}

impl Client {
    fn ask(&mut self, step: u64) {
        self.asked += 1;
        self.open.insert(self.asked, step);
    }
}

struct World {
    limits: Limits,
    clients: Vec<Client>,
    pool: Pool,
    backlog: Backlog,
    /// Proposed and not executed.
    undecided: VecDeque<Vec<Request>>,
    to_primary: Vec<Request>,
    to_clients: Vec<(RequestId, Outcome)>,
    random: u64,
    step: u64,
    /// Of requests with a result: when they were asked for, and how long it took, in steps.
    took: Vec<(u64, u64)>,
    refused: usize,
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            batch_requests_max: BATCH,
            ..Limits::default()
        };
        let key = |label: &str, id| SecretKey::derive(&[7; 32], label, id).public();
        let replicas = (0..5).map(|id| key("replica", id)).collect();
        let keys = (0..CLIENTS).map(|id| key("client", id.into())).collect();
        let cluster =
            Cluster::genesis(1, FastQuorum::Strong, limits.clone(), replicas, keys).unwrap();
        let cluster = Arc::new(cluster);
        let client = |client| {
            let id = SessionId {
                client: ClientId(client),
                session: 1,
            };
            let (signer, pace) = (Arc::new(Nobody), Pace::default());
            let mut session =
                ClientSession::new(cluster.clone(), id, signer, pace, u64::from(client));
            for replica in 0..5 {
                session.on_connected(ReplicaId(replica), Instant(0), &mut Vec::new());
            }
            Client {
                session,
                open: BTreeMap::new(),
                asked: 0,
                submitted: 0,
            }
        };
        World {
            limits,
            clients: (0..CLIENTS).map(client).collect(),
            pool: Pool::new(&Policy::default()),
            backlog: Backlog::default(),
            undecided: VecDeque::new(),
            to_primary: Vec::new(),
            to_clients: Vec::new(),
            random: 1,
            step: 0,
            took: Vec::new(),
            refused: 0,
        }
    }

    /// Each client asks for none, one or two things; a primary that stands still does nothing.
    fn steps(&mut self, count: u64, stands_still: bool) {
        for _ in 0..count {
            for at in (0..self.clients.len()).flat_map(|at| [at; 2]) {
                if self.chance() {
                    self.clients[at].ask(self.step);
                }
            }
            let now = Instant(self.step * STEP);
            self.clients_act(now);
            if !stands_still {
                self.primary_acts(now);
            }
            self.step += 1;
        }
    }

    fn chance(&mut self) -> bool {
        let next = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = next.wrapping_add(1);
        (self.random >> 33) % 1000 < LOAD
    }

    fn clients_act(&mut self, now: Instant) {
        let mut actions = Vec::new();
        for (id, outcome) in std::mem::take(&mut self.to_clients) {
            let client = &mut self.clients[id.client.0 as usize];
            // f + 1 replicas say the same, the primary among them.
            for replica in [0, 1].map(ReplicaId) {
                let reply = Reply {
                    term: Term {
                        epoch: Epoch(0),
                        view: View(0),
                    },
                    replica,
                    id,
                    seq: SeqNo(u64::from(outcome != BUSY)),
                    outcome: outcome.clone(),
                };
                client.session.on_reply(replica, reply, now, &mut actions);
            }
            for action in &actions {
                if let Action::Completed(completed) = action {
                    let asked = client.open.remove(&completed.number).unwrap();
                    self.took.push((asked, self.step - asked));
                }
            }
            self.send(&mut actions);
        }
        let ops = ByteList::from_iter([[7; 150]]);
        for client in &mut self.clients {
            client.session.tick(now, &mut actions);
            while client.submitted < client.asked && client.session.has_room() {
                let number = client.session.submit(&ops, false, now, &mut actions);
                client.submitted = number.unwrap();
            }
        }
        self.send(&mut actions);
    }

    fn send(&mut self, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            if let Action::Send { raw, .. } = action {
                let request = Request::parse(raw, &self.limits).unwrap();
                self.to_primary.push(request);
            }
        }
    }

    fn primary_acts(&mut self, now: Instant) {
        let patience = Policy::default().request_timeout;
        let room = self.backlog.allowed(patience);
        let mut refused = Vec::new();
        for request in std::mem::take(&mut self.to_primary) {
            let (id, asker) = (request.id, Asker::Client { room });
            if self.pool.offer(now, asker, request, &mut refused) == Offer::Full {
                refused.push(id);
            }
        }
        self.undecided
            .push_back(self.pool.take_batch(now, &self.limits));
        if self.undecided.len() > ORDERING {
            let decided = self.undecided.pop_front().unwrap();
            self.backlog.executed(decided.len());
            for Request { id, ack, .. } in decided {
                self.pool.executed(&id, ack);
                let results = ByteList::from_iter(["done"]);
                let outcome = Outcome::Executed(ResultBody::Full(results));
                self.to_clients.push((id, outcome));
            }
        }
        self.backlog.tick(now, self.pool.len());
        refused.extend(self.pool.trim(self.backlog.allowed(patience)));
        self.refused += refused.len();
        self.to_clients
            .extend(refused.into_iter().map(|id| (id, BUSY)));
    }

    /// Seconds after which everything that is asked for has its result within 0.1 s.
    fn is_quiet_after(&self) -> f64 {
        let late = self.took.iter().filter(|(_, took)| *took > 10);
        let last_late = late.map(|(asked, _)| asked + 1).max();
        let open = self.clients.iter().flat_map(|client| client.open.values());
        let oldest_open = open.copied().min().unwrap_or(self.step);
        assert!(self.step - oldest_open <= 10, "something was never ordered");
        last_late.unwrap_or(0) as f64 / 100.0
    }
}

#[test]
fn few_clients_with_much_to_make_up_for_are_no_flood() {
    let mut world = World::new();
    world.steps(200, false);
    // Four of them stood still for four seconds.
    for client in &mut world.clients[..4] {
        (0..400).for_each(|_| client.ask(200));
    }
    world.steps(800, false);
    // 1,600 requests are ordered beside all others in two seconds at best.
    let quiet = world.is_quiet_after();
    assert!((4.0..7.0).contains(&quiet), "{quiet} s");
}

#[test]
fn a_pause_of_the_primary_is_made_up_for_without_being_refused_again_and_again() {
    let mut world = World::new();
    world.steps(200, false);
    world.steps(50, true);
    world.steps(1000, false);
    // 3,600 requests are made up for with a tenth of what can be ordered, in 4.5 seconds at best.
    let (quiet, refused) = (world.is_quiet_after(), world.refused);
    assert!((6.0..8.0).contains(&quiet), "{quiet} s");
    assert!((1000..4200).contains(&refused), "{refused} refused");
}
