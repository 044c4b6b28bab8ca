//! What each operation does, case by case.

use crate::common::{blob, delete, put, read, run, run_atomic, version};
use consensus::{SeqNo, StateMachine};
use kv::{
    Bound, Branch, Compare, Expect, KEY_BYTES_MAX, Op, OpResult, RESULT_BYTES_MAX, SCAN_LIMIT_MAX,
    SimpleOp, SimpleResult, Store, TXN_COMPARES_MAX, TXN_OPS_MAX, Txn, VALUE_BYTES_MAX,
};

fn create(key: &str, value: &str) -> Op {
    Op::Create {
        key: blob(key),
        value: blob(value),
    }
}

fn update(key: &str, value: &str) -> Op {
    Op::Update {
        key: blob(key),
        value: blob(value),
    }
}

fn cas(key: &str, expect: Expect, value: &str) -> Op {
    Op::Cas {
        key: blob(key),
        expect,
        value: blob(value),
    }
}

fn scan(start: &str, end: Option<&str>, limit: u32) -> Op {
    Op::Scan {
        start: blob(start),
        end: end.map(blob),
        limit,
    }
}

/// The keys of a scan's result, and where it goes on.
fn keys(result: OpResult) -> (Vec<String>, Option<String>) {
    let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
    match result {
        OpResult::Entries { entries, next } => (
            entries.iter().map(|entry| text(&entry.key)).collect(),
            next.as_deref().map(text),
        ),
        other => panic!("not a scan's result: {other:?}"),
    }
}

#[test]
fn every_operation_on_one_key_does_what_the_table_says() {
    // Slot 1 puts "old" at "here"; "gone" is absent. Then one operation is executed in slot 2.
    let old = || Expect::Value(blob("old"));
    let (v1, v2) = (version(1, 0), version(2, 0));
    let value = |value: &str, version| OpResult::Value {
        value: blob(value),
        version,
    };
    #[rustfmt::skip]
    let table = [
        (create("gone", "new"), OpResult::Created { version: v2 }, Some("new")),
        (create("here", "new"), OpResult::AlreadyExists { version: v1 }, Some("old")),
        (read("gone"), OpResult::Absent, None),
        (read("here"), value("old", v1), Some("old")),
        (update("gone", "new"), OpResult::NotFound, None),
        (update("here", "new"), OpResult::Updated { version: v2 }, Some("new")),
        (put("gone", "new"), OpResult::Put { version: v2 }, Some("new")),
        (put("here", "new"), OpResult::Put { version: v2 }, Some("new")),
        (delete("gone"), OpResult::NotFound, None),
        (delete("here"), OpResult::Deleted, None),
        (cas("gone", old(), "new"), OpResult::Mismatch { current: None }, None),
        (cas("gone", Expect::Version(v1), "new"), OpResult::Mismatch { current: None }, None),
        (cas("gone", Expect::Absent, "new"), OpResult::Swapped { version: v2 }, Some("new")),
        (cas("here", old(), "new"), OpResult::Swapped { version: v2 }, Some("new")),
        (cas("here", Expect::Value(blob("ol")), "new"), OpResult::Mismatch { current: Some(v1) }, Some("old")),
        (cas("here", Expect::Version(v1), "new"), OpResult::Swapped { version: v2 }, Some("new")),
        (cas("here", Expect::Version(v2), "new"), OpResult::Mismatch { current: Some(v1) }, Some("old")),
        (cas("here", Expect::Absent, "new"), OpResult::Mismatch { current: Some(v1) }, Some("old")),
    ];
    for (op, result, after) in table {
        let mut store = Store::new();
        run(&mut store, 1, &put("here", "old"));
        let before = store.root();
        let key = match &op {
            Op::Create { key, .. } | Op::Update { key, .. } | Op::Put { key, .. } => key,
            Op::Read { key } | Op::Delete { key } | Op::Cas { key, .. } => key,
            Op::Scan { .. } | Op::Txn(_) => unreachable!("the table has operations on one key"),
        };
        assert_eq!(run(&mut store, 2, &op), result, "{op:?}");
        let held = store.get(key).map(|entry| entry.value);
        assert_eq!(held, after.map(blob), "{op:?}");
        let read_only = matches!(op, Op::Read { .. });
        let changed = result.succeeded() && !read_only;
        assert_eq!(store.root() != before, changed, "{op:?}");
    }
}

