//! STATUS and what it drives: heartbeat, retransmission, decisions for those who lag behind
//! (docs/protocol.md R10.7, R13). It makes lossy links and bounded queues reliable in effect.

use crypto::Digest;
use crypto::codec::Blob;

use super::Pbft;
use super::admission::{DECISIONS_MAX, bitmap_len};
use super::generosity::Allowance;
use super::message::{Decision, Header, Mode, Prepare, Status, Wire};
use super::patience::Patience;
use crate::batch::{Batch, null_digest};
use crate::ids::{ReplicaId, SeqNo};
use crate::protocol::{Action, Outbox, Timer, When};
use crate::report::Report;
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

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
    /// The last decision that it was sent: once it has executed that, the next ones follow.
    sent_upto: Option<SeqNo>,
    patience: Patience,
    /// It lacks the NEW-VIEW of the current view.
    lacks_view: Patience,
    /// What it may be sent again.
    allowance: Allowance,
}

impl PeerState {
    /// Takes a STATUS in. Has the peer moved since the last one, and which attempt to help it is
    /// due?
    pub(super) fn hear(
        &mut self,
        now: Instant,
        first: Duration,
        status: &Status,
    ) -> (bool, Option<u32>) {
        let moved = self.last_executed != status.last_executed || self.stable != status.stable;
        let caught_up = self
            .sent_upto
            .is_some_and(|upto| status.last_executed >= upto);
        self.last_executed = status.last_executed;
        self.stable = status.stable;
        if moved {
            self.patience.progress(now);
        }
        self.allowance.fill(now);
        let attempt = if caught_up {
            self.sent_upto = None;
            Some(0)
        } else if moved {
            None
        } else {
            self.patience.attempt(now, first)
        };
        (moved, attempt)
    }

    /// Another sign of where it is: which attempt to help it is due?
    pub(super) fn attempt(&mut self, now: Instant, first: Duration) -> Option<u32> {
        self.patience.attempt(now, first)
    }

    /// It was sent the decisions up to here.
    pub(super) fn sent_upto(&mut self, last: SeqNo) {
        self.sent_upto = Some(last);
    }
}

/// This replica's own wait for bodies.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetching {
    execute_sent: SeqNo,
    patience: Patience,
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

    /// T_status: say where this replica stands, and ask for bodies that did not come.
    pub(super) fn on_status_timer(&mut self, now: Instant, out: &mut Outbox<Self>) {
        self.status_timer_fired(now);
        self.broadcast(self.status(), When::Now, out);
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
        let (moved, attempt) = peer.hear(now, first, &status);
        if let Some(new_view) = new_view {
            self.send(from, new_view, out);
        }
        let Some(attempt) = attempt else {
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
        if status.last_executed < self.execute_sent && self.helps(from, attempt) {
            let after = status.last_executed.next();
            let last = after.plus(DECISIONS_MAX - 1);
            let decisions = self.send_decisions(from, after, last, out);
            if decisions > 0
                && let Some(peer) = self.peers.get_mut(from.index())
            {
                peer.sent_upto = Some(last.min(self.execute_sent));
            }
            sent += decisions;
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

    /// Decisions carry bodies, and one copy is enough: at first the f + 1 replicas behind the one
    /// that lags send them, of which one is correct; later everybody does.
    pub(super) fn helps(&self, lagging: ReplicaId, attempt: u32) -> bool {
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
            if let Some(commit) = slot.commit
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

    /// Sends the decisions of a range that are in the log, as far as the peer's allowance goes. Returns
    /// how many.
    pub(super) fn send_decisions(
        &mut self,
        to: ReplicaId,
        first: SeqNo,
        last: SeqNo,
        out: &mut Outbox<Self>,
    ) -> usize {
        let mut sent = 0;
        for seq in first.0..=last.0.min(self.execute_sent.0) {
            let seq = SeqNo(seq);
            let found = match (self.window.get(seq), self.archive.get(seq)) {
                (Some(slot), _) => slot.decided.clone().map(|certificate| {
                    let batch = slot.body(&certificate.statement.digest).cloned();
                    (certificate, batch)
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
            let bytes = batch.as_ref().map_or(0, |batch| batch.bytes());
            let granted = |peer: &mut PeerState| peer.allowance.decision(seq, bytes);
            if !self.peers.get_mut(to.index()).is_some_and(granted) {
                break;
            }
            let batch = batch.map(|batch| batch.to_raw());
            self.send(to, Wire::Decision(Decision { certificate, batch }), out);
            sent += 1;
        }
        sent
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
