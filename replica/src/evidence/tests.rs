#![allow(clippy::unwrap_used)]
use consensus::pbft::Pbft;
use consensus::pbft::admission::Message;
use consensus::pbft::certificate::{Certificate, Phase, Signers, StableCertificate, Statement};
use consensus::pbft::message::{
    Checkpoint, Commit, Header, NewView, SignedNewView, SignedViewChange, ViewChange,
};
use consensus::pbft::view_admission::{SentNewView, SentViewChange};
use consensus::{Epoch, FastQuorum, Limits, ReplicaId, SeqNo, View};
use crypto::{Kind, SecretKey, Sender, Signer as _, signing_digest};

use super::super::{NoProof, Testify as _};
use super::*;

fn key(replica: u16) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(replica).unwrap() + 1; 32])
}

fn cluster() -> Arc<Cluster> {
    let replicas = (0..5).map(|replica| key(replica).public()).collect();
    let clients = vec![SecretKey::from_seed(&[99; 32]).public()];
    let limits = Limits::default();
    Arc::new(Cluster::genesis(1, FastQuorum::Strong, limits, replicas, clients).unwrap())
}

fn statement(view: u64, seq: u64, content: &str) -> Statement {
    Statement {
        view: View(view),
        seq: SeqNo(seq),
        digest: Digest::of("content", content.as_bytes()),
    }
}

fn sign(cluster: &Cluster, kind: Kind, replica: u16, body: &[u8]) -> Signature {
    let sender = Sender::Replica(replica);
    key(replica).sign(&signing_digest(kind, cluster.id(), 0, sender, body))
}

fn commit(cluster: &Cluster, replica: u16, statement: Statement) -> Message {
    Message::Commit(Commit {
        epoch: Epoch(0),
        statement,
        replica: ReplicaId(replica),
        signature: sign(cluster, Kind::Commit, replica, &statement.body()),
    })
}

fn header(cluster: &Cluster, replica: u16, statement: Statement) -> Message {
    let header = Header {
        epoch: Epoch(0),
        statement,
        signature: sign(cluster, Kind::PrePrepare, replica, &statement.body()),
    };
    Message::PrePrepare(header, None)
}

/// What a witness makes of these messages.
fn proofs(messages: &[Message]) -> Vec<Proof> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence");
    let witness = Witness::start(cluster(), &path).unwrap();
    for message in messages {
        let mut testimonies = Vec::new();
        Pbft::testimonies(witness.cluster(), message, &mut |each| {
            testimonies.push(each);
        });
        witness.see(&testimonies);
    }
    drop(witness);
    let Ok(files) = fs::read_dir(&path) else {
        return Vec::new();
    };
    let read = |entry: io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let proof: Proof = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(path.file_name().unwrap(), proof.file_name().as_str());
        proof
    };
    let mut proofs: Vec<Proof> = files.map(read).collect();
    proofs.sort_by_key(Proof::file_name);
    proofs
}

#[test]
fn who_signs_two_contents_in_one_place_leaves_a_proof_that_the_public_keys_confirm() {
    let cluster = cluster();
    let proofs = proofs(&[
        header(&cluster, 0, statement(0, 7, "a")),
        header(&cluster, 0, statement(0, 7, "b")),
        commit(&cluster, 3, statement(0, 9, "a")),
        commit(&cluster, 3, statement(0, 9, "b")),
    ]);
    let kinds: Vec<_> = proofs
        .iter()
        .map(|proof| (proof.kind, proof.culprit))
        .collect();
    assert_eq!(
        kinds,
        [
            (ProofKind::DoubleCommit, 3),
            (ProofKind::DoublePrePrepare, 0)
        ]
    );
    for proof in proofs {
        assert_eq!(proof.check(&cluster), Ok(()));
    }
}

