//! A stage for scripts: whole replicas, and a post office in which nothing moves by itself. The
//! script says which letters are delivered, which timers ring and who crashes; puppets say
//! whatever the script wants them to. A ledger watches what must hold at the correct replicas,
//! whatever the script does: S1, S2, S6 and S8 of the oracles, and no halt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use consensus::pbft::Pbft;
use consensus::pbft::message::{Mode, SignedViewChange, ViewChange, Wire};
use consensus::pbft::record::Record;
use consensus::protocol::{When, admit_all};
use consensus::{
    Action, Destination, Event, Instant, Outbox, Protocol, ReplicaId, Report, Request, SeqNo,
    Ticket, Timer,
};
use crypto::{Digest, Hasher, Verified};

use crate::cast::{Cast, Size};
use crate::ledger::Ledger;

type Happened = Event<Verified<<Pbft as Protocol>::Message>>;

/// Letters that one call may deliver: a script that needs more goes in circles.
const DELIVERIES_MAX: usize = 50_000;

/// A message under way.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) wire: Arc<Wire>,
}

impl Letter {
    /// Is it one of these kinds?
    pub(crate) fn is(&self, kinds: &[&str]) -> bool {
        kinds.contains(&self.wire.name())
    }
}

/// The state after a slot: digests of everything executed, one after the other.
#[derive(Clone, Copy, Default)]
struct State {
    seq: SeqNo,
    chain: Digest,
}

/// One correct replica: what it is doing, and what a crash leaves of it.
#[derive(Clone, Default)]
struct Seat {
    core: Option<Pbft>,
    records: Vec<Record>,
    saved: Option<State>,
    state: State,
    tickets: u64,
    timers: BTreeMap<Timer, Instant>,
    /// The disk is slow: nothing becomes durable, and what waits for it does not leave.
    held: bool,
    undurable: Vec<Record>,
    gated: Vec<(Destination, Wire)>,
}

/// See the module. A clone is another course that things could take from here.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) cast: Arc<Cast>,
    pub(crate) now: Instant,
    pub(crate) ledger: Ledger,
    /// Sent, neither delivered nor lost, oldest first.
    pub(crate) letters: Vec<Letter>,
    /// Everything that correct replicas have sent, each thing once.
    pub(crate) sent: Vec<(u16, Arc<Wire>)>,
    seats: Vec<Arc<Seat>>,
    puppets: Vec<u16>,
    /// Some correct primary has opened a view without a proven equivocator.
    pub(crate) opened_with_exclusion: bool,
}

impl Stage {
    /// All replicas but the puppets are up.
    pub(crate) fn new(size: Size, puppets: &[u16]) -> Self {
        let cast = Arc::new(Cast::new(size));
        let n = cast.n();
        let mut stage = Stage {
            now: Instant(0),
            ledger: Ledger::new(puppets),
            letters: Vec::new(),
            sent: Vec::new(),
            seats: (0..n).map(|_| Arc::default()).collect(),
            puppets: puppets.to_vec(),
            opened_with_exclusion: false,
            cast,
        };
        for id in stage.correct() {
            stage.start(id, false);
        }
        stage
    }

    /// The correct replicas.
    pub(crate) fn correct(&self) -> Vec<u16> {
        (0..self.cast.n())
            .filter(|id| !self.puppets.contains(id))
            .collect()
    }

    /// Starts a replica from its disk; after a crash it is fenced, as its driver would do.
    fn start(&mut self, id: u16, after_crash: bool) {
        let mut core = self.cast.core(id);
        let seat = Arc::make_mut(&mut self.seats[usize::from(id)]);
        let (unbound, bound): (Vec<&Record>, Vec<&Record>) = seat
            .records
            .iter()
            .partition(|record| record.seq() == SeqNo(0));
        for record in unbound.into_iter().chain(bound) {
            core.restore(record.clone());
        }
        seat.state = seat.saved.unwrap_or_default();
        if let Some(saved) = seat.saved {
            // No replica is renewed here.
            let configuration = core.configuration().clone();
            core.restore_state(saved.seq, saved.chain, configuration);
        }
        if after_crash {
            core.fence();
        }
        seat.core = Some(core);
        seat.tickets = 0;
        seat.timers.clear();
        self.step(id, Event::Started);
    }

    /// From now on this disk makes nothing durable.
    pub(crate) fn hold_disk(&mut self, id: u16) {
        Arc::make_mut(&mut self.seats[usize::from(id)]).held = true;
    }

    /// Power is lost, and with it what the disk had not made durable.
    pub(crate) fn crash(&mut self, id: u16) {
        let seat = Arc::make_mut(&mut self.seats[usize::from(id)]);
        seat.core = None;
        seat.held = false;
        seat.undurable.clear();
        seat.gated.clear();
    }