#[test]
fn two_writes_of_one_slot_have_different_versions() {
    let mut store = Store::new();
    run(&mut store, 7, &put("a", "1"));
    run(&mut store, 7, &put("a", "2"));
    run(&mut store, 7, &put("a", "1"));
    // The value is again the first one, but a cas by version is not taken in.
    let stale = cas("a", Expect::Version(version(7, 0)), "x");
    let current = Some(version(7, 2));
    assert_eq!(run(&mut store, 7, &stale), OpResult::Mismatch { current });
    let fresh = cas("a", Expect::Version(version(7, 2)), "x");
    let version = version(7, 3);
    assert_eq!(run(&mut store, 7, &fresh), OpResult::Swapped { version });
}

#[test]
fn what_fails_takes_no_version() {
    let failing = [
        create("here", "new"),
        update("gone", "new"),
        delete("gone"),
        cas("here", Expect::Absent, "new"),
    ];
    for op in failing {
        let mut store = Store::new();
        run(&mut store, 1, &put("here", "old"));
        run(&mut store, 2, &op);
        let next = run(&mut store, 2, &put("next", ""));
        let version = version(2, 0);
        assert_eq!(next, OpResult::Put { version }, "after {op:?}");
    }
}

#[test]
fn an_absent_key_was_last_modified_by_the_latest_delete_of_any_key() {
    let mut store = Store::new();
    assert_eq!(store.last_modified(b"a"), SeqNo(0));
    run(&mut store, 3, &put("a", ""));
    run(&mut store, 4, &put("b", ""));
    run(&mut store, 5, &delete("b"));
    run(&mut store, 6, &delete("b"));
    assert_eq!(store.last_modified(b"a"), SeqNo(3));
    assert_eq!(store.last_modified(b"b"), SeqNo(5));
    assert_eq!(store.last_modified(b"never"), SeqNo(5));
}

#[test]
fn a_scan_returns_the_range_in_order_and_says_where_to_go_on() {
    let mut store = Store::new();
    for key in ["b", "d", "a", "c", "ab"] {
        run(&mut store, 1, &put(key, "x"));
    }
    let mut check = |op: Op, expected: &[&str], next: Option<&str>| {
        let (found, found_next) = keys(run(&mut store, 2, &op));
        assert_eq!(found, expected, "{op:?}");
        assert_eq!(found_next.as_deref(), next, "{op:?}");
    };
    check(scan("", None, 9), &["a", "ab", "b", "c", "d"], None);
    check(scan("", None, 5), &["a", "ab", "b", "c", "d"], None);
    check(scan("", None, 2), &["a", "ab"], Some("b"));
    check(scan("aa", None, 2), &["ab", "b"], Some("c"));
    check(scan("b", Some("d"), 9), &["b", "c"], None);
    check(scan("b", Some("d"), 2), &["b", "c"], None);
    check(scan("b", Some("d"), 1), &["b"], Some("c"));
    check(scan("b", Some("b"), 9), &[], None);
    check(scan("d", Some("a"), 9), &[], None);
    check(scan("e", None, 9), &[], None);
    check(scan("", None, 0), &[], Some("a"));
}

#[test]
fn a_scan_stops_before_its_result_is_too_long_and_gets_on_all_the_same() {
    let mut store = Store::new();
    let big = vec![7; VALUE_BYTES_MAX / 3];
    let name = |n: usize| format!("{n:0KEY_BYTES_MAX$}");
    for n in 0..10 {
        run(&mut store, 1, &put(name(n), &big));
    }
    run(&mut store, 1, &put(name(10), vec![7; VALUE_BYTES_MAX]));
    let (mut start, mut found, mut scans) = (String::new(), Vec::new(), 0);
    loop {
        let op = scan(&start, None, SCAN_LIMIT_MAX).encode();
        let bytes = store.apply(SeqNo(2), &op, RESULT_BYTES_MAX);
        assert!(bytes.len() <= RESULT_BYTES_MAX, "{} bytes", bytes.len());
        let (part, next) = keys(OpResult::decode(&bytes).unwrap());
        assert!(!part.is_empty());
        found.extend(part);
        scans += 1;
        match next {
            Some(next) => start = next,
            None => break,
        }
    }
    assert_eq!(found, (0..=10).map(name).collect::<Vec<_>>());
    assert!(scans >= 5, "the result was never cut");
}

