//! The event loop in virtual time: a heap of what is due, one random source, one trace hash. What
//! a replica or a client does when its turn comes is in `driving`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{ClientId, Cluster, Event, Instant, Keyring, ReplicaId, Reply, Timer};
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

/// What can happen.
pub(crate) enum What {
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

pub(crate) struct World<'c> {
    pub(crate) config: &'c Config,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keyring: Keyring,
    pub(crate) now: Instant,
    order: u64,
    heap: BinaryHeap<Reverse<Due>>,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<SimClient>,
    /// When each client's next tick is scheduled: later duplicates are skipped.
    pub(crate) ticks: BTreeMap<usize, Instant>,
    pub(crate) ledger: Ledger,
    pub(crate) stats: Stats,
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

    pub(crate) fn schedule(&mut self, after: Duration, what: What) {
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

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && !self.healed() && self.rng.random_bool(share)
    }

    pub(crate) fn delay(&mut self) -> Duration {
        self.rng.random_range(self.config.delay.clone())
    }

    pub(crate) fn note(&mut self, kind: u8, place: usize, bytes: &[u8]) {
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
}
