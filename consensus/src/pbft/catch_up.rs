//! STATUS and what it drives: heartbeat, retransmission, decisions for those who lag behind
//! (docs/protocol.md R10.7, R13). It makes lossy links and bounded queues reliable in effect.

use crypto::Digest;
use crypto::codec::Blob;

use super::Pbft;
use super::admission::bitmap_len;
use super::generosity::Allowance;
use super::message::{Decision, Header, Mode, Prepare, Status, Wire};
use super::patience::Patience;
use super::slot::Body;
use crate::batch::{Batch, null_digest};
use crate::ids::{ReplicaId, SeqNo};
use crate::protocol::{Action, Outbox, Timer, When};
use crate::raw_batch::RawBatch;
use crate::report::Report;
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// Decisions that answer one STATUS, and bytes of their batches: at least one decision, however large.
const STEP_SLOTS_MAX: u64 = 64;
/// See [`STEP_SLOTS_MAX`]. Two steps, less a part of the first, fit into a peer's outbound queue.
const STEP_BYTES_MAX: usize = 4 << 20;
/// Whoever has executed so many slots that it was given says so at once and need not wait for T_status, and
/// whoever helps sends the next step then. In any whole step there are two such parts, so none of them ends
/// unnoticed.
const PART_SLOTS: u64 = 16;
/// See [`PART_SLOTS`]: a part ends here, too.
const PART_BYTES: usize = 1 << 20;
/// Slots whose votes are sent again for one STATUS.
const RETRANSMIT_SLOTS_MAX: usize = 32;
/// Batches fetched for one own STATUS.
const FETCH_MAX: usize = 8;
/// Attached headers that are verified for one own STATUS: liars can attach what they like.
const HEADER_CHECKS_MAX: usize = 64;

/// What a peer's last STATUS said.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerState {
    last_executed: SeqNo,
    stable: SeqNo,
    /// What it was sent last: once it has executed a part of that, what comes next follows.
    step: Option<Step>,
    patience: Patience,
    /// It lacks the NEW-VIEW of the current view.
    lacks_view: Patience,
    /// What it may be sent again.
    allowance: Allowance,
}

/// Decisions that a peer was sent in answer to one STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    decisions: usize,
    /// Where its first part ends.
    part: SeqNo,
    last: SeqNo,
}

/// Which attempt to help a peer is due, and with which slot it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) attempt: u32,
    pub(super) first: SeqNo,
}

impl PeerState {
    /// Takes a STATUS in. Has the peer moved since the last one, and is help due?
    pub(super) fn hear(
        &mut self,
        now: Instant,
        first: Duration,
        status: &Status,
    ) -> (bool, Option<Due>) {
        let moved = self.last_executed != status.last_executed || self.stable != status.stable;
        let keeps_up = self.step.filter(|step| status.last_executed >= step.part);
        self.last_executed = status.last_executed;
        self.stable = status.stable;
        if moved {
            self.patience.progress(now);
        }
        self.allowance.fill(now);
        let lacks = status.last_executed.next();
        let due = if let Some(step) = keeps_up {
            self.step = None;
            // The rest of the step is under way.
            let first = lacks.max(step.last.next());
            Some(Due { attempt: 0, first })
        } else if moved {
            None
        } else {
            let attempt = self.patience.attempt(now, first);
            attempt.map(|attempt| Due {
                attempt,
                first: lacks,
            })
        };
        (moved, due)
    }

    /// Another sign of where it is: is help due?
    pub(super) fn attempt(&mut self, now: Instant, first: Duration) -> Option<Due> {
        let lacks = self.last_executed.next();
        let attempt = self.patience.attempt(now, first);
        attempt.map(|attempt| Due {
            attempt,
            first: lacks,
        })
    }
}

/// This replica's own wait: for bodies, and for decisions.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetching {
    execute_sent: SeqNo,
    patience: Patience,
    /// The last slot that a DECISION decided here.
    given: SeqNo,
    /// Slots that were given since the last STATUS, and bytes of their batches.
    slots: u64,
    bytes: usize,
}

