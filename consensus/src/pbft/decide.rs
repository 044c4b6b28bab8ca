//! Counting votes, deciding and executing (docs/protocol.md R7.3-R7.5, R8).
//!
//! Both decision rules look at the same votes: q_F PREPAREs or q COMMITs of one view and digest,
//! whichever come first. So falling back from the fast path needs no timer for safety.

use std::sync::Arc;

use crypto::Kind;

use super::certificate::{Certificate, Phase, Statement};
use super::fast_path::OnPrepared;
use super::message::{Commit, Mode, Prepare, Wire};
use super::record::Record;
use super::slot::{Body, OwnCommit, Prepared, Slot};
use super::votes::Cast;
use super::{OwnVote, Pbft};
use crate::batch::{Batch, null_digest};
use crate::ids::{ReplicaId, SeqNo};
use crate::protocol::{Action, Outbox, Timer, When};
use crate::report::{Path, Report};
use crate::time::Instant;

impl Pbft {
    /// PREPARE from its voter (R7.3).
    pub(super) fn on_prepare(&mut self, now: Instant, vote: Prepare, out: &mut Outbox<Self>) {
        let contradicts_header = self
            .window
            .get(vote.statement.seq)
            .and_then(|slot| slot.header)
            .filter(|header| {
                header.statement.view == vote.statement.view
                    && header.statement.digest != vote.statement.digest
            });
        if let Some(header) = contradicts_header {
            let other = vote.header();
            if self.verify(other.check(&self.keyring)) {
                self.on_double_pre_prepare(now, header, other, out);
            }
        }
        self.count_prepare(now, vote, out);
    }

    pub(super) fn count_prepare(&mut self, now: Instant, vote: Prepare, out: &mut Outbox<Self>) {
        let statement = vote.statement;
        let Some(slot) = self.window.slot(statement.seq) else {
            return;
        };
        match slot.prepares.cast(vote) {
            Cast::Ignored => return,
            Cast::Conflict(first) => return self.on_double_prepare(now, first, vote, out),
            Cast::Counted => {}
        }
        let count = slot.prepares.count(&statement);
        let quorums = *self.cluster().quorums();
        if count >= quorums.slow() {
            self.on_prepared(now, &statement, out);
        }
        if quorums.fast() == Some(count) {
            self.observe_fast_quorum(now, &statement, out);
        }
        if let Some(fast) = quorums.fast() {
            self.decide_by_votes(now, Phase::Prepare, &statement, fast, out);
        }
    }

    /// Votes of this view that came before it was open, or before the window reached the slot,
    /// count now.
    pub(super) fn recount(&mut self, now: Instant, seq: SeqNo, out: &mut Outbox<Self>) {
        let quorum = self.cluster().quorums().slow();
        let prepared = self.window.get(seq).and_then(|slot| {
            let mut said = slot.prepares.iter().map(|vote| vote.statement);
            said.find(|said| said.view == self.view && slot.prepares.count(said) >= quorum)
        });
        if let Some(statement) = prepared {
            self.on_prepared(now, &statement, out);
        }
    }

    /// q PREPAREs for one statement (R7.3): a prepared certificate, if its view is current and the
    /// slot in the window. What a VIEW-CHANGE does not report must not stand behind a COMMIT.
    fn on_prepared(&mut self, now: Instant, statement: &Statement, out: &mut Outbox<Self>) {
        let current = statement.view == self.view && self.mode == Mode::Normal;
        if !current || !self.window.contains(statement.seq) {
            return;
        }
        let quorums = *self.cluster().quorums();
        let epoch = self.epoch;
        let Some(slot) = self.window.slot(statement.seq) else {
            return;
        };
        let newer = slot
            .prepared
            .as_ref()
            .is_none_or(|held| held.certificate.statement.view < statement.view);
        if !newer {
            return;
        }
        let certificate = slot.certificate(epoch, Phase::Prepare, statement, quorums.slow());
        let Some(certificate) = certificate else {
            return;
        };
        slot.prepared = Some(Prepared {
            certificate,
            at: now,
            persisted: false,
        });
        // Others may be waiting for this replica's COMMIT already.
        let asked = slot.commits.voters(statement);
        let round = slot
            .accepted
            .as_ref()
            .map(|accepted| now.since(accepted.at));
        match self.commits.on_prepared(now, statement.seq, round) {
            OnPrepared::Never => {}
            OnPrepared::Commit => self.send_commit(statement.seq, out),
            OnPrepared::WaitUntil(_) => {
                for replica in asked {
                    self.answer_commit(statement.seq, replica, out);
                }
                self.set_fast_timer(now, out);
            }
        }
    }

    fn observe_fast_quorum(&mut self, now: Instant, statement: &Statement, out: &mut Outbox<Self>) {
        let prepared_at = self
            .window
            .get(statement.seq)
            .and_then(|slot| slot.prepared.as_ref())
            .filter(|prepared| prepared.certificate.statement == *statement)
            .map(|prepared| prepared.at);
        if let Some(at) = prepared_at
            && let Some(eager) = self.commits.on_fast_quorum(now.since(at))
        {
            out.push(Action::Report(Report::EagerCommits(eager)));
        }
    }

