//! Leaving a view (docs/protocol.md R10.1-R10.4): START_VC, the reports of the others, the join
//! rule, and the primary that opens the next view with n − f of them.
//!
//! From the moment a replica leaves a view it votes in it no more; what it promised there is in its
//! report, which is on disk before it is on the wire.

use std::collections::BTreeMap;

use crypto::Kind;
use crypto::codec::Blob;

use super::Pbft;
use super::message::{
    Header, MisbehaviourProof, Mode, NewView, Prepare, SignedNewView, SignedViewChange, SlotRecord,
    ViewChange, VoteReport, Wire,
};
use super::new_view::{Opening, Unopened, compute_o};
use super::record::Record;
use super::slot::Slot;
use super::view_admission::{SentNewView, SentViewChange, fits};
use crate::batch::null_digest;
use crate::ids::{ReplicaId, SeqNo, View};
use crate::mutation::{Mutation, active};
use crate::protocol::{Action, Misbehaviour, Outbox, Timer, When};
use crate::report::{Report, Trigger};
use crate::time::Instant;

/// T_rtx doubles this often while a report is sent again.
const REPEAT_DOUBLINGS_MAX: u32 = 4;

/// What this replica knows of the change from one view to the next. At most one report a replica.
#[derive(Clone, Debug, Default)]
pub(super) struct ViewChanges {
    /// The newest report of each replica; of one view the first.
    held: BTreeMap<ReplicaId, SentViewChange>,
    /// This replica's own report for the current view, as it was signed.
    own: Option<SignedViewChange>,
    /// Times that the own report was sent again.
    repeated: u32,
    /// The view whose NEW-VIEW is expected with the timer running.
    expected: Option<View>,
}

impl ViewChanges {
    /// Reports held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// The own report, to be sent again as it is.
    pub(super) fn own(&self) -> Option<&SignedViewChange> {
        self.own.as_ref()
    }

    /// Takes the own report back after a restart.
    pub(super) fn restore(&mut self, own: SentViewChange) {
        self.own = Some(own.signed.clone());
        self.keep(own);
    }

    /// The view is open: its timer is not needed.
    pub(super) fn opened(&mut self) {
        self.expected = None;
    }

    /// Keeps a report if it is news of its sender.
    fn keep(&mut self, sent: SentViewChange) -> bool {
        let newer = self
            .held
            .get(&sent.view_change.replica)
            .is_none_or(|held| held.view_change.new_view < sent.view_change.new_view);
        if newer {
            self.held.insert(sent.view_change.replica, sent);
        }
        newer
    }

    /// The largest view that `count` replicas have reached, in that or a later one.
    fn reached_by(&self, count: usize) -> Option<View> {
        let mut views: Vec<View> = self
            .held
            .values()
            .map(|sent| sent.view_change.new_view)
            .collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        views.get(count.checked_sub(1)?).copied()
    }
}

impl Pbft {
    /// START_VC (R10.2): leaves for `to`, if it is a later view.
    pub(super) fn start_view_change(
        &mut self,
        now: Instant,
        to: View,
        why: Trigger,
        out: &mut Outbox<Self>,
    ) {
        if to <= self.view || self.halted || !self.may_promise() {
            return;
        }
        self.view = to;
        self.mode = Mode::ViewChange;
        self.patience_of_views.left();
        self.order.left();
        self.view_changes.expected = None;
        self.commits.forget_waiting();
        out.push(Action::Report(Report::LeftView { to, why }));
        let sent = self.own_view_change();
        if active(Mutation::ForgetVotesAtViewChange) {
            self.window.forget_votes();
        }
        self.view_changes.own = Some(sent.signed.clone());
        self.persist(
            Record::View {
                epoch: self.epoch,
                view: to,
                mode: Mode::ViewChange,
                view_change: Some(sent.signed.clone()),
                new_view: None,
            },
            out,
        );
        self.broadcast(Wire::ViewChange(sent.signed.clone()), When::Durable, out);
        for timer in [Timer::NewView, Timer::Request, Timer::Heartbeat] {
            out.push(Action::CancelTimer(timer));
        }
        self.view_changes.repeated = 0;
        out.push(Action::SetTimer {
            timer: Timer::Retransmit,
            after: self.policy.retransmit_interval,
        });
        self.view_changes.keep(sent);
        // The own report may be the last that a set needs, and contradict another one in it.
        self.accuse_by_reports(now, out);
        self.consider_view_changes(now, out);
    }

