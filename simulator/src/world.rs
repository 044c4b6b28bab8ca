//! The event loop in virtual time: a heap of what is due, one random source, one trace hash.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::client::{Action as ClientAction, To};
use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::protocol::When;
use consensus::report::Path;
use consensus::{
    Action, ClientId, Cluster, Destination, Event, Instant, Keyring, Lookup, Outbox,
    Outcome as Answer, Protocol, ReplicaId, Reply, Report, Request, SeqNo, Ticket, Timer, protocol,
};
use crypto::{Digest, Hasher, SecretKey, Signer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::check::Ledger;
use crate::client::SimClient;
use crate::config::{Config, Signatures};
use crate::disk::SavedState;
use crate::node::Node;
use crate::scheme::{FakeScheme, FakeSigner};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Everything that must never happen and did. Empty in a good run.
    pub violations: Vec<String>,
    /// Digest over every event in order: equal for equal seeds.
    pub trace: Digest,
    /// What was reached.
    pub stats: Stats,
}

/// What a run reached: a sweep that never reaches a situation proves nothing about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Slots executed.
    pub slots: u64,
    /// Decisions by q_F PREPAREs, over all replicas.
    pub fast: u64,
    /// Decisions by q COMMITs, over all replicas.
    pub slow: u64,
    /// Decisions by another replica's certificate.
    pub transferred: u64,
    /// COMMITs sent because the fast quorum did not come in time.
    pub fallbacks: u64,
    /// Stable checkpoints, over all replicas.
    pub checkpoints: u64,
    /// Times that a STATUS led to messages being sent again.
    pub retransmissions: u64,
    /// Messages lost.
    pub lost: u64,
    /// Replicas restarted from their disks.
    pub restarts: u64,
    /// Stored replies that were sent again.
    pub replies_resent: u64,
    /// Messages delivered to replicas.
    pub delivered: u64,
    /// Virtual time.
    pub virtual_time: Duration,
}

enum What {
    ToReplica {
        to: usize,
        from: ReplicaId,
        bytes: Bytes,
    },
    Request {
        to: usize,
        raw: Bytes,
    },
    ToClient {
        to: usize,
        from: ReplicaId,
        reply: Reply,
    },
    Timer {
        at: usize,
        life: u64,
        timer: Timer,
        generation: u64,
    },
    Synced {
        at: usize,
        life: u64,
    },
    Saved {
        at: usize,
        life: u64,
        state: Box<SavedState>,
    },
    ClientTick {
        client: usize,
    },
    Crash {
        at: usize,
    },
    Restart {
        at: usize,
    },
}

struct Due {
    at: Instant,
    order: u64,
    what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

struct World<'c> {
    config: &'c Config,
    cluster: Arc<Cluster>,
    keyring: Keyring,
    now: Instant,
    order: u64,
    heap: BinaryHeap<Reverse<Due>>,
    rng: ChaCha8Rng,
    nodes: Vec<Node>,
    clients: Vec<SimClient>,
    /// When each client's next tick is scheduled: later duplicates are skipped.
    ticks: BTreeMap<usize, Instant>,
    ledger: Ledger,
    stats: Stats,
    trace: Hasher,
}

/// Runs one seed to its end.
///
/// # Panics
/// If the configuration is impossible; that is the caller's mistake.
pub fn run(config: &Config) -> Outcome {
    let mut world = World::new(config);
    world.start();
    world.drive();
    world.finish()
}

/// How a secret key becomes what signs.
type SignerOf = fn(&SecretKey) -> Arc<dyn Signer>;

fn keys(role: &str, count: usize) -> Vec<SecretKey> {
    (0..count)
        .map(|index| SecretKey::from_seed(&Digest::of(role, &index.to_le_bytes()).0))
        .collect()
}

