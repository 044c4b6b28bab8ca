//! R3 and R4: bytes as they travel and as they are stored. They are compared with what they were
//! when this version was made: whoever changes them changes the protocol's version.

use consensus::pbft::certificate::{Certificate, Phase, Signers, StableCertificate};
use consensus::pbft::message::{
    Checkpoint, Commit, Decision, Header, MisbehaviourProof, Mode, NewView, Prepare, SignedNewView,
    SignedViewChange, SlotRecord, Status, ViewChange, VoteReport, Wire,
};
use consensus::pbft::record::Record;
use consensus::state_machine::PartId;
use consensus::transfer::message::{Manifest, PartRef, PartRequest, StateMessage};
use consensus::{
    Batch, ByteList, ClientId, Epoch, FastQuorum, Limits, Outcome, Policy, RawBatch, ReplicaId,
    Reply, Request, RequestError, RequestId, ResultBody, SeqNo, Term, View,
};
use crypto::codec::Blob;
use crypto::{Digest, Signature};
use insta::assert_snapshot;

use crate::fixture::{Fixture, small_limits, statement};

/// Bytes in hexadecimal; eight or more equal bytes as `xx*count`.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() < 8 {
            run.iter()
                .for_each(|byte| text.push_str(&format!("{byte:02x}")));
        } else {
            text.push_str(&format!("[{:02x}*{}]", run[0], run.len()));
        }
    }
    text
}

const DIGEST: Digest = Digest([0xdd; 32]);

fn signature(byte: u8) -> Signature {
    Signature([byte; 64])
}

fn header() -> Header {
    Header {
        epoch: Epoch(1),
        statement: statement(2, 3, DIGEST),
        signature: signature(0xaa),
    }
}

fn prepare() -> Prepare {
    Prepare {
        epoch: Epoch(1),
        statement: statement(2, 3, DIGEST),
        replica: ReplicaId(4),
        signature: signature(0xbb),
        header_signature: signature(0xaa),
    }
}

fn signers() -> Signers {
    Signers(vec![
        (ReplicaId(0), signature(0xb0)),
        (ReplicaId(2), signature(0xb2)),
    ])
}

fn certificate() -> Certificate {
    Certificate {
        epoch: Epoch(1),
        phase: Phase::Commit,
        statement: statement(2, 3, DIGEST),
        signers: signers(),
    }
}

fn stable() -> StableCertificate {
    StableCertificate {
        epoch: Epoch(1),
        seq: SeqNo(64),
        digest: DIGEST,
        signers: signers(),
    }
}

fn batch() -> RawBatch {
    RawBatch::from_iter([&[1, 2, 3][..], &[4]])
}

fn signed_view_change() -> SignedViewChange {
    let report = VoteReport {
        view: View(2),
        digest: DIGEST,
        header_signature: signature(0xaa),
    };
    let record = SlotRecord {
        seq: SeqNo(3),
        vote: Some(report),
        prepared: Some(certificate()),
    };
    let view_change = ViewChange {
        epoch: Epoch(1),
        new_view: View(5),
        replica: ReplicaId(4),
        stable: Some(stable()),
        records: vec![record],
    };
    SignedViewChange {
        bytes: crypto::encode(&view_change).into(),
        signature: signature(0xcc),
    }
}

fn signed_new_view() -> SignedNewView {
    let new_view = NewView {
        epoch: Epoch(1),
        view: View(5),
        view_changes: vec![],
        excluded: vec![],
        headers: vec![header()],
    };
    SignedNewView {
        bytes: crypto::encode(&new_view).into(),
        signature: signature(0xee),
    }
}