    /// Everything that this replica would have to report if it left its view now: the latest vote of
    /// every slot in the window, whatever its view, NULL and decided slots included, and the highest
    /// prepared certificate.
    pub fn promises(&self) -> Vec<SlotRecord> {
        self.window
            .iter()
            .take_while(|(seq, _)| *seq <= self.window.high())
            .filter_map(|(seq, slot)| {
                let vote = self.vote_to_report(slot).map(|vote| VoteReport {
                    view: vote.statement.view,
                    digest: vote.statement.digest,
                    header_signature: vote.header_signature,
                });
                let prepared = slot.prepared.as_ref().map(|held| held.certificate.clone());
                let said = vote.is_some() || prepared.is_some();
                said.then_some(SlotRecord {
                    seq,
                    vote,
                    prepared,
                })
            })
            .collect()
    }

    fn own_view_change(&self) -> SentViewChange {
        let stable = self
            .stable
            .clone()
            .filter(|stable| stable.epoch == self.epoch);
        let view_change = ViewChange {
            epoch: self.epoch,
            new_view: self.view,
            replica: self.me,
            stable,
            records: self.promises(),
        };
        let bytes = crypto::encode(&view_change);
        let signature = self.sign(Kind::ViewChange, &bytes);
        SentViewChange {
            view_change,
            signed: SignedViewChange {
                bytes: Blob::from(bytes),
                signature,
            },
        }
    }

    /// The latest vote of a slot, whatever it is for.
    fn vote_to_report(&self, slot: &Slot) -> Option<Prepare> {
        let vote = slot.vote?;
        let of_last_view = vote.statement.view.next() >= self.view;
        if active(Mutation::ReportLastViewOnly) && !of_last_view
            || active(Mutation::DropNullVotes) && vote.statement.digest == null_digest()
        {
            return None;
        }
        if active(Mutation::ReportFirstVote) {
            return slot
                .prepares
                .iter()
                .find(|vote| vote.replica == self.me)
                .copied();
        }
        Some(vote)
    }

    /// T_rtx: a lost report would cost the view. Its receivers verify every copy, and a replica that
    /// left alone may have to repeat it for long: each wait is twice the one before, up to 16 T_rtx.
    pub(super) fn on_retransmit_timer(&mut self, out: &mut Outbox<Self>) {
        if self.mode != Mode::ViewChange || !self.may_promise() {
            return;
        }
        if let Some(own) = self.view_changes.own.clone() {
            self.broadcast(Wire::ViewChange(own), When::Durable, out);
        }
        let repeated = &mut self.view_changes.repeated;
        *repeated = repeated.saturating_add(1).min(REPEAT_DOUBLINGS_MAX);
        out.push(Action::SetTimer {
            timer: Timer::Retransmit,
            after: self.policy.retransmit_interval * (1 << *repeated),
        });
    }

    /// VIEW-CHANGE of any replica (R10.3).
    pub(super) fn on_view_change(
        &mut self,
        now: Instant,
        sent: SentViewChange,
        out: &mut Outbox<Self>,
    ) {
        let from = sent.view_change.replica;
        if !self.fits_the_epoch(&sent.view_change) {
            out.push(Action::Report(Report::Dropped {
                from,
                why: Misbehaviour::Unexpected("a view-change that does not fit the epoch"),
            }));
            return;
        }
        let to = sent.view_change.new_view;
        let stable = sent.view_change.stable.clone();
        if !self.view_changes.keep(sent) {
            return;
        }
        self.accuse_by_reports(now, out);
        if let Some(stable) = stable {
            self.on_stable(now, stable, out);
        }
        if from == self.primary() && to > self.view {
            self.start_view_change(now, self.view.next(), Trigger::Resignation, out);
        }
        self.consider_view_changes(now, out);
    }

    /// The part of VC validity that depends on where the epoch began.
    fn fits_the_epoch(&self, report: &ViewChange) -> bool {
        let window = self.cluster().limits().log_window;
        match &report.stable {
            Some(stable) => stable.seq > self.epoch_start,
            None => fits(report, self.epoch_start, window),
        }
    }

    /// Vote reports of one view and slot with different digests carry two headers of one primary.
    fn accuse_by_reports(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let mut seen: BTreeMap<(View, SeqNo), Header> = BTreeMap::new();
        let mut pairs = Vec::new();
        for sent in self.view_changes.held.values() {
            for record in &sent.view_change.records {
                let Some(vote) = &record.vote else { continue };
                let header = vote.header(sent.view_change.epoch, record.seq);
                let first = *seen.entry((vote.view, record.seq)).or_insert(header);
                if first.statement.digest != header.statement.digest {
                    pairs.push((first, header));
                }
            }
        }
        for (first, second) in pairs {
            self.on_double_pre_prepare(now, first, second, out);
        }
    }