impl<'c> World<'c> {
    fn new(config: &'c Config) -> Self {
        let replica_keys = keys("replica", usize::from(config.n));
        let client_keys = keys("client", config.clients as usize);
        let cluster = Cluster::genesis(
            config.f,
            config.fast,
            config.limits.clone(),
            replica_keys.iter().map(SecretKey::public).collect(),
            client_keys.iter().map(SecretKey::public).collect(),
        )
        .expect("the simulated configuration is possible");
        let cluster = Arc::new(cluster);
        let (keyring, signer): (Keyring, SignerOf) = match config.signatures {
            Signatures::Ed25519 => (Keyring::new(Arc::clone(&cluster)), |key| {
                Arc::new(key.clone())
            }),
            Signatures::Fake => (
                Keyring::with_scheme(Arc::clone(&cluster), Arc::new(FakeScheme)),
                |key| Arc::new(FakeSigner(key.public())),
            ),
        };
        let nodes = cluster
            .members()
            .zip(&replica_keys)
            .map(|(id, key)| Node::new(id, keyring.clone(), config.policy.clone(), signer(key)))
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let clients = (0..config.clients)
            .zip(&client_keys)
            .map(|(id, key)| {
                let stream = ChaCha8Rng::seed_from_u64(rng.random());
                let cluster = Arc::clone(&cluster);
                SimClient::new(
                    ClientId(id),
                    cluster,
                    signer(key),
                    config,
                    stream,
                    Instant(0),
                )
            })
            .collect();
        World {
            config,
            cluster,
            keyring,
            now: Instant(0),
            order: 0,
            heap: BinaryHeap::new(),
            rng,
            nodes,
            clients,
            ticks: BTreeMap::new(),
            ledger: Ledger::default(),
            stats: Stats::default(),
            trace: Hasher::new("trace"),
        }
    }

    fn start(&mut self) {
        let up = self.nodes.len() - usize::from(self.config.faults.silent);
        for node in 0..up {
            self.nodes[node].start();
            self.step(node, Event::Started);
        }
        for client in 0..self.clients.len() {
            let mut out = Vec::new();
            self.clients[client].submit(self.now, &mut out);
            self.perform_client(client, out);
        }
        // Backups crash one after the other, so that at most f are down at a time.
        let crashes = u64::from(self.config.faults.crashes);
        let heal = self.config.heal_at;
        let backups = up.saturating_sub(1);
        for crash in 0..crashes {
            if backups == 0 {
                break;
            }
            let slice = heal / u32::try_from(crashes).expect("few crashes");
            let from = slice * u32::try_from(crash).expect("few crashes");
            let at = 1 + self.rng.random_range(0..backups);
            let down = from + slice.mul_f64(self.rng.random_range(0.0..0.5));
            let back = down + slice.mul_f64(self.rng.random_range(0.01..0.4));
            self.schedule(down, What::Crash { at });
            self.schedule(back, What::Restart { at });
        }
    }

    fn drive(&mut self) {
        let deadline = Instant(0) + self.config.deadline;
        while let Some(Reverse(due)) = self.heap.pop() {
            if due.at > deadline || self.clients.iter().all(SimClient::done) {
                break;
            }
            self.now = due.at;
            self.happen(due.what);
            if !self.ledger.violations.is_empty() {
                break;
            }
        }
    }

    fn finish(mut self) -> Outcome {
        let calls: Vec<_> = self
            .clients
            .iter()
            .flat_map(|client| client.history.iter().cloned())
            .collect();
        self.stats.slots = self.ledger.slots();
        self.stats.virtual_time = self.now.since(Instant(0));
        self.ledger.finish(&self.cluster, &calls);
        if !self.ledger.violations.is_empty() {
            let standing = self.standing();
            self.ledger.violations.extend(standing);
        }
        Outcome {
            violations: self.ledger.violations,
            trace: self.trace.finish(),
            stats: self.stats,
        }
    }

    /// Where every replica stands, for the report of a failure.
    fn standing(&self) -> Vec<String> {
        let describe = |node: &Node| match &node.running {
            None => format!("replica {}: down", node.id),
            Some(running) => {
                let protocol = &running.protocol;
                format!(
                    "replica {}: view {}, stable {}, executed {}, pending {}",
                    node.id,
                    protocol.view(),
                    protocol.stable(),
                    protocol.last_executed(),
                    protocol.pending()
                )
            }
        };
        self.nodes.iter().map(describe).collect()
    }

    fn schedule(&mut self, after: Duration, what: What) {
        self.order += 1;
        let at = self.now + after;
        self.heap.push(Reverse(Due {
            at,
            order: self.order,
            what,
        }));
    }

    fn healed(&self) -> bool {
        self.now >= Instant(0) + self.config.heal_at
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && !self.healed() && self.rng.random_bool(share)
    }

