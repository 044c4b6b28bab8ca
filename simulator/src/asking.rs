//! The clients' side of the world: places that think and ask, results that are judged as they
//! come, and the phases of a run, which follow from what the clients have got.

use std::time::Duration;

use bytes::Bytes;
use consensus::client::{Action, Completed, ReadPath, To};
use consensus::{Instant, Outcome, ReplicaId, Reply, RequestId, SeqNo, Term};
use rand::RngExt;

use crate::check::Answered;
use crate::client::SESSION;
use crate::queue::What;
use crate::world::{Phase, World};

impl World<'_> {
    /// A client begins: all its places think.
    pub(crate) fn make_places(&mut self, client: usize) {
        for _ in 0..self.config.outstanding {
            let after = self.clients[client].think();
            self.schedule(
                after,
                What::ClientReady {
                    client: client as u32,
                },
            );
        }
    }

    /// A place has thought: it asks, unless there is nothing left to ask.
    pub(crate) fn client_ready(&mut self, client: u32) {
        let at = client as usize;
        if self.phase != Phase::Load || self.healed && self.clients[at].remaining == 0 {
            return;
        }
        let mut out = Vec::new();
        let floor = self.ledger.floor();
        if !self.clients[at].ask(self.now, floor, &mut out) {
            let after = self.clients[at].think();
            self.schedule(after, What::ClientReady { client });
        }
        self.perform_client(client, out);
    }

    pub(crate) fn client_tick(&mut self, client: u32) {
        let it = &mut self.clients[client as usize];
        if it.tick.is_some_and(|tick| tick <= self.now) {
            it.tick = None;
            let mut out = Vec::new();
            it.on_tick(self.now, &mut out);
            self.perform_client(client, out);
        }
    }

    pub(crate) fn reply_arrives(&mut self, client: u32, from: ReplicaId, reply: Reply) {
        self.note(
            3,
            client,
            crate::mix::of_words(&[reply.seq.0, u64::from(reply.replica.0)]),
        );
        let mut out = Vec::new();
        self.clients[client as usize].on_reply(from, reply, self.now, &mut out);
        self.perform_client(client, out);
    }

    pub(crate) fn hint_arrives(&mut self, client: u32, from: ReplicaId, term: Term) {
        let mut out = Vec::new();
        self.clients[client as usize].on_hint(from, term, self.now, &mut out);
        self.perform_client(client, out);
    }

    pub(crate) fn channel_changes(&mut self, client: u32, from: ReplicaId, up: bool) {
        let mut out = Vec::new();
        self.clients[client as usize].on_channel(from, up, self.now, &mut out);
        self.perform_client(client, out);
    }

    /// Clients notice after a while that a replica came up or went down.
    pub(crate) fn tell_clients(&mut self, at: usize, up: bool) {
        let from = self.nodes[at].id;
        if self.nodes[at].is_byzantine() {
            return;
        }
        for to in 0..self.config.clients {
            let after = self.network.delay(&mut self.rng);
            self.schedule(after, What::Channel { to, from, up });
        }
    }

    /// Clients are told of a replica's epoch and view.
    pub(crate) fn hint_clients(&mut self, at: usize, term: Term) {
        let from = self.nodes[at].id;
        for to in 0..self.config.clients {
            if !self.client_message_lost() {
                let after = self.network.delay(&mut self.rng);
                self.schedule(after, What::Hint { to, from, term });
            }
        }
    }

    /// Is a message between a client and a replica lost?
    pub(crate) fn client_message_lost(&mut self) -> bool {
        let share = self.config.faults.client_loss;
        let lost = share > 0.0 && !self.healed && self.rng.random_bool(share);
        self.stats.lost += u64::from(lost);
        lost
    }

    fn perform_client(&mut self, client: u32, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { to, raw } => {
                    let request = |to, raw| What::Request { to, raw };
                    self.client_sends(client, to, "request", &raw, request);
                }
                // Once, and nobody passes it on.
                Action::SendRead { to, raw } => {
                    let read = |to, raw| What::Read { to, raw };
                    self.client_sends(client, to, "read", &raw, read);
                }
                Action::Completed(completed) => self.client_gets(client, &completed, None),
                Action::ReadCompleted { completed, path } => {
                    self.client_gets(client, &completed, Some(path));
                }
                Action::Contradicted(contradiction) => {
                    let said = contradiction.said.replica;
                    if !self.is_faulty(said) {
                        self.ledger.violation(format!("reply: {contradiction}"));
                    }
                }
                Action::TimedOut(_) => {}
            }
        }
        let it = &mut self.clients[client as usize];
        if let Some(deadline) = it.next_deadline()
            && it.tick.is_none_or(|tick| tick > deadline)
        {
            it.tick = Some(deadline);
            self.schedule(deadline.since(self.now), What::ClientTick { client });
        }
    }

    /// A replica answers a client.
    pub(crate) fn reply(
        &mut self,
        at: usize,
        term: Term,
        id: RequestId,
        seq: SeqNo,
        outcome: Outcome,
    ) {
        let replica = self.nodes[at].id;
        let to = id.client.0;
        if to >= self.config.clients {
            return self.answers_rogue(&outcome);
        }
        if self.client_message_lost() {
            return;
        }
        let reply = Reply {
            term,
            replica,
            id,
            seq,
            outcome,
        };
        if self.nodes[at].bends() {
            return self.reply_bent(at, reply);
        }
        self.send_reply(at, reply);
    }

    pub(crate) fn send_reply(&mut self, at: usize, reply: Reply) {
        let (from, id, seq) = (self.nodes[at].id, reply.id, reply.seq);
        let (to, reply) = (id.client.0, Box::new(reply));
        self.chart(|world| {
            let client = format!("{:?}", id.client);
            format!("{:<4} ──▶ {client:<4} reply {seq:?}", world.name(at))
        });
        let delay = self.network.delay(&mut self.rng);
        self.schedule(delay, What::Reply { to, from, reply });
    }

    fn client_sends(
        &mut self,
        client: u32,
        to: To,
        what: &str,
        raw: &Bytes,
        arrives: fn(u32, Bytes) -> What,
    ) {
        self.chart(|world| {
            let to = match to {
                To::One(id) => format!("{id:?}"),
                To::All => "all".to_owned(),
            };
            let id = world.clients[client as usize].id;
            let id = format!("{id:?}");
            format!("{id:<4} ──▶ {to:<4} {what}, {} bytes", raw.len())
        });
        for node in 0..self.nodes.len() {
            let meant = match to {
                To::One(id) => self.nodes[node].id == id,
                To::All => true,
            };
            if !meant || self.client_message_lost() {
                continue;
            }
            let after = self.network.delay(&mut self.rng);
            self.schedule(after, arrives(node as u32, raw.clone()));
        }
    }

    /// A client has a result: it is judged, and the place thinks again.
    fn client_gets(&mut self, client: u32, completed: &Completed, read: Option<ReadPath>) {
        let Some(call) = self.clients[client as usize].close(completed) else {
            return;
        };
        if self.healed {
            let since = call.called.max(Instant(0) + self.config.heal_at);
            self.stats.longest_wait = self.stats.longest_wait.max(self.now.since(since));
        }
        match read {
            Some(path) => self.judge_read(client, &call, completed, path),
            None => self.ledger.answered(&Answered {
                client,
                session: SESSION,
                number: completed.number,
                seq: completed.seq,
                outcome: &completed.outcome,
                floor: call.floor,
            }),
        }
        self.forget_states();
        if completed
            .differing
            .iter()
            .any(|said| !self.is_faulty(said.replica))
        {
            self.ledger.violation(format!(
                "reply: request {} of client {client} was answered in two ways",
                completed.number
            ));
        }
        let after = self.clients[client as usize].think();
        self.schedule(after, What::ClientReady { client });
        self.demand_progress();
        self.next_phase();
    }

    /// When the oldest open request must have its result, once nothing fails any more.
    pub(crate) fn demand_progress(&mut self) {
        if !self.healed || self.phase == Phase::CatchUp {
            return;
        }
        let oldest = self
            .clients
            .iter()
            .filter_map(|client| client.open.front().map(|call| call.called))
            .min()
            .unwrap_or(self.now);
        let since = oldest.max(Instant(0) + self.config.heal_at);
        self.deadline = Some(since + self.config.progress_within);
    }

    /// Goes on to the next phase when this one has shown what it is for.
    pub(crate) fn next_phase(&mut self) {
        let answered = |client: &crate::client::SimClient| client.open.is_empty();
        if !self.healed || !self.clients.iter().all(answered) {
            return;
        }
        match self.phase {
            Phase::Load if self.clients.iter().any(|client| client.remaining > 0) => {}
            Phase::Load if self.config.restart_all => {
                self.phase = Phase::Probe;
                self.cut_power(Duration::ZERO..Duration::from_millis(100));
                self.probe();
            }
            Phase::Load | Phase::Probe => {
                self.phase = Phase::CatchUp;
                self.deadline = Some(self.now + self.config.progress_within);
                self.caught_up();
            }
            Phase::CatchUp | Phase::Over => {}
        }
    }

    /// Every client asks for everything, after all replicas have been restarted.
    fn probe(&mut self) {
        let floor = self.ledger.floor();
        for client in 0..self.config.clients {
            let mut out = Vec::new();
            let asked = self.clients[client as usize].probe(self.now, floor, &mut out);
            debug_assert!(asked, "nothing is outstanding");
            self.perform_client(client, out);
        }
        self.demand_progress();
    }

    /// Ends the run once every correct replica has executed what anybody has.
    pub(crate) fn caught_up(&mut self) {
        if self.phase != Phase::CatchUp {
            return;
        }
        let end: SeqNo = self.ledger.end();
        let there = |node: &crate::node::Node| {
            node.is_byzantine()
                || node
                    .running
                    .as_ref()
                    .is_some_and(|running| running.executor.last_executed() >= end)
        };
        if !self.config.catch_up || self.nodes.iter().all(there) {
            self.phase = Phase::Over;
        }
    }
}
