//! The reference and the real store are two programs for one specification: on random requests
//! they must agree in every result, version and row.

use std::sync::Arc;

use consensus::{ClientId, Cluster, Executor, FastQuorum, Limits, Outcome, Request, ResultBody};
use crypto::{Digest, SecretKey};
use kv::Compare;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::FakeSigner;

fn key(role: &str, index: u32) -> crypto::PublicKey {
    SecretKey::from_seed(&Digest::of(role, &index.to_le_bytes()).0).public()
}

fn simple(rng: &mut ChaCha8Rng) -> SimpleOp {
    let key = blob(rng);
    let value = Blob::from(vec![rng.random_range(0..3)]);
    let expect = match rng.random_range(0..3) {
        0 => Expect::Absent,
        1 => Expect::Value(Blob::from(vec![rng.random_range(0..3)])),
        _ => Expect::Version(Version {
            seq: SeqNo(rng.random_range(1..40)),
            rank: rng.random_range(0..2),
        }),
    };
    match rng.random_range(0..6) {
        0 => SimpleOp::Create { key, value },
        1 => SimpleOp::Read { key },
        2 => SimpleOp::Update { key, value },
        3 => SimpleOp::Put { key, value },
        4 => SimpleOp::Delete { key },
        _ => SimpleOp::Cas { key, expect, value },
    }
}

fn blob(rng: &mut ChaCha8Rng) -> Blob {
    Blob::from(vec![b'k', rng.random_range(0..5)])
}

fn op(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let op = match rng.random_range(0..8) {
        0 => Op::Scan {
            start: blob(rng),
            end: rng.random_bool(0.5).then(|| blob(rng)),
            limit: rng.random_range(0..4),
        },
        1 => Op::Txn(Txn {
            compare: vec![Compare {
                key: blob(rng),
                expect: Expect::Absent,
            }],
            then: vec![simple(rng), simple(rng)],
            otherwise: vec![simple(rng)],
        }),
        // A client may send anything.
        2 => return vec![rng.random(); 3],
        _ => match simple(rng) {
            SimpleOp::Create { key, value } => Op::Create { key, value },
            SimpleOp::Read { key } => Op::Read { key },
            SimpleOp::Update { key, value } => Op::Update { key, value },
            SimpleOp::Put { key, value } => Op::Put { key, value },
            SimpleOp::Delete { key } => Op::Delete { key },
            SimpleOp::Cas { key, expect, value } => Op::Cas { key, expect, value },
        },
    };
    op.encode()
}

#[test]
fn the_store_and_the_reference_agree_on_random_requests() {
    let limits = Limits {
        client_window: 4,
        ..Limits::default()
    };
    let cluster = Cluster::genesis(
        1,
        FastQuorum::Strong,
        limits.clone(),
        (0..4).map(|id| key("replica", id)).collect(),
        (0..2).map(|id| key("client", id)).collect(),
    );
    let cluster = Arc::new(cluster.expect("the configuration is possible"));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let rng = &mut rng;
    for _ in 0..12 {
        let mut executor = Executor::new(Arc::clone(&cluster), kv::Store::new());
        let mut reference = Reference::new(&limits, u32::MAX);
        let mut fresh = 0;
        for seq in (1..60).map(SeqNo) {
            let requests = (0..rng.random_range(1..4)).map(|_| {
                let number = rng.random_range(seq.0 / 4 + 1..seq.0 / 4 + 6);
                let id = RequestId {
                    client: ClientId(rng.random_range(0..2)),
                    session: rng.random_range(1..3),
                    number,
                };
                let ops = (0..rng.random_range(1..4)).map(|_| op(rng));
                let ops: ByteList = ops.collect();
                let signer = FakeSigner(key("client", id.client.0));
                let (ack, atomic) = (rng.random_range(0..number), rng.random_bool(0.5));
                Request::sign(&signer, cluster.id(), id, ack, atomic, &ops)
            });
            let batch = Batch::new(requests.collect());
            reference.execute(seq, &batch);
            for executed in executor.execute(seq, Some(&batch)) {
                let RequestId {
                    client,
                    session,
                    number,
                } = executed.id;
                if !executed.fresh {
                    continue;
                }
                fresh += 1;
                let effect = reference.settle(client.0, session, number);
                let effect = effect.expect("the reference executed it too");
                let outcome = Outcome::Executed(ResultBody::Full(effect.results));
                assert_eq!((effect.seq, outcome), (executed.seq, executed.outcome));
            }
            assert_eq!(reference.executed(), fresh);
            let machine = executor.machine_mut();
            assert_eq!(content_of(machine), reference.content());
            let rebuilt = consensus::StateMachine::root(&mut reference.to_store());
            assert_eq!(consensus::StateMachine::root(machine), rebuilt);
        }
        assert!(fresh > 10, "{fresh}");
    }
}