impl Fetching {
    fn status_sent(&mut self) {
        self.slots = 0;
        self.bytes = 0;
    }
}

/// Attempts after which all replicas send decisions to one that lags, not only f + 1 of them.
const ATTEMPTS_BY_FEW: u32 = 2;

impl Pbft {
    /// This replica's STATUS.
    pub(super) fn status(&self) -> Wire {
        let window = self.cluster().limits().log_window;
        let mut undecided = vec![0u8; bitmap_len(window)];
        let low = self.window.low();
        for offset in 0..window {
            let seq = low.plus(offset + 1);
            let decided = self
                .window
                .get(seq)
                .is_some_and(|slot| slot.decided.is_some());
            if !decided
                && let Some(byte) = usize::try_from(offset / 8)
                    .ok()
                    .and_then(|at| undecided.get_mut(at))
            {
                *byte |= 1 << (offset % 8);
            }
        }
        Wire::Status(Status {
            epoch: self.epoch,
            view: self.view,
            mode: self.mode,
            stable: low,
            last_executed: self.last_executed,
            undecided: Blob::from(undecided),
        })
    }

    /// Says where this replica stands.
    pub(super) fn broadcast_status(&mut self, out: &mut Outbox<Self>) {
        self.fetching.status_sent();
        self.broadcast(self.status(), When::Now, out);
    }

    /// Executed up to here. Whoever lives on what others give asks for more as soon as a part of it is executed: at
    /// the pace of T_status a busy cluster would decide faster than that, and never be caught up with.
    pub(super) fn on_executed(&mut self, seq: SeqNo, out: &mut Outbox<Self>) {
        self.last_executed = self.last_executed.max(seq);
        let fetching = &self.fetching;
        let part = fetching.slots >= PART_SLOTS || fetching.bytes >= PART_BYTES;
        let lives_on_it =
            self.last_executed == self.execute_sent && self.execute_sent <= fetching.given;
        if part && lives_on_it {
            self.broadcast_status(out);
        }
    }

    /// A DECISION has decided a slot, with so many bytes.
    pub(super) fn note_given(&mut self, seq: SeqNo, bytes: usize) {
        self.fetching.given = self.fetching.given.max(seq);
        self.fetching.slots += 1;
        self.fetching.bytes = self.fetching.bytes.saturating_add(bytes);
    }

    /// T_status: say where this replica stands, and ask for bodies that did not come.
    pub(super) fn on_status_timer(&mut self, now: Instant, out: &mut Outbox<Self>) {
        self.status_timer_fired(now);
        self.broadcast_status(out);
        self.trim_backlog(now, out);
        self.ask_for_renewal(now, out);
        // While slots are executed, bodies keep coming.
        if self.fetching.execute_sent != self.execute_sent {
            self.fetching.execute_sent = self.execute_sent;
            self.fetching.patience.progress(now);
        } else {
            let first = self.policy.retransmit_interval;
            let attempt = self.fetching.patience.attempt(now, first);
            if attempt.is_some_and(|attempt| !self.fetch_missing(attempt, out)) {
                self.fetching.patience.progress(now);
            }
        }
        self.fetch_if_stuck(now, out);
        self.forward_waiting(now, out);
        self.judge_order(now, out);
        self.status_timer_set(now);
        out.push(Action::SetTimer {
            timer: Timer::Status,
            after: self.policy.status_interval,
        });
    }