#[test]
fn a_vote_that_travelled_in_a_certificate_counts_as_well() {
    let cluster = cluster();
    let other = statement(0, 9, "b");
    let signers = [1, 2, 3].map(|replica| {
        let signature = sign(&cluster, Kind::Commit, replica, &other.body());
        (ReplicaId(replica), signature)
    });
    let certificate = Certificate {
        epoch: Epoch(0),
        phase: Phase::Commit,
        statement: other,
        signers: Signers(signers.to_vec()),
    };
    let proofs = proofs(&[
        commit(&cluster, 3, statement(0, 9, "a")),
        Message::Decision(certificate, None),
    ]);
    assert_eq!(proofs.len(), 1);
    assert_eq!((proofs[0].culprit, proofs[0].check(&cluster)), (3, Ok(())));
}

#[test]
fn two_states_at_one_checkpoint_are_proven_from_a_certificate() {
    let cluster = cluster();
    let certificate = |content: &str| {
        let (seq, digest) = (SeqNo(128), Digest::of("state", content.as_bytes()));
        let body = StableCertificate::body(seq, &digest);
        let signature = sign(&cluster, Kind::Checkpoint, 2, &body);
        Message::Stable(StableCertificate {
            epoch: Epoch(0),
            seq,
            digest,
            signers: Signers(vec![(ReplicaId(2), signature)]),
        })
    };
    let proofs = proofs(&[certificate("a"), certificate("b")]);
    assert_eq!(proofs[0].kind, ProofKind::DoubleCheckpoint);
    assert_eq!(proofs[0].check(&cluster), Ok(()));
}

fn checkpoint(cluster: &Cluster, replica: u16, seq: u64, content: &str) -> Message {
    let (seq, digest) = (SeqNo(seq), Digest::of("state", content.as_bytes()));
    let body = StableCertificate::body(seq, &digest);
    Message::Checkpoint(Checkpoint {
        epoch: Epoch(0),
        seq,
        digest,
        replica: ReplicaId(replica),
        signature: sign(cluster, Kind::Checkpoint, replica, &body),
    })
}

#[test]
fn who_tells_a_replica_of_another_state_than_f_plus_1_others_is_convicted_by_their_signatures() {
    let cluster = cluster();
    let proofs = proofs(&[
        checkpoint(&cluster, 4, 64, "another"),
        checkpoint(&cluster, 1, 64, "true"),
        checkpoint(&cluster, 2, 64, "true"),
        // Again and again: one proof says it.
        checkpoint(&cluster, 4, 64, "another"),
        checkpoint(&cluster, 3, 64, "true"),
    ]);
    assert_eq!(proofs.len(), 1);
    let proof = &proofs[0];
    assert_eq!((proof.kind, proof.culprit), (ProofKind::FalseCheckpoint, 4));
    assert_eq!(proof.check(&cluster), Ok(()));

    let altered = |alter: &dyn Fn(&mut Proof)| {
        let mut proof = proof.clone();
        alter(&mut proof);
        proof.check(&cluster)
    };
    let too_few = |count| Err(NoProof::Vouchers { count, needed: 2 });
    assert_eq!(altered(&|proof| proof.vouchers.truncate(1)), too_few(1));
    // Nobody vouches twice, and nobody against himself.
    let twice = |proof: &mut Proof| proof.vouchers[1] = proof.vouchers[0].clone();
    assert_eq!(altered(&twice), too_few(1));
    assert_eq!(altered(&|proof| proof.vouchers[0].replica = 4), too_few(1));
    assert_eq!(
        altered(&|proof| proof.vouchers[0].replica = 0),
        Err(NoProof::Signature(2))
    );
    // The majority is right, whoever is accused.
    assert_eq!(
        altered(&|proof| proof.culprit = 1),
        Err(NoProof::Signature(1))
    );
}

#[test]
fn fewer_than_f_plus_1_others_convict_nobody_of_a_false_state() {
    let cluster = cluster();
    let proofs = proofs(&[
        checkpoint(&cluster, 4, 64, "another"),
        checkpoint(&cluster, 1, 64, "true"),
        checkpoint(&cluster, 2, 128, "true"),
        checkpoint(&cluster, 3, 128, "true"),
    ]);
    assert_eq!(proofs, []);
}