fn wires() -> Vec<Wire> {
    let commit = Commit {
        epoch: Epoch(1),
        statement: statement(2, 3, DIGEST),
        replica: ReplicaId(4),
        signature: signature(0xbb),
    };
    let checkpoint = Checkpoint {
        epoch: Epoch(1),
        seq: SeqNo(64),
        digest: DIGEST,
        replica: ReplicaId(4),
        signature: signature(0xbb),
    };
    let status = Status {
        epoch: Epoch(1),
        view: View(2),
        mode: Mode::ViewChange,
        stable: SeqNo(64),
        last_executed: SeqNo(70),
        undecided: vec![0xf0, 0x0f].into(),
    };
    let decision = Decision {
        certificate: certificate(),
        batch: Some(batch()),
    };
    vec![
        Wire::PrePrepare(header(), Some(batch())),
        Wire::PrePrepare(header(), None),
        Wire::Prepare(prepare()),
        Wire::Commit(commit),
        Wire::Checkpoint(checkpoint),
        Wire::Stable(stable()),
        Wire::Status(status),
        Wire::Decision(decision),
        Wire::FetchBatch(SeqNo(3), DIGEST),
        Wire::Batch(batch()),
        Wire::FetchDecisions(SeqNo(3), SeqNo(9)),
        Wire::Forward(vec![Blob::from(vec![1, 2, 3])]),
        Wire::Evidence(MisbehaviourProof::DoublePrePrepare(header(), header())),
        Wire::Evidence(MisbehaviourProof::DoublePrepare(prepare(), prepare())),
        Wire::ViewChange(signed_view_change()),
        Wire::NewView(signed_new_view()),
        Wire::State(StateMessage::FetchManifest { seq: SeqNo(8) }),
        Wire::State(StateMessage::Manifest {
            seq: SeqNo(8),
            manifest: Manifest {
                machine: Blob::from(vec![1, 2]),
                sessions: vec![(ClientId(1), DIGEST)],
                configuration: Blob::from(vec![3]),
            },
        }),
        Wire::State(StateMessage::FetchParts {
            seq: SeqNo(8),
            request: 5,
            parts: [
                PartRef::Machine(PartId {
                    path: 1 << 118,
                    bits: 10,
                }),
                PartRef::Session(ClientId(1)),
                PartRef::Reply(ClientId(1), 9),
            ]
            .map(|part| PartRequest {
                part,
                outline: true,
            })
            .to_vec(),
        }),
        Wire::State(StateMessage::Parts {
            seq: SeqNo(8),
            request: 5,
            parts: vec![Blob::from(vec![4]), Blob::default()],
        }),
        Wire::State(StateMessage::Unavailable {
            seq: SeqNo(8),
            servable: vec![SeqNo(16), SeqNo(12)],
        }),
    ]
}

fn records() -> Vec<Record> {
    vec![
        Record::Vote {
            epoch: Epoch(1),
            statement: statement(2, 3, DIGEST),
            header_signature: signature(0xaa),
            batch: Some(batch()),
        },
        Record::Prepared(certificate()),
        Record::Stable(stable()),
        Record::View {
            epoch: Epoch(1),
            view: View(5),
            mode: Mode::Normal,
            view_change: Some(signed_view_change()),
            new_view: Some(signed_new_view()),
        },
    ]
}

#[test]
fn messages_have_the_bytes_they_always_had() {
    let lines: Vec<String> = wires()
        .iter()
        .map(|wire| format!("{}: {}", wire.name(), hex(&crypto::encode(wire))))
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    pre-prepare: 00000000010000000000000002000000000000000300000000000000[dd*32][aa*64]010200000000000000030000000102030100000004
    pre-prepare: 00000000010000000000000002000000000000000300000000000000[dd*32][aa*64]00
    prepare: 01000000010000000000000002000000000000000300000000000000[dd*32]0400[bb*64][aa*64]
    commit: 02000000010000000000000002000000000000000300000000000000[dd*32]0400[bb*64]
    checkpoint: 0300000001000000000000004000000000000000[dd*32]0400[bb*64]
    stable: 0400000001000000000000004000000000000000[dd*32]02[00*9][b0*64]0200[b2*64]
    status: 0500000001000000000000000200000000000000010000004000000000000000460000000000000002000000f00f
    decision: 0600000001000000000000000100000002000000000000000300000000000000[dd*32]02[00*9][b0*64]0200[b2*64]010200000000000000030000000102030100000004
    fetch-batch: 070000000300000000000000[dd*32]
    batch: 080000000200000000000000030000000102030100000004
    fetch-decisions: 0900000003000000000000000900000000000000
    forward: 0a000000010000000000000003000000010203
    evidence: 0b00000000000000010000000000000002000000000000000300000000000000[dd*32][aa*64]010000000000000002000000000000000300000000000000[dd*32][aa*64]
    evidence: 0b00000001000000010000000000000002000000000000000300000000000000[dd*32]0400[bb*64][aa*64]010000000000000002000000000000000300000000000000[dd*32]0400[bb*64][aa*64]
    view-change: 0c000000110200000100000000000000050000000000000004000101000000000000004000000000000000[dd*32]02[00*9][b0*64]0200[b2*64]01000000000000000300000000000000010200000000000000[dd*32][aa*64]0101000000000000000100000002000000000000000300000000000000[dd*32]02[00*9][b0*64]0200[b2*64][cc*64]
    new-view: 0d000000a0000000010000000000000005[00*23]0100000000000000010000000000000002000000000000000300000000000000[dd*32][aa*64][ee*64]
    state: 0e000000000000000800000000000000
    state: 0e000000010000000800000000000000020000000102010000000000000001000000[dd*32]0100000003
    state: 0e000000020000000800000000000000050000000000000003[00*25]40000a010100000001000000010200000001000000090000000000000001
    state: 0e00000003000000080000000000000005000000000000000200000000000000010000000400000000
    state: 0e000000040000000800000000000000020000000000000010000000000000000c00000000000000
    "#);
}