    /// Asks for what votes show to exist and is not here: headers that votes carry along, bodies
    /// of accepted headers and of decided slots. Returns whether anything was missing.
    fn fetch_missing(&mut self, attempt: u32, out: &mut Outbox<Self>) -> bool {
        let mut adopt: Vec<Header> = Vec::new();
        let mut header_checks = 0;
        let mut missing: Vec<(SeqNo, Digest, ReplicaId)> = Vec::new();
        for (seq, slot) in self.window.iter() {
            if missing.len() >= FETCH_MAX {
                break;
            }
            if self.is_void(seq) {
                continue;
            }
            let wanted = match (&slot.decided, slot.header) {
                // Executed, but before a restart, or as part of a state: the body is not here, and a
                // later view may be short of just this vote.
                (_, Some(header)) if seq <= self.execute_sent => {
                    let voted = |vote: Prepare| vote.statement.view >= header.statement.view;
                    let due = header.statement.view == self.view && !slot.vote.is_some_and(voted);
                    due.then_some(header.statement.digest)
                }
                _ if seq <= self.execute_sent => None,
                (Some(decided), _) => Some(decided.statement.digest),
                (None, Some(header)) => Some(header.statement.digest),
                (None, None) if !self.assigned.is_free(seq) || self.mode != Mode::Normal => None,
                (None, None) => {
                    // The first that the primary did sign: a liar's vote must hide no other.
                    let header = slot
                        .prepares
                        .iter()
                        .filter(|vote| vote.replica != self.me && vote.statement.view == self.view)
                        .map(Prepare::header)
                        .take(HEADER_CHECKS_MAX.saturating_sub(header_checks))
                        .find(|header| {
                            header_checks += 1;
                            header.statement.digest != null_digest()
                                && self.verify(header.check(&self.keyring))
                        });
                    adopt.extend(header);
                    header.map(|header| header.statement.digest)
                }
            };
            if let Some(digest) = wanted
                && digest != null_digest()
                && slot.body(&digest).is_none()
            {
                let source = slot
                    .prepares
                    .iter()
                    .find(|vote| vote.statement.digest == digest && vote.replica != self.me)
                    .map_or(self.primary(), |vote| vote.replica);
                missing.push((seq, digest, source));
            }
        }
        let anything = !adopt.is_empty() || !missing.is_empty();
        for header in adopt {
            if let Some(slot) = self.window.slot(header.statement.seq) {
                slot.header = Some(header);
            }
        }
        for (seq, digest, source) in missing {
            let fetch = Wire::FetchBatch(seq, digest);
            // Whoever voted for it holds it; which replicas did is not known for everything that a
            // new view assigns.
            if attempt == 0 {
                self.send(source, fetch, out);
            } else {
                self.broadcast(fetch, When::Now, out);
            }
        }
        anything
    }

    /// STATUS of a peer: what it lacks and we have is sent again once it has made no progress for
    /// a while; otherwise the messages are probably under way.
    pub(super) fn on_status(
        &mut self,
        now: Instant,
        from: ReplicaId,
        status: Status,
        out: &mut Outbox<Self>,
    ) {
        let first = self.policy.retransmit_interval;
        let new_view = self
            .new_view_for(&status)
            .filter(|_| self.opening_is_durable());
        let Some(peer) = self.peers.get_mut(from.index()) else {
            return;
        };
        let new_view = match new_view {
            Some(new_view) => peer
                .lacks_view
                .attempt(now, first)
                .is_some()
                .then_some(new_view),
            None => {
                peer.lacks_view.progress(now);
                None
            }
        };
        let (moved, due) = peer.hear(now, first, &status);
        self.archive.spare_upto(self.stable_everywhere());
        if let Some(new_view) = new_view {
            self.send(from, new_view, out);
        }
        let Some(due) = due else {
            return;
        };
        if status.stable < self.window.low()
            && !moved
            && let Some(certificate) = self.stable_certificate()
        {
            // Certificates with a Byzantine signature may exist at one correct replica only (R9).
            let certificate = certificate.clone();
            self.send(from, Wire::Stable(certificate), out);
        }
        let mut sent = 0;
        if status.last_executed < self.execute_sent {
            // Farther above its watermark it has no place for any.
            let high = status.stable.plus(2 * self.cluster().limits().log_window);
            sent += self.help(from, due, high, out);
        }
        if !moved {
            sent += self.resend_votes(from, &status, out);
        }
        if sent > 0 {
            out.push(Action::Report(Report::Retransmitted {
                to: from,
                messages: sent,
            }));
        } else if let Some(peer) = self.peers.get_mut(from.index()) {
            // It lacks nothing that is here: an idle hour must not make the next wait a long one.
            peer.patience.progress(now);
        }
    }

