//! A protocol that does what the test tells it, an application that adds up, and ports that keep what leaves the driver.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use consensus::protocol::When;
use consensus::report::Path;
use consensus::state_machine::{Part, PartId, WrongPart};
use consensus::transfer::message::StateMessage;
use consensus::{
    Action, Batch, ByteList, ClientId, Cluster, Destination, Epoch, Event, Executor, FastQuorum,
    Instant, Keyring, Limits, Misbehaviour, Outbox, Outcome, Protocol, ReplicaId, Reply, Report,
    Request, RequestId, SeqNo, StateMachine, Term, Ticket, Timer, Transferable, View,
};
use crypto::{Check, Digest, SecretKey, Verified};

use crate::driver::ports::{Checkpoint, Describe, Disk, Lane, Milestone, Network, Outgoing};
use crate::driver::{Burst, Driver, Stop};
use crate::observer::{Logs, Observer};

/// The record of every certificate.
pub(super) const CERTIFICATE: u32 = 77;

/// Votes for slot 5 are 2005, second-phase votes 3005.
pub(super) const VOTE: u32 = 2000;
pub(super) const COMMIT: u32 = 3000;

/// A message with this number carries [`CARRIED`] and nothing else.
pub(super) const CARRIER: u32 = 1000;

thread_local! {
    pub(super) static CARRIED: RefCell<Vec<Request>> = const { RefCell::new(Vec::new()) };
}

/// A message is the list of actions that receiving it brings about.
pub(super) struct Puppet {
    pub(super) script: Rc<RefCell<Vec<Vec<Command>>>>,
    seen: Rc<RefCell<Vec<String>>>,
}

#[derive(Clone)]
pub(super) enum Command {
    Persist(u32),
    Send(u32, When),
    Execute(u64, Option<Arc<Batch>>, bool),
    SetTimer(Timer, u64),
    Decided(u64, Path),
    Report(Report),
    FetchState(u64, Digest),
    State(u16, StateMessage),
    Halt,
}

impl Protocol for Puppet {
    type Wire = u32;
    type Message = u32;
    type Record = u32;

    fn examine<'k>(
        _: &'k Keyring,
        _: ReplicaId,
        wire: u32,
        _: &mut Vec<Check<'k>>,
    ) -> Result<u32, Misbehaviour> {
        Ok(wire)
    }

    fn requests_in(message: Verified<u32>) -> Result<Vec<Verified<Request>>, Verified<u32>> {
        if *message == CARRIER {
            Ok(CARRIED.take().into_iter().map(Verified::own).collect())
        } else {
            Err(message)
        }
    }

    /// Only asking and answering is of interest here, not what.
    fn state_wire(message: StateMessage) -> u32 {
        match message {
            StateMessage::FetchManifest { .. } => 100,
            StateMessage::Manifest { .. } => 101,
            _ => 102,
        }
    }

    fn restore(&mut self, _: u32) {}

    fn step(&mut self, _: Instant, event: Event<Verified<u32>>, out: &mut Outbox<Self>) {
        let (name, plays) = match event {
            Event::Started => ("started".to_owned(), true),
            Event::Received { message, .. } => (format!("received {}", *message), true),
            Event::Arrived { from, .. } => (format!("arrived {from:?}"), false),
            Event::Requested {
                from: None,
                requests,
            } => (format!("requested {}", requests.len()), false),
            Event::Requested {
                from: Some(peer),
                requests,
            } => (format!("{peer:?} forwarded {}", requests.len()), false),
            Event::Persisted(Ticket(ticket)) => (format!("persisted {ticket}"), false),
            Event::TimerFired(timer) => (format!("timer {timer:?}"), false),
            Event::Executed(seq) => (format!("executed {seq}"), false),
            Event::StateSaved { seq, .. } => (format!("saved {seq}"), false),
            Event::StateInstalled { seq, .. } => (format!("installed {seq}"), false),
        };
        self.seen.borrow_mut().push(name);
        if !plays || self.script.borrow().is_empty() {
            return;
        }
        for command in self.script.borrow_mut().remove(0) {
            out.push(match command {
                Command::Persist(record) => Action::Persist(record),
                Command::Send(wire, when) => Action::Send {
                    to: Destination::Others,
                    wire,
                    when,
                },
                Command::Execute(seq, batch, checkpoint) => Action::Execute {
                    seq: SeqNo(seq),
                    view: View(0),
                    batch,
                    checkpoint,
                },
                Command::SetTimer(timer, nanos) => Action::SetTimer {
                    timer,
                    after: Duration::from_nanos(nanos),
                },
                Command::Decided(seq, path) => Action::Report(Report::Decided {
                    epoch: Epoch(0),
                    seq: SeqNo(seq),
                    view: View(0),
                    digest: Digest::default(),
                    path,
                }),
                Command::Report(report) => Action::Report(report),
                Command::FetchState(seq, digest) => Action::FetchState {
                    epoch: Epoch(0),
                    seq: SeqNo(seq),
                    digest,
                    certificate: Some(CERTIFICATE),
                },
                Command::State(from, message) => Action::State {
                    from: ReplicaId(from),
                    message,
                },
                Command::Halt => Action::Halt("two decisions".to_owned()),
            });
        }
    }
}

