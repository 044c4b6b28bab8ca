//! A whole cluster in lockstep: every message takes one millisecond, every disk none. What was
//! sent is kept as lines of a chart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use consensus::batch::null_digest;
use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::pbft::record::Record;
use consensus::protocol::When;
use consensus::{
    Action, Configuration, Destination, Event, Instant, Nonce, Outbox, Protocol, Report, Request,
    SeqNo, Ticket, Timer,
};
use crypto::{Digest, Verified};

use crate::fixture::{Fixture, ms, state_at};
use crate::node::{Act, Happened, admit, title};

const DELAY: Duration = Duration::from_millis(1);

enum Due {
    Message { from: u16, to: u16, wire: Box<Wire> },
    Timer { at: u16, timer: Timer },
}

/// One replica's durable memory, and what a crash takes away.
#[derive(Default)]
struct Seat {
    core: Option<Pbft>,
    disk: Vec<Record>,
    /// The last state that was saved, with its configuration.
    state: Option<(SeqNo, Configuration)>,
    /// As the executor has it.
    configuration: Option<Configuration>,
    tickets: u64,
    timers: BTreeMap<Timer, u64>,
}

/// A message that is to be lost.
type Loses = Box<dyn Fn(u16, u16, &Wire) -> bool>;

/// The cluster.
pub(crate) struct Net<'f> {
    fixture: &'f Fixture,
    pub(crate) now: Instant,
    seats: Vec<Seat>,
    due: BTreeMap<(Instant, u64), Due>,
    order: u64,
    /// Messages for which this holds are lost.
    pub(crate) loses: Loses,
    chart: Vec<String>,
    begun: Instant,
    /// Replica and slot → digest of everything decided.
    pub(crate) decided: BTreeMap<(u16, SeqNo), Digest>,
    executed: BTreeSet<(u16, SeqNo)>,
    /// Replica and slot → digest and number of requests of everything executed.
    pub(crate) log: BTreeMap<(u16, SeqNo), (Digest, usize)>,
    pub(crate) halts: Vec<String>,
}

impl<'f> Net<'f> {
    /// All replicas but the `silent` ones are up.
    pub(crate) fn new(fixture: &'f Fixture, silent: &[u16]) -> Self {
        let n = fixture.cluster.quorums().n();
        let mut net = Net {
            fixture,
            now: Instant(0),
            seats: (0..n).map(|_| Seat::default()).collect(),
            due: BTreeMap::new(),
            order: 0,
            loses: Box::new(|_, _, _| false),
            chart: Vec::new(),
            begun: Instant(0),
            decided: BTreeMap::new(),
            executed: BTreeSet::new(),
            log: BTreeMap::new(),
            halts: Vec::new(),
        };
        for id in 0..u16::try_from(n).unwrap() {
            if !silent.contains(&id) {
                net.start(id);
            }
        }
        net
    }

    /// Starts a replica from its disk, after a clean stop.
    pub(crate) fn start(&mut self, id: u16) {
        self.start_core(id, self.fixture.core(id));
    }

    /// Takes a replica down and up again at once; it cannot know what it proposed last (R12).
    pub(crate) fn restart(&mut self, id: u16) {
        self.crash(id);
        self.note(format!("r{id} is restarted"));
        let mut core = self.fixture.core(id);
        core.fence();
        self.start_core(id, core);
    }

    /// Starts a replica that has lost everything.
    pub(crate) fn start_wiped(&mut self, id: u16, life: u8) {
        self.seats[usize::from(id)] = Seat::default();
        let mut core = self.fixture.core(id);
        core.become_learner(Nonce([life; 16]));
        self.start_core(id, core);
    }

    fn start_core(&mut self, id: u16, mut core: Pbft) {
        let seat = &mut self.seats[usize::from(id)];
        for record in in_order(&seat.disk) {
            core.restore(record.clone());
        }
        if let Some((seq, configuration)) = &seat.state {
            core.restore_state(*seq, state_at(seq.0), configuration.clone());
        }
        let genesis = || Configuration::genesis(&self.fixture.cluster);
        let saved = seat.state.as_ref();
        seat.configuration = Some(saved.map_or_else(genesis, |(_, saved)| saved.clone()));
        seat.core = Some(core);
        seat.tickets = 0;
        seat.timers.clear();
        self.step(id, Event::Started);
    }

