//! The normal case: the primary proposes, everybody votes (docs/protocol.md R7.1, R7.2).

use std::sync::Arc;

use crypto::Kind;
use crypto::codec::Blob;

use super::admission::FORWARD_MAX;
use super::closing::Waiting;
use super::message::{Header, Mode, Prepare, Wire};
use super::record::Record;
use super::slot::{Body, Slot};
use super::{OwnVote, Pbft};
use crate::batch::{Batch, null_digest};
use crate::ids::{ReplicaId, RequestId, SeqNo, View};
use crate::mutation::{Mutation, active};
use crate::pool::{Asker, Offer};
use crate::protocol::{Action, Outbox, Timer, When};
use crate::report::{Report, Trigger};
use crate::request::Request;
use crate::time::Instant;

/// Bytes of proposals kept for a view that is not open yet.
const EARLY_BYTES_MAX: usize = 8 << 20;
/// The pause suggested to a client whose request was not taken in, in milliseconds.
const BUSY_RETRY_MS: u32 = 100;

impl Pbft {
    /// Requests of clients, or forwarded by a backup (R6).
    pub(super) fn on_requests(
        &mut self,
        now: Instant,
        from: Option<ReplicaId>,
        requests: Vec<Request>,
        out: &mut Outbox<Self>,
    ) {
        let forwards = from.is_none() && !self.is_primary();
        let mut forwarded: Vec<Blob> = Vec::new();
        // Backups suspect a primary for what they know of: that has room when clients have none.
        let room = self.backlog.allowed(self.policy.request_timeout);
        let asker = match from {
            Some(_) => Asker::Replica { room },
            None => Asker::Client { room },
        };
        let mut turned_away = Vec::new();
        for request in requests {
            let (id, raw) = (request.id, request.raw().clone());
            match self.pool.offer(now, asker, request, &mut turned_away) {
                // It came again: the primary may not have it.
                Offer::Known if forwards => forwarded.push(Blob(raw)),
                Offer::Queued if forwards => self.watch.expect_proposal(now, id),
                Offer::Full if from.is_none() => turned_away.push(id),
                Offer::Queued | Offer::Known | Offer::Full => {}
            }
        }
        turn_away(turned_away, out);
        self.forward(forwarded, out);
        self.propose(now, out);
        self.watch_oldest_request(out);
    }

    /// What clients have pending is no more than the rate at which requests are executed allows.
    pub(super) fn trim_backlog(&mut self, now: Instant, out: &mut Outbox<Self>) {
        self.backlog.tick(now, self.pool.len());
        let room = self.backlog.allowed(self.policy.request_timeout);
        turn_away(self.pool.trim(room), out);
    }

    /// Passes requests on to the primary in pieces of no more bytes than a batch has, so that each
    /// piece fits where a proposal fits.
    pub(super) fn forward(&self, requests: Vec<Blob>, out: &mut Outbox<Self>) {
        let bytes_max = self.cluster().limits().batch_bytes_max as usize;
        let mut piece = Vec::new();
        let mut bytes = 0;
        for raw in requests {
            if piece.len() == FORWARD_MAX || bytes + raw.len() > bytes_max {
                self.send(
                    self.primary(),
                    Wire::Forward(std::mem::take(&mut piece)),
                    out,
                );
                bytes = 0;
            }
            bytes += raw.len();
            piece.push(raw);
        }
        if !piece.is_empty() {
            self.send(self.primary(), Wire::Forward(piece), out);
        }
    }

    /// PROPOSE (R7.1): as many batches as the pipeline, the window and the requests allow. When a
    /// batch that is not full is closed is said in [`super::closing`].
    pub(super) fn propose(&mut self, now: Instant, out: &mut Outbox<Self>) {
        if !self.is_primary() || self.mode != Mode::Normal || self.fenced || !self.may_promise() {
            return;
        }
        while self.window.contains(self.next)
            && !self.is_void(self.next)
            && self.pool.wants_batch(now)
        {
            let waiting = self.waiting(now);
            if waiting.slots >= self.policy.inflight_max {
                return;
            }
            if let Some(after) = self.closing.stays_open(&waiting, self.policy.batch_delay) {
                let timer = Timer::Batch;
                out.push(Action::SetTimer { timer, after });
                return;
            }
            let requests = self.pool.take_batch(now, self.keyring.cluster().limits());
            if requests.is_empty() {
                return;
            }
            self.propose_batch(now, Batch::new(requests), out);
        }
        self.fill_up_epoch(now, out);
    }