/// Adds up the bytes of its operations. Its whole state is in its manifest.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) total: u64,
    frozen: BTreeMap<SeqNo, u64>,
}

impl StateMachine for Sum {
    type Change = u64;

    fn apply(&mut self, _: SeqNo, op: &[u8], _: usize) -> Vec<u8> {
        self.total += op.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        self.total.to_le_bytes().to_vec()
    }

    fn apply_atomic(
        &mut self,
        seq: SeqNo,
        ops: &mut dyn Iterator<Item = &[u8]>,
        room: usize,
    ) -> Vec<Vec<u8>> {
        ops.map(|op| self.apply(seq, op, room)).collect()
    }

    fn root(&mut self) -> Digest {
        Digest::of("sum", &self.total.to_le_bytes())
    }

    fn take_changes(&mut self) -> Vec<u64> {
        vec![self.total]
    }
}

impl Transferable for Sum {
    type Content = ();

    fn freeze(&mut self, seq: SeqNo) {
        self.frozen.insert(seq, self.total);
    }

    fn thaw(&mut self, seq: SeqNo) {
        self.frozen.remove(&seq);
    }

    fn frozen_bytes(&self) -> usize {
        0
    }

    fn manifest(&self, seq: SeqNo) -> Option<Vec<u8>> {
        let total = self.frozen.get(&seq)?;
        Some(total.to_le_bytes().to_vec())
    }

    fn read_manifest(manifest: &[u8]) -> Option<(Digest, Vec<(PartId, Digest)>)> {
        Some((Digest::of("sum", manifest), Vec::new()))
    }

    fn part(&mut self, _: SeqNo, _: PartId, _: bool, _: usize) -> Option<Vec<u8>> {
        None
    }

    fn holds(&mut self, _: PartId, _: &Digest) -> bool {
        true
    }

    fn is_worth_comparing(&mut self, _: PartId) -> bool {
        false
    }

    fn check_part(_: PartId, _: &Digest, _: &[u8]) -> Result<Part<()>, WrongPart> {
        Err(WrongPart)
    }

    fn install(&mut self, manifest: &[u8], _: Vec<(PartId, ())>) {
        self.total = u64::from_le_bytes(manifest.try_into().unwrap());
    }
}

/// What left the driver, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Done {
    Persisted {
        records: Vec<u32>,
        last: u64,
    },
    Certified(u32),
    Saved(u64),
    /// With the state saved next to it in this list: checkpoints before it.
    SavedEarlier(Vec<SeqNo>),
    Truncated(u64),
    Sent(Vec<u32>),
    Replied(Vec<(RequestId, Outcome)>),
    Hinted(Term),
}

#[derive(Clone, Default)]
pub(super) struct Log(pub(super) Rc<RefCell<Vec<Done>>>);

impl Log {
    pub(super) fn take(&self) -> Vec<Done> {
        self.0.take()
    }
}

impl Disk<u32, u64> for Log {
    fn persist(&mut self, records: Vec<u32>, last: Ticket) {
        self.0.borrow_mut().push(Done::Persisted {
            records,
            last: last.0,
        });
    }
    fn certify(&mut self, certificate: u32) {
        self.0.borrow_mut().push(Done::Certified(certificate));
    }
    fn save(&mut self, checkpoint: Checkpoint<u64>) {
        self.0.borrow_mut().push(Done::Saved(checkpoint.seq.0));
        if !checkpoint.earlier.is_empty() {
            let earlier = checkpoint.earlier.iter().map(|(seq, _)| *seq);
            let earlier = Done::SavedEarlier(earlier.collect());
            self.0.borrow_mut().push(earlier);
        }
    }
    fn truncate(&mut self, upto: SeqNo) {
        self.0.borrow_mut().push(Done::Truncated(upto.0));
    }
}

