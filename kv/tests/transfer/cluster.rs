//! Executors with their transfers, and a network that does to messages what the test says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use consensus::transfer::message::StateMessage;
use consensus::transfer::{Effect, Target};
use consensus::{
    Batch, ByteList, ClientId, Cluster, Epoch, Executor, FastQuorum, Instant, Limits, ReplicaId,
    Report, Request, RequestId, SeqNo, Transfer,
};
use crypto::codec::Blob;
use crypto::{Digest, SecretKey};
use kv::{Op, Store};

/// A checkpoint every this many slots.
pub(crate) const K: u64 = 4;
/// Members.
pub(crate) const N: u16 = 5;
/// The replica that fetches.
pub(crate) const LAGGARD: u16 = 4;
/// How long a message takes.
pub(crate) const DELAY: Duration = Duration::from_millis(1);

/// What becomes of a message.
pub(crate) enum Fate {
    Arrives,
    Late(Duration),
    Lost,
}

type Tamper = Box<dyn FnMut(u16, &mut StateMessage) -> Fate>;

pub(crate) struct World {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) executors: Vec<Executor<Store>>,
    pub(crate) transfers: Vec<Transfer<Store>>,
    pub(crate) now: Instant,
    /// Replicas that execute what [`World::execute`] is given.
    pub(crate) up: Vec<u16>,
    /// Every request that was executed.
    pub(crate) captured: Vec<Request>,
    pub(crate) reports: Vec<Report>,
    /// Checkpoints installed at the laggard, and when.
    pub(crate) installed: Vec<(SeqNo, Instant)>,
    /// Messages sent, by sender.
    pub(crate) sent: BTreeMap<u16, Vec<StateMessage>>,
    pub(crate) tamper: Tamper,
    /// What was sent and what came of it, line by line.
    pub(crate) chart: Vec<String>,
    due: BTreeMap<(Instant, u64), (u16, u16, StateMessage)>,
    order: u64,
    seq: u64,
    number: u64,
}

fn key(role: &str, number: u16) -> SecretKey {
    SecretKey::from_seed(&Digest::of(role, &number.to_le_bytes()).0)
}

pub(crate) fn blob(bytes: impl AsRef<[u8]>) -> Blob {
    Blob::from(bytes.as_ref().to_vec())
}

/// A put of a value of `size` bytes.
pub(crate) fn put(name: u64, size: usize, byte: u8) -> Op {
    Op::Put {
        key: blob(name.to_be_bytes()),
        value: blob(vec![byte; size]),
    }
}

impl World {
    /// Five replicas at the start; all but the laggard are up.
    pub(crate) fn new() -> Self {
        let limits = Limits {
            checkpoint_interval: K,
            log_window: 2 * K,
            client_window: 16,
            ..Limits::default()
        };
        let replicas = (0..N).map(|id| key("replica", id).public()).collect();
        let clients = (0..3).map(|id| key("client", id).public()).collect();
        let cluster = Cluster::genesis(1, FastQuorum::Strong, limits, replicas, clients).unwrap();
        let cluster = Arc::new(cluster);
        let executor = |_| Executor::new(Arc::clone(&cluster), Store::new());
        let transfer = |id| Transfer::new(ReplicaId(id), Arc::clone(&cluster));
        World {
            executors: (0..N).map(executor).collect(),
            transfers: (0..N).map(transfer).collect(),
            cluster,
            now: Instant(0),
            up: (0..LAGGARD).collect(),
            captured: Vec::new(),
            reports: Vec::new(),
            installed: Vec::new(),
            sent: BTreeMap::new(),
            tamper: Box::new(|_, _| Fate::Arrives),
            chart: Vec::new(),
            due: BTreeMap::new(),
            order: 0,
            seq: 0,
            number: 0,
        }
    }

    /// A world whose replicas, but for the laggard, hold `keys` keys at a checkpoint.
    pub(crate) fn holding(keys: u64, size: usize) -> Self {
        let mut world = World::new();
        for chunk in (0..keys).collect::<Vec<_>>().chunks(500) {
            world.execute(chunk.iter().map(|name| put(*name, size, 1)).collect());
        }
        world.reach_checkpoint();
        world
    }

    /// The next request of a client.
    pub(crate) fn request(&mut self, client: u16, ops: &[Op]) -> Request {
        self.number += 1;
        let id = RequestId {
            client: ClientId(client.into()),
            session: 1,
            number: self.number,
        };
        let ops: ByteList = ops.iter().map(Op::encode).collect();
        let ack = self.number.saturating_sub(3);
        Request::sign(
            &key("client", client),
            self.cluster.id(),
            id,
            ack,
            false,
            &ops,
        )
    }

    /// Executes operations of client 0 in the next slot, at all who are up; checkpoints are stable
    /// at once.
    pub(crate) fn execute(&mut self, ops: Vec<Op>) {
        let requests: Vec<Request> = ops.chunks(50).map(|ops| self.request(0, ops)).collect();
        self.execute_requests(requests);
    }

    pub(crate) fn execute_requests(&mut self, requests: Vec<Request>) {
        self.seq += 1;
        let batch = (!requests.is_empty()).then(|| Batch::new(requests.clone()));
        self.captured.extend(requests);
        let now = self.now;
        for at in self.up.clone() {
            let (executor, transfer) = self.at(at);
            let seq = executor.last_executed().next();
            executor.execute(seq, batch.as_ref());
            if seq.0.is_multiple_of(K) {
                transfer.checkpoint(now, executor);
                transfer.stable(now, seq, executor);
            }
        }
    }

