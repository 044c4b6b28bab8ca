//! PBFT for n ≥ 3f + 1 with an optimistic fast path (docs/protocol.md; Castro & Liskov, TOCS 2002).
//!
//! ```text
//!            client     primary     backup 1    backup 2    backup 3
//!  request     ●──────────▶│            │           │           │
//!  pre-prepare │           ├───────────▶├──────────▶├──────────▶│   a proposal, not a vote
//!  prepare     │           ├◀──────────▶├◀─────────▶├◀─────────▶│   everybody votes; q_F: decided
//!  (commit)    │           ├◁──────────▷├◁─────────▷├◁─────────▷│   only if the fast quorum fails
//!  reply       ●◀──────────┴────────────┴───────────┴───────────┘
//! ```
//!
//! One file for each idea: `normal_case` proposes and votes, `decide` counts votes and executes,
//! `fast_path` says when COMMITs are worth sending, `checkpoint` moves the watermarks, `catch_up`
//! makes links reliable, `state_transfer` asks for a state where that does not help, `suspicion`
//! says when a replica gives its primary up, `view_change` leaves a view, `new_view` computes what
//! the next one begins with, `view_entry` enters it; `epoch` ends an epoch and begins the next,
//! `learner` gets a lost vote back.

pub mod admission;
mod archive;
mod backlog;
mod catch_up;
pub mod census;
pub mod certificate;
mod checkpoint;
mod closing;
mod decide;
mod epoch;
mod evidence;
mod fast_path;
pub mod generosity;
mod learner;
pub mod message;
pub mod new_view;
mod normal_case;
mod order;
mod order_delays;
mod patience;
pub mod record;
mod restore;
mod slot;
mod state_transfer;
mod suspicion;
pub mod view_admission;
mod view_change;
mod view_entry;
mod votes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crypto::{Check, Digest, Kind, Signature, Signer, Verified};

use crate::cluster::Cluster;
use crate::configuration::Configuration;
use crate::ids::{Epoch, ReplicaId, SeqNo, Term, View};
use crate::keyring::Keyring;
use crate::pool::Pool;
use crate::protocol::{
    Action, Destination, Event, Horizon, Misbehaviour, Outbox, Protocol, Ticket, Timer, When,
};
use crate::report::{Report, Trigger};
use crate::request::Request;
use crate::settings::Policy;
use crate::time::Instant;
use crate::transfer::message::StateMessage;

use admission::Message;
use archive::Archive;
use backlog::Backlog;
use catch_up::{Fetching, PeerState};
use certificate::{StableCertificate, Statement};
use checkpoint::Claims;
use closing::Closing;
use epoch::Configured;
use evidence::EvidenceStore;
use fast_path::CommitPolicy;
use learner::Membership;
use message::{Commit, Mode, Prepare, Wire};
use order::OrderWatch;
use record::Record;
use slot::Window;
use state_transfer::StateRequests;
use suspicion::{ViewPatience, Watch};
use view_change::ViewChanges;
use view_entry::Assigned;

/// One replica of a PBFT cluster. A clone is a fork of history: for model checkers.
#[derive(Clone)]
pub struct Pbft {
    me: ReplicaId,
    keyring: Keyring,
    policy: Policy,
    signer: Arc<dyn Signer>,

    membership: Membership,
    epoch: Epoch,
    configured: Configured,
    /// Slots up to here belong to earlier epochs.
    epoch_start: SeqNo,
    view: View,
    mode: Mode,
    window: Window,
    stable: Option<StableCertificate>,
    archive: Archive,

    /// The primary's next sequence number to propose.
    next: SeqNo,
    /// The primary may not propose in the current view (R12, restart fence).
    fenced: bool,
    pool: Pool,
    backlog: Backlog,

    /// Handed to the executor without gaps up to here.
    execute_sent: SeqNo,
    /// Executed up to here.
    last_executed: SeqNo,
    /// Own state digests of checkpoints above h.
    own_states: BTreeMap<SeqNo, Digest>,
    claims: BTreeMap<SeqNo, Claims>,
    /// A valid certificate above what was executed here.
    ahead: Option<StableCertificate>,
    state_requests: StateRequests,

