//! The event loop in virtual time: a queue of what is due, one random source, one trace hash. What
//! a replica does when its turn comes is in `driving`, clients are in `asking`, faults in `nemesis`.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use consensus::{ClientId, Cluster, Event, Instant, Keyring, Nonce, Outbox, ReplicaId};
use crypto::{Digest, PublicKey, SecretKey, Signer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use consensus::pbft::Pbft;

use crate::check::Ledger;
use crate::client::SimClient;
use crate::config::{Config, Signatures};
use crate::mix::mix;
use crate::network::Network;
use crate::node::Node;
use crate::persistence::Point;
use crate::queue::{Queue, What};
use crate::rogue::{First, Rogue};
use crate::scheme::{FakeScheme, FakeSigner};
use crate::stats::Stats;
use crate::trace::Recorder;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Everything that must never happen and did. Empty in a good run.
    pub violations: Vec<String>,
    /// Fingerprint of every event in order: equal for equal seeds, in debug and release.
    pub trace: u64,
    /// What was reached.
    pub stats: Stats,
    /// What the checkers had to remember at the end beside a few bytes a slot: bounded, however long
    /// the log is.
    pub remembered: usize,
    /// Persistence points, as [`Config::points`] wants them.
    pub points: Vec<Point>,
    /// Processor time that the run took. Virtual time over this is the speed of the simulator.
    pub busy: Duration,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Clients ask and things go wrong; later nothing does, and the clients finish.
    Load,
    /// All replicas were restarted; every client asks for everything there is.
    Probe,
    /// Every result is there: those who lag behind catch up.
    CatchUp,
    /// Nothing is left to be shown.
    Over,
}

pub(crate) struct World<'c> {
    pub(crate) config: &'c Config,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keyring: Keyring,
    pub(crate) now: Instant,
    pub(crate) queue: Queue,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) network: Network,
    /// Replicas by id; behind them the second instances of those who run twice.
    pub(crate) nodes: Vec<Node>,
    /// Which instances of a replica that runs twice a node deals with: bit 0 the first, bit 1 the
    /// second; by node, then by id.
    pub(crate) sides: Vec<Vec<u8>>,
    pub(crate) clients: Vec<SimClient>,
    pub(crate) rogues: Vec<Rogue>,
    pub(crate) first: First,
    pub(crate) ledger: Ledger,
    pub(crate) stats: Stats,
    pub(crate) phase: Phase,
    pub(crate) healed: bool,
    /// Progress is demanded by then.
    pub(crate) deadline: Option<Instant>,
    pub(crate) outbox: Outbox<Pbft>,
    pub(crate) recorder: Option<Recorder>,
    /// See [`Outcome::points`].
    pub(crate) points: Vec<Point>,
    /// The highest view that a correct replica entered, and the last slot decided fast in a view.
    pub(crate) fast_slot: Option<(consensus::View, consensus::SeqNo)>,
    trace: u64,
}

/// Runs one seed to its end.
///
/// # Panics
/// If the configuration is impossible; that is the caller's mistake. A panic of the code under
/// test is a violation.
pub fn run(config: &Config) -> Outcome {
    run_recorded(config, None).0
}

pub(crate) fn run_recorded(
    config: &Config,
    recorder: Option<Recorder>,
) -> (Outcome, Option<Recorder>) {
    let began = std::time::Instant::now();
    let before = busy(began);
    let mut world = World::new(config, recorder);
    let driven = catch_unwind(AssertUnwindSafe(|| {
        world.start();
        world.drive();
        world.finish();
    }));
    if let Err(panic) = driven {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a text");
        world.ledger.violation(format!("panic: {text}"));
    }
    let mut violations = std::mem::take(&mut world.ledger.violations);
    if !violations.is_empty() {
        violations.extend(world.standing());
    }
    let outcome = Outcome {
        violations,
        trace: world.trace,
        stats: world.stats,
        remembered: world.ledger.held(),
        points: world.points,
        busy: busy(began).saturating_sub(before),
    };
    (outcome, world.recorder)
}

/// How a secret key becomes what signs.
type SignerOf = fn(&(SecretKey, PublicKey)) -> Arc<dyn Signer>;

