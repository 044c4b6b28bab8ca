//! What drives a replica in the simulated world: it hands the protocol what arrives, and performs
//! the actions it answers with on a network, a disk and timers that are all simulated.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::protocol::When;
use consensus::reply::{FULL_RESULT_MAX, designated};
use consensus::transfer::Target;
use consensus::{
    Action, Batch, Destination, Event, Instant, Lookup, Outcome as Answer, Protocol, ReplicaId,
    Request, ResultBody, SeqNo, Ticket, Timer,
};
use crypto::Verified;
use rand::RngExt;

use crate::check::Said;
use crate::disk::Saved;
use crate::network::{Content, Fate, Packet, nanos};
use crate::node::CrashPoint;
use crate::persistence::{Place, name, state};
use crate::queue::What;
use crate::world::World;

/// What a sync takes on a slow disk.
const SLOW_SYNC: Duration = Duration::from_millis(500);

type Happening = Event<Verified<<Pbft as Protocol>::Message>>;

impl World<'_> {
    pub(crate) fn deliver(&mut self, to: usize, packet: &Packet) {
        let Some(running) = &self.nodes[to].running else {
            return;
        };
        self.stats.delivered += 1;
        let from = packet.from;
        match &packet.content {
            Content::Message(message) => {
                let message = Verified::clone(message);
                self.step(to, Event::Received { from, message });
            }
            // As a replica's driver does: what the session table knows is not ordered again.
            Content::Forwarded(requests) => {
                let is_new =
                    |request: &&Verified<Request>| running.executor.lookup(request) == Lookup::New;
                let requests: Vec<_> = requests.iter().filter(is_new).cloned().collect();
                if !requests.is_empty() {
                    let from = Some(from);
                    self.step(to, Event::Requested { from, requests });
                }
            }
        }
    }

    /// As a replica's driver does: session table first, then the protocol.
    pub(crate) fn deliver_request(&mut self, to: usize, raw: Bytes) {
        let Some(running) = &self.nodes[to].running else {
            return;
        };
        let request = match Request::parse(raw, self.cluster.limits()) {
            Ok(request) => request,
            Err(error) => return self.ledger.violation(format!("request: {error}")),
        };
        self.first.hears(to, &request);
        match running.executor.lookup(&request) {
            // A crash would take away what it answers for (R14).
            Lookup::Done(..)
                if self.cluster.limits().quorum_reads && self.nodes[to].disk.is_installing() => {}
            Lookup::Done(seq, outcome) => {
                self.stats.replies_resent += 1;
                let term = running.protocol.term();
                self.reply(to, term, request.id, seq, outcome);
            }
            Lookup::Refused(_) if request.id.client.0 >= self.config.clients => {
                self.stats.rogue_refused += 1;
            }
            Lookup::Refused(_) => {}
            Lookup::New => {
                let checks: Vec<_> = request.check(&self.keyring).into_iter().collect();
                let of_a_rogue = request.id.client.0 >= self.config.clients;
                match crypto::admit(request, &checks, self.keyring.scheme()) {
                    Ok(request) => {
                        let requests = vec![request];
                        let from = None;
                        self.step(to, Event::Requested { from, requests });
                    }
                    Err(_) if of_a_rogue => self.stats.rogue_bad_signatures += 1,
                    Err(error) => self.ledger.violation(format!("request: {error}")),
                }
            }
        }
    }

    /// A timer runs out, unless it was replaced, or the clock was set back meanwhile.
    pub(crate) fn timer_runs_out(&mut self, at: u32, timer: Timer, generation: u64) {
        let node = &mut self.nodes[at as usize];
        let Some(running) = &mut node.running else {
            return;
        };
        let Some(deadline) = running.deadline(timer, generation) else {
            return;
        };
        if node.clock.read(self.now) < deadline {
            let after = node.clock.until(self.now, deadline) + Duration::from_nanos(1);
            return self.schedule(
                after,
                What::Timer {
                    at,
                    timer,
                    generation,
                },
            );
        }
        running.cancel_timer(timer);
        self.note(4, at, timer as u64);
        if timer != Timer::Status {
            self.chart(|world| format!("{:<4} timer {timer:?}", world.name(at as usize)));
        }
        self.step(at as usize, Event::TimerFired(timer));
    }

    pub(crate) fn step(&mut self, at: usize, event: Happening) {
        let local = self.nodes[at].clock.read(self.now);
        let mut out = std::mem::take(&mut self.outbox);
        let mut consequences = VecDeque::new();
        let mut next = Some(event);
        while let Some(event) = next {
            let Some(running) = &mut self.nodes[at].running else {
                break;
            };
            running.protocol.step(local, event, &mut out);
            for action in out.drain() {
                consequences.extend(self.perform(at, local, action));
            }
            next = consequences.pop_front();
        }
        self.outbox = out;
        self.sync(at);
    }

    /// Performs an action of no event, for tests.
    #[cfg(test)]
    pub(crate) fn act(&mut self, at: usize, action: Action<Wire, <Pbft as Protocol>::Record>) {
        let consequence = self.perform(at, self.now, action);
        debug_assert!(consequence.is_none(), "nothing is executed");
    }

    /// Performs one action; a crash on the way leaves the rest undone.
    fn perform(
        &mut self,
        at: usize,
        local: Instant,
        action: Action<Wire, <Pbft as Protocol>::Record>,
    ) -> Option<Happening> {
        let node = &mut self.nodes[at];
        let running = node.running.as_mut()?;
        match action {
            Action::Persist(record) => self.append(at, record),
            Action::Truncate(seq) => node.disk.truncate(seq),
            Action::FetchState {
                epoch, seq, digest, ..
            } => {
                let target = Target { epoch, seq, digest };
                self.transfer(
                    at,
                    Box::new(move |now, transfer, executor, out| {
                        transfer.begin(now, target, executor, out);
                    }),
                );
            }
            Action::State { from, message } => self.transfer(
                at,
                Box::new(move |now, transfer, executor, out| {
                    transfer.on_message(now, from, message, executor, out);
                }),
            ),
            Action::Send { to, wire, when } => self.send(at, to, wire, when),
            Action::Execute {
                seq,
                batch,
                checkpoint,
                ..
            } => {
                return self.execute(at, seq, batch, checkpoint);
            }
            Action::Busy { id, retry_after_ms } => {
                let term = running.protocol.term();
                self.reply(at, term, id, SeqNo(0), Answer::Busy { retry_after_ms });
            }
            Action::SetTimer { timer, after } => {
                node.timer_generation += 1;
                let generation = node.timer_generation;
                let deadline = local + after;
                running.set_timer(timer, generation, deadline);
                let due = node.clock.until(self.now, deadline);
                let at = at as u32;
                self.schedule(
                    due,
                    What::Timer {
                        at,
                        timer,
                        generation,
                    },
                );
            }
            Action::CancelTimer(timer) => running.cancel_timer(timer),
            Action::Report(report) => self.report(at, report),
            Action::Halt(diagnosis) => self.halts(at, &diagnosis),
        }
        None
    }

    fn append(&mut self, at: usize, record: <Pbft as Protocol>::Record) {
        let about = [name(&record)];
        if self.comes_to(at, Place::Append, &about) {
            return;
        }
        let node = &mut self.nodes[at];
        if let Some(running) = &mut node.running {
            running.tickets.0 += 1;
            node.disk.write(running.tickets, record);
        }
        self.comes_to(at, Place::Appended, &about);
    }

    /// A broken invariant: of a Byzantine member that is nobody else's concern.
    pub(crate) fn halts(&mut self, at: usize, diagnosis: &str) {
        self.chart(|world| format!("{:<4} HALTS: {diagnosis}", world.name(at)));
        if self.nodes[at].is_byzantine() {
            self.nodes[at].running = None;
        } else {
            self.ledger
                .violation(format!("halt: replica {at}: {diagnosis}"));
        }
    }

    /// Sends a message when it may leave.
    pub(crate) fn send(&mut self, at: usize, to: Destination, wire: Wire, when: When) {
        if self.nodes[at].bends() {
            return self.send_bent(at, to, wire, when);
        }
        if let Some(packet) = self.pack(at, &wire) {
            self.send_packet(at, to, packet, when);
        }
    }

    pub(crate) fn send_packet(
        &mut self,
        at: usize,
        to: Destination,
        packet: Rc<Packet>,
        when: When,
    ) {
        if let Some(running) = &mut self.nodes[at].running {
            let waits = when == When::Durable
                && running.tickets > running.durable
                && !self.config.faults.haste;
            if waits {
                let ticket = running.tickets;
                return running.gated.push_back((ticket, to, packet));
            }
            self.transmit(at, to, &packet);
        }
    }

    fn execute(
        &mut self,
        at: usize,
        seq: SeqNo,
        batch: Option<Arc<Batch>>,
        checkpoint: bool,
    ) -> Option<Happening> {
        let node = &mut self.nodes[at];
        let running = node.running.as_mut()?;
        if seq <= running.executor.last_executed() {
            // A state was installed that has it.
            return Some(Event::Executed(seq));
        }
        let term = running.protocol.term();
        let heard = self.first.as_heard(at, batch.as_deref());
        let batch_of_it = heard.as_ref().or(batch.as_deref());
        let executed = running.executor.execute(seq, batch_of_it);
        if !node.is_byzantine() {
            self.ledger.executed(at, seq, batch.as_ref());
        }
        self.note(9, at as u32, seq.0);
        self.chart(|world| format!("{:<4} executes {seq:?}", world.name(at)));
        let n = usize::from(self.config.n);
        for answer in executed {
            let full = answer.outcome;
            // One replica sends a large result, the others its digest (R6).
            let outcome = match full {
                Answer::Executed(ResultBody::Full(ref results))
                    if results.as_bytes().len() > FULL_RESULT_MAX
                        && designated(answer.seq, answer.id.number, n) != self.nodes[at].id =>
                {
                    Answer::Executed(ResultBody::Hash(crypto_digest(&full)))
                }
                full => full,
            };
            self.reply(at, term, answer.id, answer.seq, outcome);
        }
        if checkpoint {
            self.begin_save(at, seq, false);
            self.checkpoint_executed(at);
        }
        self.caught_up();
        Some(Event::Executed(seq))
    }

    /// Gives the state at a checkpoint to the disk; `installed`: it was fetched.
    pub(crate) fn begin_save(&mut self, at: usize, seq: SeqNo, installed: bool) {
        let node = &mut self.nodes[at];
        if let Some(running) = &node.running
            && !node.is_byzantine()
        {
            self.ledger.holds(at, seq, running.executor.machine());
        }
        let Some(delta) = node.delta(seq, installed) else {
            return;
        };
        if node.disk.save(delta) {
            self.schedule_save(at);
        }
        if self.comes_to(at, Place::Saving, &[state(installed)]) {
            return;
        }
        if self.nodes[at].armed == Some(CrashPoint::InSave) {
            self.stats.crashes_at_save += 1;
            self.crash(at);
        }
    }

    fn schedule_save(&mut self, at: usize) {
        let life = self.nodes[at].life;
        // A state is larger than a vote.
        let after = self.sync_time(at) * 4;
        self.schedule(
            after,
            What::Saved {
                at: at as u32,
                life,
            },
        );
    }

    /// A checkpoint's state is on disk.
    pub(crate) fn saved(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(Saved {
            seq,
            digest,
            installed,
        }) = node.disk.end_save()
        else {
            return;
        };
        let byzantine = node.is_byzantine();
        self.note(7, at as u32, crate::mix::of_bytes(digest.as_bytes()));
        if !byzantine {
            self.ledger.saved(at, seq, digest);
        }
        if self.comes_to(at, Place::Saved, &[state(installed.is_some())]) {
            return;
        }
        if self.nodes[at].armed == Some(CrashPoint::AfterSave) {
            self.stats.crashes_at_save += 1;
            return self.crash(at);
        }
        let event = match installed {
            None => Event::StateSaved { seq, digest },
            Some(configuration) => Event::StateInstalled {
                seq,
                digest,
                configuration,
            },
        };
        self.step(at, event);
        if self.nodes[at].running.is_some() && self.nodes[at].disk.is_saving() {
            self.schedule_save(at);
        }
    }

    fn sync_time(&mut self, at: usize) -> Duration {
        if self.now < self.nodes[at].slow_until {
            return SLOW_SYNC;
        }
        let (from, to) = (self.config.sync.start, self.config.sync.end);
        Duration::from_nanos(self.rng.random_range(nanos(from)..nanos(to)))
    }

    fn sync(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.running.is_none() {
            return;
        }
        if node.armed == Some(CrashPoint::BeforeSync) && node.disk.has_waiting() {
            self.stats.crashes_before_sync += 1;
            return self.crash(at);
        }
        if node.disk.begin_sync() {
            if self.may_tear(at) {
                return;
            }
            let (life, armed) = (self.nodes[at].life, self.nodes[at].armed);
            let after = self.sync_time(at);
            let at = at as u32;
            self.schedule(after, What::Synced { at, life });
            if armed == Some(CrashPoint::InSync) {
                let part = after.mul_f64(self.rng.random_range(0.0..1.0));
                let crash = crate::queue::Remedy::Crash { at, life };
                self.schedule(part, What::Remedy(crash));
            }
        }
    }

    /// A sync is done: what waited for it may leave.
    pub(crate) fn synced(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        match node.armed {
            Some(CrashPoint::SyncFails) => {
                self.stats.syncs_failed += 1;
                return self.crash(at);
            }
            Some(CrashPoint::NoRoom) => {
                self.stats.disks_full += 1;
                return self.crash(at);
            }
            _ => {}
        }
        let group = self.group(at);
        let upto = self.nodes[at].disk.end_sync();
        if upto.is_some() && self.comes_to(at, Place::Synced, &group) {
            return;
        }
        let node = &self.nodes[at];
        if node.armed == Some(CrashPoint::AfterSync) && upto.is_some() {
            self.stats.crashes_after_sync += 1;
            return self.crash(at);
        }
        if let Some(upto) = upto {
            self.note(8, at as u32, upto.0);
            while let Some(running) = &mut self.nodes[at].running {
                running.durable = upto;
                if running
                    .gated
                    .front()
                    .is_none_or(|(ticket, ..)| *ticket > upto)
                {
                    break;
                }
                if let Some((_, to, packet)) = running.gated.pop_front() {
                    self.transmit(at, to, &packet);
                }
            }
            self.comes_to(at, Place::Released, &group);
            self.step(at, Event::Persisted(Ticket(upto.0)));
        }
        self.sync(at);
    }

    /// Encodes a message, decodes it again and admits it, as every receiver would.
    pub(crate) fn pack(&mut self, at: usize, wire: &Wire) -> Option<Rc<Packet>> {
        let from = self.nodes[at].id;
        let bytes = crypto::encode(wire);
        let received: Wire = match crypto::decode(&bytes) {
            Ok(received) => received,
            Err(error) => {
                self.ledger
                    .violation(format!("codec: own message refused: {error}"));
                return None;
            }
        };
        let mut checks = Vec::new();
        let examined = Pbft::examine(&self.keyring, from, received, &mut checks);
        let admitted =
            examined.map(|message| crypto::admit(message, &checks, self.keyring.scheme()));
        let message = match admitted {
            Ok(Ok(message)) => message,
            refused => {
                self.ledger.violation(format!(
                    "admission: {} of replica {from} refused: {refused:?}",
                    wire.name()
                ));
                return None;
            }
        };
        Some(self.packet(from, wire, message, &bytes))
    }

    pub(crate) fn packet(
        &self,
        from: ReplicaId,
        wire: &Wire,
        message: Verified<<Pbft as Protocol>::Message>,
        bytes: &[u8],
    ) -> Rc<Packet> {
        let content = match Pbft::requests_in(message) {
            Ok(requests) => Content::Forwarded(requests),
            Err(message) => Content::Message(Box::new(message)),
        };
        let label = match &self.recorder {
            Some(_) => crate::trace::label(wire),
            None => String::new(),
        };
        Rc::new(Packet {
            from,
            content,
            fingerprint: crate::mix::of_bytes(bytes),
            said: Said::by(&self.cluster, wire),
            label: label.into(),
        })
    }

    pub(crate) fn transmit(&mut self, at: usize, to: Destination, packet: &Rc<Packet>) {
        if let Some(said) = &packet.said
            && !self.is_faulty(said.author())
        {
            self.ledger.sent(said);
            self.stats.renewed_votes += u64::from(self.nodes[at].renewed);
        }
        self.stats.forgetful_messages += u64::from(self.nodes[at].forgetful);
        if at >= usize::from(self.config.n) {
            self.stats.twin_messages += 1;
        }
        self.chart_message(at, to, packet);
        let me = self.nodes[at].id;
        let dying =
            self.nodes[at].armed == Some(CrashPoint::InBroadcast) && to == Destination::Others;
        let mut sent = 0;
        for node in 0..self.nodes.len() {
            let id = self.nodes[node].id;
            let meant = match to {
                Destination::One(one) => id == one,
                Destination::Others => id != me,
            };
            if !meant || !self.deal(at, node) || dying && self.rng.random_bool(0.5) {
                continue;
            }
            if let Some(said) = &packet.said
                && sent > 0
                && self.comes_to(at, Place::Sending, &[said.kind()])
            {
                return;
            }
            sent += 1;
            let fate = self.network.fate(&mut self.rng, at, node, &mut self.stats);
            if let Fate::Arrives(delay, second) = fate {
                for delay in std::iter::once(delay).chain(second) {
                    let (to, packet) = (node as u32, Rc::clone(packet));
                    self.schedule(delay, What::Packet { to, packet });
                }
            }
        }
        if dying {
            self.stats.crashes_in_broadcast += 1;
            self.crash(at);
        }
    }

    /// Do these two instances deal with each other? Those that run once deal with everybody.
    fn deal(&self, a: usize, b: usize) -> bool {
        let n = usize::from(self.config.n);
        let bit = |at: usize| if at < n { 1 } else { 2 };
        let sees = |at: usize, other: usize| {
            !self.nodes[other].twin
                || self.sides[at][self.nodes[other].id.index()] & bit(other) != 0
        };
        sees(a, b) && sees(b, a)
    }
}

fn crypto_digest(outcome: &Answer) -> crypto::Digest {
    match outcome {
        Answer::Executed(body) => body.digest(),
        other => other.digest(),
    }
}