    /// The lowest of the low watermarks that the others named last. A liar's lowers it, to no more than the archive's bound.
    fn stable_everywhere(&self) -> SeqNo {
        let others = (0..)
            .zip(&self.peers)
            .filter(|(id, _)| ReplicaId(*id) != self.me);
        others
            .map(|(_, peer)| peer.stable)
            .min()
            .unwrap_or_default()
    }

    /// Sends the next step of decisions up to `high` to a peer that lags, if it is this replica's turn. Returns
    /// how many.
    pub(super) fn help(
        &mut self,
        lagging: ReplicaId,
        due: Due,
        high: SeqNo,
        out: &mut Outbox<Self>,
    ) -> usize {
        if !self.helps(lagging, due.attempt) {
            return 0;
        }
        let last = due.first.plus(STEP_SLOTS_MAX - 1).min(high);
        let step = self.send_decisions(lagging, due.first, last, out);
        if let Some(step) = step
            && let Some(peer) = self.peers.get_mut(lagging.index())
        {
            peer.step = Some(step);
        }
        step.map_or(0, |step| step.decisions)
    }

    /// Decisions carry bodies, and one copy is enough: at first the f + 1 replicas behind the one
    /// that lags send them, of which one is correct; later everybody does.
    fn helps(&self, lagging: ReplicaId, attempt: u32) -> bool {
        let quorums = self.cluster().quorums();
        let behind = (self.me.index() + quorums.n() - lagging.index()) % quorums.n();
        attempt >= ATTEMPTS_BY_FEW || behind <= quorums.weak()
    }

    /// Is it certain that this replica would know, after a crash, in which view it may have proposed?
    /// Neither its NEW-VIEW nor a proposal in that view leaves before, again or for the first time
    /// (R12): it would open the view a second time, with something else.
    fn opening_is_durable(&self) -> bool {
        !self.is_primary() || self.durable >= self.view_recorded
    }

    /// Own durable messages for slots that the peer has not decided and neither have we.
    fn resend_votes(&mut self, to: ReplicaId, status: &Status, out: &mut Outbox<Self>) -> usize {
        let mut wires = Vec::new();
        let mut slots = 0;
        if !self.may_promise() || !self.opening_is_durable() {
            return 0;
        }
        for (seq, slot) in self.window.iter() {
            if slots >= RETRANSMIT_SLOTS_MAX || self.is_void(seq) {
                break;
            }
            if slot.decided.is_some() && seq <= self.execute_sent || !undecided(status, seq) {
                continue;
            }
            let before = wires.len();
            // Whoever lacks the body as well asks for it.
            if let Some(header) = slot.header
                && self.primary() == self.me
            {
                wires.push(Wire::PrePrepare(header, None));
            }
            if let Some(vote) = slot.vote
                && slot.vote_durable
            {
                wires.push(Wire::Prepare(vote));
            }
            // Counted means durable: own COMMITs are cast only then.
            if let Some(commit) = slot.commit.as_ref().map(|own| own.vote)
                && slot.commits.has(self.me, &commit.statement)
            {
                wires.push(Wire::Commit(commit));
            }
            if wires.len() > before {
                slots += 1;
            }
        }
        if status.last_executed <= self.last_executed {
            let unstable = self
                .own_states
                .iter()
                .filter(|(seq, _)| **seq > status.stable);
            wires.extend(
                unstable
                    .map(|(seq, digest)| Wire::Checkpoint(self.checkpoint_claim(*seq, *digest))),
            );
        }
        let sent = wires.len();
        for wire in wires {
            self.send(to, wire, out);
        }
        sent
    }

