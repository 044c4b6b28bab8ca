//! Checkpoints, watermarks and garbage collection (docs/protocol.md R9; PBFT 4.3).

use std::collections::BTreeMap;

use crypto::{Digest, Kind};

use super::Pbft;
use super::certificate::{Signers, StableCertificate};
use super::message::{Checkpoint, Wire};
use super::record::Record;
use super::slot::Body;
use crate::ids::{ReplicaId, SeqNo};
use crate::protocol::{Action, Misbehaviour, Outbox, When};
use crate::report::Report;
use crate::time::Instant;

/// The CHECKPOINTs received for one sequence number: the first of each replica.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(BTreeMap<ReplicaId, Checkpoint>);

impl Claims {
    /// Claims held.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the first claim of its replica.
    pub(super) fn keep(&mut self, claim: Checkpoint) {
        self.0.entry(claim.replica).or_insert(claim);
    }

    /// A digest that at least `count` replicas claim.
    fn digest_of(&self, count: usize) -> Option<Digest> {
        self.0.values().map(|claim| claim.digest).find(|digest| {
            self.0
                .values()
                .filter(|claim| claim.digest == *digest)
                .count()
                >= count
        })
    }

    fn signers(&self, digest: &Digest, quorum: usize) -> Option<Signers> {
        let signers: Vec<_> = self
            .0
            .values()
            .filter(|claim| claim.digest == *digest)
            .map(|claim| (claim.replica, claim.signature))
            .take(quorum)
            .collect();
        (signers.len() == quorum).then_some(Signers(signers))
    }
}

impl Pbft {
    /// The state at a checkpoint is durable here: say so.
    pub(super) fn on_state_saved(
        &mut self,
        now: Instant,
        seq: SeqNo,
        digest: Digest,
        out: &mut Outbox<Self>,
    ) {
        if seq <= self.window.low() {
            return;
        }
        self.own_states.insert(seq, digest);
        let claim = self
            .may_promise()
            .then(|| self.checkpoint_claim(seq, digest));
        if let Some(claim) = claim {
            self.broadcast(Wire::Checkpoint(claim), When::Now, out);
        }
        if let Some(certificate) = self.ahead.clone()
            && certificate.seq <= seq
        {
            self.on_stable(now, certificate, out);
        }
        if let Some(claim) = claim {
            self.on_checkpoint(now, claim, out);
        }
    }

    /// This replica's CHECKPOINT for a state that is durable here.
    pub(super) fn checkpoint_claim(&self, seq: SeqNo, digest: Digest) -> Checkpoint {
        Checkpoint {
            epoch: self.epoch,
            seq,
            digest,
            replica: self.me,
            signature: self.sign(Kind::Checkpoint, &StableCertificate::body(seq, &digest)),
        }
    }

    /// CHECKPOINT from its replica.
    pub(super) fn on_checkpoint(
        &mut self,
        now: Instant,
        claim: Checkpoint,
        out: &mut Outbox<Self>,
    ) {
        let interval = self.cluster().limits().checkpoint_interval;
        if !claim.seq.0.is_multiple_of(interval) || !self.keeps_claims_of(claim.seq) {
            return;
        }
        let claims = self.claims.entry(claim.seq).or_default();
        match claims.0.get(&claim.replica) {
            Some(first) if first.digest != claim.digest => {
                out.push(Action::Report(Report::Dropped {
                    from: claim.replica,
                    why: Misbehaviour::Unexpected("two checkpoints for one sequence number"),
                }));
                return;
            }
            Some(_) => return,
            None => claims.keep(claim),
        }
        let quorum = self.keyring.cluster().quorums().slow();
        if let Some(signers) = claims.signers(&claim.digest, quorum) {
            let epoch = claim.epoch;
            let certificate = StableCertificate {
                epoch,
                seq: claim.seq,
                digest: claim.digest,
                signers,
            };
            self.on_stable(now, certificate, out);
        }
    }