/// A report on leaving for view 1, which carries `stable` so that two of them differ.
fn view_change(cluster: &Cluster, replica: u16, stable: Option<&str>) -> SentViewChange {
    let stable = stable.map(|content| StableCertificate {
        epoch: Epoch(0),
        seq: SeqNo(64),
        digest: Digest::of("state", content.as_bytes()),
        signers: Signers(Vec::new()),
    });
    let view_change = ViewChange {
        epoch: Epoch(0),
        new_view: View(1),
        replica: ReplicaId(replica),
        stable,
        records: Vec::new(),
    };
    let bytes = crypto::encode(&view_change);
    let signature = sign(cluster, Kind::ViewChange, replica, &bytes);
    let bytes = Blob(bytes.into());
    SentViewChange {
        view_change,
        signed: SignedViewChange { bytes, signature },
    }
}

fn new_view(cluster: &Cluster, primary: u16, reports: &[SentViewChange]) -> Message {
    let new_view = NewView {
        epoch: Epoch(0),
        view: View(1),
        view_changes: reports.iter().map(|sent| sent.signed.clone()).collect(),
        excluded: Vec::new(),
        headers: Vec::new(),
    };
    let bytes = crypto::encode(&new_view);
    let signature = sign(cluster, Kind::NewView, primary, &bytes);
    let bytes = Blob(bytes.into());
    Message::NewView(Box::new(SentNewView {
        new_view,
        view_changes: reports
            .iter()
            .map(|sent| sent.view_change.clone())
            .collect(),
        signed: SignedNewView { bytes, signature },
    }))
}

#[test]
fn two_reports_on_leaving_for_one_view_are_proven_also_if_one_came_within_a_new_view() {
    let cluster = cluster();
    let report = |replica, stable| view_change(&cluster, replica, stable);
    let proofs = proofs(&[
        Message::ViewChange(Box::new(report(3, None))),
        Message::ViewChange(Box::new(report(3, None))),
        new_view(&cluster, 1, &[report(2, None), report(3, Some("a"))]),
    ]);
    assert_eq!(proofs.len(), 1);
    let proof = &proofs[0];
    assert_eq!(
        (proof.kind, proof.culprit, proof.view),
        (ProofKind::DoubleViewChange, 3, 1)
    );
    assert_eq!(proof.check(&cluster), Ok(()));

    let altered = |alter: &dyn Fn(&mut Proof)| {
        let mut proof = proof.clone();
        alter(&mut proof);
        proof.check(&cluster)
    };
    // Reports for two views contradict nothing: the bytes say which view they are for.
    assert_eq!(altered(&|proof| proof.view = 2), Err(NoProof::Elsewhere(1)));
    assert_eq!(
        altered(&|proof| proof.culprit = 2),
        Err(NoProof::Elsewhere(1))
    );
    assert_eq!(
        altered(&|proof| proof.contents[1].body = proof.contents[0].body.clone()),
        Err(NoProof::Elsewhere(2))
    );
    assert_eq!(
        altered(&|proof| proof.contents[0].body = None),
        Err(NoProof::Malformed("a body"))
    );
    assert_eq!(
        altered(&|proof| proof.contents[1].signature = proof.contents[0].signature.clone()),
        Err(NoProof::Signature(2))
    );
}

#[test]
fn two_openings_of_one_view_by_its_primary_are_proven() {
    let cluster = cluster();
    let report = |replica| view_change(&cluster, replica, None);
    let proofs = proofs(&[
        new_view(&cluster, 1, &[report(2), report(3)]),
        new_view(&cluster, 1, &[report(2), report(3)]),
        new_view(&cluster, 1, &[report(2), report(4)]),
    ]);
    assert_eq!(proofs.len(), 1);
    let proof = &proofs[0];
    assert_eq!(
        (proof.kind, proof.culprit, proof.view),
        (ProofKind::DoubleNewView, 1, 1)
    );
    assert_eq!(proof.check(&cluster), Ok(()));
}