    /// Sends the decisions of a range that are in the log, as far as a step and the peer's allowance go. Returns
    /// what was sent.
    pub(super) fn send_decisions(
        &mut self,
        to: ReplicaId,
        first: SeqNo,
        last: SeqNo,
        out: &mut Outbox<Self>,
    ) -> Option<Step> {
        let mut step: Option<Step> = None;
        let mut step_bytes = 0;
        for seq in first.0..=last.0.min(self.execute_sent.0) {
            let seq = SeqNo(seq);
            let found = match (self.window.get(seq), self.archive.get(seq)) {
                (Some(slot), _) => slot.decided.clone().map(|certificate| {
                    let batch = slot.body(&certificate.statement.digest);
                    (certificate, batch.map(Body::to_raw))
                }),
                (None, Some(kept)) => Some((kept.certificate.clone(), kept.batch.clone())),
                (None, None) => None,
            };
            let Some((certificate, batch)) = found else {
                continue;
            };
            let digest = certificate.statement.digest;
            if batch.is_none() && digest != null_digest() {
                continue;
            }
            let bytes = batch.as_ref().map_or(0, RawBatch::bytes);
            if step.is_some() && step_bytes + bytes > STEP_BYTES_MAX {
                break;
            }
            let granted = |peer: &mut PeerState| peer.allowance.decision(seq, bytes);
            if !self.peers.get_mut(to.index()).is_some_and(granted) {
                break;
            }
            self.send(to, Wire::Decision(Decision { certificate, batch }), out);
            let before = step.map_or(0, |step| step.decisions);
            // The first part goes on while it is smaller than a part.
            let goes_on = (before as u64) < PART_SLOTS && step_bytes < PART_BYTES;
            step = Some(Step {
                decisions: before + 1,
                part: step.filter(|_| !goes_on).map_or(seq, |step| step.part),
                last: seq,
            });
            step_bytes += bytes;
        }
        step
    }

    /// FETCH-BATCH: answered if the body is here and the peer's allowance is not used up.
    pub(super) fn on_fetch_batch(
        &mut self,
        from: ReplicaId,
        seq: SeqNo,
        digest: &Digest,
        out: &mut Outbox<Self>,
    ) {
        let Some(slot) = self.window.get(seq) else {
            return;
        };
        let Some(batch) = slot.body(digest) else {
            return;
        };
        let granted = |peer: &mut PeerState| peer.allowance.pay(batch.bytes());
        if !self.peers.get_mut(from.index()).is_some_and(granted) {
            return;
        }
        match slot.header {
            Some(header) if header.statement.digest == *digest && self.opening_is_durable() => {
                self.send(from, Wire::PrePrepare(header, Some(batch.to_raw())), out);
            }
            _ => self.send(from, Wire::Batch(batch.to_raw()), out),
        }
    }

    /// A batch that was asked for: kept where a header or a decision waits for it.
    pub(super) fn on_batch(&mut self, batch: Arc<Batch>, out: &mut Outbox<Self>) {
        let digest = batch.digest();
        let waiting: Vec<SeqNo> = self
            .window
            .iter()
            .filter(|(_, slot)| slot.needs_body(&digest))
            .map(|(seq, _)| seq)
            .collect();
        for seq in waiting {
            if let Some(slot) = self.window.slot(seq) {
                slot.keep_body(Arc::clone(&batch));
            }
            self.vote(seq, out);
        }
        self.execute_decided(out);
    }
}

/// Does the bitmap say that `seq` is undecided? Slots beyond the bitmap are.
fn undecided(status: &Status, seq: SeqNo) -> bool {
    // The peer chose its watermark: up to the largest number there is.
    let above = seq.0.checked_sub(status.stable.0);
    let Some(offset) = above.and_then(|above| above.checked_sub(1)) else {
        return false;
    };
    let byte = usize::try_from(offset / 8)
        .ok()
        .and_then(|at| status.undecided.get(at));
    byte.is_none_or(|byte| byte & (1 << (offset % 8)) != 0)
}
