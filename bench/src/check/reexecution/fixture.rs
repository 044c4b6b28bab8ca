#![allow(clippy::unwrap_used)]
//! Runs as an honest cluster would have left them, made by the executor and the store that replicas run.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use consensus::{
    Batch, ClientId, Cluster, Executor, FastQuorum, Limits, Outcome, Policy, ReplicaId, Request,
    RequestId, SeqNo,
};
use crypto::codec::Blob;
use crypto::{Digest, SecretKey};
use kv::{Compare, Expect, Op, OpResult, SimpleOp, Txn};
use network::ClusterFile;
use network::cluster_file::{ClientEntry, ReplicaEntry};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Evidence, Reexecution, reexecute, seen};
use crate::check::{
    Checkpoint, CommitPath, CommittedEntry, CommittedLog, Contents, ExecutedLog, Signatures,
    Verdict, check_agreement, check_integrity, check_state,
};
use crate::record::{HistoryLine, HistoryResult, LineStatus};
use crate::workload::{OperationKind, SizeDistribution, record_value};

pub(crate) const CLIENTS: u32 = 3;
pub(crate) const CHECKPOINT: u64 = 8;

/// So long that a few of them do not fit into one result.
const LONG: SizeDistribution = SizeDistribution::Constant { bytes: 12_000 };

/// Scans in a request that asks for more than it may get.
const SCANS: usize = 24;

/// What a run leaves.
#[derive(Clone)]
pub(crate) struct Left {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) committed: Vec<CommittedLog>,
    pub(crate) executed: Vec<ExecutedLog>,
    pub(crate) history: Vec<HistoryLine>,
}

impl Left {
    pub(crate) fn again(&self) -> Reexecution {
        reexecute(&Evidence {
            cluster: &self.cluster,
            committed: &self.committed,
            executed: &self.executed,
            history: &self.history,
        })
    }

    /// The verdict and the sentence.
    pub(crate) fn state(&self) -> (Verdict, String) {
        let again = self.again();
        let result = check_state(
            &check_agreement(&self.committed),
            &Contents::Executed(&again),
        );
        (result.verdict, result.detail)
    }

    pub(crate) fn integrity(&self) -> Verdict {
        let keyring = consensus::Keyring::new(Arc::clone(&self.cluster));
        check_integrity(&self.again(), &keyring, Signatures::All).verdict
    }
}

pub(crate) fn key(number: u32) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(number).unwrap(); 32])
}

/// Five replicas, three clients.
pub(crate) fn cluster_file() -> ClusterFile {
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    ClusterFile {
        f: 1,
        fast_quorum: FastQuorum::Strong,
        limits: Limits {
            checkpoint_interval: CHECKPOINT,
            log_window: 4 * CHECKPOINT,
            client_window: 4,
            ..Limits::default()
        },
        policy: Policy::default(),
        replicas: (0..5_u16)
            .map(|id| ReplicaEntry {
                id: ReplicaId(id),
                key: key(u32::from(id) + 1).public(),
                peer: address(9000 + id),
                client: address(9100 + id),
            })
            .collect(),
        clients: (0..CLIENTS)
            .map(|id| ClientEntry {
                id: ClientId(id),
                key: key(100 + id).public(),
            })
            .collect(),
    }
}

pub(crate) fn blob(text: String) -> Blob {
    Blob::from(text.into_bytes())
}

fn simple(rng: &mut ChaCha8Rng, unique: &mut u64) -> SimpleOp {
    *unique += 1;
    // A long value now and then, so that results grow too long for a transaction or a scan.
    let value = match rng.random_range(0..12) {
        0 => Blob(record_value(LONG, 7, *unique)),
        _ => blob(format!("w1-{unique}")),
    };
    let key = blob(format!("k{}", rng.random_range(0..24)));
    match rng.random_range(0..7) {
        0 => SimpleOp::Create { key, value },
        1 => SimpleOp::Read { key },
        2 => SimpleOp::Update { key, value },
        3 => SimpleOp::Delete { key },
        4 => SimpleOp::Cas {
            key,
            expect: Expect::Value(blob(format!("w1-{}", *unique / 2))),
            value,
        },
        _ => SimpleOp::Put { key, value },
    }
}

fn scan(rng: &mut ChaCha8Rng) -> Op {
    Op::Scan {
        start: blob("k1".to_owned()),
        end: rng.random_bool(0.5).then(|| blob("k2".to_owned())),
        limit: rng.random_range(0..9),
    }
}

fn op(rng: &mut ChaCha8Rng, unique: &mut u64) -> Op {
    match rng.random_range(0..10) {
        0 => scan(rng),
        1 => Op::Txn(Txn {
            compare: vec![Compare {
                key: blob("k3".to_owned()),
                expect: Expect::Absent,
            }],
            then: (0..3).map(|_| simple(rng, unique)).collect(),
            otherwise: (0..3).map(|_| simple(rng, unique)).collect(),
        }),
        _ => seen::plain(&simple(rng, unique)),
    }
}

