//! The driver: gives a protocol its inputs and performs its actions (ARCHITECTURE.md 3).
//!
//! ```text
//!   Burst ──► step … step ──► records as one group ──► disk ─ ticket ─┐
//!   (all that came in          Now messages ──► peers                 │
//!    since the last turn)      Durable messages ──► gate ◄────────────┘
//!                              batches ──► executor ──► replies, Executed, checkpoint
//! ```
//!
//! One call of [`Driver::turn`] takes everything that has come in, so one write to disk and one
//! hand-over to each transport serve many slots. What other replicas wait for leaves before the
//! batches are executed. The driver has no thread, no clock and no socket of its own: `core_loop`
//! gives it those, tests give it lists.

mod answers;
mod burst;
mod certificates;
pub mod core_loop;
mod gate;
mod moments;
pub mod ports;
mod reads;
mod requests;
mod resends;
mod settling;
mod timers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use consensus::report::Path;
use consensus::transfer::message::StateMessage;
use consensus::transfer::{Effect, Target};
use consensus::{
    Action, Batch, Cluster, Configuration, Destination, Event, Executor, Instant, Outbox, Protocol,
    Read, ReadGate, ReplicaId, Reply, Report, SeqNo, Term, Ticket, Timer, Transfer, Transferable,
    View,
};
use crypto::{Digest, Verified};

use crate::observer::{CommittedEntry, Observer};
use crate::transport::clients::claimed_id;
use answers::{Answers, Occasion};
pub use burst::{BURST_MAX, Burst};
use certificates::Certificates;
use gate::Gate;
use moments::Moments;
use ports::{Checkpoint, Describe, Disk, Milestone, Network, Outgoing};
use reads::ReadBudget;
use resends::Resends;
use timers::Timers;

/// Why a driver takes no further turn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It was asked to.
    #[error("asked to stop")]
    Asked,
    /// The protocol found a broken invariant (R7.5).
    #[error(
        "the protocol halted: {0}; keep this replica's directory and log for inspection, and do not restart it before the cause is known"
    )]
    Halted(String),
    /// The disk failed; what was promised on it can no longer be relied on.
    #[error("storage failed: {0}")]
    Disk(String),
}

/// A protocol, the state that it replicates, and the ports to the world.
pub struct Driver<P: Protocol, S: Transferable, D, N> {
    protocol: P,
    executor: Executor<S>,
    disk: D,
    network: N,
    observer: Arc<Observer>,
    answers: Answers,
    resends: Resends,
    gate_of_reads: ReadGate,
    read_budget: ReadBudget,
    /// What clients were told last.
    hinted: Term,
    moments: Moments,
    timers: Timers,
    gate: Gate,
    issued: Ticket,
    outbox: Outbox<P>,
    /// Events that actions of this turn have brought about.
    consequences: VecDeque<Event<Verified<P::Message>>>,
    turn: Turn<P::Record>,
    /// How slots were decided that are not executed yet; at most a window of them (R5).
    decided: BTreeMap<SeqNo, Path>,
    /// Checkpoints on their way to disk; at most those of a window.
    saving: VecDeque<Saving>,
    transfer: Transfer<S>,
    certificates: Certificates<P::Record>,
}

/// A state on its way to disk.
#[derive(Debug)]
struct Saving {
    seq: SeqNo,
    digest: Digest,
    /// Of a state that was fetched from other replicas.
    installed: Option<Configuration>,
}

/// What this turn hands over at its end.
#[derive(Debug)]
struct Turn<R> {
    records: Vec<R>,
    messages: Vec<Outgoing>,
    replies: Vec<Reply>,
    reads: Vec<Verified<Read>>,
    executions: VecDeque<Execution>,
    transfers: VecDeque<TransferInput>,
    truncate: Option<SeqNo>,
}

/// What the state transfer is to be told once no batch waits for execution.
#[derive(Debug)]
enum TransferInput {
    Fetch(Target),
    Message(ReplicaId, StateMessage),
    Stable(SeqNo),
}

#[derive(Debug)]
struct Execution {
    seq: SeqNo,
    view: View,
    batch: Option<Arc<Batch>>,
    checkpoint: bool,
}