    /// A crash and a restart from the disk. The stop was no clean one.
    pub(crate) fn restart(&mut self, id: u16) {
        self.crash(id);
        self.start(id, true);
    }

    pub(crate) fn core(&self, id: u16) -> &Pbft {
        self.seats[usize::from(id)].core.as_ref().expect("it is up")
    }

    /// The replica, unless it is a puppet or down.
    pub(crate) fn core_if_up(&self, id: u16) -> Option<&Pbft> {
        self.seats[usize::from(id)].core.as_ref()
    }

    /// A client's request arrives at a replica.
    pub(crate) fn request(&mut self, at: u16, request: Request) {
        let requests = vec![Verified::own(request)];
        self.step(
            at,
            Event::Requested {
                from: None,
                requests,
            },
        );
    }

    /// A puppet's message arrives.
    pub(crate) fn tell(&mut self, from: u16, to: u16, wire: &Wire) {
        assert!(
            self.puppets.contains(&from),
            "only puppets are told what to say"
        );
        self.receive(from, to, wire);
    }

    /// The same message to several.
    pub(crate) fn tell_all(&mut self, from: u16, to: &[u16], wire: &Wire) {
        for to in to {
            self.tell(from, *to, wire);
        }
    }

    /// This replica gives up on its primary: its heartbeat timer rings in time and nothing was heard.
    /// Or it gives up on a new view that does not open.
    pub(crate) fn leave(&mut self, at: u16) {
        let left = self.core(at).view();
        if self.core(at).mode() == Mode::ViewChange {
            self.ring(at, Timer::NewView);
        }
        for _ in 0..2 {
            if self.core(at).view() == left {
                let timer = Timer::Heartbeat;
                let due = self.seats[usize::from(at)].timers.get(&timer).copied();
                self.now = self.now.max(due.unwrap_or(self.now));
                self.ring(at, timer);
            }
        }
        assert!(self.core(at).view() > left, "r{at} stays in {left:?}");
    }

    /// A primary does not suspect itself: it joins when f + 1 others have left.
    pub(crate) fn leave_for(&mut self, at: u16, view: u64) {
        self.deliver(|letter| letter.is(&["view-change"]) && letter.to == at);
        assert_eq!(self.core(at).view().0, view, "r{at} has joined");
    }

    /// Delivers whatever matches, also what comes of it, until nothing that matches is under way.
    pub(crate) fn deliver(&mut self, matches: impl Fn(&Letter) -> bool) -> usize {
        let mut delivered = 0;
        while let Some(at) = self.letters.iter().position(&matches) {
            let letter = self.letters.remove(at);
            self.receive(letter.from, letter.to, &letter.wire);
            delivered += 1;
            if delivered > DELIVERIES_MAX {
                self.ledger.violation("letters without end".to_owned());
                break;
            }
        }
        delivered
    }

    /// Delivers all letters of these kinds.
    pub(crate) fn deliver_kinds(&mut self, kinds: &[&str]) -> usize {
        self.deliver(|letter| letter.is(kinds))
    }

    /// Loses whatever matches.
    pub(crate) fn lose(&mut self, matches: impl Fn(&Letter) -> bool) {
        self.letters.retain(|letter| !matches(letter));
    }

    /// Loses everything that is under way.
    pub(crate) fn lose_all(&mut self) {
        self.letters.clear();
    }

    /// A timer rings, whether it was set or not.
    pub(crate) fn ring(&mut self, at: u16, timer: Timer) {
        Arc::make_mut(&mut self.seats[usize::from(at)])
            .timers
            .remove(&timer);
        self.step(at, Event::TimerFired(timer));
    }