/// The first `count` keys of a role; the same in every run, and made once in a thread.
fn keys(role: &'static str, count: usize) -> Vec<(SecretKey, PublicKey)> {
    thread_local! {
        static KEYS: RefCell<BTreeMap<&'static str, Vec<(SecretKey, PublicKey)>>> =
            const { RefCell::new(BTreeMap::new()) };
    }
    KEYS.with_borrow_mut(|all| {
        let known = all.entry(role).or_default();
        for index in known.len()..count {
            let key = SecretKey::from_seed(&Digest::of(role, &index.to_le_bytes()).0);
            let public = key.public();
            known.push((key, public));
        }
        known.iter().take(count).cloned().collect()
    })
}

/// Processor time of this thread, where the system tells; real time elsewhere.
fn busy(began: std::time::Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| began.elapsed(), Duration::from_nanos)
}

impl<'c> World<'c> {
    fn new(config: &'c Config, recorder: Option<Recorder>) -> Self {
        let replica_keys = keys("replica", usize::from(config.n));
        let client_keys = keys("client", config.clients as usize + config.rogues.len());
        let cluster = Cluster::genesis(
            config.f,
            config.fast,
            config.limits.clone(),
            replica_keys.iter().map(|(_, public)| *public).collect(),
            client_keys.iter().map(|(_, public)| *public).collect(),
        )
        .expect("the simulated configuration is possible");
        let cluster = Arc::new(cluster);
        let (keyring, signer): (Keyring, SignerOf) = match config.signatures {
            Signatures::Ed25519 => (Keyring::new(Arc::clone(&cluster)), |(key, _)| {
                Arc::new(key.clone())
            }),
            Signatures::Fake => (
                Keyring::with_scheme(Arc::clone(&cluster), Arc::new(FakeScheme)),
                |(_, public)| Arc::new(FakeSigner(*public)),
            ),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let n = usize::from(config.n);
        let wicked: Vec<usize> = config
            .byzantine
            .iter()
            .map(|(id, _)| usize::from(*id))
            .collect();
        let count = usize::from(config.faults.twins);
        let twins = crate::nemesis::drawn_twins(&mut rng, n, count, &wicked);
        let ids = (0..n).chain(twins.iter().copied());
        let nodes: Vec<Node> = ids
            .map(|at| {
                let id = ReplicaId(u16::try_from(at).expect("a cluster has at most 256 replicas"));
                let (keyring, policy) = (keyring.clone(), config.policy.clone());
                let twin = twins.contains(&at);
                let mut node = Node::new(id, twin, keyring, policy, signer(&replica_keys[at]));
                if let Some((_, plan)) = config.byzantine.iter().find(|(member, _)| *member == id.0)
                {
                    let keys = |id: u16| signer(&replica_keys[usize::from(id)]);
                    let real = config.signatures == Signatures::Ed25519;
                    let secret = real.then(|| replica_keys[at].0.clone());
                    node.misbehave(plan, &keys, secret);
                }
                node
            })
            .collect();
        let clients = (0..config.clients)
            .zip(&client_keys)
            .map(|(id, key)| {
                let stream = ChaCha8Rng::seed_from_u64(rng.random());
                let cluster = Arc::clone(&cluster);
                SimClient::new(ClientId(id), cluster, signer(key), config, stream)
            })
            .collect();
        let rogue_keys = client_keys.iter().skip(config.clients as usize);
        let rogues = (config.clients..)
            .zip(rogue_keys)
            .zip(&config.rogues)
            .map(|((id, key), trick)| {
                Rogue::new(*trick, ClientId(id), &cluster, signer(key), config.keys)
            })
            .collect();
        World {
            config,
            cluster,
            now: Instant(0),
            queue: Queue::default(),
            rng,
            network: Network::new(config, nodes.len()),
            sides: vec![vec![3; n]; nodes.len()],
            nodes,
            clients,
            rogues,
            first: First::new(config.faults.by_number),
            ledger: Ledger::new(keyring.clone(), config.clients),
            keyring,
            stats: Stats::default(),
            phase: Phase::Load,
            healed: false,
            deadline: None,
            outbox: Outbox::new(),
            recorder,
            points: Vec::new(),
            fast_slot: None,
            trace: config.seed,
        }
    }

    fn start(&mut self) {
        let silent = usize::from(self.config.faults.silent);
        let n = usize::from(self.config.n);
        for node in 0..self.nodes.len() {
            if (n - silent..n).contains(&node) && !self.nodes[node].is_byzantine() {
                continue;
            }
            self.bring_up(node);
        }
        for client in 0..self.clients.len() {
            self.make_places(client);
        }
        for (number, fault) in self.config.script.iter().enumerate() {
            self.schedule(fault.at, What::Scripted { number });
        }
        for rogue in 0..self.rogues.len() {
            self.plan_rogue(rogue);
        }
        self.schedule(self.config.heal_at, What::Heal);
        self.redraw_sides();
        match self.config.faults.round {
            Some(_) => self.begin_round(),
            None => self.plan_next_fault(),
        }
    }

    fn drive(&mut self) {
        while let Some((at, what)) = self.queue.pop() {
            self.now = at;
            self.happen(what);
            if !self.ledger.violations.is_empty() || self.over() {
                return;
            }
            if self.deadline.is_some_and(|deadline| at > deadline) {
                self.blame_liveness();
                return;
            }
        }
    }

    /// Is the run over? Charts may ask for the beginning only.
    fn over(&self) -> bool {
        let charted = |recorder: &Recorder| recorder.is_over(self.ledger.end());
        self.phase == Phase::Over || self.recorder.as_ref().is_some_and(charted)
    }

    fn blame_liveness(&mut self) {
        let open: Vec<String> = self
            .clients
            .iter()
            .filter_map(|client| client.open.front().map(|call| (client.id, call)))
            .map(|(client, call)| format!("request {} of client {client}", call.number))
            .collect();
        let within = self.config.progress_within;
        let what = match self.phase {
            Phase::CatchUp => format!("a replica lags behind {}", self.ledger.end()),
            _ => format!("without an answer: {}", open.join(", ")),
        };
        self.ledger.violation(format!(
            "liveness: nothing fails any more, but {within:?} later ({:?}) {what}",
            self.phase
        ));
    }

    fn finish(&mut self) {
        self.stats.slots = self.ledger.end().0;
        self.stats.requests = self.ledger.requests();
        self.stats.virtual_time = self.now.since(Instant(0));
        for client in &self.clients {
            let counters = client.counters();
            self.stats.quorum_reads += counters.quorum_reads;
            self.stats.read_fallbacks += counters.read_fallbacks;
        }
        for (name, deeds) in self.nodes.iter().flat_map(Node::deeds) {
            self.stats.byzantine_deeds += deeds;
            self.stats.note_behaviour(name, deeds);
        }
        let end = self.ledger.end();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let correct = !node.is_byzantine();
            if let Some(running) = &mut node.running
                && correct
                && running.executor.last_executed() == end
            {
                let machine = running.executor.machine_mut();
                self.ledger.root(at, consensus::StateMachine::root(machine));
            }
        }
    }

