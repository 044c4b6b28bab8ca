//! The end of an epoch and the beginning of the next (docs/protocol.md R16).
//!
//! ```text
//!   RENEW executed at s      B decided and executed       STABLE-CERT for B
//!   ────────●───────────────────────●────────────────────────●──────────────▶
//!           no promise above B,     slots above B are void   epoch + 1: view 0, window from B;
//!           the rest is filled up                            promises of the old one are void
//! ```
//!
//! Who executes s knows B, and everybody executes s before anything above B; so nothing above B is
//! executed by anybody in this epoch, whatever was decided there. The requests in it wait again.

use std::sync::Arc;

use super::Pbft;
use super::admission::Message;
use super::catch_up::{Fetching, PeerState};
use super::certificate::StableCertificate;
use super::message::{Mode, Status, Wire};
use super::record::Record;
use super::slot::Window;
use super::suspicion::{ViewPatience, Watch};
use super::view_change::ViewChanges;
use super::view_entry::Assigned;
use crate::batch::Batch;
use crate::configuration::{Configuration, Renew};
use crate::ids::{Epoch, ReplicaId, SeqNo, View};
use crate::pool::{Asker, Offer};
use crate::protocol::{Action, Outbox, Timer};
use crate::report::Report;
use crate::request::Request;
use crate::time::Instant;

/// What the core knows of the replicated configuration.
#[derive(Clone, Debug)]
pub(super) struct Configured {
    /// As of the last slot that was handed to the executor.
    pub(super) configuration: Configuration,
    /// The RENEW that closes the epoch, to fill the slots up to its end with.
    closed_by: Option<Request>,
    /// The final certificate of the epoch before, if this replica has it.
    base: Option<StableCertificate>,
    /// The epoch is known from the state only and has no record yet.
    unrecorded: bool,
}

impl Configured {
    pub(super) fn genesis(configuration: Configuration) -> Self {
        Configured {
            configuration,
            closed_by: None,
            base: None,
            unrecorded: false,
        }
    }
}

impl Pbft {
    /// The replicated configuration, as of the last slot handed to the executor.
    pub fn configuration(&self) -> &Configuration {
        &self.configured.configuration
    }

    /// Is the slot behind the end of the epoch? Nothing is promised for it or executed in it.
    pub(super) fn is_void(&self, seq: SeqNo) -> bool {
        self.configuration().closing().is_some_and(|end| seq > end)
    }

    /// A slot is handed to the executor: the configuration takes part (R16).
    pub(super) fn configure(&mut self, seq: SeqNo, batch: Option<&Batch>) {
        let was_open = self.configuration().closing().is_none();
        let renewed = self.configured.configuration.execute(seq, batch);
        if was_open && let Some(first) = renewed.first() {
            let requests = batch.map(Batch::requests).unwrap_or_default();
            let closes = |request: &&Request| {
                Renew::of(request).is_some_and(|(replica, _)| replica == *first)
            };
            self.configured.closed_by = requests.iter().find(closes).cloned();
        }
    }

    /// An epoch that closes is filled up to its end, or an idle cluster would never reach it. Free
    /// slots may not be NULL, so the RENEW is proposed again, which changes nothing any more.
    pub(super) fn fill_up_epoch(&mut self, now: Instant, out: &mut Outbox<Self>) {
        while self.configuration().closing().is_some()
            && self.window.contains(self.next)
            && !self.is_void(self.next)
            && self.undecided_proposals() < self.policy.inflight_max
        {
            let Some(request) = self.configured.closed_by.clone() else {
                return;
            };
            self.propose_batch(now, Batch::new(vec![request]), out);
        }
    }

    /// The last slot of the epoch is stable: the next epoch begins (R16).
    pub(super) fn end_epoch(
        &mut self,
        now: Instant,
        certificate: StableCertificate,
        out: &mut Outbox<Self>,
    ) {
        let end = certificate.seq;
        out.push(Action::Report(Report::Stable {
            seq: end,
            digest: certificate.digest,
        }));
        self.archive_upto(end);
        let void = self.window.all_batches(end);
        self.configured.configuration.begin(end.next());
        self.stable = Some(certificate.clone());
        self.begin_epoch(now, Some(certificate), &void, out);
    }

    /// A state was installed, with this configuration. If it belongs to a later epoch this replica
    /// goes there: what it promised in the one it leaves is stable up to that epoch's end, and void
    /// behind it.
    pub(super) fn follow_state(
        &mut self,
        now: Instant,
        configuration: Configuration,
        out: &mut Outbox<Self>,
    ) {
        let later = configuration.epoch() > self.epoch;
        self.configured.configuration = configuration;
        if later {
            self.begin_epoch(now, None, &[], out);
        }
    }

    /// Begins the epoch of the configuration; `void` are batches that the one before leaves behind.
    fn begin_epoch(
        &mut self,
        now: Instant,
        base: Option<StableCertificate>,
        void: &[Arc<Batch>],
        out: &mut Outbox<Self>,
    ) {
        self.reset_to_epoch(base);
        self.record_epoch(out);
        self.take_role(out);
        out.push(Action::Truncate(self.epoch_start));
        for timer in [
            Timer::NewView,
            Timer::Retransmit,
            Timer::Fast,
            Timer::Request,
        ] {
            out.push(Action::CancelTimer(timer));
        }
        out.push(Action::Report(Report::EpochEntered(self.epoch)));
        out.push(Action::Report(Report::EnteredView(self.view)));
        self.pool.requeue(now);
        for request in void.iter().flat_map(|batch| batch.requests()) {
            // The client asks again if there is no room. RENEWs of the old epoch had their turn.
            let service = request.id.client.is_service();
            if service {
                continue;
            }
            let request = request.clone();
            let asker = Asker::Replica { room: usize::MAX };
            if self.pool.offer(now, asker, request, &mut Vec::new()) == Offer::Full {
                break;
            }
        }
        self.hand_over_pending(out);
        self.broadcast_status(out);
        self.watch_primary(now, out);
        self.propose(now, out);
    }