    tickets: Ticket,
    /// Everything up to here is durable.
    durable: Ticket,
    /// The record of the current view.
    view_recorded: Ticket,
    /// Own votes that count once their record is durable.
    promised: VecDeque<(Ticket, OwnVote)>,

    commits: CommitPolicy,
    peers: Vec<PeerState>,
    fetching: Fetching,
    evidence: EvidenceStore,
    view_changes: ViewChanges,
    assigned: Assigned,
    patience_of_views: ViewPatience,
    watch: Watch,
    order: OrderWatch,
    closing: Closing,
    halts_when_proven: bool,
    halted: bool,
}

/// A vote of this replica.
#[derive(Clone, Copy, Debug)]
enum OwnVote {
    Prepare(Prepare),
    Commit(Commit),
}

impl Pbft {
    /// A replica at the start of the epoch, in view 0.
    pub fn new(
        me: ReplicaId,
        cluster: Arc<Cluster>,
        policy: Policy,
        signer: Arc<dyn Signer>,
    ) -> Self {
        Self::with_keyring(me, Keyring::new(cluster), policy, signer)
    }

    /// The same with another signature scheme, for the simulator and the model checker.
    pub fn with_keyring(
        me: ReplicaId,
        keyring: Keyring,
        policy: Policy,
        signer: Arc<dyn Signer>,
    ) -> Self {
        let cluster = keyring.cluster();
        let n = cluster.quorums().n();
        let configured = Configured::genesis(Configuration::genesis(cluster));
        Pbft {
            me,
            window: Window::new(cluster.limits().log_window),
            archive: Archive::new(cluster.limits().log_window),
            commits: CommitPolicy::new(cluster.quorums(), &policy),
            pool: Pool::new(&policy),
            backlog: Backlog::default(),
            peers: vec![PeerState::default(); n],
            fetching: Fetching::default(),
            keyring,
            policy,
            signer,
            membership: Membership::default(),
            epoch: Epoch(0),
            configured,
            epoch_start: SeqNo(0),
            view: View(0),
            mode: Mode::Normal,
            stable: None,
            next: SeqNo(1),
            fenced: false,
            execute_sent: SeqNo(0),
            last_executed: SeqNo(0),
            own_states: BTreeMap::new(),
            claims: BTreeMap::new(),
            ahead: None,
            state_requests: StateRequests::default(),
            tickets: Ticket(0),
            durable: Ticket(0),
            view_recorded: Ticket(0),
            promised: VecDeque::new(),
            evidence: EvidenceStore::default(),
            view_changes: ViewChanges::default(),
            assigned: Assigned::default(),
            patience_of_views: ViewPatience::default(),
            watch: Watch::default(),
            order: OrderWatch::default(),
            closing: Closing::default(),
            halts_when_proven: true,
            halted: false,
        }
    }

    /// Does not stop when a proof shows that this key has signed two ways, but goes on as if there
    /// were none (R18). For wrappers, which know who has signed; never for a correct replica.
    pub fn go_on_when_proven(&mut self) {
        self.halts_when_proven = false;
    }

    /// This replica.
    pub fn id(&self) -> ReplicaId {
        self.me
    }

    /// The current epoch (R16).
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The current view.
    pub fn view(&self) -> View {
        self.view
    }

    /// Does it vote in that view, or wait for its NEW-VIEW?
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Epoch and view.
    pub fn term(&self) -> Term {
        Term {
            epoch: self.epoch,
            view: self.view,
        }
    }

    /// The primary of the current view.
    pub fn primary(&self) -> ReplicaId {
        self.cluster().primary(self.epoch, self.view)
    }

    /// h: the low watermark.
    pub fn stable(&self) -> SeqNo {
        self.window.low()
    }

    /// The last sequence number that was executed.
    pub fn last_executed(&self) -> SeqNo {
        self.last_executed
    }

    /// Requests that wait for ordering or execution.
    pub fn pending(&self) -> usize {
        self.pool.len()
    }

    fn cluster(&self) -> &Cluster {
        self.keyring.cluster()
    }

    fn is_primary(&self) -> bool {
        self.primary() == self.me
    }

