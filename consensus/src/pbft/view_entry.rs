//! Entering a view (docs/protocol.md R10.6): a NEW-VIEW is computed again from the reports inside
//! it, made durable, and its slots are voted for like any others.

use std::collections::BTreeMap;

use super::Pbft;
use super::message::{Header, Mode, SignedNewView, Status, Wire};
use super::new_view::{Opening, Unopened};
use super::record::Record;
use super::slot::Body;
use super::view_admission::SentNewView;
use crate::ids::{SeqNo, View};
use crate::mutation::{Mutation, active};
use crate::protocol::{Action, Misbehaviour, Outbox, Timer, When};
use crate::report::{Report, Trigger};
use crate::time::Instant;

/// What the current view began with; empty for the first view of an epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Assigned {
    /// max_s: slots up to here may only be what the NEW-VIEW says, those above are free.
    max: SeqNo,
    /// O's headers of slots that are not stable here yet.
    headers: BTreeMap<SeqNo, Header>,
    /// As the primary signed it, for replicas that lack it.
    new_view: Option<SignedNewView>,
}

impl Assigned {
    /// May a header other than O's be accepted for `seq`?
    pub(super) fn is_free(&self, seq: SeqNo) -> bool {
        seq > self.max
    }

    /// Forgets slots that are stable.
    pub(super) fn advance(&mut self, low: SeqNo) {
        self.headers = self.headers.split_off(&low.next());
    }

    fn new(opening: &Opening, headers: &[Header], signed: SignedNewView) -> Self {
        Assigned {
            max: opening.max,
            headers: headers
                .iter()
                .map(|header| (header.statement.seq, *header))
                .collect(),
            new_view: Some(signed),
        }
    }
}

impl Pbft {
    /// NEW-VIEW, from anybody; its signatures hold.
    pub(super) fn on_new_view(&mut self, now: Instant, sent: SentNewView, out: &mut Outbox<Self>) {
        let view = sent.new_view.view;
        // Only the first valid one of a view counts.
        if view < self.view || view == self.view && self.mode == Mode::Normal {
            return;
        }
        let opening = if self.reports_fit(&sent) {
            match self.opening_of(&sent) {
                Ok(opening) if matches(&opening, &sent.new_view.headers) => Some(opening),
                Ok(opening) if active(Mutation::TrustHeaders) => Some(opening),
                Ok(_) | Err(Unopened::Conflict(_)) => None,
                Err(Unopened::Contradiction(seq)) => return self.contradiction(seq, out),
            }
        } else {
            None
        };
        match opening {
            Some(opening) => self.enter_view(now, sent, opening, out),
            None => {
                let why = "it is not what its reports lead to".to_owned();
                self.on_invalid_new_view(now, view, why, out);
            }
        }
    }

    /// A signed NEW-VIEW that is none: its primary is faulty. Only that of the own view moves this
    /// replica: otherwise whoever is the primary of a far view could send it there alone.
    pub(super) fn on_invalid_new_view(
        &mut self,
        now: Instant,
        view: View,
        why: String,
        out: &mut Outbox<Self>,
    ) {
        // Its signature covers every byte: whoever passed it on could change nothing.
        out.push(Action::Report(Report::Dropped {
            from: self.cluster().primary(self.epoch, view),
            why: Misbehaviour::Malformed(format!("new-view: {why}")),
        }));
        if view == self.view && self.mode == Mode::ViewChange {
            self.suspect(now, Trigger::InvalidNewView, out);
        }
    }