    fn set_fast_timer(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let (window, view) = (&self.window, self.view);
        self.commits.drop_settled(|seq| {
            window
                .get(seq)
                .is_none_or(|slot| slot.decided.is_some() || slot.committed_in(view))
        });
        match self.commits.next_deadline() {
            Some(deadline) => {
                out.push(Action::SetTimer {
                    timer: Timer::Fast,
                    after: deadline.since(now),
                });
            }
            None => out.push(Action::CancelTimer(Timer::Fast)),
        }
    }

    /// T_fast: whatever is prepared and still undecided falls back to the commit phase.
    pub(super) fn on_fast_timer(&mut self, now: Instant, out: &mut Outbox<Self>) {
        while let Some(seq) = self.commits.pop_expired(now) {
            let Some(slot) = self.window.get(seq) else {
                continue;
            };
            if slot.decided.is_some() || slot.committed_in(self.view) {
                continue;
            }
            let Some(prepared) = &slot.prepared else {
                continue;
            };
            let statement = prepared.certificate.statement;
            let missing = self
                .cluster()
                .members()
                .filter(|replica| !slot.prepares.has(*replica, &statement))
                .collect();
            out.push(Action::Report(Report::FellBack { seq, missing }));
            if let Some(eager) = self.commits.on_expired() {
                out.push(Action::Report(Report::EagerCommits(eager)));
            }
            self.send_commit(seq, out);
        }
        self.set_fast_timer(now, out);
    }

    /// COMMIT to all for a slot that is prepared here in the current view, once (R7.4, R8).
    fn send_commit(&mut self, seq: SeqNo, out: &mut Outbox<Self>) {
        let Some(vote) = self.promise_commit(seq, out) else {
            return;
        };
        let own = self.window.slot(seq).and_then(|slot| slot.commit.as_mut());
        if own.is_some_and(OwnCommit::goes_to_all) {
            self.broadcast(Wire::Commit(vote), When::Durable, out);
        }
    }

    /// COMMIT to one that lacks votes, as its own COMMIT says, once (R8). The others may have decided long ago: a
    /// COMMIT of each to all would be n² messages in every slot in which one of many replicas is late.
    fn answer_commit(&mut self, seq: SeqNo, to: ReplicaId, out: &mut Outbox<Self>) {
        let Some(vote) = self.promise_commit(seq, out) else {
            return;
        };
        let own = self.window.slot(seq).and_then(|slot| slot.commit.as_mut());
        if own.is_some_and(|own| own.goes_to(to)) {
            self.send_when(When::Durable, to, Wire::Commit(vote), out);
        }
    }

    /// The own COMMIT for a slot that is prepared here in the current view. The prepared certificate is on its way to
    /// the log before it, and durable before the COMMIT leaves.
    fn promise_commit(&mut self, seq: SeqNo, out: &mut Outbox<Self>) -> Option<Commit> {
        if self.mode != Mode::Normal || self.is_void(seq) || !self.may_promise() {
            return None;
        }
        let view = self.view;
        let slot = self.window.slot(seq)?;
        let prepared = slot.prepared.as_mut()?;
        let statement = prepared.certificate.statement;
        if statement.view != view {
            return None;
        }
        if let Some(own) = &slot.commit
            && own.vote.statement.view == view
        {
            return Some(own.vote);
        }
        let unsaved = (!prepared.persisted).then(|| prepared.certificate.clone());
        prepared.persisted = true;
        if let Some(certificate) = unsaved {
            self.persist(Record::Prepared(certificate), out);
        }
        let vote = self.own_commit(statement);
        if let Some(slot) = self.window.slot(seq) {
            slot.commit = Some(OwnCommit::new(vote));
        }
        self.promised
            .push_back((self.tickets, OwnVote::Commit(vote)));
        Some(vote)
    }

    /// This replica's COMMIT for what is prepared here.
    pub(super) fn own_commit(&self, statement: Statement) -> Commit {
        Commit {
            epoch: self.epoch,
            statement,
            replica: self.me,
            signature: self.sign(Kind::Commit, &statement.body()),
        }
    }

    /// COMMIT from its voter (R7.4).
    pub(super) fn on_commit(&mut self, now: Instant, vote: Commit, out: &mut Outbox<Self>) {
        self.count_commit(now, vote, out);
        // R8: also a replica that has decided fast answers, or one that missed fast votes
        // could not finish. With q_F = q nobody ever waits for COMMITs.
        if !self.cluster().quorums().prepared_is_decided() {
            let prepared_for_it = self
                .window
                .get(vote.statement.seq)
                .and_then(|slot| slot.prepared.as_ref())
                .is_some_and(|prepared| prepared.certificate.statement == vote.statement);
            if prepared_for_it {
                self.answer_commit(vote.statement.seq, vote.replica, out);
            }
        }
    }

