//! The client's half of the protocol: one session of one client key (docs/protocol.md R6).
//!
//! ```text
//!   submit ──► sign once ──► presumed primary ──(T_cli)──► all replicas ──(2 T_cli)──► all ...
//!                                                              │
//!   Completed ◄── f+1 equal replies, one with the body ◄── replies of distinct replicas
//! ```
//!
//! No single replica is believed: a result needs f + 1 equal replies (2f + 1 when quorum reads
//! are on), a new primary f + 1 reports of its epoch and view. A replica that says "busy" is obeyed only
//! while it is the presumed primary, and not for ever. Everything is bounded by the window: at
//! most W requests are outstanding, each with at most one answer per replica.
//!
//! Assumed: `from` is the identity that the channel authenticated; `now` never goes back.

mod action;
mod answers;
mod bodies;
mod flow;
mod pace;
mod pending;
mod primary;
mod reads;
mod samples;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crypto::Signer;

use crate::byte_list::ByteList;
use crate::cluster::Cluster;
use crate::ids::{ClientId, ReplicaId, RequestId, SeqNo, Term};
use crate::reply::Outcome;
use crate::request::{REQUEST_OVERHEAD, Request};
use crate::time::Instant;

pub use action::{
    Action, Answer, Completed, Contradiction, Counters, ReadPath, Standing, SubmitError, TimedOut,
    To,
};
use answers::waiting;
use bodies::{Bodies, Surroundings};
use flow::Flow;
use pace::Jitter;
pub use pace::Pace;
use pending::{Entry, Pending, Turn};
use primary::Presumed;
use reads::Reads;
use samples::Samples;

/// Who a session belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId {
    /// The client key's number in the configuration.
    pub client: ClientId,
    /// Greater than every earlier session of this client.
    pub session: u64,
}

/// One session of one client key. Pure: time comes in with each call, chance as a seed.
pub struct ClientSession {
    cluster: Arc<Cluster>,
    signer: Arc<dyn Signer>,
    id: SessionId,
    /// As configured.
    base: Pace,
    /// Stretched to how long results usually take.
    pace: Pace,
    jitter: Jitter,
    presumed: Presumed,
    bodies: Bodies,
    flow: Flow,
    reads: Reads,
    /// How long results usually take: a moving average over the last ones.
    typical: Duration,
    /// Requests from `acked + 1` on, without gaps.
    entries: VecDeque<Entry>,
    /// Every number up to this one has its reply.
    acked: u64,
    /// The last accepted results up to `acked`, oldest first.
    recent: VecDeque<(SeqNo, Outcome)>,
    samples: Samples,
    /// No timer of any request is due before this.
    next_due: Option<Instant>,
    counters: Counters,
}

impl ClientSession {
    /// A session of the client that `signer` signs for. `seed` decides the jitter.
    pub fn new(
        cluster: Arc<Cluster>,
        id: SessionId,
        signer: Arc<dyn Signer>,
        pace: Pace,
        seed: u64,
    ) -> Self {
        let presumed = Presumed::new(&cluster);
        let bodies = Bodies::new(cluster.quorums().n());
        let flow = Flow::new(cluster.limits().client_window);
        let samples = Samples::new(cluster.client_keys().len());
        ClientSession {
            cluster,
            signer,
            id,
            base: pace.clone(),
            pace,
            jitter: Jitter::new(seed),
            presumed,
            bodies,
            flow,
            reads: Reads::default(),
            typical: Duration::ZERO,
            entries: VecDeque::new(),
            acked: 0,
            recent: VecDeque::new(),
            samples,
            next_due: None,
            counters: Counters::default(),
        }
    }

