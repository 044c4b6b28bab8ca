#![allow(clippy::unwrap_used)]
//! Honest runs, falsified in one place each.

use std::sync::Arc;

use consensus::{ClientId, Executor, RequestId};
use kv::Op;

use super::fixture::{CHECKPOINT, blob, key, run};
use super::*;
use crate::check::{Checkpoint, CommitPath, CommittedEntry, Verdict};
use crate::record::HistoryResult;
use crate::workload::OperationKind;

#[test]
fn what_replicas_execute_and_what_the_plain_map_executes_is_the_same() {
    let (mut repeated, mut answers) = (0, 0);
    for seed in 0..40 {
        let left = run(seed, 64);
        let again = left.again();
        assert_eq!(again.violations, Violations::default(), "seed {seed}");
        assert_eq!((again.upto, again.checkpoints), (64, 8));
        assert_eq!(left.integrity(), Verdict::Pass);
        repeated += again.repeated;
        answers += again.answers;
    }
    assert!(repeated > 100 && answers > 1000, "{repeated}, {answers}");
}

#[test]
fn a_map_of_many_keys_has_the_same_root() {
    let mut left = run(1, 1);
    let cluster = Arc::clone(&left.cluster);
    let mut executor = Executor::new(Arc::clone(&cluster), kv::Store::new());
    let (mut committed, mut executed) = (CommittedLog::default(), ExecutedLog::default());
    for seq in 1..=2 * CHECKPOINT {
        let put = |number: u64| {
            Op::Put {
                key: blob(format!("key-{}", seq * 4000 + number)),
                value: blob(number.to_string()),
            }
            .encode()
        };
        let requests: Vec<Request> = (0..20)
            .map(|part| {
                let id = RequestId {
                    client: ClientId(0),
                    session: seq,
                    number: part % 4 + 1,
                };
                let ops = (part * 128..part * 128 + 128).map(put).collect();
                let client = ClientId(u32::try_from(part % 3).unwrap());
                let id = RequestId {
                    client,
                    number: part / 3 + 1,
                    ..id
                };
                Request::sign(
                    &key(100 + client.0),
                    cluster.id(),
                    id,
                    part / 3,
                    false,
                    &ops,
                )
            })
            .collect();
        let batch = Batch::new(requests);
        executor.execute(SeqNo(seq), Some(&batch));
        committed.entries.push(CommittedEntry {
            seq,
            view: 0,
            digest: batch.digest().to_string(),
            path: CommitPath::Fast,
            ops: 0,
        });
        let raws = batch.requests().iter().map(|each| each.raw().clone());
        executed.slots.insert(seq, raws.collect());
    }
    committed.checkpoints.push(Checkpoint {
        checkpoint: 2 * CHECKPOINT,
        state_digest: executor.state_digest().to_string(),
    });
    left.committed = vec![committed];
    left.executed = vec![executed];
    left.history.clear();
    let again = left.again();
    assert!(executor.machine().len() > 1024 * LEAVES_FULL, "deep tries");
    assert_eq!((again.violations.count, again.checkpoints), (0, 1));
}

/// More entries than this in each of 1024 buckets, and tries have branches.
const LEAVES_FULL: usize = 20;

#[test]
fn replicas_that_all_hold_a_wrong_state_are_caught() {
    let mut left = run(2, 32);
    for log in &mut left.committed {
        log.checkpoints[1].state_digest = "00".repeat(32);
    }
    let (verdict, detail) = left.state();
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        detail.starts_with("the state after sequence number 16 is "),
        "{detail}"
    );
}

#[test]
fn a_client_that_was_told_something_else_is_found() {
    let mut left = run(3, 32);
    let read = |line: &&mut HistoryLine| line.op == OperationKind::Read;
    let line = left.history.iter_mut().find(read).unwrap();
    line.result = Some(HistoryResult::Value(Some("made-up".to_owned())));
    let (verdict, detail) = left.state();
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        detail.contains("gave made-up; executed again it gives"),
        "{detail}"
    );
}

#[test]
fn a_client_that_was_told_of_an_operation_that_nobody_executed_is_found() {
    let mut left = run(3, 32);
    let mut invented = left.history[0].clone();
    invented.key = "elsewhere".to_owned();
    left.history.push(invented);
    let (verdict, detail) = left.state();
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        detail.ends_with("the log has no such operation there"),
        "{detail}"
    );
}

#[test]
fn a_log_that_lies_about_a_batch_is_noticed_and_the_other_one_is_used() {
    let mut left = run(4, 32);
    let other = left.executed[1].slots[&7].clone();
    let full = (1..=32)
        .find(|seq| left.executed[1].slots[seq] != other)
        .unwrap();
    left.executed[1].slots.insert(full, other);
    let again = left.again();
    assert_eq!((again.upto, again.violations.count), (32, 1));
    let sentence = &again.violations.sentences[0];
    assert!(
        sentence.starts_with(&format!(
            "replica 1 executed a batch at sequence number {full}"
        )),
        "{sentence}"
    );
    assert_eq!(left.state().0, Verdict::Fail);
}

#[test]
fn a_forged_request_that_all_replicas_executed_is_found() {
    let mut left = run(5, 16);
    let seq = *left.executed[0]
        .slots
        .iter()
        .find(|(_, slot)| !slot.is_empty())
        .unwrap()
        .0;
    let mut forged = left.executed[0].slots[&seq].clone();
    let mut bytes = forged[0].to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    forged[0] = Bytes::from(bytes);
    let digest = batch_digest(&forged).to_string();
    for (committed, executed) in left.committed.iter_mut().zip(&mut left.executed) {
        executed.slots.insert(seq, forged.clone());
        let entry = committed.entries.iter_mut().find(|entry| entry.seq == seq);
        entry.unwrap().digest.clone_from(&digest);
    }
    assert_eq!(left.integrity(), Verdict::Fail);
}

#[test]
fn a_request_of_nobody_is_found() {
    let mut left = run(6, 8);
    let id = RequestId {
        client: ClientId(77),
        session: 1,
        number: 1,
    };
    let ops = [Op::Read {
        key: blob("k".to_owned()),
    }
    .encode()]
    .into_iter()
    .collect();
    let request = Request::sign(&key(7), left.cluster.id(), id, 0, false, &ops);
    let slot = vec![request.raw().clone()];
    let digest = batch_digest(&slot).to_string();
    for (committed, executed) in left.committed.iter_mut().zip(&mut left.executed) {
        executed.slots.insert(8, slot.clone());
        committed.entries[7].digest.clone_from(&digest);
    }
    let (verdict, detail) = left.state();
    assert_eq!(verdict, Verdict::Fail);
    assert!(detail.contains("client 77, who is unknown"), "{detail}");
}

#[test]
fn missing_contents_are_no_pass_unless_nobody_relied_on_them() {
    let mut left = run(7, 35);
    for log in &mut left.executed {
        log.slots.split_off(&34);
    }
    left.history.retain(|line| line.seq < Some(34));
    assert_eq!(left.state().0, Verdict::Pass, "only the end is missing");
    for log in &mut left.executed {
        log.slots.remove(&20);
    }
    let (verdict, detail) = left.state();
    assert_eq!(verdict, Verdict::Skipped);
    assert!(
        detail.ends_with("but then the contents of sequence number 20 are not there"),
        "{detail}"
    );
    left.executed[0].gave_up = true;
    assert!(left.state().1.contains("had become too long"));
}