    /// Time passes, timers ring, and letters that `pass` arrive at once; the others are lost.
    pub(crate) fn run(&mut self, time: Duration, pass: impl Fn(&Letter) -> bool) {
        let end = self.now + time;
        loop {
            self.letters.retain(&pass);
            self.deliver(&pass);
            let next = self
                .seats
                .iter()
                .zip(0u16..)
                .filter(|(seat, _)| seat.core.is_some())
                .flat_map(|(seat, id)| seat.timers.iter().map(move |(timer, at)| (*at, id, *timer)))
                .min();
            match next {
                Some((at, id, timer)) if at <= end && self.ledger.holds() => {
                    self.now = self.now.max(at);
                    self.ring(id, timer);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// The network is good from now on; puppets are silent.
    pub(crate) fn heal(&mut self, time: Duration) {
        self.run(time, |_| true);
    }

    fn receive(&mut self, from: u16, to: u16, wire: &Wire) {
        if self.seats[usize::from(to)].core.is_none() {
            return;
        }
        let from = ReplicaId(from);
        let admitted = admit_all::<Pbft>(&self.cast.keyring, vec![(from, wire.clone())]);
        for (from, message) in admitted {
            match message.map(Pbft::requests_in) {
                Ok(Ok(requests)) => {
                    let from = Some(from);
                    self.step(to, Event::Requested { from, requests });
                }
                Ok(Err(message)) => self.step(to, Event::Received { from, message }),
                Err(_) if self.puppets.contains(&from.0) => {}
                Err(why) => self
                    .ledger
                    .violation(format!("{from:?} is correct, but {to} refuses: {why}")),
            }
        }
    }

    fn step(&mut self, at: u16, event: Happened) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut out = Outbox::new();
            let Some(core) = &mut Arc::make_mut(&mut self.seats[usize::from(at)]).core else {
                return;
            };
            core.step(self.now, event, &mut out);
            let before = self.seats[usize::from(at)].tickets;
            for action in out.drain().collect::<Vec<_>>() {
                events.extend(self.perform(at, action));
            }
            let tickets = self.seats[usize::from(at)].tickets;
            if tickets > before {
                events.push_back(Event::Persisted(Ticket(tickets)));
            }
        }
    }

    fn perform(&mut self, at: u16, action: Action<Wire, Record>) -> Vec<Happened> {
        let seat = Arc::make_mut(&mut self.seats[usize::from(at)]);
        match action {
            Action::Persist(record) if seat.held => seat.undurable.push(record),
            Action::Persist(record) => {
                seat.tickets += 1;
                if record.seq() == SeqNo(0) {
                    seat.records.retain(|held| held.kind() != record.kind());
                }
                seat.records.push(record);
            }
            Action::Truncate(seq) => seat
                .records
                .retain(|record| record.seq() == SeqNo(0) || record.seq() > seq),
            Action::Send { to, wire, when } => {
                if seat.held && when == When::Durable {
                    seat.gated.push((to, wire));
                } else {
                    self.send(at, to, &wire);
                }
            }
            Action::Execute {
                seq,
                batch,
                checkpoint,
                ..
            } => {
                let digest = batch.map(|batch| batch.digest());
                let mut hasher = Hasher::new("executed");
                hasher.update(seat.state.chain.as_bytes()).u64(seq.0);
                hasher.update(digest.unwrap_or_default().as_bytes());
                let chain = hasher.finish();
                seat.state = State { seq, chain };
                let mut events = vec![Event::Executed(seq)];
                if checkpoint {
                    seat.saved = Some(seat.state);
                    events.insert(0, Event::StateSaved { seq, digest: chain });
                }
                self.ledger.executed(at, seq, chain);
                return events;
            }
            Action::SetTimer { timer, after } => {
                seat.timers.insert(timer, self.now + after);
            }
            Action::CancelTimer(timer) => {
                seat.timers.remove(&timer);
            }
            Action::Report(Report::Decided {
                seq, digest, view, ..
            }) => self.ledger.decided(at, seq, view, digest),
            Action::Report(Report::Equivocation { culprit, seq }) => {
                self.ledger.blamed(at, culprit, seq);
            }
            // Nobody here lags so far that only a state would help.
            Action::FetchState { .. } | Action::State { .. } => {}
            Action::Report(Report::OpenedView { excluded, .. }) => {
                self.opened_with_exclusion |= excluded > 0;
            }
            Action::Report(_) | Action::Busy { .. } => {}
            Action::Halt(why) => self.ledger.violation(format!("r{at} halts: {why}")),
        }
        Vec::new()
    }

    fn send(&mut self, from: u16, to: Destination, wire: &Wire) {
        self.ledger.signed(&self.cast.cluster, from, wire);
        let targets: Vec<u16> = match to {
            Destination::One(id) => vec![id.0],
            Destination::Others => (0..self.cast.n()).filter(|id| *id != from).collect(),
        };
        let wire = Arc::new(wire.clone());
        self.sent.push((from, Arc::clone(&wire)));
        for to in targets {
            if !self.puppets.contains(&to) {
                let wire = Arc::clone(&wire);
                self.letters.push(Letter { from, to, wire });
            }
        }
    }

    /// Has any correct replica sent a message of this kind?
    pub(crate) fn has_sent(&self, kind: &str) -> bool {
        self.sent.iter().any(|(_, wire)| wire.name() == kind)
    }

    /// The VIEW-CHANGE for `view` that a correct replica has sent.
    pub(crate) fn report_of(&self, from: u16, view: u64) -> Option<SignedViewChange> {
        let by = self.sent.iter().filter(|(sender, _)| *sender == from);
        by.rev().find_map(|(_, wire)| match &**wire {
            Wire::ViewChange(signed) => {
                let report: ViewChange = crypto::decode(&signed.bytes).expect("its own bytes");
                (report.new_view.0 == view).then(|| signed.clone())
            }
            _ => None,
        })
    }

    /// Is the replica in this view, voting?
    pub(crate) fn in_view(&self, id: u16, view: u64) -> bool {
        let core = self.core(id);
        core.view().0 == view && core.mode() == Mode::Normal
    }
}