    pub(super) fn count_commit(&mut self, now: Instant, vote: Commit, out: &mut Outbox<Self>) {
        let statement = vote.statement;
        let quorum = self.cluster().quorums().slow();
        let Some(slot) = self.window.slot(statement.seq) else {
            return;
        };
        if slot.commits.cast(vote) != Cast::Counted {
            return;
        }
        self.decide_by_votes(now, Phase::Commit, &statement, quorum, out);
    }

    /// Decides once `quorum` votes of a phase are here.
    fn decide_by_votes(
        &mut self,
        now: Instant,
        phase: Phase,
        statement: &Statement,
        quorum: usize,
        out: &mut Outbox<Self>,
    ) {
        let Some(slot) = self.window.get(statement.seq) else {
            return;
        };
        let settled = slot.decided.as_ref().map(|held| held.statement.digest);
        if settled == Some(statement.digest) {
            return;
        }
        let path = match phase {
            Phase::Prepare => Path::Fast,
            Phase::Commit => Path::Slow,
        };
        if let Some(certificate) = slot.certificate(self.epoch, phase, statement, quorum) {
            self.decide(now, certificate, path, out);
        }
    }

    /// DECISION: another replica's certificate with the batch (R13).
    pub(super) fn on_decision(
        &mut self,
        now: Instant,
        certificate: Certificate,
        batch: Option<Arc<Batch>>,
        out: &mut Outbox<Self>,
    ) {
        let statement = certificate.statement;
        let lacking =
            |slot: &Slot| slot.decided.is_none() || slot.body(&statement.digest).is_none();
        if statement.seq > self.execute_sent
            && self.window.reaches(statement.seq)
            && self.window.get(statement.seq).is_none_or(lacking)
        {
            let bytes = batch.as_ref().map_or(0, |batch| batch.bytes());
            self.note_given(statement.seq, bytes);
        }
        self.decide(now, certificate, Path::Transfer, out);
        if let Some(batch) = batch
            && let Some(slot) = self.window.slot(statement.seq)
        {
            slot.keep_body(batch);
        }
        self.execute_decided(out);
    }

    /// DECIDE (R7.5): once per slot, and never two ways.
    fn decide(
        &mut self,
        now: Instant,
        certificate: Certificate,
        path: Path,
        out: &mut Outbox<Self>,
    ) {
        let statement = certificate.statement;
        let seq = statement.seq;
        let Some(slot) = self.window.slot(seq) else {
            return;
        };
        if let Some(decided) = &slot.decided {
            if decided.statement.digest != statement.digest {
                let (first, second) = (decided.statement, statement);
                self.halt(
                    format!("slot {seq} decided twice: {first:?} and {second:?}"),
                    out,
                );
            }
            return;
        }
        slot.decided = Some(certificate);
        if let Some(accepted) = slot.accepted {
            self.order.decided(now, accepted);
            self.closing.decided(now.since(accepted.at));
        }
        out.push(Action::Report(Report::Decided {
            epoch: self.epoch,
            seq,
            view: statement.view,
            digest: statement.digest,
            path,
        }));
        self.execute_decided(out);
        self.propose(now, out);
    }

    /// EXECUTE (R7.5): hands decided slots to the executor, in order, as far as bodies are here.
    pub(super) fn execute_decided(&mut self, out: &mut Outbox<Self>) {
        let before = self.execute_sent;
        self.execute_in_order(out);
        let executed = self.execute_sent.0 - before.0;
        if executed > 0 {
            self.after_execution(executed, out);
        }
    }

    fn execute_in_order(&mut self, out: &mut Outbox<Self>) {
        let interval = self.cluster().limits().checkpoint_interval;
        loop {
            let seq = self.execute_sent.next();
            if self.is_void(seq) {
                return;
            }
            let Some(slot) = self.window.get(seq) else {
                return;
            };
            let Some(decided) = &slot.decided else { return };
            let statement = decided.statement;
            let batch = if statement.digest == null_digest() {
                None
            } else {
                match slot.body(&statement.digest).and_then(Body::batch) {
                    Some(batch) => Some(Arc::clone(batch)),
                    // STATUS fetches it.
                    None => return,
                }
            };
            let requests = batch.as_ref().map_or(0, |batch| batch.requests().len());
            self.backlog.executed(requests);
            let accepted = slot.accepted.filter(|_| !self.is_primary());
            let full = requests >= self.cluster().limits().batch_requests_max as usize / 2;
            for request in batch.iter().flat_map(|batch| batch.requests()) {
                let seen = self.pool.executed(&request.id, request.ack);
                if let (Some(seen), Some(accepted)) = (seen, accepted) {
                    self.order.ordered(request.id.client, seen, accepted, full);
                }
            }
            self.execute_sent = seq;
            if let Some(slot) = self.window.slot(seq) {
                slot.execute();
            }
            self.configure(seq, batch.as_deref());
            out.push(Action::Execute {
                seq,
                view: statement.view,
                batch,
                checkpoint: seq.0.is_multiple_of(interval),
            });
        }
    }
}