    /// Null batches up to the next checkpoint.
    pub(crate) fn reach_checkpoint(&mut self) {
        while !self.seq.is_multiple_of(K) {
            self.execute_requests(Vec::new());
        }
    }

    fn at(&mut self, at: u16) -> (&mut Executor<Store>, &mut Transfer<Store>) {
        let at = usize::from(at);
        (&mut self.executors[at], &mut self.transfers[at])
    }

    /// What replica 0 would certify now.
    pub(crate) fn target(&mut self) -> Target {
        let executor = &mut self.executors[0];
        Target {
            epoch: Epoch(0),
            seq: executor.last_executed(),
            digest: executor.state_digest(),
        }
    }

    /// The laggard is told to fetch the state that the others are at.
    pub(crate) fn begin(&mut self) -> Target {
        let target = self.target();
        let now = self.now;
        let mut effects = Vec::new();
        let (executor, transfer) = self.at(LAGGARD);
        transfer.begin(now, target, executor, &mut effects);
        self.perform(LAGGARD, effects);
        target
    }

    pub(crate) fn hand_in(&mut self, from: u16, to: u16, message: StateMessage) {
        let now = self.now;
        let mut effects = Vec::new();
        let (executor, transfer) = self.at(to);
        transfer.on_message(now, ReplicaId(from), message, executor, &mut effects);
        self.perform(to, effects);
    }

    fn perform(&mut self, at: u16, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, mut message } => {
                    message
                        .check(&self.cluster)
                        .expect("what is sent is within bounds");
                    let bytes = crypto::encode(&message);
                    assert_eq!(crypto::decode(&bytes), Ok(message.clone()));
                    self.sent.entry(at).or_default().push(message.clone());
                    self.note(format!("r{at} -> {to:?}  {message}"));
                    let after = match (self.tamper)(at, &mut message) {
                        Fate::Arrives => DELAY,
                        Fate::Late(by) => DELAY + by,
                        Fate::Lost => continue,
                    };
                    self.order += 1;
                    let due = (self.now + after, self.order);
                    self.due.insert(due, (at, to.0, message));
                }
                Effect::Installed { seq, digest, .. } => {
                    assert_eq!(at, LAGGARD);
                    let (executor, _) = self.at(at);
                    assert_eq!(executor.state_digest(), digest);
                    assert_eq!(executor.last_executed(), seq);
                    self.installed.push((seq, self.now));
                    self.note(format!("r{at} installs the state at {seq:?}"));
                }
                Effect::Report(report) => {
                    if let Report::Dropped { from, why } = &report {
                        self.note(format!("r{at} gives {from:?} up: {why}"));
                    }
                    self.reports.push(report);
                }
                Effect::Halt(why) => panic!("r{at} halts: {why}"),
            }
        }
    }

    fn note(&mut self, line: String) {
        let millis = self.now.0 / 1_000_000;
        self.chart.push(format!("{millis:>3} ms  {line}"));
    }

    /// Lets this much time pass, or less if the laggard has installed a state meanwhile.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let before = self.installed.len();
        while self.installed.len() == before {
            let message = self.due.keys().next().map(|(at, _)| *at);
            let timer = |at: u16| {
                self.transfers[usize::from(at)]
                    .deadline()
                    .map(|due| (due, at))
            };
            let timer = (0..N).filter_map(timer).min();
            let next = message.into_iter().chain(timer.map(|(due, _)| due)).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if message.is_some_and(|due| due <= next) {
                let (_, (from, to, message)) = self.due.pop_first().unwrap();
                if message.check(&self.cluster).is_ok() {
                    self.hand_in(from, to, message);
                }
            } else if let Some((_, at)) = timer {
                let now = self.now;
                let mut effects = Vec::new();
                let (executor, transfer) = self.at(at);
                transfer.tick(now, executor, &mut effects);
                self.perform(at, effects);
            }
        }
    }

    /// Runs until the laggard has a state, and returns how long that took.
    pub(crate) fn run_until_installed(&mut self) -> Duration {
        let begun = self.now;
        self.run(Duration::from_secs(60));
        let (_, at) = self.installed.last().expect("a state was installed");
        at.since(begun)
    }

    /// The laggard holds what replica 0 holds.
    pub(crate) fn assert_equal(&mut self) {
        let expected = self.executors[0].state_digest();
        let laggard = &mut self.executors[usize::from(LAGGARD)];
        assert_eq!(laggard.state_digest(), expected);
        let held = |at: usize| self.executors[at].machine().iter().collect::<Vec<_>>();
        assert_eq!(held(usize::from(LAGGARD)), held(0));
    }

    /// Parts and sources of the last transfer.
    pub(crate) fn done(&self) -> (u64, usize) {
        let done = self.reports.iter().rev().find_map(|report| match report {
            Report::TransferDone { parts, sources, .. } => Some((*parts, *sources)),
            _ => None,
        });
        done.expect("a transfer was done")
    }

    /// Who was found out, in order.
    pub(crate) fn accused(&self) -> Vec<u16> {
        let accused = self.reports.iter().filter_map(|report| match report {
            Report::Dropped { from, .. } => Some(from.0),
            _ => None,
        });
        accused.collect()
    }
}