    fn sign(&self, kind: Kind, body: &[u8]) -> Signature {
        self.signer
            .sign(&self.keyring.replica_digest(kind, self.epoch, self.me, body))
    }

    fn verify(&self, check: Result<Check<'_>, Misbehaviour>) -> bool {
        check.is_ok_and(|check| self.keyring.scheme().verify(&check))
    }

    fn persist(&mut self, record: Record, out: &mut Outbox<Self>) -> Ticket {
        self.tickets.0 += 1;
        out.push(Action::Persist(record));
        self.tickets
    }

    fn broadcast(&self, wire: Wire, when: When, out: &mut Outbox<Self>) {
        out.push(Action::Send {
            to: Destination::Others,
            wire,
            when,
        });
    }

    fn send(&self, to: ReplicaId, wire: Wire, out: &mut Outbox<Self>) {
        self.send_when(When::Now, to, wire, out);
    }

    fn send_when(&self, when: When, to: ReplicaId, wire: Wire, out: &mut Outbox<Self>) {
        if to != self.me {
            out.push(Action::Send {
                to: Destination::One(to),
                wire,
                when,
            });
        }
    }

    /// Stops for good: an invariant on which safety rests does not hold (R7.5).
    fn halt(&mut self, diagnosis: String, out: &mut Outbox<Self>) {
        self.halted = true;
        out.push(Action::Halt(diagnosis));
    }

    /// Own votes whose records became durable count from now on.
    fn on_persisted(&mut self, now: Instant, upto: Ticket, out: &mut Outbox<Self>) {
        self.durable = self.durable.max(upto);
        while let Some((ticket, vote)) = self.promised.front().copied() {
            if ticket > upto {
                break;
            }
            self.promised.pop_front();
            match vote {
                OwnVote::Prepare(vote) => {
                    if let Some(slot) = self.window.slot(vote.statement.seq) {
                        slot.vote_durable = true;
                    }
                    self.count_prepare(now, vote, out);
                }
                OwnVote::Commit(vote) => self.count_commit(now, vote, out),
            }
        }
    }

    fn on_message(
        &mut self,
        now: Instant,
        from: ReplicaId,
        message: Message,
        out: &mut Outbox<Self>,
    ) {
        if let Message::Status(status) = &message {
            self.note_progress_of(from, status);
        }
        if let Some(epoch) = message.epoch()
            && epoch != self.epoch
        {
            return self.on_other_epoch(now, from, epoch, message, out);
        }
        self.heard(now, from);
        match message {
            Message::PrePrepare(header, batch) => {
                self.on_pre_prepare(now, header, batch, out);
            }
            Message::InvalidProposal(header, why) => {
                self.on_invalid_proposal(now, &header, why, out)
            }
            Message::Prepare(vote) => self.on_prepare(now, vote, out),
            Message::Commit(vote) => self.on_commit(now, vote, out),
            Message::Checkpoint(claim) => self.on_checkpoint(now, claim, out),
            Message::Stable(certificate) => self.on_stable(now, certificate, out),
            Message::Status(status) => self.on_status(now, from, status, out),
            Message::Decision(certificate, batch) => {
                self.on_decision(now, certificate, batch, out);
            }
            Message::FetchBatch(seq, digest) => self.on_fetch_batch(from, seq, &digest, out),
            Message::Batch(batch) => self.on_batch(batch, out),
            Message::FetchDecisions(first, last) => {
                self.send_decisions(from, first, last, out);
            }
            Message::Forward(requests) => self.on_requests(now, Some(from), requests, out),
            Message::Evidence(proof) => self.on_evidence(now, proof, out),
            Message::ViewChange(sent) => self.on_view_change(now, *sent, out),
            Message::NewView(sent) => self.on_new_view(now, *sent, out),
            Message::InvalidNewView { view, why, .. } => {
                self.on_invalid_new_view(now, view, why, out);
            }
            Message::State(message) => out.push(Action::State { from, message }),
        }
    }
}

impl Protocol for Pbft {
    type Wire = Wire;
    type Message = Message;
    type Record = Record;

    fn examine<'k>(
        keyring: &'k Keyring,
        from: ReplicaId,
        wire: Wire,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<Message, Misbehaviour> {
        admission::examine(keyring, from, wire, checks)
    }