    pub(super) fn propose_batch(&mut self, now: Instant, batch: Batch, out: &mut Outbox<Self>) {
        let seq = self.next;
        self.next = seq.next();
        let header = self.own_header(seq, batch.digest());
        out.push(Action::Report(Report::Proposed {
            seq,
            requests: batch.requests().len(),
        }));
        // A proposal is no vote: it leaves at once, while this replica's own vote is being made
        // durable like everybody else's. But a restarted replica must know in which view it may
        // have proposed (R12).
        let when = if self.durable >= self.view_recorded {
            When::Now
        } else {
            When::Durable
        };
        self.broadcast(Wire::PrePrepare(header, Some(batch.to_raw())), when, out);
        self.on_pre_prepare(now, header, Some(Arc::new(batch)), out);
    }

    pub(super) fn undecided_proposals(&self) -> usize {
        self.undecided().count()
    }

    /// Slots that are proposed and undecided; `None`: nothing of it is here.
    fn undecided(&self) -> impl Iterator<Item = Option<&Slot>> {
        let first = self.execute_sent.next();
        (first.0..self.next.0)
            .map(|seq| self.window.get(SeqNo(seq)))
            .filter(|slot| slot.is_none_or(|slot| slot.decided.is_none()))
    }

    fn waiting(&self, now: Instant) -> Waiting {
        let since = self.pool.waiting_since();
        let (mut slots, mut requests) = (0, 0);
        for slot in self.undecided() {
            slots += 1;
            requests += slot.and_then(Slot::proposed).map_or(0, Body::len);
        }
        let (ready, full) = self.pool.ready_for(self.cluster().limits());
        Waiting {
            ready,
            full,
            waited: since.map(|since| now.since(since)).unwrap_or_default(),
            slots,
            requests,
        }
    }

    /// PRE-PREPARE, from anybody (R7.2).
    pub(super) fn on_pre_prepare(
        &mut self,
        now: Instant,
        header: Header,
        batch: Option<Arc<Batch>>,
        out: &mut Outbox<Self>,
    ) {
        let statement = header.statement;
        let open = statement.view < self.view || self.mode == Mode::Normal;
        if statement.view > self.view || !open {
            return self.keep_early(header, batch, out);
        }
        let current = self.votes_in(statement.view);
        let free = self.assigned.is_free(statement.seq) && statement.digest != null_digest();
        let Some(slot) = self.window.slot(statement.seq) else {
            return;
        };
        let known = if current {
            slot.header.filter(|_| !active(Mutation::VoteTwice))
        } else {
            // Of an older view: only worth a look beside what was voted for in it.
            let voted = slot.vote.map(|vote| vote.header());
            voted.filter(|held| held.statement.view == statement.view)
        };
        match known {
            Some(held) if held.statement.digest != statement.digest => {
                return self.on_double_pre_prepare(now, held, header, out);
            }
            Some(_) => {}
            // What a NEW-VIEW assigned is known; the other slots are free, and NULL is not for them.
            None if current && free => slot.header = Some(header),
            None => {}
        }
        if let Some(batch) = batch
            && slot.needs_body(&statement.digest)
        {
            slot.keep_body(batch);
            let first = slot.accepted.is_none() && slot.decided.is_none();
            if first && current && slot.header == Some(header) {
                slot.accepted = Some(self.order.accepted(now));
            }
        }
        self.vote(statement.seq, out);
        // The body may be what a decided slot was waiting for.
        self.execute_decided(out);
    }