    fn delay(&mut self) -> Duration {
        self.rng.random_range(self.config.delay.clone())
    }

    fn note(&mut self, kind: u8, place: usize, bytes: &[u8]) {
        self.trace
            .update(&[kind])
            .u64(self.now.0)
            .u64(place as u64)
            .part(bytes);
    }

    fn happen(&mut self, what: What) {
        match what {
            What::ToReplica { to, from, bytes } => {
                self.note(1, to, &bytes);
                self.deliver(to, from, &bytes);
            }
            What::Request { to, raw } => {
                self.note(2, to, &raw);
                self.deliver_request(to, raw);
            }
            What::ToClient { to, from, reply } => {
                self.note(3, to, &crypto::encode(&reply));
                let mut out = Vec::new();
                self.clients[to].on_reply(from, reply, self.now, &mut out);
                self.perform_client(to, out);
            }
            What::Timer {
                at,
                life,
                timer,
                generation,
            } => {
                let node = &self.nodes[at];
                let set = node
                    .running
                    .as_ref()
                    .is_some_and(|running| running.timers.get(&timer) == Some(&generation));
                if node.life == life && set {
                    self.note(4, at, &[timer as u8]);
                    if let Some(running) = &mut self.nodes[at].running {
                        running.timers.remove(&timer);
                    }
                    self.step(at, Event::TimerFired(timer));
                }
            }
            What::Synced { at, life } if self.nodes[at].life == life => self.synced(at),
            What::Saved { at, life, state } if self.nodes[at].life == life => {
                self.saved(at, *state);
            }
            What::Synced { .. } | What::Saved { .. } => {}
            What::ClientTick { client } => {
                if self
                    .ticks
                    .get(&client)
                    .is_some_and(|tick| *tick <= self.now)
                {
                    self.ticks.remove(&client);
                    let mut out = Vec::new();
                    self.clients[client].tick(self.now, &mut out);
                    self.perform_client(client, out);
                }
            }
            What::Crash { at } => {
                self.note(5, at, &[]);
                self.nodes[at].crash();
            }
            What::Restart { at } => {
                if self.nodes[at].running.is_none() {
                    self.note(6, at, &[]);
                    self.stats.restarts += 1;
                    self.nodes[at].start();
                    self.step(at, Event::Started);
                }
            }
        }
    }

    fn deliver(&mut self, to: usize, from: ReplicaId, bytes: &[u8]) {
        if self.nodes[to].running.is_none() {
            return;
        }
        self.stats.delivered += 1;
        let wire: Wire = match crypto::decode(bytes) {
            Ok(wire) => wire,
            Err(error) => {
                self.ledger
                    .violations
                    .push(format!("codec: own message refused: {error}"));
                return;
            }
        };
        for (from, admitted) in protocol::admit_all::<Pbft>(&self.keyring, vec![(from, wire)]) {
            match admitted {
                Ok(message) => match Pbft::requests_in(message) {
                    Ok(requests) => self.deliver_forwarded(to, from, requests),
                    Err(message) => self.step(to, Event::Received { from, message }),
                },
                Err(error) => self.ledger.violations.push(format!(
                    "admission: a correct replica's message refused: {error}"
                )),
            }
        }
    }

    /// As a replica's driver does: what the session table knows is not ordered again.
    fn deliver_forwarded(
        &mut self,
        to: usize,
        from: ReplicaId,
        mut requests: Vec<crypto::Verified<Request>>,
    ) {
        let Some(running) = &self.nodes[to].running else {
            return;
        };
        requests.retain(|request| running.executor.lookup(request) == Lookup::New);
        if !requests.is_empty() {
            let from = Some(from);
            self.step(to, Event::Requested { from, requests });
        }
    }