    /// Where every replica stands, for the report of a failure.
    fn standing(&self) -> Vec<String> {
        let describe = |node: &Node| match &node.running {
            None => format!("replica {}: down", node.id),
            Some(running) => {
                let protocol = &running.protocol;
                format!(
                    "replica {}: {}, stable {}, executed {}, pending {}{}{}",
                    node.id,
                    protocol.term(),
                    protocol.stable(),
                    protocol.last_executed(),
                    protocol.pending(),
                    match (node.twin, node.forgetful, node.is_byzantine()) {
                        (true, ..) => ", runs twice",
                        (_, true, _) => ", has forgotten",
                        (_, _, true) => ", Byzantine",
                        (false, false, false) => "",
                    },
                    if node.learner { ", learns" } else { "" },
                )
            }
        };
        let mut lines: Vec<String> = self.nodes.iter().map(describe).collect();
        lines.push(format!(
            "at {:?} of virtual time; healed: {}; {} slots",
            self.now.since(Instant(0)),
            self.healed,
            self.ledger.end()
        ));
        lines
    }

    pub(crate) fn schedule(&mut self, after: Duration, what: What) {
        self.queue.push(self.now + after, what);
    }

    /// The trace takes in that something happened.
    pub(crate) fn note(&mut self, kind: u64, place: u32, content: u64) {
        let place = kind << 32 | u64::from(place);
        self.trace = mix(mix(mix(self.trace, self.now.0), place), content);
    }