#[test]
fn a_transaction_takes_one_branch_by_all_its_conditions() {
    let compare = |key: &str, expect| Compare {
        key: blob(key),
        expect,
    };
    let set = |key: &str, value: &str| SimpleOp::Put {
        key: blob(key),
        value: blob(value),
    };
    let swap = |compare| {
        Op::Txn(Txn {
            compare,
            then: vec![set("a", "2"), set("b", "2")],
            otherwise: vec![SimpleOp::Read { key: blob("a") }],
        })
    };
    let holding = [
        compare("a", Expect::Value(blob("1"))),
        compare("a", Expect::Version(version(1, 0))),
        compare("b", Expect::Absent),
    ];
    let failing = [
        compare("a", Expect::Value(blob("2"))),
        compare("a", Expect::Version(version(1, 1))),
        compare("a", Expect::Absent),
        compare("b", Expect::Value(blob(""))),
    ];
    let loaded = || {
        let mut store = Store::new();
        run(&mut store, 1, &put("a", "1"));
        store
    };
    for compare in [vec![], holding.to_vec()] {
        let results = [version(2, 0), version(2, 1)].map(|version| SimpleResult::Put { version });
        let done = OpResult::TxnDone {
            branch: Branch::Then,
            results: results.to_vec(),
        };
        assert_eq!(run(&mut loaded(), 2, &swap(compare)), done);
    }
    for one in failing {
        let compare = [&holding[..], &[one]].concat();
        let done = OpResult::TxnDone {
            branch: Branch::Otherwise,
            results: vec![SimpleResult::Value {
                value: blob("1"),
                version: version(1, 0),
            }],
        };
        assert!(done.succeeded());
        assert_eq!(run(&mut loaded(), 2, &swap(compare)), done);
    }
}

#[test]
fn a_transaction_sees_its_own_writes_and_fails_as_a_whole() {
    let mut store = Store::new();
    let (key, value) = (blob("a"), blob("1"));
    let make = SimpleOp::Create {
        key: key.clone(),
        value,
    };
    let twice = Op::Txn(Txn {
        compare: vec![],
        then: vec![
            make.clone(),
            SimpleOp::Read { key: key.clone() },
            make.clone(),
            SimpleOp::Delete { key },
        ],
        otherwise: vec![],
    });
    let before = store.root();
    let result = run(&mut store, 1, &twice);
    let version = version(1, 0);
    let results = vec![
        SimpleResult::RolledBack,
        SimpleResult::RolledBack,
        SimpleResult::AlreadyExists { version },
        SimpleResult::RolledBack,
    ];
    let branch = Branch::Then;
    assert_eq!(result, OpResult::TxnRolledBack { branch, results });
    assert!(!result.succeeded());
    assert!(store.is_empty());
    assert_eq!(store.root(), before);
}

#[test]
fn a_transaction_whose_results_are_too_long_has_no_effect() {
    let mut store = Store::new();
    run(&mut store, 1, &put("big", vec![1; VALUE_BYTES_MAX]));
    let key = blob("big");
    let again = Op::Txn(Txn {
        compare: vec![],
        then: vec![
            SimpleOp::Put {
                key: blob("small"),
                value: blob("x"),
            },
            SimpleOp::Read { key: key.clone() },
            SimpleOp::Read { key },
        ],
        otherwise: vec![],
    });
    let results = vec![
        SimpleResult::RolledBack,
        SimpleResult::RolledBack,
        SimpleResult::OutOfBounds(Bound::ResultBytes),
    ];
    let branch = Branch::Then;
    let rolled_back = OpResult::TxnRolledBack { branch, results };
    assert_eq!(run(&mut store, 2, &again), rolled_back);
    assert_eq!(store.get(b"small"), None);
}

#[test]
fn an_atomic_request_takes_effect_as_a_whole_or_not_at_all() {
    let mut store = Store::new();
    let good = [put("a", "1"), read("a"), delete("a"), put("b", "2")];
    let results = run_atomic(&mut store, 1, &good);
    assert!(results.iter().all(OpResult::succeeded));
    assert_eq!(store.len(), 1);

    let bad = [put("b", "3"), delete("a"), put("c", "4")];
    let results = run_atomic(&mut store, 2, &bad);
    let expected = [
        OpResult::RolledBack,
        OpResult::NotFound,
        OpResult::RolledBack,
    ];
    assert_eq!(results, expected);
    assert_eq!(store.get(b"b").unwrap().version, version(1, 2));
    assert_eq!(store.len(), 1);
    assert_eq!(run_atomic(&mut store, 3, &[]), []);
}