    /// Are CHECKPOINTs for this slot kept? Those in reach of h are, and those in the window of others
    /// who are known to be far ahead: after a power cut they may have no other state than one there, and
    /// it becomes stable only with the help of who lags behind (R13).
    fn keeps_claims_of(&self, seq: SeqNo) -> bool {
        let window = self.cluster().limits().log_window;
        let ahead = self.ahead.as_ref().map(|certificate| certificate.seq);
        self.window.reaches(seq)
            || ahead.is_some_and(|ahead| seq > ahead && seq <= ahead.plus(window))
    }

    /// The newest checkpoint above `seq` for whose state f + 1 replicas vouch.
    pub(super) fn vouched_above(&self, seq: SeqNo) -> Option<(SeqNo, Digest)> {
        let weak = self.cluster().quorums().weak();
        let newest_first = self.claims.iter().rev().take_while(|(at, _)| **at > seq);
        newest_first
            .filter_map(|(at, claims)| Some((*at, claims.digest_of(weak)?)))
            .next()
    }

    /// STABLE-CERT, assembled or received: raise the low watermark, if this replica has the state.
    pub(super) fn on_stable(
        &mut self,
        now: Instant,
        certificate: StableCertificate,
        out: &mut Outbox<Self>,
    ) {
        let seq = certificate.seq;
        if seq <= self.window.low() {
            return;
        }
        let current = certificate.epoch == self.epoch;
        // A restart or a transfer leaves only the newest state, and its digest. It rests on the
        // certified one: h need not wait until it is stable itself, which may take this replica's
        // own help.
        let newer = self.own_states.range(seq.next()..).next().is_some();
        if current && newer && !self.own_states.contains_key(&seq) {
            self.advance(now, certificate, out);
            return;
        }
        let own = self.own_states.get(&seq);
        let Some(own) = own.filter(|_| current) else {
            // Not executed, or not durable yet. The certificate is kept for then.
            if self.ahead.as_ref().is_none_or(|held| held.seq < seq) {
                self.ahead = Some(certificate);
                let mut claims = std::mem::take(&mut self.claims);
                claims.retain(|seq, _| self.keeps_claims_of(*seq));
                self.claims = claims;
                self.fetch_if_behind(out);
            }
            return;
        };
        if *own != certificate.digest {
            let own = *own;
            self.halt(
                format!(
                    "state after slot {seq} has digest {own}, but a quorum certified {}: local \
                     corruption or non-determinism",
                    certificate.digest
                ),
                out,
            );
            return;
        }
        self.advance(now, certificate, out);
    }

    fn advance(&mut self, now: Instant, certificate: StableCertificate, out: &mut Outbox<Self>) {
        let seq = certificate.seq;
        if self.configuration().closing() == Some(seq) {
            return self.end_epoch(now, certificate, out);
        }
        out.push(Action::Report(Report::Stable {
            seq,
            digest: certificate.digest,
        }));
        self.persist(Record::Stable(certificate.clone()), out);
        out.push(Action::Truncate(seq));
        let old_high = self.window.high();
        self.archive_upto(seq);
        self.window.advance(seq);
        self.own_states = self.own_states.split_off(&seq.next());
        self.claims = self.claims.split_off(&seq.next());
        if self.ahead.as_ref().is_some_and(|held| held.seq <= seq) {
            self.ahead = None;
        }
        self.stable = Some(certificate);
        self.order.stable();
        self.assigned.advance(seq);
        self.accept_assigned(out);
        self.next = self.next.max(seq.next());
        // Proposals and votes that were received ahead of the window are in it now.
        let first = old_high.max(self.window.low()).next();
        for waiting in (first.0..=self.window.high().0).map(SeqNo) {
            self.vote(waiting, out);
            self.recount(now, waiting, out);
        }
        self.propose(now, out);
    }

    /// Keeps what leaves the window for those who have not executed it yet.
    pub(super) fn archive_upto(&mut self, seq: SeqNo) {
        for (at, slot) in self.window.iter().take_while(|(at, _)| *at <= seq) {
            if let Some(certificate) = slot.decided.clone() {
                let batch = slot.body(&certificate.statement.digest);
                self.archive.keep(at, certificate, batch.map(Body::to_raw));
            }
        }
    }

    /// The certificate of the low watermark, once there is one.
    pub(super) fn stable_certificate(&self) -> Option<&StableCertificate> {
        self.stable.as_ref()
    }
}
