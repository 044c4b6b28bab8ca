#![allow(clippy::unwrap_used)]
use consensus::pbft::Pbft;
use consensus::pbft::admission::Message;
use consensus::pbft::certificate::{Certificate, Phase, Signers, StableCertificate, Statement};
use consensus::pbft::message::{Commit, Header};
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