    /// As a replica's driver does: session table first, then the protocol.
    fn deliver_request(&mut self, to: usize, raw: Bytes) {
        let Some(running) = &self.nodes[to].running else {
            return;
        };
        let request = match Request::parse(raw, self.cluster.limits()) {
            Ok(request) => request,
            Err(error) => {
                self.ledger.violations.push(format!("request: {error}"));
                return;
            }
        };
        match running.executor.lookup(&request) {
            Lookup::Done(seq, outcome) => {
                self.stats.replies_resent += 1;
                self.reply(
                    to,
                    Reply {
                        view: self.nodes[to]
                            .running
                            .as_ref()
                            .map(|r| r.protocol.view())
                            .unwrap_or_default(),
                        replica: self.nodes[to].id,
                        id: request.id,
                        seq,
                        outcome,
                    },
                );
            }
            Lookup::Refused(_) => {}
            Lookup::New => {
                let checks: Vec<_> = request.check(&self.keyring).into_iter().collect();
                match crypto::admit(request, &checks, self.keyring.scheme()) {
                    Ok(request) => {
                        self.step(
                            to,
                            Event::Requested {
                                from: None,
                                requests: vec![request],
                            },
                        );
                    }
                    Err(error) => self.ledger.violations.push(format!("request: {error}")),
                }
            }
        }
    }

