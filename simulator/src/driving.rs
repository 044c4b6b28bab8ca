//! What drives a replica, and a client, in the simulated world: it hands them what arrives, and
//! performs the actions they answer with on a network, a disk and timers that are all simulated.

use std::sync::Arc;

use bytes::Bytes;
use consensus::client::{Action as ClientAction, To};
use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::protocol::When;
use consensus::report::Path;
use consensus::{
    Action, Destination, Event, Lookup, Outbox, Outcome as Answer, Protocol, ReplicaId, Reply,
    Report, Request, SeqNo, Ticket, protocol,
};
use rand::RngExt;

use crate::disk::SavedState;
use crate::world::{What, World};

impl World<'_> {
    pub(crate) fn deliver(&mut self, to: usize, from: ReplicaId, bytes: &[u8]) {
        if self.nodes[to].running.is_none() {
            return;
        }
        self.stats.delivered += 1;
        let wire: Wire = match crypto::decode(bytes) {
            Ok(wire) => wire,
            Err(error) => {
                self.ledger
                    .violations
                    .push(format!("codec: own message refused: {error}"));
                return;
            }
        };
        for (from, admitted) in protocol::admit_all::<Pbft>(&self.keyring, vec![(from, wire)]) {
            match admitted {
                Ok(message) => match Pbft::requests_in(message) {
                    Ok(requests) => self.deliver_forwarded(to, from, requests),
                    Err(message) => self.step(to, Event::Received { from, message }),
                },
                Err(error) => self.ledger.violations.push(format!(
                    "admission: a correct replica's message refused: {error}"
                )),
            }
        }
    }

    /// As a replica's driver does: what the session table knows is not ordered again.
    fn deliver_forwarded(
        &mut self,
        to: usize,
        from: ReplicaId,
        mut requests: Vec<crypto::Verified<Request>>,
    ) {
        let Some(running) = &self.nodes[to].running else {
            return;
        };
        requests.retain(|request| running.executor.lookup(request) == Lookup::New);
        if !requests.is_empty() {
            let from = Some(from);
            self.step(to, Event::Requested { from, requests });
        }
    }

    /// As a replica's driver does: session table first, then the protocol.
    pub(crate) fn deliver_request(&mut self, to: usize, raw: Bytes) {
        let Some(running) = &self.nodes[to].running else {
            return;
        };
        let request = match Request::parse(raw, self.cluster.limits()) {
            Ok(request) => request,
            Err(error) => {
                self.ledger.violations.push(format!("request: {error}"));
                return;
            }
        };
        match running.executor.lookup(&request) {
            Lookup::Done(seq, outcome) => {
                self.stats.replies_resent += 1;
                self.reply(
                    to,
                    Reply {
                        term: self.nodes[to]
                            .running
                            .as_ref()
                            .map(|r| r.protocol.term())
                            .unwrap_or_default(),
                        replica: self.nodes[to].id,
                        id: request.id,
                        seq,
                        outcome,
                    },
                );
            }
            Lookup::Refused(_) => {}
            Lookup::New => {
                let checks: Vec<_> = request.check(&self.keyring).into_iter().collect();
                match crypto::admit(request, &checks, self.keyring.scheme()) {
                    Ok(request) => {
                        self.step(
                            to,
                            Event::Requested {
                                from: None,
                                requests: vec![request],
                            },
                        );
                    }
                    Err(error) => self.ledger.violations.push(format!("request: {error}")),
                }
            }
        }
    }

    pub(crate) fn step(
        &mut self,
        at: usize,
        event: Event<crypto::Verified<<Pbft as Protocol>::Message>>,
    ) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut out = Outbox::new();
            let Some(running) = &mut self.nodes[at].running else {
                return;
            };
            running.protocol.step(self.now, event, &mut out);
            for action in out.drain().collect::<Vec<_>>() {
                if let Some(event) = self.perform(at, action) {
                    events.push_back(event);
                }
            }
        }
        self.sync(at);
    }

    fn perform(
        &mut self,
        at: usize,
        action: Action<Wire, <Pbft as Protocol>::Record>,
    ) -> Option<Event<crypto::Verified<<Pbft as Protocol>::Message>>> {
        let life = self.nodes[at].life;
        match action {
            Action::Persist(record) => {
                let node = &mut self.nodes[at];
                let running = node.running.as_mut()?;
                running.tickets.0 += 1;
                node.disk.write(running.tickets, record);
            }
            Action::Truncate(seq) => self.nodes[at].disk.truncate(seq),
            Action::Send { to, wire, when } => {
                let running = self.nodes[at].running.as_mut()?;
                if when == When::Durable && running.tickets > running.durable {
                    running.gated.push_back((running.tickets, to, wire));
                } else {
                    self.transmit(at, to, &wire);
                }
            }
            Action::Execute {
                seq,
                batch,
                checkpoint,
                ..
            } => {
                return self.execute(at, seq, batch, checkpoint);
            }
            Action::Busy { id, retry_after_ms } => {
                let term = self.nodes[at].running.as_ref()?.protocol.term();
                let replica = self.nodes[at].id;
                let outcome = Answer::Busy { retry_after_ms };
                self.reply(
                    at,
                    Reply {
                        term,
                        replica,
                        id,
                        seq: SeqNo(0),
                        outcome,
                    },
                );
            }
            Action::SetTimer { timer, after } => {
                let node = &mut self.nodes[at];
                node.timer_generation += 1;
                let generation = node.timer_generation;
                node.running.as_mut()?.timers.insert(timer, generation);
                self.schedule(
                    after,
                    What::Timer {
                        at,
                        life,
                        timer,
                        generation,
                    },
                );
            }
            Action::CancelTimer(timer) => {
                self.nodes[at].running.as_mut()?.timers.remove(&timer);
            }
            Action::Report(report) => self.report(at, report),
            Action::Halt(diagnosis) => {
                self.ledger
                    .violations
                    .push(format!("replica {at} halted: {diagnosis}"));
            }
        }
        None
    }

    fn execute(
        &mut self,
        at: usize,
        seq: SeqNo,
        batch: Option<Arc<consensus::Batch>>,
        checkpoint: bool,
    ) -> Option<Event<crypto::Verified<<Pbft as Protocol>::Message>>> {
        let replica = self.nodes[at].id;
        let term = self.nodes[at].running.as_ref()?.protocol.term();
        let executed = self.nodes[at]
            .running
            .as_mut()?
            .executor
            .execute(seq, batch.as_deref());
        self.ledger.executed(seq, batch);
        for answer in executed {
            let reply = Reply {
                term,
                replica,
                id: answer.id,
                seq: answer.seq,
                outcome: answer.outcome,
            };
            self.reply(at, reply);
        }
        if checkpoint && let Some(state) = self.nodes[at].state_to_save(seq) {
            let life = self.nodes[at].life;
            let after = self.rng.random_range(self.config.sync.clone());
            self.schedule(
                after,
                What::Saved {
                    at,
                    life,
                    state: Box::new(state),
                },
            );
        }
        Some(Event::Executed(seq))
    }

    pub(crate) fn saved(&mut self, at: usize, state: SavedState) {
        let (seq, digest) = (state.seq, state.digest);
        self.note(7, at, digest.as_bytes());
        self.ledger.state(at, seq, digest);
        let node = &mut self.nodes[at];
        // Saves may overlap; an older one must not replace a newer.
        if node.disk.state.as_ref().is_none_or(|held| held.seq < seq) {
            node.disk.state = Some(state);
        }
        self.step(at, Event::StateSaved { seq, digest });
    }

    fn sync(&mut self, at: usize) {
        if self.nodes[at].disk.begin_sync() {
            let life = self.nodes[at].life;
            let after = self.rng.random_range(self.config.sync.clone());
            self.schedule(after, What::Synced { at, life });
        }
    }

    pub(crate) fn synced(&mut self, at: usize) {
        let upto = self.nodes[at].disk.end_sync();
        let Some(running) = &mut self.nodes[at].running else {
            return;
        };
        if let Some(upto) = upto {
            running.durable = upto;
            let mut released = Vec::new();
            while running
                .gated
                .front()
                .is_some_and(|(ticket, ..)| *ticket <= upto)
            {
                released.extend(running.gated.pop_front());
            }
            for (_, to, wire) in released {
                self.transmit(at, to, &wire);
            }
            self.note(8, at, &upto.0.to_le_bytes());
            self.step(at, Event::Persisted(Ticket(upto.0)));
        }
        self.sync(at);
    }

    fn transmit(&mut self, at: usize, to: Destination, wire: &Wire) {
        let from = self.nodes[at].id;
        let bytes = Bytes::from(crypto::encode(wire));
        let targets: Vec<usize> = match to {
            Destination::One(id) => vec![id.index()],
            Destination::Others => (0..self.nodes.len()).filter(|node| *node != at).collect(),
        };
        for to in targets {
            if self.chance(self.config.faults.loss) {
                self.stats.lost += 1;
                continue;
            }
            let copies = if self.chance(self.config.faults.duplication) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let delay = self.delay();
                self.schedule(
                    delay,
                    What::ToReplica {
                        to,
                        from,
                        bytes: bytes.clone(),
                    },
                );
            }
        }
    }

    fn reply(&mut self, at: usize, reply: Reply) {
        let from = self.nodes[at].id;
        let to = reply.id.client.0 as usize;
        if self.chance(self.config.faults.client_loss) {
            self.stats.lost += 1;
            return;
        }
        let delay = self.delay();
        self.schedule(delay, What::ToClient { to, from, reply });
    }

    pub(crate) fn perform_client(&mut self, client: usize, actions: Vec<ClientAction>) {
        for action in actions {
            if let ClientAction::Send { to, raw } = action {
                let targets: Vec<usize> = match to {
                    To::One(id) => vec![id.index()],
                    To::All => (0..self.nodes.len()).collect(),
                };
                for to in targets {
                    if self.chance(self.config.faults.client_loss) {
                        self.stats.lost += 1;
                        continue;
                    }
                    let delay = self.delay();
                    self.schedule(
                        delay,
                        What::Request {
                            to,
                            raw: raw.clone(),
                        },
                    );
                }
            }
        }
        let Some(deadline) = self.clients[client].next_deadline() else {
            return;
        };
        let scheduled = self
            .ticks
            .get(&client)
            .is_some_and(|tick| *tick <= deadline);
        if !scheduled {
            self.ticks.insert(client, deadline);
            let after = deadline.since(self.now);
            self.schedule(after, What::ClientTick { client });
        }
    }

    fn report(&mut self, at: usize, report: Report) {
        match report {
            Report::Decided {
                seq, digest, path, ..
            } => {
                match path {
                    Path::Fast => self.stats.fast += 1,
                    Path::Slow => self.stats.slow += 1,
                    Path::Transfer => self.stats.transferred += 1,
                }
                self.ledger.decided(at, seq, digest);
            }
            Report::FellBack { .. } => self.stats.fallbacks += 1,
            Report::Stable { .. } => self.stats.checkpoints += 1,
            Report::Retransmitted { .. } => self.stats.retransmissions += 1,
            Report::Equivocation { culprit, seq } => {
                self.ledger
                    .violations
                    .push(format!("blame: {culprit:?} at {seq}, but all are honest"));
            }
            _ => {}
        }
    }
}
