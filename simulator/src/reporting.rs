//! What replicas report: counted as witnesses, judged by the oracles that need no more than a report,
//! and drawn in charts.

use consensus::report::{Path, Trigger};
use consensus::{ReplicaId, Report, View};

use crate::world::World;

impl World<'_> {
    /// Is nothing that this replica says to be believed?
    pub(crate) fn is_faulty(&self, id: ReplicaId) -> bool {
        let node = self.nodes.get(id.index());
        node.is_none_or(|node| node.is_byzantine())
    }

    pub(crate) fn report(&mut self, at: usize, report: Report) {
        let correct = !self.nodes[at].is_byzantine();
        if let Some(running) = &mut self.nodes[at].running {
            running.reads.note(&report);
        }
        match report {
            Report::Decided {
                epoch,
                seq,
                digest,
                path,
                view,
            } => {
                match path {
                    Path::Fast => {
                        self.stats.fast += 1;
                        self.fast_slot = self.fast_slot.max(Some((view, seq)));
                    }
                    Path::Slow => self.stats.slow += 1,
                    Path::Transfer => self.stats.transferred += 1,
                }
                if correct {
                    self.ledger.decided(at, epoch, seq, digest);
                }
            }
            Report::FellBack { .. } => self.stats.fallbacks += 1,
            Report::Stable { seq, .. } => {
                self.stats.checkpoints += 1;
                self.checkpoint_stable(at, seq);
            }
            Report::TransferDone { parts, .. } => {
                self.stats.state_transfers += 1;
                self.stats.parts_transferred += parts;
                self.caught_up();
            }
            Report::Retransmitted { .. } => self.stats.retransmissions += 1,
            Report::Equivocation { culprit, seq } => {
                self.stats.equivocations += 1;
                if correct && !self.is_faulty(culprit) {
                    self.ledger
                        .violation(format!("blame: correct {culprit} is accused at {seq}"));
                }
            }
            Report::LeftView { to, why } => {
                let left = std::mem::replace(&mut self.nodes[at].view, to);
                self.chart(|world| {
                    format!("{:<4} leaves for {to:?}: {}", world.name(at), why.name())
                });
                match why {
                    Trigger::RequestTimeout => self.stats.left_by_request_timeout += 1,
                    Trigger::NewViewTimeout => self.stats.left_by_new_view_timeout += 1,
                    Trigger::Silence => self.stats.left_by_silence += 1,
                    Trigger::Resignation => self.stats.left_by_resignation += 1,
                    Trigger::Equivocation => self.stats.left_by_equivocation += 1,
                    Trigger::Slowness => self.stats.left_by_slowness += 1,
                    Trigger::Join => self.stats.left_by_join += 1,
                    Trigger::Restart => self.stats.left_by_restart += 1,
                    Trigger::InvalidNewView | Trigger::BadProposal => {
                        self.stats.left_by_bad_primary += 1;
                        self.judge_leaving(at, left, to, why);
                    }
                }
            }
            Report::OpenedView {
                slots, excluded, ..
            } => {
                self.stats.views_with_slots += u64::from(slots > 0);
                self.stats.views_with_excluded += u64::from(excluded > 0);
            }
            Report::BecameLearner => self.stats.learners += 1,
            Report::BecameMember(_) => {
                self.stats.members_again += 1;
                self.nodes[at].learner = false;
                self.nodes[at].renewed = true;
                self.chart(|world| format!("{:<4} votes again", world.name(at)));
            }
            Report::EpochEntered(epoch) => {
                self.stats.epochs_entered += 1;
                self.chart(|world| format!("{:<4} enters {epoch:?}", world.name(at)));
            }
            Report::EnteredView(view) => {
                self.nodes[at].view = view;
                self.chart(|world| format!("{:<4} enters {view:?}", world.name(at)));
                self.entered(at, view);
            }
            _ => {}
        }
    }

    /// S8: a proposal that nobody may vote for, or an opening of a view that is none, is a Byzantine
    /// primary's.
    fn judge_leaving(&mut self, at: usize, left: View, to: View, why: Trigger) {
        let epoch = match &self.nodes[at].running {
            Some(running) => running.protocol.epoch(),
            None => return,
        };
        let primary = self.cluster.primary(epoch, left);
        if !self.nodes[at].is_byzantine() && !self.is_faulty(primary) {
            self.ledger.violation(format!(
                "blame: replica {at} leaves for {to}: {} by correct {primary}",
                why.name()
            ));
        }
    }

    fn entered(&mut self, at: usize, view: View) {
        self.stats.views_entered += u64::from(view > View(0));
        let Some(running) = &self.nodes[at].running else {
            return;
        };
        let (stable, term) = (running.protocol.stable(), running.protocol.term());
        if let Some((fast, slot)) = self.fast_slot
            && fast < view
            && slot > stable
        {
            self.stats.fast_then_view_change += 1;
        }
        if !self.nodes[at].is_byzantine() {
            self.hint_clients(at, term);
        }
    }
}