    /// Opens the view here, at the primary and at backups alike.
    pub(super) fn enter_view(
        &mut self,
        now: Instant,
        sent: SentNewView,
        opening: Opening,
        out: &mut Outbox<Self>,
    ) {
        let view = sent.new_view.view;
        if let Some(seq) = self.forgotten_decision(view, &opening) {
            self.halt(
                format!("the new view {view} loses the decision of slot {seq}"),
                out,
            );
            return;
        }
        let own = self
            .view_changes
            .own()
            .cloned()
            .filter(|_| view == self.view);
        self.view = view;
        self.mode = Mode::Normal;
        self.fenced = false;
        self.view_changes.opened();
        self.view_recorded = self.persist(
            Record::View {
                epoch: self.epoch,
                view,
                mode: Mode::Normal,
                view_change: own,
                new_view: Some(sent.signed.clone()),
            },
            out,
        );
        if self.is_primary() {
            self.broadcast(Wire::NewView(sent.signed.clone()), When::Durable, out);
        }
        out.push(Action::Report(Report::EnteredView(view)));
        for timer in [Timer::NewView, Timer::Retransmit, Timer::Fast] {
            out.push(Action::CancelTimer(timer));
        }
        self.assigned = Assigned::new(&opening, &sent.new_view.headers, sent.signed.clone());
        self.next = opening.max.next();
        self.commits.forget_waiting();
        self.window.forget_headers();
        // First of all, because a base that is stable here lets this primary propose.
        self.pool.requeue(now);
        if let Some(base) = opening.base {
            self.on_stable(now, base, out);
        }
        self.accept_assigned(out);
        self.take_up_early(now, out);
        self.hand_over_pending(out);
        self.watch_primary(now, out);
        for proof in &sent.new_view.excluded {
            self.on_evidence(now, *proof, out);
        }
        if self.halted || self.view != view {
            return;
        }
        self.propose(now, out);
    }

    /// A slot that is decided here by a certificate of an older view, and that O does not hold
    /// (R10.6): safety is lost. Decisions of this view or later ones may be ahead of it.
    fn forgotten_decision(&self, view: View, opening: &Opening) -> Option<SeqNo> {
        let reach = opening.min.plus(self.cluster().limits().log_window);
        self.window
            .iter()
            .filter(|(seq, _)| *seq > opening.min && *seq <= reach)
            .find(|(seq, slot)| {
                slot.decided.as_ref().is_some_and(|decided| {
                    decided.statement.view < view
                        && opening.digest(*seq) != Some(decided.statement.digest)
                })
            })
            .map(|(seq, _)| seq)
    }

    /// Accepts O's headers for the slots within reach, and votes for them: again even where the
    /// slot is decided or executed here, because others may need the votes.
    pub(super) fn accept_assigned(&mut self, out: &mut Outbox<Self>) {
        if self.mode != Mode::Normal {
            return;
        }
        let headers: Vec<Header> = self.assigned.headers.values().copied().collect();
        for header in headers {
            let seq = header.statement.seq;
            let Some(slot) = self.window.slot(seq) else {
                continue;
            };
            slot.header = Some(header);
            let body = slot.body(&header.statement.digest);
            if let Some(batch) = body.and_then(Body::batch).cloned() {
                self.pool.propose_again(batch.requests());
            }
            self.vote(seq, out);
        }
    }

    /// Proposals and votes of this view that came before its NEW-VIEW.
    fn take_up_early(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let slots: Vec<SeqNo> = self.window.iter().map(|(seq, _)| seq).collect();
        for seq in slots {
            let early = self.window.slot(seq).and_then(|slot| {
                slot.early
                    .take_if(|(header, _)| header.statement.view <= self.view)
            });
            if let Some((header, batch)) = early
                && header.statement.view == self.view
            {
                self.on_pre_prepare(now, header, batch, out);
            }
            self.recount(now, seq, out);
        }
    }

    /// The NEW-VIEW for a peer whose STATUS shows that it lacks it.
    pub(super) fn new_view_for(&self, status: &Status) -> Option<Wire> {
        let lacks =
            status.view < self.view || status.view == self.view && status.mode == Mode::ViewChange;
        if self.mode != Mode::Normal || !lacks {
            return None;
        }
        self.assigned.new_view.clone().map(Wire::NewView)
    }

    /// Takes the opening of the current view back after a restart.
    pub(super) fn restore_opening(&mut self, sent: SentNewView) {
        // It was valid when it was stored.
        if let Ok(opening) = self.opening_of(&sent) {
            self.next = self.next.max(opening.max.next());
            self.assigned = Assigned::new(&opening, &sent.new_view.headers, sent.signed);
        }
    }
}

/// `pps` is exactly O.
fn matches(opening: &Opening, headers: &[Header]) -> bool {
    let offered = headers
        .iter()
        .map(|header| (header.statement.seq, header.statement.digest));
    opening.slots().eq(offered)
}