    /// A line of the chart, if one is drawn.
    pub(crate) fn chart(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.recorder.is_some() {
            let line = line(self);
            let now = self.now;
            if let Some(recorder) = &mut self.recorder {
                recorder.line(now, &line);
            }
        }
    }

    /// Events of a process that stands still wait for it.
    fn held_back(&mut self, what: What) -> Option<What> {
        let at = match &what {
            What::Packet { to, .. } | What::Request { to, .. } | What::Read { to, .. } => *to,
            What::Timer { at, .. }
            | What::Synced { at, .. }
            | What::Saved { at, .. }
            | What::TransferDue { at, .. }
            | What::BendDue { at, .. } => *at,
            _ => return Some(what),
        };
        let running = self.nodes[at as usize].running.as_mut();
        let Some(inbox) = running.and_then(|running| running.paused.as_mut()) else {
            return Some(what);
        };
        inbox.push_back(what);
        if inbox.len() > crate::node::INBOX_MAX {
            let is_message = |what: &What| {
                matches!(
                    what,
                    What::Packet { .. } | What::Request { .. } | What::Read { .. }
                )
            };
            if let Some(oldest) = inbox.iter().position(is_message) {
                inbox.remove(oldest);
                self.stats.inbox_dropped += 1;
            }
        }
        None
    }

    pub(crate) fn happen(&mut self, what: What) {
        let Some(what) = self.held_back(what) else {
            return;
        };
        match what {
            What::Packet { to, packet } => {
                self.note(1, to, packet.fingerprint);
                self.deliver(to as usize, &packet);
            }
            What::Request { to, raw } => {
                self.note(2, to, crate::mix::of_bytes(&raw));
                self.deliver_request(to as usize, raw);
            }
            What::Read { to, raw } => {
                self.note(10, to, crate::mix::of_bytes(&raw));
                self.deliver_read(to as usize, raw);
            }
            What::Reply { to, from, reply } => self.reply_arrives(to, from, *reply),
            What::Hint { to, from, term } => self.hint_arrives(to, from, term),
            What::Channel { to, from, up } => self.channel_changes(to, from, up),
            What::Timer {
                at,
                timer,
                generation,
            } => self.timer_runs_out(at, timer, generation),
            What::Synced { at, life } if self.nodes[at as usize].life == life => {
                self.synced(at as usize);
            }
            What::Saved { at, life } if self.nodes[at as usize].life == life => {
                self.saved(at as usize);
            }
            What::TransferDue { at, life } if self.nodes[at as usize].life == life => {
                self.transfer_is_due(at as usize);
            }
            What::BendDue { at, life } if self.nodes[at as usize].life == life => {
                self.bend_is_due(at as usize);
            }
            What::Synced { .. }
            | What::Saved { .. }
            | What::TransferDue { .. }
            | What::BendDue { .. } => {}
            What::ClientTick { client } => self.client_tick(client),
            What::ClientReady { client } => self.client_ready(client),
            What::Scripted { number } => self.follow_script(number),
            What::RogueTurn { rogue } => self.rogue_turn(rogue as usize),
            What::Round => self.begin_round(),
            What::Nemesis => self.something_goes_wrong(),
            What::Remedy(remedy) => self.remedy(remedy),
            What::Heal => self.heal(),
        }
    }

    /// Starts a replica from its disk.
    pub(crate) fn bring_up(&mut self, at: usize) {
        let nonce = match self.nodes[at].disk.has_role() {
            true => Nonce([0; 16]),
            false => Nonce(self.rng.random()),
        };
        self.nodes[at].start(self.now, nonce);
        self.note(6, at as u32, u64::from(self.nodes[at].life));
        self.chart(|world| format!("{:<4} starts", world.name(at)));
        self.tell_clients(at, true);
        self.step(at, Event::Started);
        self.caught_up();
    }

    /// A replica's name in charts: its id, with a prime for a second instance.
    pub(crate) fn name(&self, at: usize) -> String {
        let prime = if at < usize::from(self.config.n) {
            ""
        } else {
            "'"
        };
        format!("{:?}{prime}", self.nodes[at].id)
    }
}
