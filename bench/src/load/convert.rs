//! Between the workload's operations and those of the key-value store.

use bytes::Bytes;
use crypto::codec::Blob;
use kv::{Branch, Compare, Expect, Op, OpResult, SimpleOp, Txn};

use super::Namespace;
use crate::record::Outcome;
use crate::workload::{Condition, Operation};

/// The store's form of an operation.
pub(super) fn to_op(operation: &Operation, namespace: &Namespace) -> Op {
    let stored = |key: &Bytes| namespace.stored(key);
    let simple = |operation: &Operation| to_simple(operation, namespace);
    match operation {
        Operation::Create { key, value } => Op::Create {
            key: stored(key),
            value: blob(value),
        },
        Operation::Read { key } => Op::Read { key: stored(key) },
        Operation::Update { key, value } => Op::Update {
            key: stored(key),
            value: blob(value),
        },
        Operation::Put { key, value } => Op::Put {
            key: stored(key),
            value: blob(value),
        },
        Operation::Delete { key } => Op::Delete { key: stored(key) },
        Operation::Cas { key, expect, value } => Op::Cas {
            key: stored(key),
            expect: Expect::Value(blob(expect)),
            value: blob(value),
        },
        Operation::Scan { start, limit } => Op::Scan {
            start: stored(start),
            end: namespace.end(),
            limit: *limit,
        },
        Operation::Txn {
            guards,
            then,
            otherwise,
        } => Op::Txn(Txn {
            compare: guards
                .iter()
                .map(|guard| Compare {
                    key: stored(&guard.key),
                    expect: match &guard.condition {
                        Condition::Value(value) => Expect::Value(blob(value)),
                        Condition::Absent => Expect::Absent,
                    },
                })
                .collect(),
            then: then.iter().filter_map(simple).collect(),
            otherwise: otherwise.iter().filter_map(simple).collect(),
        }),
    }
}

/// Transactions hold single-key operations only; the generator makes no others.
fn to_simple(operation: &Operation, namespace: &Namespace) -> Option<SimpleOp> {
    Some(match to_op(operation, namespace) {
        Op::Create { key, value } => SimpleOp::Create { key, value },
        Op::Read { key } => SimpleOp::Read { key },
        Op::Update { key, value } => SimpleOp::Update { key, value },
        Op::Put { key, value } => SimpleOp::Put { key, value },
        Op::Delete { key } => SimpleOp::Delete { key },
        Op::Cas { key, expect, value } => SimpleOp::Cas { key, expect, value },
        Op::Scan { .. } | Op::Txn(_) => return None,
    })
}

fn blob(bytes: &Bytes) -> Blob {
    Blob(bytes.clone())
}

/// What an operation's result says to its client. `Err` describes a result that no correct
/// replica gives to what the generator asks.
pub(super) fn to_outcome(result: OpResult, namespace: &Namespace) -> Result<Outcome, String> {
    Ok(match result {
        OpResult::Created { .. }
        | OpResult::Updated { .. }
        | OpResult::Put { .. }
        | OpResult::Swapped { .. }
        | OpResult::Deleted => Outcome::Written,
        OpResult::Value { value, .. } => Outcome::Value(Some(value.0)),
        OpResult::Absent => Outcome::Value(None),
        OpResult::Entries { entries, .. } => Outcome::Entries(
            entries
                .into_iter()
                .map(|entry| (namespace.own(entry.key.0), entry.value.0))
                .collect(),
        ),
        OpResult::TxnDone { branch, results } => Outcome::Branch {
            then: branch == Branch::Then,
            outcomes: results
                .into_iter()
                .map(|result| to_outcome(result.into(), namespace))
                .collect::<Result<_, _>>()?,
        },
        OpResult::AlreadyExists { .. } | OpResult::NotFound | OpResult::Mismatch { .. } => {
            Outcome::ConditionFalse
        }
        OpResult::RolledBack | OpResult::TxnRolledBack { .. } => Outcome::RolledBack,
        OpResult::Malformed => return Err("the replicas call an operation malformed".to_owned()),
        OpResult::OutOfBounds(bound) => {
            return Err(format!("the replicas refuse an operation: {bound}"));
        }
    })
}