    /// Signs and sends a request of one or more operations; returns its number. `atomic`: all
    /// operations take effect or none does. While replicas are busy it waits for its turn.
    ///
    /// # Errors
    /// If the window is full or the operations are over a limit: the caller is to blame.
    pub fn submit(
        &mut self,
        ops: &ByteList,
        atomic: bool,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Result<u64, SubmitError> {
        self.check(ops)?;
        if !self.has_room() {
            return Err(SubmitError::WindowFull(self.entries.len()));
        }
        let number = self.next_number();
        let id = RequestId {
            client: self.id.client,
            session: self.id.session,
            number,
        };
        let request = Request::sign(
            &*self.signer,
            self.cluster.id(),
            id,
            self.acked,
            atomic,
            ops,
        );
        let pending = Pending::new(request.raw().clone(), now, &self.pace);
        self.note_due(pending.due());
        self.entries.push_back(Entry::Waiting(Box::new(pending)));
        if self.flow.admit(number, now) {
            self.send(number, now, out);
        } else {
            self.note_turn();
        }
        Ok(number)
    }

    /// Would [`ClientSession::submit`] find room in the window? Replicas refuse numbers more than W
    /// above what a request itself acknowledges (R6).
    pub fn has_room(&self) -> bool {
        let window = self.cluster.limits().client_window;
        self.next_number() <= self.acked.saturating_add(window)
    }

    /// Replica `from` says that it has reached `term`. When f + 1 have, a new primary is presumed
    /// and gets every outstanding request at once.
    pub fn on_hint(&mut self, from: ReplicaId, term: Term, now: Instant, out: &mut Vec<Action>) {
        if self.presumed.report(from, term, &self.cluster) {
            self.resend_outstanding(self.first_destination(), now, out);
        }
    }

    /// The channel to `replica` is up.
    pub fn on_connected(&mut self, replica: ReplicaId, now: Instant, out: &mut Vec<Action>) {
        let news = self.presumed.set_connected(replica, true);
        if news && replica == self.presumed.primary() {
            self.resend_outstanding(To::One(replica), now, out);
        }
    }

    /// The channel to `replica` is lost. If it was the presumed primary, all others get every
    /// outstanding request at once.
    pub fn on_disconnected(&mut self, replica: ReplicaId, now: Instant, out: &mut Vec<Action>) {
        let news = self.presumed.set_connected(replica, false);
        if news && replica == self.presumed.primary() {
            self.resend_outstanding(To::All, now, out);
        }
        self.read_lost(replica, now, out);
    }

    /// Performs what is due. Call when [`ClientSession::next_deadline`] has passed; earlier calls
    /// do nothing.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.next_due.is_none_or(|due| now < due) {
            return;
        }
        self.next_due = None;
        let (first, presumed) = (self.acked + 1, &self.presumed);
        let quorums = self.cluster.quorums();
        let need = quorums.write_replies(self.cluster.limits().quorum_reads);
        let mut next_due: Option<Instant> = None;
        for (number, entry) in (first..).zip(&mut self.entries) {
            let Entry::Waiting(pending) = entry else {
                continue;
            };
            if pending.give_up(now) {
                let timed_out = pending.timed_out(number, now, presumed);
                out.push(Action::TimedOut(self.reads.renamed(timed_out)));
            }
            if pending.resend_at <= now {
                self.counters.retransmissions += 1;
                let raw = pending.send(now, &self.pace, &mut self.jitter);
                out.push(Action::Send { to: To::All, raw });
            }
            if pending.search.due.is_some_and(|due| due <= now) {
                let near = Surroundings {
                    number,
                    n: quorums.n(),
                    presumed,
                    typical: self.typical,
                };
                let ask = pending.next_for_body(need, &mut self.bodies, &near, now);
                self.counters.bodies_asked += ask.iter().len() as u64;
                out.extend(ask);
            }
            let due = pending.due();
            next_due = Some(next_due.map_or(due, |earliest| earliest.min(due)));
        }
        self.next_due = next_due;
        self.tick_reads(now, out);
        self.send_waiting(now, out);
    }

    /// When [`ClientSession::tick`] may have something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_due
    }

    /// Requests that have no accepted result yet, timed-out ones included: those are still sent,
    /// slowly, because later requests can only be acknowledged past them.
    pub fn outstanding(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Waiting(_)))
            .count()
    }

    /// The epoch and view whose primary is presumed to be in office.
    pub fn term(&self) -> Term {
        self.presumed.term()
    }

    /// The presumed primary.
    pub fn primary(&self) -> ReplicaId {
        self.presumed.primary()
    }

    /// What this session saw.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn check(&self, ops: &ByteList) -> Result<(), SubmitError> {
        let limits = self.cluster.limits();
        let ops_max = usize::from(limits.request_ops_max);
        if ops.is_empty() || ops.len() > ops_max {
            return Err(SubmitError::OpCount {
                count: ops.len(),
                most: ops_max,
            });
        }
        let op_max = limits.op_bytes_max as usize;
        if let Some(op) = ops.iter().find(|op| op.len() > op_max) {
            return Err(SubmitError::OpTooLarge {
                bytes: op.len(),
                most: op_max,
            });
        }
        let bytes = REQUEST_OVERHEAD.saturating_add(ops.as_bytes().len());
        let most = limits.batch_bytes_max as usize;
        if bytes > most {
            return Err(SubmitError::RequestTooLarge { bytes, most });
        }
        Ok(())
    }

    fn next_number(&self) -> u64 {
        self.acked
            .saturating_add(self.entries.len() as u64)
            .saturating_add(1)
    }

    /// The presumed primary; all replicas while it is not connected.
    fn first_destination(&self) -> To {
        let primary = self.presumed.primary();
        if self.presumed.is_connected(primary) {
            To::One(primary)
        } else {
            To::All
        }
    }

    /// Sends what the flow has room for, the oldest first.
    fn send_waiting(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(number) = self.flow.next(now) {
            self.send(number, now, out);
        }
        self.note_turn();
    }

    /// Sends a request for the first time, or again after it was refused.
    fn send(&mut self, number: u64, now: Instant, out: &mut Vec<Action>) {
        let first = self.first_destination();
        let sample = self
            .samples
            .due(now, self.pace.sample_interval, &mut self.jitter);
        let Some(pending) = waiting(&mut self.entries, self.acked, number) else {
            return;
        };
        let to = match pending.next_turn(now, &self.pace) {
            Turn::First if sample => To::All,
            Turn::First => first,
            Turn::Again => first,
            Turn::ToAll => To::All,
        };
        self.counters.retransmissions += u64::from(pending.is_sent());
        let raw = pending.send(now, &self.pace, &mut self.jitter);
        let due = pending.due();
        out.push(Action::Send { to, raw });
        self.note_due(due);
    }

    /// The flow may have room for what waits as soon as a pause is over.
    fn note_turn(&mut self) {
        if let Some(due) = self.flow.due() {
            self.note_due(due);
        }
    }

    fn note_due(&mut self, due: Instant) {
        self.next_due = Some(self.next_due.map_or(due, |earliest| earliest.min(due)));
    }

    fn resend_outstanding(&mut self, to: To, now: Instant, out: &mut Vec<Action>) {
        let mut next_due = self.next_due;
        for (number, entry) in (self.acked + 1..).zip(&mut self.entries) {
            let Entry::Waiting(pending) = entry else {
                continue;
            };
            pending.begin_again(&self.pace);
            if self.flow.holds(number) {
                continue;
            }
            self.counters.retransmissions += 1;
            out.push(Action::Send {
                to,
                raw: pending.send(now, &self.pace, &mut self.jitter),
            });
            let due = pending.due();
            next_due = Some(next_due.map_or(due, |earliest| earliest.min(due)));
        }
        self.next_due = next_due;
        self.flow.resume(now);
        self.send_waiting(now, out);
    }
}
