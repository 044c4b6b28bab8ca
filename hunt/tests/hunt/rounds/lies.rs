//! What a Byzantine member can sign: reports of votes and certificates, and NEW-VIEWs.

use consensus::pbft::certificate::{Certificate, Phase, Signers};
use consensus::pbft::message::{
    Header, MisbehaviourProof, SignedViewChange, SlotRecord, ViewChange, VoteReport, Wire,
};
use consensus::pbft::new_view::compute_o;
use consensus::{Epoch, ReplicaId, SeqNo, View};
use crypto::Digest;

use super::{Rounds, summary};
use crate::stage::Stage;

/// The slots of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lie(pub(super) Vec<SlotRecord>);

impl Rounds {
    /// Every report that the Byzantine member can sign when `view` is being opened: on one slot
    /// whatever there is, and on the others nothing.
    pub(super) fn lies(&self, stage: &Stage, view: u64) -> Vec<Lie> {
        let mut lies = vec![Lie(Vec::new())];
        for slot in 1..=self.slots {
            let mut votes = vec![None];
            let mut certificates = vec![None];
            for earlier in 0..view {
                votes.extend(self.headers(stage, earlier, slot).into_iter().map(Some));
                certificates.extend(
                    self.certificates(stage, earlier, slot)
                        .into_iter()
                        .map(Some),
                );
            }
            for vote in &votes {
                for certificate in &certificates {
                    if vote.is_some() || certificate.is_some() {
                        lies.push(Lie(vec![SlotRecord {
                            seq: SeqNo(slot),
                            vote: vote.as_ref().map(report),
                            prepared: certificate.clone(),
                        }]));
                    }
                }
            }
        }
        lies
    }

    /// Headers of a slot that exist, or that the Byzantine member can sign.
    fn headers(&self, stage: &Stage, view: u64, slot: u64) -> Vec<Header> {
        let digests: Vec<Digest> = if stage.cast.primary(view) == self.traitor {
            let batches = [0, 1].map(|client| stage.cast.batch(client, slot).digest());
            batches.to_vec()
        } else {
            summary::votes(stage, "pre-prepare", view, slot)
                .into_iter()
                .map(|(digest, _)| digest)
                .collect()
        };
        digests
            .into_iter()
            .map(|digest| stage.cast.header(view, slot, digest))
            .collect()
    }

    /// Certificates for which the Byzantine member's vote is all that may be missing.
    fn certificates(&self, stage: &Stage, view: u64, slot: u64) -> Vec<Certificate> {
        let quorum = stage.cast.cluster.quorums().slow();
        let mut certificates = Vec::new();
        for (digest, mut voters) in summary::votes(stage, "prepare", view, slot) {
            voters.push(self.traitor);
            if voters.len() < quorum {
                continue;
            }
            voters.sort_unstable();
            let header = stage.cast.header(view, slot, digest);
            let signers = voters
                .iter()
                .map(|id| (ReplicaId(*id), stage.cast.prepare(*id, &header).signature))
                .take(quorum)
                .collect();
            certificates.push(Certificate {
                epoch: Epoch(0),
                phase: Phase::Prepare,
                statement: header.statement,
                signers: Signers(signers),
            });
        }
        certificates
    }

    /// The valid NEW-VIEWs for `view` that a Byzantine primary can show: one for each O that some S
    /// and E lead to.
    pub(super) fn openings(&self, stage: &Stage, view: u64) -> Vec<(Wire, Vec<Digest>)> {
        let honest: Vec<SignedViewChange> = stage
            .correct()
            .into_iter()
            .filter_map(|id| stage.report_of(id, view))
            .collect();
        let needed = stage.cast.cluster.quorums().view_change();
        let mut found: Vec<(Wire, Vec<Digest>)> = Vec::new();
        if honest.len() < needed.saturating_sub(1) {
            return found;
        }
        let lies: Vec<SignedViewChange> = self
            .lies(stage, view)
            .into_iter()
            .map(|lie| stage.cast.view_change(self.traitor, view, None, lie.0))
            .collect();
        for set in sets_of(&honest, needed) {
            self.open(stage, view, set.clone(), false, &mut found);
            self.open(stage, view, set, true, &mut found);
        }
        for lie in lies {
            for mut set in sets_of(&honest, needed - 1) {
                set.push(lie.clone());
                self.open(stage, view, set, false, &mut found);
            }
        }
        found
    }

    fn open(
        &self,
        stage: &Stage,
        view: u64,
        set: Vec<SignedViewChange>,
        excludes_itself: bool,
        found: &mut Vec<(Wire, Vec<Digest>)>,
    ) {
        let decoded: Vec<ViewChange> = set
            .iter()
            .map(|signed| crypto::decode(&signed.bytes).expect("its own bytes"))
            .collect();
        let reports: Vec<&ViewChange> = decoded.iter().collect();
        let quorums = stage.cast.cluster.quorums();
        let excluded = usize::from(excludes_itself);
        let Ok(opening) = compute_o(quorums, SeqNo(0), &reports, excluded) else {
            return;
        };
        let known = found.iter().any(|(wire, digests)| {
            *digests == opening.digests && excludes(wire) == excludes_itself
        });
        if known {
            return;
        }
        let headers = opening
            .slots()
            .map(|(seq, digest)| stage.cast.header(view, seq.0, digest))
            .collect();
        let proofs = if excludes_itself {
            let votes = [0, 1].map(|client| {
                let digest = stage.cast.batch(client, 1).digest();
                let header = stage.cast.header(view - 1, 1, digest);
                stage.cast.prepare(self.traitor, &header)
            });
            vec![MisbehaviourProof::DoublePrepare(votes[0], votes[1])]
        } else {
            Vec::new()
        };
        let wire = stage.cast.new_view(view, set, proofs, headers);
        found.push((wire, opening.digests));
    }
}

fn excludes(wire: &Wire) -> bool {
    let Wire::NewView(signed) = wire else {
        return false;
    };
    let opening: consensus::pbft::message::NewView =
        crypto::decode(&signed.bytes).expect("its own bytes");
    !opening.excluded.is_empty()
}

fn report(header: &Header) -> VoteReport {
    VoteReport {
        view: View(header.statement.view.0),
        digest: header.statement.digest,
        header_signature: header.signature,
    }
}

/// All subsets of this size.
fn sets_of(reports: &[SignedViewChange], size: usize) -> Vec<Vec<SignedViewChange>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let mut sets = Vec::new();
    for (at, first) in reports.iter().enumerate() {
        for mut rest in sets_of(&reports[at + 1..], size - 1) {
            rest.insert(0, first.clone());
            sets.push(rest);
        }
    }
    sets
}