    /// A proposal of a view that is not open here yet: one a slot, of the nearest view, because
    /// anybody is the primary of some far view. Bodies beyond the bound are fetched again.
    fn keep_early(&mut self, header: Header, batch: Option<Arc<Batch>>, out: &mut Outbox<Self>) {
        // Peers answer FETCH-BATCH with the proposal of their own view.
        if let Some(batch) = &batch
            && let Some(slot) = self.window.slot(header.statement.seq)
            && slot.needs_body(&batch.digest())
        {
            slot.keep_body(Arc::clone(batch));
            self.execute_decided(out);
        }
        let kept: usize = self.window.iter().map(|(_, slot)| slot.early_bytes()).sum();
        let batch = batch.filter(|batch| kept + batch.bytes() <= EARLY_BYTES_MAX);
        let view = self.view;
        let Some(slot) = self.window.slot(header.statement.seq) else {
            return;
        };
        let nearer = slot.early.as_ref().is_none_or(|(held, _)| {
            let held = held.statement.view;
            held < view || header.statement.view < held
        });
        if nearer {
            slot.early = Some((header, batch));
        }
    }

    /// Is the view open here? Votes are for the current view, and for no other (R7.2 step 5).
    fn votes_in(&self, view: View) -> bool {
        let left = active(Mutation::VoteAfterViewChange) && view.next() == self.view;
        view == self.view && self.mode == Mode::Normal || left && self.mode == Mode::ViewChange
    }

    /// Casts this replica's vote for the accepted header of `seq`, once per view, if the body is
    /// here (R7.2 steps 5 to 7).
    pub(super) fn vote(&mut self, seq: SeqNo, out: &mut Outbox<Self>) {
        if !self.window.contains(seq) || self.is_void(seq) || !self.may_promise() {
            return;
        }
        let Some(slot) = self.window.get(seq) else {
            return;
        };
        let Some(header) = slot.header else { return };
        let statement = header.statement;
        let voted = slot
            .vote
            .filter(|_| !active(Mutation::VoteTwice))
            .is_some_and(|vote| vote.statement.view >= statement.view);
        if !self.votes_in(statement.view) || voted {
            return;
        }
        let batch = match slot.body(&statement.digest) {
            Some(batch) => Some(batch.to_raw()),
            // The null batch has no body.
            None if statement.digest == null_digest() => None,
            None => return,
        };
        // The record of this vote replaces that of an earlier one, with the batch in it.
        let replaces = slot
            .vote
            .is_some_and(|vote| vote.statement.digest != statement.digest);
        let others = if replaces {
            slot.other_bodies(&statement.digest)
        } else {
            Vec::new()
        };
        let record = Record::Vote {
            epoch: header.epoch,
            statement,
            header_signature: header.signature,
            batch,
        };
        let vote = Prepare {
            epoch: header.epoch,
            statement,
            replica: self.me,
            signature: self.sign(Kind::Prepare, &statement.body()),
            header_signature: header.signature,
        };
        if !others.is_empty() {
            let batches = others;
            self.persist(Record::Bodies { seq, batches }, out);
        }
        if let Some(slot) = self.window.slot(seq) {
            slot.vote = Some(vote);
            slot.vote_durable = false;
        }
        let ticket = self.persist(record, out);
        self.promised.push_back((ticket, OwnVote::Prepare(vote)));
        self.broadcast(Wire::Prepare(vote), When::Durable, out);
    }

    /// A signed header over a body that nobody may vote for: the primary is faulty (R7.2 step 6).
    pub(super) fn on_invalid_proposal(
        &mut self,
        now: Instant,
        header: &Header,
        why: String,
        out: &mut Outbox<Self>,
    ) {
        let primary = self.cluster().primary(header.epoch, header.statement.view);
        out.push(Action::Report(Report::Dropped {
            from: primary,
            why: crate::protocol::Misbehaviour::Malformed(why),
        }));
        if header.statement.view == self.view {
            self.suspect(now, Trigger::BadProposal, out);
        }
    }
}

fn turn_away(requests: Vec<RequestId>, out: &mut Outbox<Pbft>) {
    for id in requests {
        out.push(Action::Busy {
            id,
            retry_after_ms: BUSY_RETRY_MS,
        });
    }
}