    fn step(&mut self, at: usize, event: Event<crypto::Verified<<Pbft as Protocol>::Message>>) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut out = Outbox::new();
            let Some(running) = &mut self.nodes[at].running else {
                return;
            };
            running.protocol.step(self.now, event, &mut out);
            for action in out.drain().collect::<Vec<_>>() {
                if let Some(event) = self.perform(at, action) {
                    events.push_back(event);
                }
            }
        }
        self.sync(at);
    }

    fn perform(
        &mut self,
        at: usize,
        action: Action<Wire, <Pbft as Protocol>::Record>,
    ) -> Option<Event<crypto::Verified<<Pbft as Protocol>::Message>>> {
        let life = self.nodes[at].life;
        match action {
            Action::Persist(record) => {
                let node = &mut self.nodes[at];
                let running = node.running.as_mut()?;
                running.tickets.0 += 1;
                node.disk.write(running.tickets, record);
            }
            Action::Truncate(seq) => self.nodes[at].disk.truncate(seq),
            Action::Send { to, wire, when } => {
                let running = self.nodes[at].running.as_mut()?;
                if when == When::Durable && running.tickets > running.durable {
                    running.gated.push_back((running.tickets, to, wire));
                } else {
                    self.transmit(at, to, &wire);
                }
            }
            Action::Execute {
                seq,
                view,
                batch,
                checkpoint,
            } => {
                return self.execute(at, seq, view, batch, checkpoint);
            }
            Action::Busy { id, retry_after_ms } => {
                let view = self.nodes[at].running.as_ref()?.protocol.view();
                let replica = self.nodes[at].id;
                let outcome = Answer::Busy { retry_after_ms };
                self.reply(
                    at,
                    Reply {
                        view,
                        replica,
                        id,
                        seq: SeqNo(0),
                        outcome,
                    },
                );
            }
            Action::SetTimer { timer, after } => {
                let node = &mut self.nodes[at];
                node.timer_generation += 1;
                let generation = node.timer_generation;
                node.running.as_mut()?.timers.insert(timer, generation);
                self.schedule(
                    after,
                    What::Timer {
                        at,
                        life,
                        timer,
                        generation,
                    },
                );
            }
            Action::CancelTimer(timer) => {
                self.nodes[at].running.as_mut()?.timers.remove(&timer);
            }
            Action::Report(report) => self.report(at, report),
            Action::Halt(diagnosis) => {
                self.ledger
                    .violations
                    .push(format!("replica {at} halted: {diagnosis}"));
            }
        }
        None
    }

    fn execute(
        &mut self,
        at: usize,
        seq: SeqNo,
        view: consensus::View,
        batch: Option<Arc<consensus::Batch>>,
        checkpoint: bool,
    ) -> Option<Event<crypto::Verified<<Pbft as Protocol>::Message>>> {
        let replica = self.nodes[at].id;
        let executed = self.nodes[at]
            .running
            .as_mut()?
            .executor
            .execute(seq, batch.as_deref());
        self.ledger.executed(seq, batch);
        for answer in executed {
            let reply = Reply {
                view,
                replica,
                id: answer.id,
                seq: answer.seq,
                outcome: answer.outcome,
            };
            self.reply(at, reply);
        }
        if checkpoint && let Some(state) = self.nodes[at].state_to_save(seq) {
            let life = self.nodes[at].life;
            let after = self.rng.random_range(self.config.sync.clone());
            self.schedule(
                after,
                What::Saved {
                    at,
                    life,
                    state: Box::new(state),
                },
            );
        }
        Some(Event::Executed(seq))
    }

    fn saved(&mut self, at: usize, state: SavedState) {
        let (seq, digest) = (state.seq, state.digest);
        self.note(7, at, digest.as_bytes());
        self.ledger.state(at, seq, digest);
        let node = &mut self.nodes[at];
        // Saves may overlap; an older one must not replace a newer.
        if node.disk.state.as_ref().is_none_or(|held| held.seq < seq) {
            node.disk.state = Some(state);
        }
        self.step(at, Event::StateSaved { seq, digest });
    }

    fn sync(&mut self, at: usize) {
        if self.nodes[at].disk.begin_sync() {
            let life = self.nodes[at].life;
            let after = self.rng.random_range(self.config.sync.clone());
            self.schedule(after, What::Synced { at, life });
        }
    }

    fn synced(&mut self, at: usize) {
        let upto = self.nodes[at].disk.end_sync();
        let Some(running) = &mut self.nodes[at].running else {
            return;
        };
        if let Some(upto) = upto {
            running.durable = upto;
            let mut released = Vec::new();
            while running
                .gated
                .front()
                .is_some_and(|(ticket, ..)| *ticket <= upto)
            {
                released.extend(running.gated.pop_front());
            }
            for (_, to, wire) in released {
                self.transmit(at, to, &wire);
            }
            self.note(8, at, &upto.0.to_le_bytes());
            self.step(at, Event::Persisted(Ticket(upto.0)));
        }
        self.sync(at);
    }

    fn transmit(&mut self, at: usize, to: Destination, wire: &Wire) {
        let from = self.nodes[at].id;
        let bytes = Bytes::from(crypto::encode(wire));
        let targets: Vec<usize> = match to {
            Destination::One(id) => vec![id.index()],
            Destination::Others => (0..self.nodes.len()).filter(|node| *node != at).collect(),
        };
        for to in targets {
            if self.chance(self.config.faults.loss) {
                self.stats.lost += 1;
                continue;
            }
            let copies = if self.chance(self.config.faults.duplication) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let delay = self.delay();
                self.schedule(
                    delay,
                    What::ToReplica {
                        to,
                        from,
                        bytes: bytes.clone(),
                    },
                );
            }
        }
    }

    fn reply(&mut self, at: usize, reply: Reply) {
        let from = self.nodes[at].id;
        let to = reply.id.client.0 as usize;
        if self.chance(self.config.faults.client_loss) {
            self.stats.lost += 1;
            return;
        }
        let delay = self.delay();
        self.schedule(delay, What::ToClient { to, from, reply });
    }

    fn perform_client(&mut self, client: usize, actions: Vec<ClientAction>) {
        for action in actions {
            if let ClientAction::Send { to, raw } = action {
                let targets: Vec<usize> = match to {
                    To::One(id) => vec![id.index()],
                    To::All => (0..self.nodes.len()).collect(),
                };
                for to in targets {
                    if self.chance(self.config.faults.client_loss) {
                        self.stats.lost += 1;
                        continue;
                    }
                    let delay = self.delay();
                    self.schedule(
                        delay,
                        What::Request {
                            to,
                            raw: raw.clone(),
                        },
                    );
                }
            }
        }
        let Some(deadline) = self.clients[client].next_deadline() else {
            return;
        };
        let scheduled = self
            .ticks
            .get(&client)
            .is_some_and(|tick| *tick <= deadline);
        if !scheduled {
            self.ticks.insert(client, deadline);
            let after = deadline.since(self.now);
            self.schedule(after, What::ClientTick { client });
        }
    }

    fn report(&mut self, at: usize, report: Report) {
        match report {
            Report::Decided {
                seq, digest, path, ..
            } => {
                match path {
                    Path::Fast => self.stats.fast += 1,
                    Path::Slow => self.stats.slow += 1,
                    Path::Transfer => self.stats.transferred += 1,
                }
                self.ledger.decided(at, seq, digest);
            }
            Report::FellBack { .. } => self.stats.fallbacks += 1,
            Report::Stable { .. } => self.stats.checkpoints += 1,
            Report::Retransmitted { .. } => self.stats.retransmissions += 1,
            Report::Equivocation { culprit, seq } => {
                self.ledger
                    .violations
                    .push(format!("blame: {culprit:?} at {seq}, but all are honest"));
            }
            _ => {}
        }
    }
}