impl<P, S, D, N> Driver<P, S, D, N>
where
    P: Protocol,
    S: Transferable,
    D: Disk<P::Record, S::Change>,
    N: Network + Describe<P::Wire>,
{
    /// A driver whose protocol has been given its durable records and whose executor holds the
    /// state that goes with them.
    pub fn new(
        me: ReplicaId,
        cluster: &Arc<Cluster>,
        protocol: P,
        executor: Executor<S>,
        disk: D,
        network: N,
        observer: Arc<Observer>,
    ) -> Self {
        let executed = executor.last_executed();
        Driver {
            protocol,
            executor,
            disk,
            network,
            observer,
            answers: Answers {
                me,
                n: cluster.quorums().n(),
                term: Term::default(),
            },
            resends: Resends::default(),
            gate_of_reads: ReadGate::restarted(executed, cluster.limits()),
            read_budget: ReadBudget::default(),
            hinted: Term::default(),
            moments: Moments::default(),
            timers: Timers::default(),
            gate: Gate::default(),
            issued: Ticket(0),
            outbox: Outbox::new(),
            consequences: VecDeque::new(),
            turn: Turn {
                records: Vec::new(),
                messages: Vec::new(),
                replies: Vec::new(),
                reads: Vec::new(),
                executions: VecDeque::new(),
                transfers: VecDeque::new(),
                truncate: None,
            },
            decided: BTreeMap::new(),
            saving: VecDeque::new(),
            transfer: Transfer::new(me, Arc::clone(cluster)),
            certificates: Certificates::default(),
        }
    }

    /// This replica has never run before: there is nothing that it could have forgotten, and it
    /// answers reads from the start (R14).
    #[must_use]
    pub fn first_run(mut self) -> Self {
        self.gate_of_reads = ReadGate::founded();
        self
    }

    /// Begins: the replica is up.
    ///
    /// # Errors
    /// If the protocol halts.
    pub fn start(&mut self, now: Instant) -> Result<(), Stop> {
        if self.executor.last_executed() > SeqNo(0) {
            self.transfer.checkpoint(now, &mut self.executor);
        }
        self.step(now, Event::Started)?;
        self.finish(now)
    }

    /// When [`Driver::turn`] must be called even if nothing comes in.
    pub fn deadline(&self) -> Option<Instant> {
        let transfer = self.transfer.deadline();
        [self.timers.next(), transfer].into_iter().flatten().min()
    }

    /// Takes in everything that has happened and does everything that follows from it.
    ///
    /// # Errors
    /// If the driver must stop; what this turn would have sent is then not sent.
    pub fn turn(&mut self, now: Instant, burst: Burst<P::Message>) -> Result<(), Stop> {
        if let Some(failure) = burst.disk_failed {
            return Err(Stop::Disk(failure));
        }
        if let Some(ticket) = burst.durable {
            self.moments.durable(ticket, &self.observer.phases);
            self.gate.release(ticket, &mut self.turn.messages);
            self.step(now, Event::Persisted(ticket))?;
        }
        while let Some(Saving {
            seq,
            digest,
            installed,
        }) = self
            .saving
            .pop_front_if(|next| burst.saved.is_some_and(|saved| next.seq <= saved))
        {
            let event = match installed {
                None => Event::StateSaved { seq, digest },
                Some(configuration) => Event::StateInstalled {
                    seq,
                    digest,
                    configuration,
                },
            };
            self.step(now, event)?;
        }
        for (from, message) in burst.messages {
            match P::requests_in(message) {
                Ok(requests) => self.take_forwarded(now, from, requests)?,
                Err(message) => self.step(now, Event::Received { from, message })?,
            }
        }
        let clients = burst.requests.iter().map(|request| request.id.client);
        let trials = self.observer.overload.trials(clients);
        let requests = self.take_unknown(now, burst.requests);
        if !requests.is_empty() {
            self.step(
                now,
                Event::Requested {
                    from: None,
                    requests,
                },
            )?;
        }
        self.observer.overload.over(trials);
        while let Some(timer) = self.timers.expired(now) {
            if timer == Timer::Heartbeat {
                self.note_arrivals(now)?;
            }
            self.step(now, Event::TimerFired(timer))?;
        }
        self.turn.reads = burst.reads;
        self.finish(now)?;
        if burst.stop { Err(Stop::Asked) } else { Ok(()) }
    }

    /// A peer whose messages wait for verification here is not silent.
    fn note_arrivals(&mut self, now: Instant) -> Result<(), Stop> {
        for from in (0..).map(ReplicaId).take(self.answers.n) {
            let Some(ago) = self.observer.since_arrival(from) else {
                continue;
            };
            let ago = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
            let at = Instant(now.0.saturating_sub(ago));
            self.step(now, Event::Arrived { from, at })?;
        }
        Ok(())
    }

    /// Steps the protocol and sorts its actions; executions wait for [`Driver::finish`].
    fn step(&mut self, now: Instant, event: Event<Verified<P::Message>>) -> Result<(), Stop> {
        let mut outbox = std::mem::take(&mut self.outbox);
        self.protocol.step(now, event, &mut outbox);
        for action in outbox.drain() {
            self.perform(now, action)?;
        }
        self.outbox = outbox;
        Ok(())
    }

    fn perform(&mut self, now: Instant, action: Action<P::Wire, P::Record>) -> Result<(), Stop> {
        match action {
            Action::Persist(record) => {
                self.issued.0 += 1;
                self.turn.records.push(record);
            }
            Action::Send { to, wire, when } => {
                self.note_milestone(&wire);
                let message = self.outgoing(to, &wire);
                let ready = match when {
                    consensus::protocol::When::Now => Some(message),
                    consensus::protocol::When::Durable => self.gate.hold(self.issued, message),
                };
                self.turn.messages.extend(ready);
            }
            Action::Execute {
                seq,
                view,
                batch,
                checkpoint,
            } => {
                self.turn.executions.push_back(Execution {
                    seq,
                    view,
                    batch,
                    checkpoint,
                });
            }
            Action::FetchState {
                epoch,
                seq,
                digest,
                certificate,
            } => {
                self.certificates.keep(seq, certificate);
                let target = Target { epoch, seq, digest };
                self.turn.transfers.push_back(TransferInput::Fetch(target));
            }
            Action::State { from, message } => {
                let input = TransferInput::Message(from, message);
                self.turn.transfers.push_back(input);
            }
            Action::Busy { id, retry_after_ms } => {
                self.observer.counters.busy.add(1);
                self.observer.phases.request_refused(id);
                self.turn_away(id, retry_after_ms);
            }
            Action::Truncate(upto) => {
                self.turn.truncate = self.turn.truncate.max(Some(upto));
            }
            Action::SetTimer { timer, after } => self.timers.set(now, timer, after),
            Action::CancelTimer(timer) => self.timers.cancel(timer),
            Action::Report(report) => self.take_report(&report),
            Action::Halt(diagnosis) => return Err(Stop::Halted(diagnosis)),
        }
        Ok(())
    }

    fn note_milestone(&mut self, wire: &P::Wire) {
        let phases = &self.observer.phases;
        match N::milestone(wire) {
            Some(Milestone::Proposal(_, Some(requests))) => {
                let now = phases.now();
                for id in requests.iter().filter_map(|raw| claimed_id(&raw)) {
                    phases.request_proposed(id, now);
                }
            }
            Some(Milestone::Vote(seq)) => self.moments.voted(seq, phases),
            Some(Milestone::Commit(seq)) => self.moments.committed(seq, phases),
            Some(Milestone::Proposal(..)) | None => {}
        }
    }

    fn outgoing(&self, to: Destination, wire: &P::Wire) -> Outgoing {
        let kind = N::kind(wire);
        self.observer.sent(kind);
        Outgoing {
            to,
            lane: N::lane(wire),
            kind,
            bytes: Bytes::from(crypto::encode(wire)),
        }
    }

    fn take_report(&mut self, report: &Report) {
        self.gate_of_reads.note(report);
        match report {
            Report::Stable { seq, .. } => {
                let input = TransferInput::Stable(*seq);
                self.turn.transfers.push_back(input);
            }
            Report::Decided { seq, path, .. } => {
                self.decided.insert(*seq, *path);
                self.moments.decided(*seq, *path, &self.observer.phases);
            }
            Report::EpochEntered(epoch) => self.answers.term.epoch = *epoch,
            Report::EnteredView(view) => {
                self.answers.term.view = *view;
                if self.hinted != self.answers.term {
                    self.hinted = self.answers.term;
                    self.network.hint(self.hinted);
                }
            }
            _ => {}
        }
        self.observer.report(report);
    }

    /// Hands over what the steps have gathered, then executes batch by batch.
    fn finish(&mut self, now: Instant) -> Result<(), Stop> {
        loop {
            self.hand_over();
            if let Some(execution) = self.turn.executions.pop_front() {
                self.execute(now, execution);
            }
            if let Some(event) = self.consequences.pop_front() {
                self.step(now, event)?;
            } else if self.turn.executions.is_empty() {
                // No batch is waiting: the state may be exchanged.
                if !self.transfer_turn(now)? {
                    break;
                }
            }
        }
        self.hand_over();
        self.answer_reads(now);
        if !self.turn.replies.is_empty() {
            self.network.reply(std::mem::take(&mut self.turn.replies));
        }
        self.moments.answered(&self.observer.phases);
        self.observer
            .counters
            .gate_high
            .raise(self.gate.len() as u64);
        self.observer.look_as_far_as(self.protocol.horizon());
        Ok(())
    }

    /// Records first: the disk works while the messages are written.
    fn hand_over(&mut self) {
        if let Some(upto) = self.turn.truncate.take() {
            self.disk.truncate(upto);
        }
        if !self.turn.records.is_empty() {
            self.moments.persisting(self.issued, &self.observer.phases);
            self.disk
                .persist(std::mem::take(&mut self.turn.records), self.issued);
        }
        if !self.turn.messages.is_empty() {
            self.network.send(std::mem::take(&mut self.turn.messages));
        }
    }

    /// Lets the state transfer take in one thing, or look at the time. Says whether there may be
    /// more to do.
    fn transfer_turn(&mut self, now: Instant) -> Result<bool, Stop> {
        let (transfer, executor) = (&mut self.transfer, &mut self.executor);
        let mut effects = Vec::new();
        let input = self.turn.transfers.pop_front();
        let more = input.is_some();
        match input {
            Some(TransferInput::Fetch(target)) => {
                transfer.begin(now, target, executor, &mut effects);
            }
            Some(TransferInput::Message(from, message)) => {
                transfer.on_message(now, from, message, executor, &mut effects);
            }
            Some(TransferInput::Stable(seq)) => transfer.stable(now, seq, executor),
            None => transfer.tick(now, executor, &mut effects),
        }
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    let message = self.outgoing(Destination::One(to), &P::state_wire(message));
                    self.turn.messages.push(message);
                }
                Effect::Installed {
                    seq,
                    digest,
                    configuration,
                } => {
                    self.decided = self.decided.split_off(&seq.next());
                    if let Some(certificate) = self.certificates.take(seq) {
                        self.disk.certify(certificate);
                    }
                    self.save(seq, digest, Some(configuration));
                }
                Effect::Report(report) => self.take_report(&report),
                Effect::Halt(diagnosis) => return Err(Stop::Halted(diagnosis)),
            }
        }
        Ok(more)
    }

    fn execute(&mut self, now: Instant, execution: Execution) {
        let Execution {
            seq,
            view,
            batch,
            checkpoint,
        } = execution;
        if seq <= self.executor.last_executed() {
            // A state was installed that has it.
            self.decided.remove(&seq);
            self.consequences.push_back(Event::Executed(seq));
            return;
        }
        let executed = self.executor.execute(seq, batch.as_deref());
        let requests = executed.iter().filter(|item| item.fresh).count();
        for item in executed {
            let occasion = if item.fresh {
                Occasion::Execution
            } else {
                Occasion::Retransmission
            };
            self.turn.replies.push(
                self.answers
                    .reply(item.id, item.seq, item.outcome, occasion),
            );
        }
        let path = self.decided.remove(&seq).unwrap_or(Path::Transfer);
        let digest = batch
            .as_ref()
            .map_or_else(consensus::batch::null_digest, |batch| batch.digest());
        let ops = batch.as_ref().map_or(0, |batch| batch.ops());
        self.observer.executed(
            CommittedEntry {
                seq,
                view,
                digest,
                path,
                ops,
            },
            requests,
            batch,
        );
        self.moments.executed(seq);
        self.consequences.push_back(Event::Executed(seq));
        if checkpoint {
            let digest = self.executor.checkpoint();
            self.save(seq, digest, None);
            self.transfer.checkpoint(now, &mut self.executor);
        }
    }

    /// Gives the state at a checkpoint to the disk: what has changed since it was last given.
    fn save(&mut self, seq: SeqNo, digest: Digest, installed: Option<Configuration>) {
        let changes = self.executor.machine_mut().take_changes();
        let sessions = self.executor.sessions().clone();
        self.observer
            .checkpoint(seq, digest, self.executor.sessions().replies());
        self.saving.push_back(Saving {
            seq,
            digest,
            installed,
        });
        self.disk.save(Checkpoint {
            seq,
            digest,
            changes,
            sessions,
            configuration: self.executor.configuration().to_bytes(),
            earlier: self.executor.earlier_checkpoints(),
        });
    }

    /// The disk, once the driver takes no further turn.
    pub fn into_disk(self) -> D {
        self.disk
    }
}
