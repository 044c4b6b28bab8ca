//! Reading beside the log (docs/protocol.md R14).

use consensus::{ReadVersion, SeqNo, StateMachine};
use kv::{Op, OpResult, Store};

use crate::common::{blob, delete, put, read, run};

const ROOM: usize = kv::RESULT_BYTES_MAX;

fn beside(store: &Store, op: &Op) -> Option<(OpResult, ReadVersion)> {
    let (bytes, version) = store.read(&op.encode(), ROOM)?;
    Some((
        OpResult::decode(&bytes).expect("results are encoded canonically"),
        version,
    ))
}

fn all() -> Op {
    Op::Scan {
        start: blob(""),
        end: None,
        limit: 10,
    }
}

#[test]
fn what_is_read_beside_the_log_is_what_reading_in_it_would_give() {
    let mut store = Store::new();
    run(&mut store, 1, &put("a", "1"));
    run(&mut store, 2, &put("b", "2"));
    for op in [read("a"), read("c"), all()] {
        let (beside, _) = beside(&store, &op).expect("it only reads");
        assert_eq!(beside, run(&mut store.clone(), 3, &op));
    }
}

#[test]
fn a_key_has_the_slot_of_its_last_change_an_absent_one_that_of_the_latest_delete() {
    let mut store = Store::new();
    let version = |store: &Store, key| beside(store, &read(key)).expect("it only reads").1;
    assert_eq!(
        version(&store, "a"),
        ReadVersion::Key(SeqNo(0)),
        "no delete yet"
    );
    run(&mut store, 3, &put("a", "1"));
    run(&mut store, 4, &put("b", "1"));
    assert_eq!(version(&store, "a"), ReadVersion::Key(SeqNo(3)));
    run(&mut store, 7, &delete("b"));
    assert_eq!(version(&store, "a"), ReadVersion::Key(SeqNo(3)));
    assert_eq!(version(&store, "never there"), ReadVersion::Key(SeqNo(7)));
}

#[test]
fn a_scan_depends_on_everything() {
    let (_, version) = beside(&Store::new(), &all()).expect("it only reads");
    assert_eq!(version, ReadVersion::State);
}

#[test]
fn what_may_change_something_is_no_read() {
    let store = Store::new();
    let txn = Op::Txn(kv::Txn::default());
    for op in [put("a", "1"), delete("a"), txn] {
        assert_eq!(beside(&store, &op), None, "{op:?}");
    }
    assert_eq!(store.read(b"nonsense", ROOM), None);
}

#[test]
fn a_result_has_no_more_room_than_it_is_given() {
    let mut store = Store::new();
    run(&mut store, 1, &put("a", vec![7; 500]));
    let (bytes, _) = store.read(&read("a").encode(), 100).expect("it only reads");
    let result = OpResult::decode(&bytes).expect("results are encoded canonically");
    assert!(!result.succeeded() && bytes.len() <= 100);
}
