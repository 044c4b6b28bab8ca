//! Operations for tests: few keys, so that they meet.

use consensus::{SeqNo, StateMachine};
use crypto::codec::Blob;
use kv::{Change, Compare, Expect, Op, OpResult, SimpleOp, Store, Txn, Version};
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) fn blob(bytes: impl AsRef<[u8]>) -> Blob {
    Blob(bytes.as_ref().to_vec().into())
}

pub(crate) fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Op {
    Op::Put {
        key: blob(key),
        value: blob(value),
    }
}

pub(crate) fn read(key: impl AsRef<[u8]>) -> Op {
    Op::Read { key: blob(key) }
}

pub(crate) fn delete(key: impl AsRef<[u8]>) -> Op {
    Op::Delete { key: blob(key) }
}

pub(crate) fn run(store: &mut Store, seq: u64, op: &Op) -> OpResult {
    let bytes = store.apply(SeqNo(seq), &op.encode(), kv::RESULT_BYTES_MAX);
    OpResult::decode(&bytes).expect("results are encoded canonically")
}

pub(crate) fn run_atomic(store: &mut Store, seq: u64, ops: &[Op]) -> Vec<OpResult> {
    let ops: Vec<Vec<u8>> = ops.iter().map(Op::encode).collect();
    let results = store.apply_atomic(
        SeqNo(seq),
        &mut ops.iter().map(Vec::as_slice),
        kv::RESULT_BYTES_MAX,
    );
    let decode = |bytes: &Vec<u8>| OpResult::decode(bytes).expect("results are encoded");
    results.iter().map(decode).collect()
}

pub(crate) fn version(seq: u64, rank: u32) -> Version {
    Version {
        seq: SeqNo(seq),
        rank,
    }
}

/// A store that holds the same, built entry by entry without any operation.
pub(crate) fn rebuilt(store: &Store) -> Store {
    let entries = store.records().cloned().map(Change::Set);
    Store::from_changes(entries.chain([Change::LastDelete(store.last_delete())]))
}

pub(crate) fn key() -> impl Strategy<Value = Blob> {
    (0..60_u8).prop_map(|n| blob([b'k', n / 10, n]))
}

pub(crate) fn value() -> impl Strategy<Value = Blob> {
    vec(0..3_u8, 0..3).prop_map(blob)
}

pub(crate) fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        1 => value().prop_map(Expect::Value),
        1 => (1..40_u64, 0..3_u32).prop_map(|(seq, rank)| Expect::Version(version(seq, rank))),
        1 => Just(Expect::Absent),
    ]
}

pub(crate) fn simple_op() -> impl Strategy<Value = SimpleOp> {
    prop_oneof![
        1 => (key(), value()).prop_map(|(key, value)| SimpleOp::Create { key, value }),
        1 => key().prop_map(|key| SimpleOp::Read { key }),
        1 => (key(), value()).prop_map(|(key, value)| SimpleOp::Update { key, value }),
        4 => (key(), value()).prop_map(|(key, value)| SimpleOp::Put { key, value }),
        1 => key().prop_map(|key| SimpleOp::Delete { key }),
        1 => (key(), expect(), value()).prop_map(|(key, expect, value)| SimpleOp::Cas {
            key,
            expect,
            value
        }),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let compare = (key(), expect()).prop_map(|(key, expect)| Compare { key, expect });
    let txn = (
        vec(compare, 0..2),
        vec(simple_op(), 0..4),
        vec(simple_op(), 0..4),
    )
        .prop_map(|(compare, then, otherwise)| {
            Op::Txn(Txn {
                compare,
                then,
                otherwise,
            })
        });
    prop_oneof![
        1 => (key(), value()).prop_map(|(key, value)| Op::Create { key, value }),
        1 => key().prop_map(|key| Op::Read { key }),
        1 => (key(), value()).prop_map(|(key, value)| Op::Update { key, value }),
        4 => (key(), value()).prop_map(|(key, value)| Op::Put { key, value }),
        2 => key().prop_map(|key| Op::Delete { key }),
        1 => (key(), expect(), value()).prop_map(|(key, expect, value)| Op::Cas { key, expect, value }),
        1 => (key(), proptest::option::of(key()), 0..9_u32)
            .prop_map(|(start, end, limit)| Op::Scan { start, end, limit }),
        2 => txn,
    ]
}

/// Slots of operations; whether each is atomic.
pub(crate) fn slots() -> impl Strategy<Value = Vec<(bool, Vec<Op>)>> {
    vec((any::<bool>(), vec(op(), 1..6)), 0..40)
}

/// Executes `slots` from `first` on, and returns all results.
pub(crate) fn run_slots(store: &mut Store, first: u64, slots: &[(bool, Vec<Op>)]) -> Vec<OpResult> {
    let mut results = Vec::new();
    for (seq, (atomic, ops)) in (first..).zip(slots) {
        if *atomic {
            results.extend(run_atomic(store, seq, ops));
        } else {
            results.extend(ops.iter().map(|op| run(store, seq, op)));
        }
    }
    results
}
