//! Proofs of equivocation: kept, passed on, reported (docs/protocol.md R18).

use super::Pbft;
use super::message::{Header, MisbehaviourProof, Prepare, Wire};
use crate::ids::ReplicaId;
use crate::protocol::{Action, Outbox, When};
use crate::report::{Report, Trigger};
use crate::time::Instant;

/// One proof per replica says all there is to say; a member cannot fill the store.
#[derive(Clone, Debug, Default)]
pub(super) struct EvidenceStore(Vec<(ReplicaId, MisbehaviourProof)>);

impl EvidenceStore {
    /// Keeps the newest epoch's proof of each replica; of one epoch the first.
    fn insert(&mut self, culprit: ReplicaId, proof: MisbehaviourProof) -> bool {
        match self.0.iter_mut().find(|(known, _)| *known == culprit) {
            Some((_, held)) if held.epoch() >= proof.epoch() => return false,
            Some((_, held)) => *held = proof,
            None => self.0.push((culprit, proof)),
        }
        true
    }
}

impl Pbft {
    /// Two valid headers of one primary for one view and slot (R7.2 step 4).
    pub(super) fn on_double_pre_prepare(
        &mut self,
        now: Instant,
        first: Header,
        second: Header,
        out: &mut Outbox<Self>,
    ) {
        self.on_evidence(now, MisbehaviourProof::DoublePrePrepare(first, second), out);
    }

    /// Two valid votes of one replica for one view and slot (R7.3).
    pub(super) fn on_double_prepare(
        &mut self,
        now: Instant,
        first: Prepare,
        second: Prepare,
        out: &mut Outbox<Self>,
    ) {
        self.on_evidence(now, MisbehaviourProof::DoublePrepare(first, second), out);
    }

    /// A valid proof, found here or received.
    pub(super) fn on_evidence(
        &mut self,
        now: Instant,
        proof: MisbehaviourProof,
        out: &mut Outbox<Self>,
    ) {
        let culprit = proof.culprit(&self.keyring);
        // One of a later epoch comes again when this replica is there. It must not take the place
        // of one that counts here.
        if proof.epoch() > self.epoch {
            return;
        }
        let counts = proof.epoch() == self.epoch;
        // A life that forgot its promises may have signed anything before it became a learner.
        if culprit == self.me && counts && self.may_promise() {
            if !self.halts_when_proven {
                return;
            }
            // Somebody else signs with this key, or promises were forgotten.
            self.halt(
                format!("this replica is proven to have signed two ways: {proof:?}"),
                out,
            );
            return;
        }
        if !self.evidence.insert(culprit, proof) {
            return;
        }
        out.push(Action::Report(Report::Equivocation {
            culprit,
            seq: proof.seq(),
        }));
        self.broadcast(Wire::Evidence(proof), When::Now, out);
        if !counts {
            return;
        }
        let (proven, f) = (self.accused().count(), self.cluster().quorums().f());
        if proven > f {
            // Nothing holds that was promised, and no view could be opened without them.
            self.halt(
                format!("{proven} replicas are proven Byzantine, more than f = {f}"),
                out,
            );
            return;
        }
        if culprit == self.primary() {
            self.suspect(now, Trigger::Equivocation, out);
        } else {
            // One more that is left out of the set may be what the new view was waiting for.
            self.consider_view_changes(now, out);
        }
    }

    /// Is there a proof against this replica that counts in this epoch?
    pub(super) fn is_proven(&self, replica: ReplicaId) -> bool {
        self.accused().any(|(known, _)| *known == replica)
    }

    /// The replicas that are excluded in this epoch (R18): proofs of earlier ones are reported and
    /// passed on, but whoever was renewed since is a member like any other, and the f of an epoch
    /// are counted in it.
    pub(super) fn accused(&self) -> impl Iterator<Item = &(ReplicaId, MisbehaviourProof)> {
        let epoch = self.epoch;
        self.evidence()
            .filter(move |(_, proof)| proof.epoch() == epoch)
    }

    /// The replicas that are proven to have equivocated in any epoch, with the newest proof.
    pub fn evidence(&self) -> impl Iterator<Item = &(ReplicaId, MisbehaviourProof)> {
        self.evidence.0.iter()
    }
}
