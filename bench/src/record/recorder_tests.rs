#![allow(clippy::unwrap_used)]

use super::super::history::{HistoryLine, HistoryMode, HistoryWriter, LineStatus};
use super::super::{HistoryFacts, Repeat, write_timeseries};
use super::*;
use crate::workload::{Condition, Guard, TXN_OPERATIONS};

const MS: u64 = 1_000_000;

/// Load until 1 s, warm-up until 2 s, measured until 5 s.
fn phases() -> Phases {
    Phases::new(1000 * MS, 2000 * MS, 5000 * MS)
}

fn recorder() -> Recorder {
    Recorder::new(phases(), Arc::new(Live::default()), None)
}

fn read(key: &'static str) -> Operation {
    Operation::Read {
        key: Bytes::from_static(key.as_bytes()),
    }
}

fn executed(outcome: Outcome) -> Answer {
    Answer::Executed {
        outcome,
        seq: Some(9),
    }
}

/// One operation from its intended start to its answer.
fn run(
    recorder: &mut Recorder,
    operation: &Operation,
    intended_ms: u64,
    sent_ms: u64,
    end_ms: u64,
    answer: &Answer,
) {
    let (intended_ns, sent_ns, end_ns) = (intended_ms * MS, sent_ms * MS, end_ms * MS);
    recorder.offered(intended_ns, operation.operations());
    recorder.sent(intended_ns, sent_ns, operation.operations());
    recorder.finished(
        3,
        operation,
        Times {
            intended_ns,
            sent_ns,
            end_ns,
        },
        answer,
    );
}

#[test]
fn only_operations_intended_in_the_measured_phase_count() {
    let mut recorder = recorder();
    let found = executed(Outcome::Value(None));
    for intended_ms in [0, 999, 1000, 1999, 2000, 4999, 5000] {
        run(
            &mut recorder,
            &read("k"),
            intended_ms,
            intended_ms,
            5500,
            &found,
        );
    }
    let recording = recorder.into_recording();
    assert_eq!(
        recording.counters,
        Counters {
            offered: 2,
            sent: 2,
            ok: 2,
            ..Counters::default()
        }
    );
    assert_eq!(recording.intended(None).len(), 2);
}

#[test]
fn intended_and_service_latency_differ_by_the_wait_before_sending() {
    let mut recorder = recorder();
    run(
        &mut recorder,
        &read("k"),
        2100,
        2150,
        2154,
        &executed(Outcome::Value(None)),
    );
    let recording = recorder.into_recording();
    let close = |ns: u64, ms: u64| ns.abs_diff(ms * MS) <= ms * MS / 1000;
    assert!(close(recording.intended(None).max(), 54) && close(recording.service(None).max(), 4));
    assert_eq!(
        recording.counters.late, 1,
        "50 ms behind its intended start"
    );
}

#[test]
fn every_operation_ends_in_one_counter_and_the_books_balance() {
    let live = Arc::new(Live::default());
    let mut recorder = Recorder::new(phases(), Arc::clone(&live), None);
    run(
        &mut recorder,
        &read("a"),
        2000,
        2000,
        2001,
        &executed(Outcome::Value(None)),
    );
    run(
        &mut recorder,
        &read("b"),
        2000,
        2000,
        2001,
        &executed(Outcome::ConditionFalse),
    );
    run(
        &mut recorder,
        &read("c"),
        2000,
        2000,
        4000,
        &Answer::Unknown,
    );
    recorder.offered(2000 * MS, 64);
    recorder.dropped(2000 * MS, 64);
    recorder.busy_reply(2000 * MS);
    let expected = Counters {
        offered: 67,
        sent: 3,
        ok: 1,
        failed: 1,
        unknown: 1,
        dropped: 64,
        late: 0,
        busy_replies: 1,
    };
    assert_eq!(live.snapshot().measured, expected);
    assert_eq!(live.snapshot().answered, 2);
    let recording = recorder.into_recording();
    assert_eq!(recording.counters, expected);
    assert!(recording.counters.balanced());
    assert_eq!(live.take_recent().unwrap().count, 1);
    assert_eq!(live.take_recent(), None);
}

#[test]
fn merged_workers_equal_one_worker_that_did_it_all() {
    let mut one = recorder();
    let mut two = [recorder(), recorder()];
    for index in 0..3000_u64 {
        let operation = if index % 3 == 0 {
            read("k")
        } else {
            Operation::Delete {
                key: Bytes::from_static(b"k"),
            }
        };
        let answer = executed(if index % 3 == 0 {
            Outcome::Value(None)
        } else {
            Outcome::Written
        });
        let (intended, end) = (2000 + index, 2001 + index + index * index % 700);
        run(&mut one, &operation, intended, intended, end, &answer);
        run(
            &mut two[usize::from(index % 5 < 2)],
            &operation,
            intended,
            intended,
            end,
            &answer,
        );
    }
    let one = one.into_recording();
    let mut merged = Recording::default();
    for worker in two {
        merged.merge(worker.into_recording());
    }
    assert_eq!(merged.counters, one.counters);
    assert_eq!(
        merged.kinds().collect::<Vec<_>>(),
        [OperationKind::Read, OperationKind::Delete]
    );
    for kind in [
        None,
        Some(OperationKind::Read),
        Some(OperationKind::Delete),
        Some(OperationKind::Scan),
    ] {
        assert_eq!(merged.intended(kind), one.intended(kind));
        assert_eq!(merged.service(kind), one.service(kind));
    }
    assert_eq!(merged.bucket_counts, one.bucket_counts);
}

