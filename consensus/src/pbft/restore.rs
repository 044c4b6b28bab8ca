//! Restart: rebuilding a replica from its durable records (docs/protocol.md R12).

use std::sync::Arc;

use crypto::{Digest, Kind};

use super::Pbft;
use super::message::{Mode, Prepare};
use super::record::Record;
use super::slot::{OwnCommit, Prepared};
use super::view_admission::{SentNewView, SentViewChange};
use crate::batch::Batch;
use crate::configuration::Configuration;
use crate::ids::SeqNo;
use crate::mutation::{Mutation, active};
use crate::time::Instant;

impl Pbft {
    /// Takes one record back, oldest first.
    pub(super) fn restore_record(&mut self, record: Record) {
        match record {
            Record::Role(role) => self.restore_role(role),
            Record::Epoch { epoch, start, base } => self.restore_epoch(epoch, start, base),
            Record::Vote { epoch, .. } if epoch != self.epoch || !self.may_promise() => {}
            Record::Vote { .. } if active(Mutation::ForgetVotesAtRestart) => {}
            Record::Vote {
                epoch,
                statement,
                header_signature,
                batch,
            } => {
                let vote = Prepare {
                    epoch,
                    statement,
                    replica: self.me,
                    // Ed25519 is deterministic: the same vote has the same signature.
                    signature: self.sign(Kind::Prepare, &statement.body()),
                    header_signature,
                };
                let limits = self.cluster().limits().clone();
                let view = self.view;
                let Some(slot) = self.window.slot(statement.seq) else {
                    return;
                };
                // Accepted in the view of the vote; in a later one O or the primary says it anew.
                let accepted = statement.view == view;
                if accepted {
                    slot.header = Some(vote.header());
                }
                slot.vote = Some(vote);
                slot.vote_durable = true;
                slot.prepares.cast(vote);
                if let Some(batch) = batch.and_then(|raw| Batch::parse(raw, &limits).ok()) {
                    slot.keep_body(Arc::new(batch));
                }
                // What was voted for in older views may be free by now: no gap may stay below it.
                if accepted {
                    self.next = self.next.max(statement.seq.next());
                }
            }
            Record::Bodies { seq, batches } => {
                let limits = self.cluster().limits().clone();
                if let Some(slot) = self.window.slot(seq) {
                    let parsed = batches.into_iter().map(|raw| Batch::parse(raw, &limits));
                    for batch in parsed.filter_map(Result::ok) {
                        slot.keep_body(Arc::new(batch));
                    }
                }
            }
            Record::Prepared(certificate)
                if certificate.epoch != self.epoch || !self.may_promise() => {}
            Record::Prepared(certificate) => {
                let statement = certificate.statement;
                let current = statement.view == self.view && self.mode == Mode::Normal;
                // The certificate became durable for the sake of a COMMIT. Whether that left is
                // not known: it counts here, and STATUS brings it to whoever lacks it.
                let commit = current.then(|| self.own_commit(statement));
                let Some(slot) = self.window.slot(statement.seq) else {
                    return;
                };
                if let Some(commit) = commit {
                    slot.commits.cast(commit);
                    slot.commit = Some(OwnCommit::new(commit));
                }
                slot.prepared = Some(Prepared {
                    certificate,
                    at: Instant(0),
                    persisted: true,
                });
            }
            // The record of an epoch brings the certificate that it rests on, and may be durable
            // without the record of that certificate: those who are still in the epoch before it
            // need it, and may have it from nobody else.
            Record::Stable(certificate)
                if self
                    .stable
                    .as_ref()
                    .is_some_and(|held| held.seq >= certificate.seq) => {}
            Record::Stable(certificate) => {
                self.window.advance(certificate.seq);
                self.next = self.next.max(certificate.seq.next());
                self.stable = Some(certificate);
                self.restore_boundary();
            }
            Record::View { epoch, .. } if epoch != self.epoch => {}
            // What a learner has left behind it cannot report on.
            Record::View {
                mode: Mode::ViewChange,
                ..
            } if !self.may_promise() => {}
            Record::View {
                view,
                mode,
                view_change,
                new_view,
                ..
            } => {
                self.view = view;
                self.mode = mode;
                if let Some(own) = view_change.and_then(SentViewChange::stored) {
                    self.view_changes.restore(own);
                }
                if let Some(opening) = new_view.and_then(SentNewView::stored) {
                    self.restore_opening(opening);
                }
            }
        }
    }

    /// The executor goes on from a stored state: slots up to `seq` are executed, `digest` is the
    /// state there and `configuration` a part of it. Call after the records are restored, before the
    /// first step.
    pub fn restore_state(&mut self, seq: SeqNo, digest: Digest, configuration: Configuration) {
        self.restore_configuration(seq, configuration);
        self.execute_sent = self.execute_sent.max(seq);
        self.last_executed = self.last_executed.max(seq);
        self.next = self.next.max(seq.next());
        if seq > self.window.low() {
            self.own_states.insert(seq, digest);
            // It counts towards stability as it did before: peers will not send it back.
            if self.may_promise() {
                let claim = self.checkpoint_claim(seq, digest);
                self.claims.entry(seq).or_default().keep(claim);
            }
        }
    }

    /// States at checkpoints that were durable here before the stored one, as they were saved with it
    /// (R9). Call after [`Pbft::restore_state`]. The states are gone, but not what this replica knows
    /// of them: if a power cut finds everybody at another state, CHECKPOINTs of older ones are all that
    /// f + 1 replicas have in common.
    pub fn restore_checkpoints(&mut self, earlier: &[(SeqNo, Digest)]) {
        let low = self.window.low().max(self.epoch_start);
        for &(seq, digest) in earlier.iter().filter(|(seq, _)| *seq > low) {
            self.own_states.insert(seq, digest);
            if self.may_promise() {
                let claim = self.checkpoint_claim(seq, digest);
                self.claims.entry(seq).or_default().keep(claim);
            }
        }
    }

    /// The last stop was not a clean one: a proposal of the current view may have left without a
    /// trace, so this replica never proposes in it again (R12, restart fence).
    pub fn fence(&mut self) {
        self.fenced = !active(Mutation::ProposeAfterRestart);
    }
}