#[test]
fn records_have_the_bytes_they_always_had() {
    let lines: Vec<String> = records()
        .iter()
        .map(|record| {
            let (kind, seq) = (record.kind(), record.seq());
            format!("kind {kind} {seq:?}: {}", hex(&crypto::encode(record)))
        })
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    kind 1 s3: 00000000010000000000000002000000000000000300000000000000[dd*32][aa*64]010200000000000000030000000102030100000004
    kind 2 s3: 0100000001000000000000000100000002000000000000000300000000000000[dd*32]02[00*9][b0*64]0200[b2*64]
    kind 3 s0: 0200000001000000000000004000000000000000[dd*32]02[00*9][b0*64]0200[b2*64]
    kind 4 s0: 03000000010000000000000005[00*11]01110200000100000000000000050000000000000004000101000000000000004000000000000000[dd*32]02[00*9][b0*64]0200[b2*64]01000000000000000300000000000000010200000000000000[dd*32][aa*64]0101000000000000000100000002000000000000000300000000000000[dd*32]02[00*9][b0*64]0200[b2*64][cc*64]01a0000000010000000000000005[00*23]0100000000000000010000000000000002000000000000000300000000000000[dd*32][aa*64][ee*64]
    "#);
}

#[test]
fn replies_have_the_bytes_they_always_had() {
    let results = ByteList::from_iter([&b"one"[..], b""]);
    let outcomes = [
        Outcome::Executed(ResultBody::Full(results)),
        Outcome::Executed(ResultBody::Hash(DIGEST)),
        Outcome::Denied,
        Outcome::StaleSession(9),
        Outcome::AlreadyAcked,
        Outcome::OutOfWindow,
        Outcome::Busy { retry_after_ms: 20 },
    ];
    let lines: Vec<String> = outcomes
        .into_iter()
        .map(|outcome| {
            let id = RequestId {
                client: ClientId(1),
                session: 2,
                number: 3,
            };
            let reply = Reply {
                term: Term {
                    epoch: Epoch(7),
                    view: View(4),
                },
                replica: ReplicaId(5),
                id,
                seq: SeqNo(6),
                outcome,
            };
            hex(&crypto::encode(&reply))
        })
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    070000000000000004000000000000000500010000000200000000000000030000000000000006[00*15]02000b000000030000006f6e6500000000
    070000000000000004000000000000000500010000000200000000000000030000000000000006[00*11]01000000[dd*32]
    0700000000000000040000000000000005000100000002000000000000000300000000000000060000000000000001000000
    07000000000000000400000000000000050001000000020000000000000003000000000000000600000000000000020000000900000000000000
    0700000000000000040000000000000005000100000002000000000000000300000000000000060000000000000003000000
    0700000000000000040000000000000005000100000002000000000000000300000000000000060000000000000004000000
    070000000000000004000000000000000500010000000200000000000000030000000000000006000000000000000500000014000000
    "#);
}