    /// What the reports at hand lead to: joining, waiting, opening the view.
    pub(super) fn consider_view_changes(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let quorums = *self.cluster().quorums();
        if let Some(view) = self.view_changes.reached_by(quorums.weak())
            && view > self.view
        {
            // Comes back here.
            self.start_view_change(now, view, Trigger::Join, out);
            return;
        }
        if self.mode != Mode::ViewChange {
            return;
        }
        let gathered = self
            .view_changes
            .reached_by(quorums.view_change())
            .is_some_and(|view| view >= self.view);
        if gathered && self.view_changes.expected != Some(self.view) {
            self.view_changes.expected = Some(self.view);
            out.push(Action::SetTimer {
                timer: Timer::NewView,
                after: self
                    .patience_of_views
                    .stretched(self.policy.view_change_timeout),
            });
        }
        if self.is_primary() {
            self.try_new_view(now, out);
        }
    }

    /// TRY_NEW_VIEW (R10.4).
    fn try_new_view(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let quorums = *self.cluster().quorums();
        let proven = self
            .accused()
            .filter(|_| !active(Mutation::BreakTies) && !active(Mutation::RefuseTies));
        let (accused, excluded): (Vec<ReplicaId>, Vec<MisbehaviourProof>) = proven.copied().unzip();
        let set: Vec<SentViewChange> = self
            .view_changes
            .held
            .values()
            .filter(|sent| sent.view_change.new_view == self.view)
            .filter(|sent| !accused.contains(&sent.view_change.replica))
            .take(quorums.view_change())
            .cloned()
            .collect();
        if set.len() < quorums.view_change() {
            return;
        }
        let reports: Vec<&ViewChange> = set.iter().map(|sent| &sent.view_change).collect();
        let opening = match compute_o(&quorums, self.epoch_start, &reports, accused.len()) {
            Ok(opening) => opening,
            // Every pair of headers that the reports show is in the evidence by now (R11, L3).
            Err(Unopened::Conflict(_)) => return,
            Err(Unopened::Contradiction(seq)) => return self.contradiction(seq, out),
        };
        let headers = opening
            .slots()
            .map(|(seq, digest)| self.own_header(seq, digest))
            .collect();
        let new_view = NewView {
            epoch: self.epoch,
            view: self.view,
            view_changes: set.iter().map(|sent| sent.signed.clone()).collect(),
            excluded,
            headers,
        };
        let bytes = crypto::encode(&new_view);
        let signature = self.sign(Kind::NewView, &bytes);
        let signed = SignedNewView {
            bytes: Blob::from(bytes),
            signature,
        };
        out.push(Action::Report(Report::OpenedView {
            view: self.view,
            slots: opening.digests.len(),
            excluded: accused.len(),
        }));
        let sent = SentNewView {
            view_changes: set.into_iter().map(|sent| sent.view_change).collect(),
            new_view,
            signed,
        };
        self.enter_view(now, sent, opening, out);
    }

    /// This primary's header for a slot of the current view.
    pub(super) fn own_header(&self, seq: SeqNo, digest: crypto::Digest) -> Header {
        let statement = self.statement(seq, digest);
        Header {
            epoch: self.epoch,
            statement,
            signature: self.sign(Kind::PrePrepare, &statement.body()),
        }
    }

    pub(super) fn contradiction(&mut self, seq: SeqNo, out: &mut Outbox<Self>) {
        self.halt(
            format!(
                "slot {seq} has two prepared certificates of one view with different digests: \
                 more than f replicas are faulty"
            ),
            out,
        );
    }

    /// O of a NEW-VIEW as this replica computes it (R10.6).
    pub(super) fn opening_of(&self, sent: &SentNewView) -> Result<Opening, Unopened> {
        let reports: Vec<&ViewChange> = sent.view_changes.iter().collect();
        let excluded = sent.new_view.excluded.len();
        compute_o(
            self.cluster().quorums(),
            self.epoch_start,
            &reports,
            excluded,
        )
    }

    /// Do the reports of a NEW-VIEW fit the epoch?
    pub(super) fn reports_fit(&self, sent: &SentNewView) -> bool {
        sent.view_changes
            .iter()
            .all(|report| self.fits_the_epoch(report))
    }
}