    /// Takes a replica down; everything that it asked to persist is durable.
    pub(crate) fn crash(&mut self, id: u16) {
        self.seats[usize::from(id)].core = None;
    }

    pub(crate) fn core(&self, id: u16) -> &Pbft {
        self.seats[usize::from(id)].core.as_ref().expect("it is up")
    }

    /// Has this replica executed the slot?
    pub(crate) fn executed(&self, id: u16, seq: u64) -> bool {
        self.executed.contains(&(id, SeqNo(seq)))
    }

    /// A client's request arrives at a replica.
    pub(crate) fn request(&mut self, at: u16, request: Request) {
        let id = request.id;
        self.note(format!(
            "{:?}  -> r{at}   REQUEST #{}",
            id.client, id.number
        ));
        let requests = vec![Verified::own(request)];
        self.step(
            at,
            Event::Requested {
                from: None,
                requests,
            },
        );
    }

    /// A faulty replica, which is not up, says something to one of the others.
    pub(crate) fn say(&mut self, from: u16, to: u16, wire: Wire) {
        self.note(format!("r{from}  -> r{to}  {}", title(&wire)));
        let wire = Box::new(wire);
        self.schedule(self.now + DELAY, Due::Message { from, to, wire });
    }

    /// Lets this much time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(entry) = self.due.first_entry() {
            let (at, _) = *entry.key();
            if at > end {
                break;
            }
            let due = entry.remove();
            self.now = at;
            match due {
                Due::Message { from, to, wire } => self.deliver(from, to, &wire),
                Due::Timer { at, timer } => {
                    let seat = &mut self.seats[usize::from(at)];
                    if seat.timers.get(&timer) == Some(&self.now.0) {
                        seat.timers.remove(&timer);
                        self.step(at, Event::TimerFired(timer));
                    }
                }
            }
        }
        self.now = end;
    }

    /// Lets the first STATUS of everybody pass, and begins the chart.
    pub(crate) fn settle(&mut self) {
        self.run(ms(10));
        self.chart.clear();
        self.begun = self.now;
    }

    /// The chart so far; STATUS and its timers are left out.
    pub(crate) fn chart(&self) -> String {
        self.chart.join("\n")
    }

    fn deliver(&mut self, from: u16, to: u16, wire: &Wire) {
        if self.seats[usize::from(to)].core.is_none() {
            return;
        }
        let message =
            admit(&self.fixture.keyring, from, wire).expect("correct replicas are admitted");
        let from = consensus::ReplicaId(from);
        self.step(to, Event::Received { from, message });
    }

    fn step(&mut self, at: u16, event: Happened) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut out = Outbox::new();
            let Some(core) = &mut self.seats[usize::from(at)].core else {
                return;
            };
            core.step(self.now, event, &mut out);
            let actions: Vec<Act> = out.drain().collect();
            let before = self.seats[usize::from(at)].tickets;
            for action in actions {
                events.extend(self.perform(at, action));
            }
            let tickets = self.seats[usize::from(at)].tickets;
            if tickets > before {
                events.push(Event::Persisted(Ticket(tickets)));
            }
        }
    }

    fn perform(&mut self, at: u16, action: Act) -> Vec<Happened> {
        let seat = &mut self.seats[usize::from(at)];
        match action {
            Action::Persist(record) => {
                seat.tickets += 1;
                seat.disk.push(record);
            }
            Action::Send { to, wire, when } => self.send(at, to, &wire, when),
            Action::Execute {
                seq,
                batch,
                checkpoint,
                ..
            } => {
                let requests = batch.as_ref().map_or(0, |batch| batch.requests().len());
                if let Some(configuration) = &mut seat.configuration {
                    configuration.execute(seq, batch.as_deref());
                }
                let digest = batch.map_or_else(null_digest, |batch| batch.digest());
                self.log.insert((at, seq), (digest, requests));
                self.executed.insert((at, seq));
                self.note(format!("r{at} executes {seq:?}"));
                if checkpoint {
                    let seat = &mut self.seats[usize::from(at)];
                    seat.state = seat.configuration.clone().map(|held| (seq, held));
                    let digest = state_at(seq.0);
                    return vec![Event::StateSaved { seq, digest }, Event::Executed(seq)];
                }
                return vec![Event::Executed(seq)];
            }
            Action::SetTimer { timer, after } => {
                let when = self.now + after;
                seat.timers.insert(timer, when.0);
                self.schedule(when, Due::Timer { at, timer });
            }
            Action::CancelTimer(timer) => {
                seat.timers.remove(&timer);
            }
            Action::Report(Report::Decided {
                seq, digest, path, ..
            }) => {
                self.decided.insert((at, seq), digest);
                self.note(format!("r{at} decides {seq:?} {}", path.name()));
            }
            Action::Report(Report::FellBack { seq, missing }) => {
                self.note(format!("r{at} falls back at {seq:?}, missing {missing:?}"));
            }
            Action::Report(Report::LeftView { to, why }) => {
                self.note(format!("r{at} leaves for {to:?}: {}", why.name()));
            }
            Action::Report(Report::Equivocation { culprit, seq }) => {
                self.note(format!("r{at} convicts {culprit:?} at {seq:?}"));
            }
            Action::Report(Report::OpenedView {
                view,
                slots,
                excluded,
            }) => {
                self.note(format!(
                    "r{at} opens {view:?}: {slots} again, {excluded} excluded"
                ));
            }
            Action::Report(Report::EnteredView(view)) if view.0 > 0 => {
                self.note(format!("r{at} enters {view:?}"));
            }
            Action::Halt(why) => self.halts.push(format!("r{at}: {why}")),
            Action::Report(_)
            | Action::Busy { .. }
            | Action::Truncate(_)
            | Action::FetchState { .. }
            | Action::State { .. } => {}
        }
        Vec::new()
    }

    fn send(&mut self, from: u16, to: Destination, wire: &Wire, when: When) {
        let durable = if when == When::Durable { "*" } else { " " };
        let (name, targets) = match to {
            Destination::One(id) => (format!("r{id} "), vec![id.0]),
            Destination::Others => {
                let n = u16::try_from(self.seats.len()).unwrap();
                ("all".to_owned(), (0..n).filter(|id| *id != from).collect())
            }
        };
        if wire.name() != "status" {
            self.note(format!("r{from} {durable}-> {name} {}", title(wire)));
        }
        for to in targets {
            if !(self.loses)(from, to, wire) {
                let wire = Box::new(wire.clone());
                self.schedule(self.now + DELAY, Due::Message { from, to, wire });
            }
        }
    }

    fn schedule(&mut self, at: Instant, due: Due) {
        self.order += 1;
        self.due.insert((at, self.order), due);
    }

    fn note(&mut self, line: String) {
        let millis = self.now.since(self.begun).as_millis();
        self.chart.push(format!("{millis:>3} ms  {line}"));
    }
}

/// Longer than anything that is driven by STATUS takes.
pub(crate) fn long() -> Duration {
    ms(2_000)
}

/// The records that count, as storage gives them back: of the unbound kinds the last one each, in
/// front of those that are bound to slots.
fn in_order(disk: &[Record]) -> Vec<&Record> {
    let superseded = |at: usize, record: &Record| {
        disk.iter()
            .skip(at + 1)
            .any(|later| later.kind() == record.kind())
    };
    let unbound = disk
        .iter()
        .enumerate()
        .filter(|(at, record)| record.seq() == SeqNo(0) && !superseded(*at, record))
        .map(|(_, record)| record);
    let bound = disk.iter().filter(|record| record.seq() != SeqNo(0));
    unbound.chain(bound).collect()
}