#[test]
fn nobody_fills_memory_or_disk_with_reports() {
    let cluster = cluster();
    let mut seen = Seen::default();
    let mut found = 0;
    for view in 1..=100 {
        for content in ["a", "b"] {
            let body = |length| Some(Blob(vec![0; length].into()));
            let mut testimony = Testimony {
                kind: Kind::ViewChange,
                signer: ReplicaId(3),
                epoch: Epoch(0),
                view: View(view),
                seq: SeqNo(0),
                digest: Digest::of("content", content.as_bytes()),
                body: body(10),
                signature: Signature([0; 64]),
            };
            found += seen.compare(&cluster, &testimony).iter().count();
            testimony.signer = ReplicaId(4);
            testimony.body = body(BODY_BYTES_MAX + 1);
            assert_eq!(seen.compare(&cluster, &testimony), None);
        }
    }
    let held = |signer| seen.contents.get(&(signer, ProofKind::DoubleViewChange));
    assert_eq!(held(3).map(BTreeMap::len), Some(OPENINGS_MAX));
    assert_eq!(held(4), None);
    assert_eq!(found, OPENINGS_EACH_MAX);
}

#[test]
fn repeating_oneself_and_changing_ones_mind_in_another_view_prove_nothing() {
    let cluster = cluster();
    let proofs = proofs(&[
        commit(&cluster, 3, statement(0, 9, "a")),
        commit(&cluster, 3, statement(0, 9, "a")),
        commit(&cluster, 3, statement(1, 9, "b")),
        commit(&cluster, 3, statement(0, 10, "b")),
        commit(&cluster, 4, statement(0, 9, "b")),
    ]);
    assert_eq!(proofs, []);
}

#[test]
fn nobody_fills_the_disk_with_contradictions() {
    let cluster = cluster();
    let pair = |seq| ["a", "b"].map(|content| commit(&cluster, 3, statement(0, seq, content)));
    let messages: Vec<Message> = (1..=100).flat_map(pair).collect();
    assert_eq!(proofs(&messages).len(), PROOFS_EACH_MAX);
}

#[test]
fn nobody_fills_the_memory_with_places() {
    let mut seen = Seen::default();
    let cluster = cluster();
    for seq in 0..2 * SEEN_MAX as u64 {
        let testimony = Testimony {
            kind: Kind::Commit,
            signer: ReplicaId(3),
            epoch: Epoch(0),
            view: View(0),
            seq: SeqNo(seq),
            digest: Digest::default(),
            body: None,
            signature: Signature([0; 64]),
        };
        seen.compare(&cluster, &testimony);
    }
    assert_eq!(seen.contents[&(3, ProofKind::DoubleCommit)].len(), SEEN_MAX);
}

#[test]
fn an_altered_proof_convicts_nobody() {
    let cluster = cluster();
    let proof = proofs(&[
        commit(&cluster, 3, statement(0, 9, "a")),
        commit(&cluster, 3, statement(0, 9, "b")),
    ])
    .remove(0);
    let altered = |alter: &dyn Fn(&mut Proof)| {
        let mut proof = proof.clone();
        alter(&mut proof);
        proof.check(&cluster)
    };
    assert_eq!(
        altered(&|proof| proof.culprit = 2),
        Err(NoProof::Signature(1))
    );
    assert_eq!(
        altered(&|proof| proof.culprit = 9),
        Err(NoProof::Unknown(9))
    );
    assert_eq!(altered(&|proof| proof.seq = 10), Err(NoProof::Signature(1)));
    assert_eq!(
        altered(&|proof| proof.kind = ProofKind::DoublePrepare),
        Err(NoProof::Signature(1))
    );
    assert_eq!(
        altered(&|proof| proof.contents[1] = proof.contents[0].clone()),
        Err(NoProof::NoContradiction)
    );
    assert_eq!(
        altered(&|proof| proof.contents[1].signature.truncate(10)),
        Err(NoProof::Malformed("a signature"))
    );
    assert_eq!(
        altered(&|proof| proof.cluster = "00".repeat(32)),
        Err(NoProof::OtherCluster)
    );
}