#[test]
fn counters_histograms_history_and_time_series_agree_to_the_last_operation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.jsonl");
    let writer = HistoryWriter::start(&path, HistoryMode::Full, 7)
        .unwrap()
        .unwrap();
    let live = Arc::new(Live::default());
    let key = |index: u64| Bytes::from(format!("k{}", index % 10));
    let value = Bytes::from_static(b"c1-1");
    let workers: Vec<_> = (0..4_u64)
        .map(|worker| {
            let mut recorder = Recorder::new(phases(), Arc::clone(&live), Some(writer.sink()));
            let value = value.clone();
            std::thread::spawn(move || {
                for index in 0..2000_u64 {
                    let intended = 500 + index * 2 + worker;
                    let put = Operation::Put {
                        key: key(index),
                        value: value.clone(),
                    };
                    let (operation, answer) = match index % 7 {
                        0 => (Operation::Read { key: key(index) }, Answer::Unknown),
                        1 => (
                            Operation::Delete { key: key(index) },
                            executed(Outcome::ConditionFalse),
                        ),
                        2 => {
                            let guard = Guard {
                                key: key(index),
                                condition: Condition::Absent,
                            };
                            let txn = Operation::Txn {
                                guards: vec![guard],
                                then: vec![put.clone(); TXN_OPERATIONS],
                                otherwise: vec![read("k"); TXN_OPERATIONS],
                            };
                            let then = index % 2 == 0;
                            let outcome = if then {
                                Outcome::Written
                            } else {
                                Outcome::Value(None)
                            };
                            (
                                txn,
                                executed(Outcome::Branch {
                                    then,
                                    outcomes: vec![outcome; TXN_OPERATIONS],
                                }),
                            )
                        }
                        3 => (
                            Operation::Scan {
                                start: key(index),
                                limit: 5,
                            },
                            executed(Outcome::Entries(vec![(key(index), value.clone())])),
                        ),
                        _ => (put, executed(Outcome::Written)),
                    };
                    run(
                        &mut recorder,
                        &operation,
                        intended,
                        intended + 1,
                        intended + 2 + index % 50,
                        &answer,
                    );
                }
                recorder.into_recording()
            })
        })
        .collect();
    let mut all = Recording::default();
    for worker in workers {
        all.merge(worker.join().unwrap());
    }
    let counts = writer.finish().unwrap();

    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<HistoryLine> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ok = lines
        .iter()
        .filter(|line| line.phase.is_none() && line.status == LineStatus::Ok)
        .count() as u64;
    let by_kind: u64 = all.kinds().map(|kind| all.intended(Some(kind)).len()).sum();
    assert!(all.counters.balanced() && all.counters.ok > 3000);
    assert_eq!(
        [
            ok,
            counts.ok_measured,
            by_kind,
            all.intended(None).len(),
            all.service(None).len()
        ],
        [all.counters.ok; 5]
    );
    assert_eq!(counts.lines, lines.len() as u64);
    assert_eq!(
        counts.lines,
        8000 + lines_beyond_one_per_transaction(),
        "one line an operation, in every phase"
    );

    let csv = dir.path().join("timeseries.csv");
    write_timeseries(&csv, &all, &[]).unwrap();
    let column = |index: usize| -> u64 {
        std::fs::read_to_string(&csv)
            .unwrap()
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(index).unwrap().parse::<u64>().unwrap())
            .sum()
    };
    let Counters {
        offered,
        sent,
        ok,
        failed,
        dropped,
        ..
    } = all.counters;
    assert_eq!(
        [1, 2, 3, 4, 5].map(column),
        [offered, sent, ok, failed, dropped]
    );

    let repeat = Repeat::measured(7, 3.0, &all, HistoryFacts::new(HistoryMode::Full, counts));
    assert_eq!(repeat.latency_us["all"].count, ok);
    assert_eq!(
        repeat
            .latency_us
            .values()
            .map(|each| each.count)
            .sum::<u64>(),
        2 * ok
    );
    assert_eq!(repeat.history.ok_measured, ok);
}

fn lines_beyond_one_per_transaction() -> u64 {
    4 * (0..2000_u64).filter(|index| index % 7 == 2).count() as u64 * (TXN_OPERATIONS as u64 - 1)
}