#[test]
fn a_request_has_the_bytes_digest_and_signature_it_always_had() {
    // Every limit is part of the cluster's name, which every signature covers.
    let limits = Limits {
        checkpoint_interval: 64,
        log_window: 256,
        batch_requests_max: 512,
        batch_bytes_max: 1 << 20,
        request_ops_max: 1024,
        op_bytes_max: 64 << 10,
        result_bytes_max: 64 << 10,
        client_window: 256,
        quorum_reads: false,
    };
    let fixture = Fixture::with(5, 1, FastQuorum::Strong, limits, Policy::default());
    let request = fixture.request_of(2, 3, 4, 1, &[b"get", b"put"]);
    let batch = Batch::new(vec![request.clone()]);
    let lines = [
        format!("cluster {}", fixture.cluster.id().0),
        format!("raw {}", hex(request.raw())),
        format!("request {}", request.digest()),
        format!("batch {}", batch.digest()),
        format!("null {}", consensus::batch::null_digest()),
    ];
    assert_snapshot!(lines.join("\n"), @r#"
    cluster 800f570c106a76ca27a5b4f23bf3db7cf37c89b093403325cffd75895dc9bcee
    raw 020000000300000000000000040000000000000001[00*8]020003000000676574030000007075748d99363adb4b0b5ec923dd555edca29702985b7c8fd36ac76fbbbec246b47ed739c1a163ff0afe2d6d39440b858c997abb7f5fb2552d4863c14aabd8406a7607
    request b7493267ef60f11055225e078b8c4b5a71a97fe84dc1fcdc476026b7d9fca3d8
    batch eee80b3c3d5dde84cea88e170a68f9996d6659ca6b7623d7a495062afd7e1b0c
    null 9f3d8042e11f083c642c2bb868462de79a548f864a769f4418662e4ecea66c08
    "#);
}

#[test]
fn everything_decodes_to_what_was_encoded_and_only_as_a_whole() {
    for wire in wires() {
        let bytes = crypto::encode(&wire);
        assert_eq!(crypto::decode::<Wire>(&bytes), Ok(wire));
        for end in 0..bytes.len() {
            assert!(crypto::decode::<Wire>(&bytes[..end]).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(
            crypto::decode::<Wire>(&longer),
            Err(crypto::CodecError::Trailing(1))
        );
    }
    for record in records() {
        let bytes = crypto::encode(&record);
        assert_eq!(crypto::decode::<Record>(&bytes), Ok(record));
    }
}

#[test]
fn requests_are_parsed_within_every_limit_and_refused_beyond_it() {
    let fixture = Fixture::strong();
    let limits = consensus::Limits {
        request_ops_max: 2,
        op_bytes_max: 64,
        ..small_limits()
    };
    let parse = |ops: &[&[u8]], number, ack| {
        let request = fixture.request_of(0, 1, number, ack, ops);
        Request::parse(request.raw().clone(), &limits).map(|parsed| {
            assert_eq!(parsed, request);
            parsed.op_count()
        })
    };
    assert_eq!(parse(&[b"a", b"b"], 1, 0), Ok(2));
    assert_eq!(parse(&[&[0; 64]], 1, 0), Ok(1));
    assert_eq!(parse(&[], 1, 0), Err(RequestError::OpCount(0)));
    assert_eq!(
        parse(&[b"a", b"b", b"c"], 1, 0),
        Err(RequestError::OpCount(3))
    );
    assert_eq!(parse(&[&[0; 65]], 1, 0), Err(RequestError::OpTooLarge(65)));
    assert_eq!(parse(&[b"a"], 0, 0), Err(RequestError::Number));
    assert_eq!(parse(&[b"a"], 3, 3), Err(RequestError::Number));
    assert_eq!(parse(&[b"a"], 3, 2), Ok(1));
    let large = vec![0; limits.batch_bytes_max as usize + 1];
    let refused = Request::parse(large.into(), &limits);
    assert_eq!(refused, Err(RequestError::TooLarge((1 << 20) + 1)));
}

#[test]
fn every_part_of_a_request_is_under_its_signature_and_its_digest() {
    let fixture = Fixture::strong();
    let request = fixture.request_of(0, 1, 2, 1, &[b"op"]);
    let holds = |request: &Request| {
        let check = request.check(&fixture.keyring);
        check.is_some_and(|check| fixture.keyring.scheme().verify(&check))
    };
    assert!(holds(&request));
    for at in 0..request.raw().len() {
        let mut raw = request.raw().to_vec();
        raw[at] ^= 1;
        if let Ok(changed) = Request::parse(raw.into(), fixture.cluster.limits()) {
            assert!(!holds(&changed), "byte {at}");
            assert_ne!(changed.digest(), request.digest(), "byte {at}");
        }
    }
}