#[test]
fn a_malformed_operation_fails_an_atomic_request() {
    let mut store = Store::new();
    let good = put("a", "1").encode();
    let ops: [&[u8]; 3] = [&good, b"nonsense", &good];
    let results = store.apply_atomic(SeqNo(1), &mut ops.into_iter(), RESULT_BYTES_MAX);
    let results: Vec<_> = results
        .iter()
        .map(|bytes| OpResult::decode(bytes).unwrap())
        .collect();
    let expected = [
        OpResult::RolledBack,
        OpResult::Malformed,
        OpResult::RolledBack,
    ];
    assert_eq!(results, expected);
    assert!(store.is_empty());
}

#[test]
fn what_is_out_of_bounds_is_refused_and_what_is_at_the_bound_is_not() {
    let long = |excess: usize| "k".repeat(KEY_BYTES_MAX + excess);
    let big = |excess: usize| vec![0; VALUE_BYTES_MAX + excess];
    let reads = |count: usize| vec![SimpleOp::Read { key: blob("a") }; count];
    let txn = |compares: usize, then: usize, otherwise: usize| {
        let key = blob("a");
        let expect = Expect::Absent;
        Op::Txn(Txn {
            compare: vec![Compare { key, expect }; compares],
            then: reads(then),
            otherwise: reads(otherwise),
        })
    };
    #[rustfmt::skip]
    let table = [
        (Bound::KeyBytes, read(""), read("k")),
        (Bound::KeyBytes, read(long(1)), read(long(0))),
        (Bound::KeyBytes, put(long(1), ""), put(long(0), "")),
        (Bound::KeyBytes, scan(&long(1), None, 1), scan(&long(0), None, 1)),
        (Bound::KeyBytes, scan("", Some(&long(1)), 1), scan("", Some(&long(0)), 1)),
        (Bound::ValueBytes, put("k", big(1)), put("k", big(0))),
        (Bound::ValueBytes, cas("k", Expect::Value(blob(big(1))), ""), cas("l", Expect::Absent, "")),
        (Bound::ScanLimit, scan("", None, SCAN_LIMIT_MAX + 1), scan("", None, SCAN_LIMIT_MAX)),
        (Bound::TxnOps, txn(0, TXN_OPS_MAX + 1, 0), txn(0, TXN_OPS_MAX, 0)),
        (Bound::TxnOps, txn(0, 0, TXN_OPS_MAX + 1), txn(0, 0, TXN_OPS_MAX)),
        (Bound::TxnCompares, txn(TXN_COMPARES_MAX + 1, 0, 0), txn(TXN_COMPARES_MAX, 0, 0)),
    ];
    for (bound, beyond, within) in table {
        let mut store = Store::new();
        let result = run(&mut store, 1, &beyond);
        assert_eq!(result, OpResult::OutOfBounds(bound));
        assert_eq!(beyond.check(), Err(bound));
        assert!(store.is_empty());
        assert!(run(&mut store, 1, &within).succeeded(), "{within:?}");
    }
}

#[test]
fn an_operation_whose_result_finds_no_room_is_refused_without_effect() {
    let mut store = Store::new();
    let put = |key: &str| {
        Op::Put {
            key: blob(key),
            value: blob("v"),
        }
        .encode()
    };
    store.apply(SeqNo(1), &put("a"), RESULT_BYTES_MAX);
    let root = store.root();
    let refused = OpResult::OutOfBounds(Bound::ResultBytes);
    for op in [put("a"), put("b"), Op::Read { key: blob("a") }.encode()] {
        let result = store.apply(SeqNo(2), &op, 8);
        assert_eq!(OpResult::decode(&result).unwrap(), refused);
        assert_eq!(store.root(), root);
    }
    // Together they do not fit, so neither takes effect.
    let ops = [put("b"), put("c")];
    let one = store.apply(SeqNo(3), &put("d"), RESULT_BYTES_MAX).len();
    let root = store.root();
    let results = store.apply_atomic(SeqNo(4), &mut ops.iter().map(Vec::as_slice), one);
    assert_eq!(OpResult::decode(&results[0]).unwrap(), OpResult::RolledBack);
    assert_eq!(OpResult::decode(&results[1]).unwrap(), refused);
    assert_eq!(store.root(), root);
}
