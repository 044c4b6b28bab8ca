//! Reading beside the log (docs/protocol.md R14).

use std::sync::Arc;

use consensus::read::{READ_NUMBERS, answer};
use consensus::{
    ClientId, Cluster, Epoch, Executor, FastQuorum, Grade, Limits, Outcome, Read, ReadGate,
    ReadVersion, ReplicaId, Report, RequestId, ResultBody, SeqNo, StateMachine,
};
use crypto::SecretKey;
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

/// f = 1, n = 5.
fn executor() -> Executor<Store> {
    let keys = |label, count| {
        let key = |id| SecretKey::derive(&[9; 32], label, id).public();
        (0..count).map(key).collect()
    };
    let limits = Limits {
        quorum_reads: true,
        ..Limits::default()
    };
    let (replicas, clients) = (keys("replica", 5), keys("client", 1));
    let cluster = Cluster::genesis(1, FastQuorum::Strong, limits, replicas, clients);
    Executor::new(Arc::new(cluster.unwrap()), Store::new())
}

fn executed(slots: &[Op]) -> Executor<Store> {
    let mut executor = executor();
    for (seq, op) in (1..).zip(slots) {
        // What a batch does to the state, without the requests around it.
        executor.execute(SeqNo(seq), None);
        run(executor.machine_mut(), seq, op);
    }
    executor
}

fn asks(executor: &Executor<Store>, number: u64, grade: Grade, ops: &[Op]) -> Read {
    let id = RequestId {
        client: ClientId(0),
        session: 1,
        number: READ_NUMBERS | number,
    };
    let key = SecretKey::derive(&[9; 32], "client", 0);
    let ops = ops.iter().map(Op::encode).collect();
    Read::sign(&key, executor.cluster().id(), id, grade, &ops)
}

#[test]
fn an_answer_has_the_executed_slot_the_results_and_what_each_depends_on() {
    let executor = executed(&[put("a", "1"), put("b", "2"), delete("b"), put("c", "3")]);
    let read = asks(&executor, 1, Grade::Quorum, &[read("a"), read("b"), all()]);
    let said = answer(&executor, &ReadGate::founded(), ReplicaId(3), &read);
    let Ok((SeqNo(4), Outcome::Read { body, versions })) = said else {
        panic!("{said:?}")
    };
    assert_eq!(versions, [SeqNo(1), SeqNo(3), SeqNo(4)]);
    assert!(matches!(body, ResultBody::Full(results) if results.len() == 3));
}

#[test]
fn a_large_result_comes_in_full_from_f_plus_1_replicas_and_all_answers_match() {
    let executor = executed(&[put("a", vec![7; 5000])]);
    for number in 1..=5 {
        let read = asks(&executor, number, Grade::Quorum, &[read("a")]);
        let answers: Vec<Outcome> = (0..5)
            .map(|id| {
                answer(&executor, &ReadGate::founded(), ReplicaId(id), &read)
                    .unwrap()
                    .1
            })
            .collect();
        let full = |it: &&Outcome| {
            matches!(
                it,
                Outcome::Read {
                    body: ResultBody::Full(_),
                    ..
                }
            )
        };
        assert_eq!(answers.iter().filter(full).count(), 2);
        assert!(answers.iter().all(|it| it.digest() == answers[0].digest()));
    }
}

#[test]
fn equal_results_of_different_states_have_different_answers() {
    let gone = executed(&[put("a", "1"), delete("a")]);
    let never = executed(&[put("b", "1"), put("b", "2")]);
    let say = |executor: &Executor<Store>| {
        let read = asks(executor, 1, Grade::Quorum, &[read("a")]);
        answer(executor, &ReadGate::founded(), ReplicaId(0), &read)
            .unwrap()
            .1
    };
    let (gone, never) = (say(&gone), say(&never));
    let body = |outcome: &Outcome| match outcome {
        Outcome::Read { body, .. } => body.digest(),
        other => panic!("{other:?}"),
    };
    assert_eq!(body(&gone), body(&never), "absent, twice");
    assert_ne!(gone.digest(), never.digest());
}

#[test]
fn a_read_that_writes_is_the_fault_of_who_signed_it() {
    let executor = executor();
    let read = asks(&executor, 1, Grade::Quorum, &[read("a"), put("a", "1")]);
    assert!(answer(&executor, &ReadGate::founded(), ReplicaId(0), &read).is_err());
    assert!(executor.machine().is_empty());
}

#[test]
fn a_learner_and_a_restarted_replica_answer_stale_reads_only() {
    let executor = executed(&[put("a", "1")]);
    let mut learner = ReadGate::founded();
    learner.note(&Report::BecameLearner);
    let restarted = ReadGate::restarted(SeqNo(1), executor.cluster().limits());
    for gate in [learner, restarted] {
        let say = |grade| {
            let read = asks(&executor, 1, grade, &[read("a")]);
            answer(&executor, &gate, ReplicaId(0), &read).unwrap().1
        };
        assert!(matches!(say(Grade::Quorum), Outcome::Busy { .. }));
        assert!(matches!(say(Grade::Stale), Outcome::Read { .. }));
    }
    learner.note(&Report::BecameMember(Epoch(1)));
    assert!(learner.is_open(SeqNo(1)));
}

#[test]
fn a_restarted_replica_answers_once_it_has_executed_a_window_more_than_it_came_back_with() {
    let limits = Limits::default();
    let gate = ReadGate::restarted(SeqNo(64), &limits);
    let open = 64 + limits.log_window;
    assert!(!gate.is_open(SeqNo(open - 1)) && gate.is_open(SeqNo(open)));
}