    /// Forgets what belongs to the epoch before.
    fn reset_to_epoch(&mut self, base: Option<StableCertificate>) {
        let start = self.configuration().base();
        self.epoch = self.configuration().epoch();
        self.epoch_start = start;
        self.view = View(0);
        self.mode = Mode::Normal;
        self.fenced = false;
        self.window = Window::starting(start, self.cluster().limits().log_window);
        self.next = self.execute_sent.max(start).next();
        self.own_states = self.own_states.split_off(&start.next());
        self.claims.clear();
        if self.ahead.as_ref().is_some_and(|held| held.seq <= start) {
            self.ahead = None;
        }
        self.promised.clear();
        self.commits.forget_waiting();
        self.peers.fill(PeerState::default());
        self.fetching = Fetching::default();
        self.view_changes = ViewChanges::default();
        self.assigned = Assigned::default();
        self.patience_of_views = ViewPatience::default();
        self.watch = Watch::default();
        self.configured.closed_by = None;
        self.configured.base = base;
    }

    /// Makes the epoch durable before anything is promised in it.
    fn record_epoch(&mut self, out: &mut Outbox<Self>) {
        let record = Record::Epoch {
            epoch: self.epoch,
            start: self.epoch_start,
            base: self.configured.base.clone(),
        };
        self.persist(record, out);
        let record = Record::View {
            epoch: self.epoch,
            view: self.view,
            mode: self.mode,
            view_change: None,
            new_view: None,
        };
        self.view_recorded = self.persist(record, out);
        if let Some(base) = self.configured.base.clone() {
            self.persist(Record::Stable(base), out);
        }
        self.configured.unrecorded = false;
    }

    /// Start: an epoch that only the state knows of is recorded before anything else happens.
    pub(super) fn record_restored_epoch(&mut self, out: &mut Outbox<Self>) {
        if self.configured.unrecorded {
            self.record_epoch(out);
        }
    }

    /// Takes [`Record::Epoch`] back.
    pub(super) fn restore_epoch(
        &mut self,
        epoch: Epoch,
        start: SeqNo,
        base: Option<StableCertificate>,
    ) {
        self.epoch = epoch;
        self.epoch_start = start;
        self.view = View(0);
        self.mode = Mode::Normal;
        self.window.advance(start);
        self.next = self.next.max(start.next());
        self.stable = base.clone();
        self.configured.base = base;
    }

    /// The configuration of a stored state after slot `seq`. The state may have become durable
    /// before the record of its epoch: then nothing was promised in that epoch, and it begins anew.
    pub(super) fn restore_configuration(&mut self, seq: SeqNo, mut configuration: Configuration) {
        if configuration.epoch() < self.epoch {
            // The state is that of the boundary, which belongs to the old epoch.
            configuration.begin(seq.next());
        }
        let ahead = configuration.epoch() > self.epoch;
        self.configured.configuration = configuration;
        if ahead {
            self.reset_to_epoch(None);
            self.configured.unrecorded = true;
        }
        self.restore_boundary();
    }

    /// The certificate of a transferred state may be that of the epoch's last slot, and durable
    /// before the record of the epoch after it.
    pub(super) fn restore_boundary(&mut self) {
        let end = self.window.low();
        if self.configuration().closing() == Some(end) {
            self.configured.configuration.begin(end.next());
            self.reset_to_epoch(self.stable.clone());
            self.configured.unrecorded = true;
        }
    }

    /// A message of another epoch. Its signatures are worth nothing in this one; but it shows where
    /// its sender stands.
    pub(super) fn on_other_epoch(
        &mut self,
        now: Instant,
        from: ReplicaId,
        epoch: Epoch,
        message: Message,
        out: &mut Outbox<Self>,
    ) {
        match message {
            // The proof of a later epoch: nobody needs the log of this one any more.
            Message::Stable(certificate) if epoch > self.epoch => {
                self.on_stable(now, certificate, out);
            }
            Message::Status(status) if epoch < self.epoch => {
                self.help_across(now, from, Some(&status), out);
            }
            _ if epoch < self.epoch => self.help_across(now, from, None, out),
            _ => {}
        }
    }

    /// Answers a message of an earlier epoch: with the certificate that ended it, the newest one,
    /// and the decisions up to the boundary that are still here.
    fn help_across(
        &mut self,
        now: Instant,
        to: ReplicaId,
        status: Option<&Status>,
        out: &mut Outbox<Self>,
    ) {
        let first = self.policy.retransmit_interval;
        let Some(peer) = self.peers.get_mut(to.index()) else {
            return;
        };
        let due = match status {
            Some(status) => peer.hear(now, first, status).1,
            None => peer.attempt(now, first),
        };
        let Some(due) = due else { return };
        let mut sent = 0;
        let newest = self.stable.clone();
        let base = self.configured.base.clone().filter(|base| {
            let newer = newest.as_ref().is_none_or(|newest| newest.seq > base.seq);
            newer && status.is_some_and(|status| status.epoch == base.epoch)
        });
        for certificate in base.into_iter().chain(newest) {
            self.send(to, Wire::Stable(certificate), out);
            sent += 1;
        }
        if let Some(status) = status
            && status.last_executed < self.epoch_start
        {
            sent += self.help(to, due, self.epoch_start, out);
        }
        out.push(Action::Report(Report::Retransmitted { to, messages: sent }));
    }
}