impl Network for Log {
    fn send(&mut self, messages: Vec<Outgoing>) {
        let wires = messages
            .iter()
            .map(|message| crypto::decode(&message.bytes).unwrap());
        self.0.borrow_mut().push(Done::Sent(wires.collect()));
    }
    fn reply(&mut self, replies: Vec<Reply>) {
        let replies = replies.into_iter().map(|reply| (reply.id, reply.outcome));
        self.0.borrow_mut().push(Done::Replied(replies.collect()));
    }
    fn hint(&mut self, term: Term) {
        self.0.borrow_mut().push(Done::Hinted(term));
    }
}

impl Describe<u32> for Log {
    const KINDS: &'static [&'static str] = &["number"];
    fn kind(_: &u32) -> usize {
        0
    }
    fn lane(_: &u32) -> Lane {
        Lane::Main
    }
    fn milestone(wire: &u32) -> Option<Milestone<'_>> {
        match (wire / 1000, u64::from(wire % 1000)) {
            (2, seq) => Some(Milestone::Vote(SeqNo(seq))),
            (3, seq) => Some(Milestone::Commit(SeqNo(seq))),
            _ => None,
        }
    }
}

pub(super) struct Stage {
    pub(super) driver: Driver<Puppet, Sum, Log, Log>,
    pub(super) log: Log,
    pub(super) seen: Rc<RefCell<Vec<String>>>,
    pub(super) observer: Arc<Observer>,
    pub(super) cluster: Arc<Cluster>,
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

pub(super) fn stage(script: Vec<Vec<Command>>) -> Stage {
    let replicas = (1..=5).map(|number| key(number).public()).collect();
    let clients = vec![key(100).public()];
    let cluster =
        Cluster::genesis(1, FastQuorum::Strong, Limits::default(), replicas, clients).unwrap();
    let cluster = Arc::new(cluster);
    let figures = Box::new(crate::observer::status::StorageStatus::default);
    let observer = Observer::new(
        ReplicaId(0),
        Arc::clone(&cluster),
        Log::KINDS,
        figures,
        &Logs::default(),
    )
    .unwrap();
    let observer = Arc::new(observer);
    let (log, seen) = (Log::default(), Rc::default());
    let protocol = Puppet {
        script: Rc::new(RefCell::new(script)),
        seen: Rc::clone(&seen),
    };
    let executor = Executor::new(Arc::clone(&cluster), Sum::default());
    let mut driver = Driver::new(
        ReplicaId(0),
        &cluster,
        protocol,
        executor,
        log.clone(),
        log.clone(),
        Arc::clone(&observer),
    );
    driver.start(Instant(0)).unwrap();
    Stage {
        driver,
        log,
        seen,
        observer,
        cluster,
    }
}

impl Stage {
    pub(super) fn request(&self, number: u64) -> Request {
        self.acking(number, 0)
    }

    pub(super) fn acking(&self, number: u64, ack: u64) -> Request {
        let id = RequestId {
            client: ClientId(0),
            session: 1,
            number,
        };
        let ops: ByteList = [[number as u8]].into_iter().collect();
        Request::sign(&key(100), self.cluster.id(), id, ack, false, &ops)
    }

    pub(super) fn receive(&mut self, messages: &[u32]) -> Result<Vec<Done>, Stop> {
        let messages = messages
            .iter()
            .map(|message| (ReplicaId(1), Verified::own(*message)))
            .collect();
        self.turn(Burst {
            messages,
            ..Burst::default()
        })
    }

    pub(super) fn turn(&mut self, burst: Burst<u32>) -> Result<Vec<Done>, Stop> {
        self.driver.turn(Instant(10), burst)?;
        Ok(self.log.take())
    }

    pub(super) fn durable(&mut self, ticket: u64) -> Vec<Done> {
        let burst = Burst {
            durable: Some(Ticket(ticket)),
            ..Burst::default()
        };
        self.turn(burst).unwrap()
    }
}