    fn settle(message: Message, verdicts: &[bool]) -> Result<Message, Misbehaviour> {
        admission::settle(message, verdicts)
    }

    fn requests_in(
        message: Verified<Message>,
    ) -> Result<Vec<Verified<Request>>, Verified<Message>> {
        match &*message {
            Message::Forward(requests) => Ok(requests
                .iter()
                // Parts of a verified message: admission has left out what does not verify.
                .map(|request| Verified::own(request.clone()))
                .collect()),
            _ => Err(message),
        }
    }

    fn horizon(&self) -> Option<Horizon> {
        Some(Horizon {
            epoch: self.epoch,
            seq: self.window.horizon(),
        })
    }

    fn is_beyond(wire: &Wire, horizon: Horizon) -> bool {
        let (epoch, seq) = match wire {
            Wire::PrePrepare(header, _) => (header.epoch, header.statement.seq),
            Wire::Prepare(vote) => (vote.epoch, vote.statement.seq),
            Wire::Commit(vote) => (vote.epoch, vote.statement.seq),
            _ => return false,
        };
        epoch == horizon.epoch && seq > horizon.seq
    }

    fn state_wire(message: StateMessage) -> Wire {
        Wire::State(message)
    }

    fn restore(&mut self, record: Record) {
        self.restore_record(record);
    }

    fn step(&mut self, now: Instant, event: Event<Verified<Message>>, out: &mut Outbox<Self>) {
        if self.halted {
            return;
        }
        match event {
            Event::Started => self.on_started(now, out),
            Event::Received { from, message } => {
                self.on_message(now, from, message.into_inner(), out);
            }
            Event::Arrived { from, at } => self.heard(at, from),
            Event::Requested { from, requests } => {
                let requests = requests.into_iter().map(Verified::into_inner).collect();
                self.on_requests(now, from, requests, out);
            }
            Event::Persisted(upto) => self.on_persisted(now, upto, out),
            Event::TimerFired(Timer::Batch) => self.propose(now, out),
            Event::TimerFired(Timer::Status) => self.on_status_timer(now, out),
            Event::TimerFired(Timer::Fast) => self.on_fast_timer(now, out),
            Event::TimerFired(Timer::Request) => self.on_request_timer(now, out),
            Event::TimerFired(Timer::NewView) => self.on_new_view_timer(now, out),
            Event::TimerFired(Timer::Retransmit) => self.on_retransmit_timer(out),
            Event::TimerFired(Timer::Heartbeat) => self.on_heartbeat_timer(now, out),
            Event::TimerFired(Timer::Wrapper) => {}
            Event::Executed(seq) => self.on_executed(seq, out),
            Event::StateSaved { seq, digest } => self.on_state_saved(now, seq, digest, out),
            Event::StateInstalled {
                seq,
                digest,
                configuration,
            } => self.on_state_installed(now, (seq, digest), configuration, out),
        }
        if self.halted {
            out.end_at_halt();
        }
    }
}

impl Pbft {
    fn on_started(&mut self, now: Instant, out: &mut Outbox<Self>) {
        self.record_restored_role(out);
        self.record_restored_epoch(out);
        self.status_timer_set(now);
        out.push(Action::SetTimer {
            timer: Timer::Status,
            after: self.policy.status_interval,
        });
        if self.epoch > Epoch(0) {
            out.push(Action::Report(Report::EpochEntered(self.epoch)));
        }
        out.push(Action::Report(Report::EnteredView(self.view)));
        // Peers may lack what was sent before a restart: they are told where we stand at once,
        // and their answers bring us up to date.
        self.broadcast_status(out);
        match self.mode {
            Mode::ViewChange => self.on_retransmit_timer(out),
            // A proposal of this view may have left without a trace (R12): let others lead.
            Mode::Normal if self.fenced && self.is_primary() => {
                self.start_view_change(now, self.view.next(), Trigger::Restart, out);
            }
            Mode::Normal => {
                self.accept_assigned(out);
                self.watch_primary(now, out);
            }
        }
    }

    fn statement(&self, seq: SeqNo, digest: Digest) -> Statement {
        Statement {
            view: self.view,
            seq,
            digest,
        }
    }
}
