#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use consensus::pbft::certificate::Statement;
use consensus::{FastQuorum, Limits, SeqNo, View};
use crypto::{Digest, Kind, SecretKey, Sender, Signer as _, signing_digest};
use replica::evidence::{Content, PROOF_SCHEMA, ProofKind};

use super::*;
use crate::check::Verdict;

fn key(replica: u16) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(replica).unwrap() + 1; 32])
}

fn cluster() -> Arc<Cluster> {
    let replicas = (0..5).map(|replica| key(replica).public()).collect();
    let clients = vec![key(99).public()];
    let limits = Limits::default();
    Arc::new(Cluster::genesis(1, FastQuorum::Strong, limits, replicas, clients).unwrap())
}

/// A proof against `culprit`, signed by `signer`.
fn proof(cluster: &Cluster, culprit: u16, signer: u16) -> Proof {
    let content = |text: &str| {
        let digest = Digest::of("content", text.as_bytes());
        let body = Statement {
            view: View(0),
            seq: SeqNo(9),
            digest,
        }
        .body();
        let sender = Sender::Replica(culprit);
        let signed = signing_digest(Kind::Prepare, cluster.id(), 0, sender, &body);
        let signature = key(signer).sign(&signed);
        Content {
            digest: digest.to_string(),
            signature: signature
                .0
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            body: None,
        }
    };
    Proof {
        schema: PROOF_SCHEMA.to_owned(),
        cluster: cluster.id().0.to_string(),
        kind: ProofKind::DoublePrepare,
        culprit,
        epoch: 0,
        view: 0,
        seq: 9,
        contents: [content("a"), content("b")],
        vouchers: Vec::new(),
    }
}

fn exhibit(witness: u32, proof: Proof) -> Exhibit {
    Exhibit {
        witness: Some(witness),
        name: proof.file_name(),
        proof: Ok(proof),
    }
}

/// Replica 3 is Byzantine by plan.
fn judged(exhibits: &[Exhibit]) -> Judged {
    check_evidence(exhibits, &cluster(), &[0, 1, 2, 4].into())
}

#[test]
fn a_proof_against_who_was_told_to_lie_passes_and_is_kept_once() {
    let guilty = proof(&cluster(), 3, 3);
    let judged = judged(&[exhibit(0, guilty.clone()), exhibit(1, guilty.clone())]);
    assert_eq!(judged.result.verdict, Verdict::Pass);
    assert_eq!(judged.result.facts["culprits"], serde_json::json!([3]));
    let repeat = tempfile::tempdir().unwrap();
    let facts = keep_evidence(repeat.path(), &judged.proofs).unwrap();
    assert_eq!(facts.len(), 1);
    assert_eq!(
        (facts[0].culprit, facts[0].kind.as_str()),
        (3, "double-prepare")
    );
    let kept = read_exhibits(None, &repeat.path().join("evidence")).unwrap();
    assert_eq!(kept[0].proof, Ok(guilty));
    assert_eq!(facts[0].file, format!("evidence/{}", kept[0].name));
}

#[test]
fn a_correct_replica_that_signed_two_contents_is_a_violation() {
    let judged = judged(&[exhibit(0, proof(&cluster(), 2, 2))]);
    assert_eq!(judged.result.verdict, Verdict::Fail);
    assert_eq!(
        judged.result.detail,
        "replica 2, which was to be correct, signed two contents (double-prepare, view 0, sequence number 9)"
    );
}

#[test]
fn a_correct_replica_that_accuses_without_proof_is_a_violation() {
    let forged = exhibit(0, proof(&cluster(), 2, 3));
    let result = judged(std::slice::from_ref(&forged)).result;
    assert_eq!(result.verdict, Verdict::Fail);
    assert!(
        result.detail.starts_with("replica 0 accuses without proof"),
        "{}",
        result.detail
    );
}

#[test]
fn a_liar_convicts_nobody_by_lying() {
    let forged = exhibit(3, proof(&cluster(), 2, 3));
    let rubbish = Exhibit {
        witness: Some(3),
        name: "x.json".to_owned(),
        proof: Err("no JSON".to_owned()),
    };
    let judged = judged(&[forged, rubbish]);
    assert_eq!(judged.result.verdict, Verdict::Pass);
    assert_eq!(judged.proofs, []);
}
