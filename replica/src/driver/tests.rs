//! The driver against a protocol that does what the test tells it.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use consensus::protocol::When;
use consensus::report::Path;
use consensus::state_machine::{Part, PartId, WrongPart};
use consensus::transfer::message::{Manifest, StateMessage};
use consensus::{
    Action, Batch, ByteList, ClientId, Cluster, Configuration, Destination, Epoch, Event, Executor,
    FastQuorum, Instant, Keyring, Limits, Misbehaviour, Outbox, Outcome, Protocol, ReplicaId,
    Reply, Report, Request, RequestId, SeqNo, StateMachine, Term, Ticket, Timer, Transferable,
    View,
};
use crypto::{Check, Digest, SecretKey, Verified};

use super::ports::{Checkpoint, Describe, Disk, Lane, Network, Outgoing};
use super::{Burst, Driver, Stop};
use crate::observer::Observer;

/// The record of every certificate.
const CERTIFICATE: u32 = 77;

/// A message with this number carries [`CARRIED`] and nothing else.
const CARRIER: u32 = 1000;

thread_local! {
    static CARRIED: RefCell<Vec<Request>> = const { RefCell::new(Vec::new()) };
}

/// A message is the list of actions that receiving it brings about.
struct Puppet {
    script: Rc<RefCell<Vec<Vec<Command>>>>,
    seen: Rc<RefCell<Vec<String>>>,
}

