//! Replicas that have lost their records, and how they get their vote back (docs/protocol.md R16).
//!
//! A replica that may have forgotten a promise must not make another one that contradicts it, and
//! nobody can list what it promised. So it is a *learner*: it executes, answers clients and serves
//! what it has, but sends no proposal, PREPARE, COMMIT, CHECKPOINT or VIEW-CHANGE. Its RENEW, once
//! executed, ends the epoch, and with it everything that it may have promised.

use std::collections::BTreeMap;

use crypto::codec::Blob;

use super::Pbft;
use super::message::{Status, Wire};
use super::patience::Patience;
use super::record::{Record, Role};
use crate::configuration::{Nonce, Renew};
use crate::ids::{Epoch, ReplicaId, SeqNo};
use crate::protocol::{Action, Outbox, When};
use crate::report::Report;
use crate::time::Instant;

/// What this replica may promise, and how a learner goes about getting its vote back.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    role: Role,
    /// The role is not durable yet.
    unrecorded: bool,
    /// The low watermark that each peer reported last.
    reported: BTreeMap<ReplicaId, SeqNo>,
    patience: Patience,
}

impl Default for Membership {
    fn default() -> Self {
        Membership {
            role: Role::Member { from: Epoch(0) },
            unrecorded: false,
            reported: BTreeMap::new(),
            patience: Patience::default(),
        }
    }
}

impl Pbft {
    /// This replica has lost its records, or cannot know that it has not: it promises nothing until
    /// its vote is renewed. `nonce` names this life of it and must be drawn anew for each. Call
    /// before the records are restored, or without any.
    pub fn become_learner(&mut self, nonce: Nonce) {
        self.membership.role = Role::Learner { nonce };
        self.membership.unrecorded = true;
    }

    /// Member or learner.
    pub fn role(&self) -> Role {
        self.membership.role
    }

    /// May this replica promise anything in this epoch?
    pub(super) fn may_promise(&self) -> bool {
        match self.membership.role {
            Role::Member { from } => from <= self.epoch,
            Role::Learner { .. } => false,
        }
    }

    /// Takes [`Record::Role`] back, unless this is a new life.
    pub(super) fn restore_role(&mut self, role: Role) {
        if !self.membership.unrecorded {
            self.membership.role = role;
        }
    }

    /// Start: the role is recorded before anything else happens.
    pub(super) fn record_restored_role(&mut self, out: &mut Outbox<Self>) {
        if self.membership.unrecorded {
            self.record_role(out);
        }
        if let Role::Learner { .. } = self.membership.role {
            out.push(Action::Report(Report::BecameLearner));
            // It may have been stopped between entering the epoch and recording its vote there.
            self.take_role(out);
        }
    }

    fn record_role(&mut self, out: &mut Outbox<Self>) {
        self.membership.unrecorded = false;
        self.persist(Record::Role(self.membership.role), out);
    }

    /// An epoch begins: whoever was renewed in the one before is a member from here on. Another
    /// life's RENEW does not count.
    pub(super) fn take_role(&mut self, out: &mut Outbox<Self>) {
        let Role::Learner { nonce } = self.membership.role else {
            return;
        };
        if self.configuration().renewed(self.me, nonce) {
            self.membership.role = Role::Member { from: self.epoch };
            self.record_role(out);
            out.push(Action::Report(Report::BecameMember(self.epoch)));
        }
    }

    /// A learner notes how far its peers are.
    pub(super) fn note_progress_of(&mut self, from: ReplicaId, status: &Status) {
        if let Role::Learner { .. } = self.membership.role {
            self.membership.reported.insert(from, status.stable);
        }
    }

    /// Does this replica know as much as some correct one had made stable? Only then does it know
    /// its incarnation.
    fn has_caught_up(&self) -> bool {
        let mut reported: Vec<SeqNo> = self.membership.reported.values().copied().collect();
        reported.sort_unstable_by(|a, b| b.cmp(a));
        let weak = self.cluster().quorums().weak();
        reported
            .get(weak - 1)
            .is_some_and(|stable| *stable <= self.last_executed)
    }

    /// T_status: a learner asks for its vote. All replicas get the RENEW, so that the primary cannot
    /// pass it over.
    pub(super) fn ask_for_renewal(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let Role::Learner { nonce } = self.membership.role else {
            return;
        };
        let Some(last) = self.configuration().renewal(self.me).copied() else {
            return;
        };
        // Renewed already, and the epoch is about to end.
        let waits = last.incarnation > 0 && last.nonce == nonce;
        let early = self.last_executed.next() < self.configuration().first_renew(self.me);
        if waits || early || !self.has_caught_up() {
            return;
        }
        let first = self.policy.retransmit_interval;
        if self.membership.patience.attempt(now, first).is_none() {
            return;
        }
        let renew = Renew {
            incarnation: last.incarnation.saturating_add(1),
            nonce,
        };
        let request = renew.request(&*self.signer, self.cluster().id(), self.me);
        let raw = Blob(request.raw().clone());
        // Its nonce must be known after a restart.
        self.broadcast(Wire::Forward(vec![raw]), When::Durable, out);
    }
}