/// What the client of an executed request notes down of one operation.
fn lines(client: u32, seq: u64, op: &Op, result: &OpResult) -> Vec<HistoryLine> {
    if let (Op::Txn(txn), OpResult::TxnDone { branch, results }) = (op, result) {
        let ops = match branch {
            kv::Branch::Then => &txn.then,
            kv::Branch::Otherwise => &txn.otherwise,
        };
        let each = |(op, result): (&SimpleOp, &kv::SimpleResult)| {
            lines(client, seq, &seen::plain(op), &result.clone().into())
        };
        return ops.iter().zip(results).flat_map(each).collect();
    }
    let (kind, key, expect, value) = match op {
        Op::Read { key } => (OperationKind::Read, key, None, None),
        Op::Put { key, value } => (OperationKind::Put, key, None, Some(value)),
        Op::Update { key, value } => (OperationKind::Update, key, None, Some(value)),
        Op::Create { key, value } => (OperationKind::Create, key, None, Some(value)),
        Op::Delete { key } => (OperationKind::Delete, key, None, None),
        Op::Cas {
            key,
            expect: Expect::Value(expect),
            value,
        } => (OperationKind::Cas, key, Some(expect), Some(value)),
        _ => return Vec::new(),
    };
    let named = |value: &Blob| crate::record::named(value);
    let (status, read) = match result {
        OpResult::Value { value, .. } => (LineStatus::Ok, Some(Some(named(value)))),
        OpResult::Absent => (LineStatus::Ok, Some(None)),
        OpResult::NotFound | OpResult::AlreadyExists { .. } | OpResult::Mismatch { .. } => {
            (LineStatus::Fail, None)
        }
        result if result.succeeded() => (LineStatus::Ok, None),
        _ => return Vec::new(),
    };
    vec![HistoryLine {
        client: client.into(),
        op: kind,
        key: String::from_utf8_lossy(key).into_owned(),
        expect: expect.map(named),
        value: value.map(named),
        limit: None,
        result: read.map(HistoryResult::Value),
        call: seq * 10,
        ret: Some(seq * 10 + 5),
        status,
        seq: Some(seq),
        phase: None,
    }]
}

/// A run of `slots` slots, as an honest cluster would have left it.
pub(crate) fn run(seed: u64, slots: u64) -> Left {
    let cluster = cluster_file().cluster().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut executor = Executor::new(Arc::clone(&cluster), kv::Store::new());
    let (mut unique, mut numbers) = (0, vec![0_u64; CLIENTS as usize]);
    let mut sent: Vec<Request> = Vec::new();
    let mut left = Left {
        cluster: Arc::clone(&cluster),
        committed: (0..2)
            .map(|replica| CommittedLog {
                replica,
                ..CommittedLog::default()
            })
            .collect(),
        executed: (0..2)
            .map(|replica| ExecutedLog {
                replica: Some(replica),
                ..ExecutedLog::default()
            })
            .collect(),
        history: Vec::new(),
    };
    for seq in 1..=slots {
        let mut requests: Vec<Request> = Vec::new();
        for _ in 0..rng.random_range(0..4) {
            // An old request comes again now and then.
            if !sent.is_empty() && rng.random_bool(0.2) {
                let old = sent[rng.random_range(0..sent.len())].clone();
                if requests.iter().all(|each| each.id != old.id) {
                    requests.push(old);
                }
                continue;
            }
            let client = rng.random_range(0..CLIENTS);
            let number = &mut numbers[client as usize];
            *number += 1;
            let id = RequestId {
                client: ClientId(client),
                session: 1,
                number: *number,
            };
            // One of so many scans now and then that its results use up what they may have together.
            let ops: Vec<Vec<u8>> = match rng.random_range(0..16) {
                0 => (0..SCANS).map(|_| scan(&mut rng).encode()).collect(),
                few => (0..few % 3 + 1)
                    .map(|_| op(&mut rng, &mut unique).encode())
                    .collect(),
            };
            let request = Request::sign(
                &key(100 + client),
                cluster.id(),
                id,
                number.saturating_sub(3),
                rng.random_bool(0.3),
                &ops.into_iter().collect(),
            );
            sent.push(request.clone());
            requests.push(request);
        }
        let batch = (!requests.is_empty()).then(|| Batch::new(requests.clone()));
        let results = executor.execute(SeqNo(seq), batch.as_ref());
        for (request, executed) in requests.iter().zip(&results) {
            let Outcome::Executed(consensus::ResultBody::Full(list)) = &executed.outcome else {
                continue;
            };
            if !executed.fresh {
                continue;
            }
            let results: Vec<OpResult> = list
                .iter()
                .map(|result| OpResult::decode(result).unwrap())
                .collect();
            // Of what was rolled back no client notes anything.
            if request.atomic && results.iter().any(|result| !result.succeeded()) {
                continue;
            }
            for (op, result) in request.ops().iter().zip(&results) {
                let op = Op::decode(op).unwrap();
                left.history
                    .extend(lines(request.id.client.0, seq, &op, result));
            }
        }
        let null = Digest::of("null", &[]);
        let digest = batch.as_ref().map_or(null, Batch::digest).to_string();
        let raws: Vec<Bytes> = requests.iter().map(|each| each.raw().clone()).collect();
        let state = seq
            .is_multiple_of(CHECKPOINT)
            .then(|| executor.state_digest().to_string());
        for (committed, executed) in left.committed.iter_mut().zip(&mut left.executed) {
            committed.entries.push(CommittedEntry {
                seq,
                view: 0,
                digest: digest.clone(),
                path: CommitPath::Fast,
                ops: 0,
            });
            committed
                .checkpoints
                .extend(state.clone().map(|state_digest| Checkpoint {
                    checkpoint: seq,
                    state_digest,
                }));
            executed.slots.insert(seq, raws.clone());
        }
    }
    left
}