#[derive(Clone)]
enum Command {
    Persist(u32),
    Send(u32, When),
    Execute(u64, Option<Arc<Batch>>, bool),
    SetTimer(Timer, u64),
    Decided(u64),
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
                Command::Decided(seq) => Action::Report(Report::Decided {
                    epoch: Epoch(0),
                    seq: SeqNo(seq),
                    view: View(0),
                    digest: Digest::default(),
                    path: Path::Fast,
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
struct Sum {
    total: u64,
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
enum Done {
    Persisted { records: Vec<u32>, last: u64 },
    Certified(u32),
    Saved(u64),
    Truncated(u64),
    Sent(Vec<u32>),
    Replied(Vec<(RequestId, Outcome)>),
    Hinted(Term),
}

#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<Done>>>);

impl Log {
    fn take(&self) -> Vec<Done> {
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
}

struct Stage {
    driver: Driver<Puppet, Sum, Log, Log>,
    log: Log,
    seen: Rc<RefCell<Vec<String>>>,
    observer: Arc<Observer>,
    cluster: Arc<Cluster>,
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn stage(script: Vec<Vec<Command>>) -> Stage {
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
        None,
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
    fn request(&self, number: u64) -> Request {
        let id = RequestId {
            client: ClientId(0),
            session: 1,
            number,
        };
        let ops: ByteList = [[number as u8]].into_iter().collect();
        Request::sign(&key(100), self.cluster.id(), id, 0, false, &ops)
    }

    fn receive(&mut self, messages: &[u32]) -> Result<Vec<Done>, Stop> {
        let messages = messages
            .iter()
            .map(|message| (ReplicaId(1), Verified::own(*message)))
            .collect();
        self.turn(Burst {
            messages,
            ..Burst::default()
        })
    }

    fn turn(&mut self, burst: Burst<u32>) -> Result<Vec<Done>, Stop> {
        self.driver.turn(Instant(10), burst)?;
        Ok(self.log.take())
    }

    fn durable(&mut self, ticket: u64) -> Vec<Done> {
        let burst = Burst {
            durable: Some(Ticket(ticket)),
            ..Burst::default()
        };
        self.turn(burst).unwrap()
    }
}

#[test]
fn a_durable_message_waits_for_every_record_before_it_and_now_messages_for_none() {
    use Command::{Persist, Send};
    let mut stage = stage(vec![
        vec![],
        vec![Persist(10), Send(1, When::Durable), Send(2, When::Now)],
        vec![Persist(11), Send(3, When::Durable), Send(4, When::Now)],
    ]);
    let done = stage.receive(&[0, 0]).unwrap();
    assert_eq!(
        done,
        [
            Done::Persisted {
                records: vec![10, 11],
                last: 2
            },
            Done::Sent(vec![2, 4])
        ],
        "one group for the whole burst; only what promises nothing leaves"
    );
    assert_eq!(stage.durable(1), [Done::Sent(vec![1])]);
    assert_eq!(stage.durable(2), [Done::Sent(vec![3])]);
    let seen = stage.seen.borrow();
    assert_eq!(seen[3..], ["persisted 1", "persisted 2"]);
}

#[test]
fn a_durable_message_behind_no_open_record_leaves_at_once() {
    use Command::{Persist, Send};
    let mut stage = stage(vec![
        vec![Send(1, When::Durable)],
        vec![Persist(10)],
        vec![Send(2, When::Durable)],
    ]);
    assert_eq!(stage.log.take(), [Done::Sent(vec![1])]);
    stage.receive(&[0]).unwrap();
    stage.durable(1);
    assert_eq!(stage.receive(&[0]).unwrap(), [Done::Sent(vec![2])]);
}

#[test]
fn what_others_wait_for_leaves_before_batches_are_executed_and_results_come_back() {
    use Command::{Decided, Execute, Persist, Send};
    let mut stage = stage(vec![vec![]]);
    let batch = Arc::new(Batch::new(vec![stage.request(1)]));
    *stage.driver.protocol.script.borrow_mut() = vec![vec![
        Decided(1),
        Execute(1, Some(batch), false),
        Execute(2, None, true),
        Persist(10),
        Send(5, When::Now),
    ]];
    let done = stage.receive(&[0]).unwrap();
    let [
        Done::Persisted { .. },
        Done::Sent(sent),
        Done::Saved(2),
        Done::Replied(replies),
    ] = done.as_slice()
    else {
        panic!("unexpected order: {done:?}");
    };
    assert_eq!(*sent, [5]);
    assert!(matches!(replies.as_slice(), [(id, Outcome::Executed(_))] if id.number == 1));
    assert_eq!(stage.seen.borrow()[2..], ["executed 1", "executed 2"]);

    let burst = Burst {
        saved: Some(SeqNo(2)),
        ..Burst::default()
    };
    stage.turn(burst).unwrap();
    assert_eq!(stage.seen.borrow().last().unwrap(), "saved 2");
    let excerpt = stage.observer.excerpt(SeqNo(1), 10);
    let paths: Vec<_> = excerpt
        .slots
        .iter()
        .map(|slot| (slot.path, slot.ops))
        .collect();
    assert_eq!(paths, [(Path::Fast, 1), (Path::Transfer, 0)]);
    assert_eq!(excerpt.checkpoints.len(), 1);
}

#[test]
fn an_executed_request_that_comes_again_is_answered_and_not_ordered_again() {
    let mut stage = stage(vec![vec![]]);
    let request = stage.request(1);
    let batch = Arc::new(Batch::new(vec![request.clone()]));
    *stage.driver.protocol.script.borrow_mut() =
        vec![vec![Command::Execute(1, Some(batch), false)]];
    let first = stage.receive(&[0]).unwrap();
    let requests = vec![Verified::own(request), Verified::own(stage.request(2))];
    let again = stage
        .turn(Burst {
            requests,
            ..Burst::default()
        })
        .unwrap();
    let (Done::Replied(first), Done::Replied(again)) = (&first[0], &again[0]) else {
        panic!("two rounds of replies: {first:?}, {again:?}");
    };
    assert_eq!(first, again, "the stored reply");
    assert_eq!(
        stage.seen.borrow().last().unwrap(),
        "requested 1",
        "only the new one is ordered"
    );
}

#[test]
fn a_peer_cannot_have_executed_requests_ordered_again() {
    let mut stage = stage(vec![vec![]]);
    let old = stage.request(1);
    let batch = Arc::new(Batch::new(vec![old.clone()]));
    *stage.driver.protocol.script.borrow_mut() =
        vec![vec![Command::Execute(1, Some(batch), false)]];
    stage.receive(&[0]).unwrap();
    let seen = stage.seen.borrow().len();

    CARRIED.set(vec![old.clone()]);
    assert_eq!(stage.receive(&[CARRIER]).unwrap(), [], "nobody is answered");
    assert_eq!(stage.seen.borrow().len(), seen, "nor is anything ordered");

    CARRIED.set(vec![old, stage.request(2)]);
    stage.receive(&[CARRIER]).unwrap();
    assert_eq!(stage.seen.borrow().last().unwrap(), "r1 forwarded 1");
}

#[test]
fn a_halted_protocol_stops_the_driver_and_nothing_of_that_turn_is_sent() {
    use Command::{Halt, Send};
    let mut stage = stage(vec![vec![], vec![Send(1, When::Now)], vec![Halt]]);
    let stop = stage.receive(&[0, 0]).unwrap_err();
    assert_eq!(stop, Stop::Halted("two decisions".to_owned()));
    assert!(stage.log.take().is_empty());
}

#[test]
fn a_failed_disk_stops_the_driver_before_anything_else_happens() {
    let mut stage = stage(vec![vec![], vec![Command::Send(1, When::Now)]]);
    let burst = Burst {
        messages: vec![(ReplicaId(1), Verified::own(0))],
        durable: Some(Ticket(1)),
        disk_failed: Some("no space".to_owned()),
        ..Burst::default()
    };
    assert_eq!(
        stage.turn(burst).unwrap_err(),
        Stop::Disk("no space".to_owned())
    );
    assert_eq!(*stage.seen.borrow(), ["started"]);
}

#[test]
fn timers_fire_when_they_are_due_and_say_when_to_come_back() {
    let mut stage = stage(vec![vec![
        Command::SetTimer(Timer::Status, 10),
        Command::SetTimer(Timer::Fast, 50),
    ]]);
    assert_eq!(stage.driver.deadline(), Some(Instant(10)));
    stage.turn(Burst::default()).unwrap();
    assert_eq!(*stage.seen.borrow(), ["started", "timer Status"]);
    assert_eq!(stage.driver.deadline(), Some(Instant(50)));
}

#[test]
fn a_stop_is_obeyed_after_the_turn_in_which_it_came() {
    let mut stage = stage(vec![vec![], vec![Command::Persist(10)]]);
    let burst = Burst {
        messages: vec![(ReplicaId(1), Verified::own(0))],
        stop: true,
        ..Burst::default()
    };
    assert_eq!(stage.turn(burst).unwrap_err(), Stop::Asked);
    assert_eq!(
        stage.log.take(),
        [Done::Persisted {
            records: vec![10],
            last: 1
        }]
    );
}

#[test]
fn clients_are_told_of_every_change_of_epoch_or_view_and_of_nothing_else() {
    let reports = [
        Report::EnteredView(View(0)),
        Report::EnteredView(View(2)),
        Report::EpochEntered(Epoch(1)),
        Report::EnteredView(View(0)),
        Report::EnteredView(View(0)),
    ];
    let stage = stage(vec![reports.map(Command::Report).into()]);
    let hints: Vec<_> = stage
        .log
        .0
        .borrow()
        .iter()
        .filter_map(|done| match done {
            Done::Hinted(term) => Some((term.epoch.0, term.view.0)),
            _ => None,
        })
        .collect();
    assert_eq!(hints, [(0, 2), (1, 0)]);
    assert_eq!(stage.observer.status().epoch, 1);
    assert_eq!(stage.observer.status().view, 0);
    assert_eq!(stage.observer.status().primary, 1, "(1 + 0) mod 5");
}

/// The state after slot 3 with this total, and the digest of it.
fn state_at_three(stage: &Stage, total: u64) -> (Manifest, Digest) {
    let mut executor = Executor::new(Arc::clone(&stage.cluster), Sum::default());
    for seq in 1..=2 {
        executor.execute(SeqNo(seq), None);
    }
    executor.machine_mut().total = total;
    executor.execute(SeqNo(3), None);
    let manifest = Manifest {
        machine: total.to_le_bytes().to_vec().into(),
        sessions: Vec::new(),
        configuration: Configuration::genesis(&stage.cluster).to_bytes().into(),
    };
    (manifest, executor.state_digest())
}

#[test]
fn a_fetched_state_is_saved_before_the_protocol_hears_of_it_and_its_slots_are_not_executed() {
    use Command::{Execute, FetchState, State};
    let mut stage = stage(vec![]);
    let (manifest, digest) = state_at_three(&stage, 40);
    let batch = Arc::new(Batch::new(vec![stage.request(2)]));
    let seq = SeqNo(3);
    stage.driver.protocol.script.borrow_mut().extend([
        vec![Execute(1, None, false), FetchState(3, digest)],
        vec![
            Execute(2, None, false),
            State(1, StateMessage::Manifest { seq, manifest }),
        ],
        vec![
            Execute(3, Some(Arc::clone(&batch)), false),
            Execute(4, Some(batch), false),
        ],
    ]);
    let done = stage.receive(&[0]).unwrap();
    assert_eq!(done, [Done::Sent(vec![100; 4])], "everybody is asked");
    let together = [Done::Certified(CERTIFICATE), Done::Saved(3)];
    assert_eq!(stage.receive(&[0]).unwrap(), together);
    let done = stage.receive(&[0]).unwrap();
    let [Done::Replied(replies)] = done.as_slice() else {
        panic!("{done:?}");
    };
    assert_eq!(replies.len(), 1, "slot 3 is in the state, slot 4 is not");
    assert_eq!(stage.driver.executor.machine().total, 42);
    let saved = Burst {
        saved: Some(seq),
        ..Burst::default()
    };
    stage.turn(saved).unwrap();
    let seen = stage.seen.borrow();
    let heard: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(
        heard
            .iter()
            .filter(|name| !name.starts_with("received"))
            .collect::<Vec<_>>(),
        [
            &"started",
            &"executed 1",
            &"executed 2",
            &"executed 3",
            &"executed 4",
            &"installed 3"
        ]
    );
    assert_eq!(stage.observer.status().consensus.state_transfers, 1);
}
