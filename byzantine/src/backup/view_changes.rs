//! BB5: VIEW-CHANGEs that are not what they have to be: some are refused as a whole, some are valid
//! lies about what was promised.

use consensus::pbft::certificate::{Certificate, Phase, Signers, Statement};
use consensus::pbft::message::{SlotRecord, ViewChange, VoteReport, Wire};
use consensus::{ReplicaId, SeqNo, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::double_vote::something_else;
use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::forge::{Forge, NO_SIGNATURE};

/// What is wrong with the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bogus {
    /// A prepared certificate whose signatures do not hold.
    #[default]
    InvalidProof,
    /// A prepared certificate whose signatures are for another digest.
    MixedDigests,
    /// A prepared certificate with one signer many times.
    DuplicateSigners,
    /// Votes without the primary's signature.
    UnsignedVotes,
    /// No stable checkpoint: the start of the epoch.
    StaleCheckpoint,
    /// A checkpoint far ahead without a proof.
    FalseCheckpoint,
    /// Valid, but without the prepared certificates.
    OmitPrepared,
    /// Valid, but without anything that was promised.
    OmitAll,
    /// Slots in descending order.
    Disordered,
    /// One of all these in turn.
    Any,
}

const EACH: [Bogus; 9] = [
    Bogus::InvalidProof,
    Bogus::MixedDigests,
    Bogus::DuplicateSigners,
    Bogus::UnsignedVotes,
    Bogus::StaleCheckpoint,
    Bogus::FalseCheckpoint,
    Bogus::OmitPrepared,
    Bogus::OmitAll,
    Bogus::Disordered,
];

/// See [`crate::Behaviour::BogusViewChange`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BogusViewChange {
    /// What is wrong with the report.
    pub lie: Bogus,
    /// Every other replica gets the honest report.
    pub split: bool,
}

impl Recipe for BogusViewChange {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Reporting {
            plan: self.clone(),
            turn: 0,
        })
    }
}

struct Reporting {
    plan: BogusViewChange,
    turn: usize,
}

impl Attack for Reporting {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let Wire::ViewChange(signed) = &sent.wire else {
            return leaves.push(sent);
        };
        let Ok(mut report) = crypto::decode::<ViewChange>(&signed.bytes) else {
            return leaves.push(sent);
        };
        // Others' reports pass through here as well, when they are sent on.
        if report.replica != hand.scene.me() || !hand.strikes(None) {
            return leaves.push(sent);
        }
        let lie = match self.plan.lie {
            Bogus::Any => EACH[self.turn % EACH.len()],
            lie => lie,
        };
        self.turn += 1;
        hand.did();
        falsify(lie, &hand.scene.forge, &mut report);
        let wire = Wire::ViewChange(hand.scene.forge.view_change(&report));
        for (at, to) in hand.scene.receivers(sent.to).into_iter().enumerate() {
            let mut copy = sent.copy_for(to);
            if !self.plan.split || at % 2 == 0 {
                copy.wire = wire.clone();
            }
            leaves.push(copy);
        }
    }
}

/// Makes a report one that lies in this way.
pub(crate) fn falsify(lie: Bogus, forge: &Forge, report: &mut ViewChange) {
    match lie {
        Bogus::StaleCheckpoint => {
            let window = forge.keyring.cluster().limits().log_window;
            report.stable = None;
            report.records.retain(|record| record.seq.0 <= window);
        }
        Bogus::FalseCheckpoint => {
            if let Some(stable) = &mut report.stable {
                stable.seq = stable.seq.plus(stable.seq.0.max(1));
            } else if let Some(record) = report.records.first_mut() {
                record.seq = SeqNo(u64::MAX);
            }
        }
        Bogus::OmitPrepared => {
            report.records.retain(|record| record.vote.is_some());
            for record in &mut report.records {
                record.prepared = None;
            }
        }
        Bogus::OmitAll => report.records.clear(),
        Bogus::Disordered => {
            invent(forge, report);
            report.records.reverse();
        }
        Bogus::UnsignedVotes => {
            invent(forge, report);
            for record in &mut report.records {
                if let Some(vote) = &mut record.vote {
                    vote.digest = something_else(&vote.digest);
                }
            }
        }
        Bogus::InvalidProof | Bogus::MixedDigests | Bogus::DuplicateSigners | Bogus::Any => {
            invent(forge, report);
            let (epoch, new_view) = (report.epoch, report.new_view);
            for record in &mut report.records {
                let held = record.prepared.take();
                let mut proof = held.unwrap_or_else(|| unsigned(forge, epoch, new_view, record));
                spoil(lie, &mut proof);
                record.prepared = Some(proof);
            }
        }
    }
}

fn spoil(lie: Bogus, proof: &mut Certificate) {
    match lie {
        Bogus::MixedDigests => proof.statement.digest = something_else(&proof.statement.digest),
        Bogus::DuplicateSigners => {
            if let Some(first) = proof.signers.0.first().copied() {
                proof.signers.0.fill(first);
            }
        }
        _ => {
            for (_, signature) in &mut proof.signers.0 {
                *signature = NO_SIGNATURE;
            }
        }
    }
}

/// A report of nothing gets two slots, so that there is something to lie about.
fn invent(forge: &Forge, report: &mut ViewChange) {
    let low = report.stable.as_ref().map_or(0, |stable| stable.seq.0);
    let view = View(report.new_view.0.saturating_sub(1));
    for seq in low + 1..=low + 2 {
        if report.records.len() >= 2 {
            break;
        }
        if report.records.iter().any(|record| record.seq.0 == seq) {
            continue;
        }
        let digest = crypto::Digest::of("invented", &seq.to_le_bytes());
        let header = forge.header(report.epoch, view, SeqNo(seq), digest);
        report.records.push(SlotRecord {
            seq: SeqNo(seq),
            vote: Some(VoteReport {
                view,
                digest,
                header_signature: header.signature,
            }),
            prepared: None,
        });
    }
    report.records.sort_by_key(|record| record.seq);
}

/// A certificate of a quorum that never signed.
fn unsigned(
    forge: &Forge,
    epoch: consensus::Epoch,
    new_view: View,
    record: &SlotRecord,
) -> Certificate {
    let quorum = forge.keyring.cluster().quorums().slow();
    let view = View(new_view.0.saturating_sub(1));
    let digest = record
        .vote
        .map_or_else(|| crypto::Digest::of("invented", &[]), |vote| vote.digest);
    let signers = (0..quorum)
        .filter_map(|id| u16::try_from(id).ok())
        .map(|id| (ReplicaId(id), NO_SIGNATURE));
    Certificate {
        epoch,
        phase: Phase::Prepare,
        statement: Statement {
            view,
            seq: record.seq,
            digest,
        },
        signers: Signers(signers.collect()),
    }
}
