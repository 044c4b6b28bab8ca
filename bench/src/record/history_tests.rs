#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;
use crate::workload::{SizeDistribution, record_value};

fn times() -> Times {
    Times {
        intended_ns: 1000,
        sent_ns: 1200,
        end_ns: 1900,
    }
}

fn json(operation: &Operation, answer: &Answer, phase: Phase) -> String {
    let lines = lines_of(7, operation, times(), answer, phase);
    assert_eq!(lines.len(), 1);
    let text = serde_json::to_string(&lines[0]).unwrap();
    assert_eq!(
        serde_json::from_str::<HistoryLine>(&text).unwrap(),
        lines[0],
        "reads back as it was written"
    );
    text
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn done(outcome: Outcome) -> Answer {
    Answer::Executed {
        outcome,
        seq: Some(42),
    }
}

#[test]
fn lines_have_the_field_names_of_the_contract() {
    let cas = Operation::Cas {
        key: bytes("k3"),
        expect: bytes("c7-1"),
        value: bytes("c7-9"),
    };
    assert_eq!(
        json(&cas, &done(Outcome::Written), Phase::Measured),
        r#"{"client":7,"op":"cas","key":"k3","expect":"c7-1","value":"c7-9","call":1200,"ret":1900,"status":"ok","seq":42}"#
    );
    assert_eq!(
        json(&cas, &Answer::Unknown, Phase::Measured),
        r#"{"client":7,"op":"cas","key":"k3","expect":"c7-1","value":"c7-9","call":1200,"ret":null,"status":"unknown"}"#
    );
    let delete = Operation::Delete { key: bytes("k3") };
    assert_eq!(
        json(&delete, &done(Outcome::ConditionFalse), Phase::Warmup),
        r#"{"client":7,"op":"delete","key":"k3","call":1200,"ret":1900,"status":"fail","seq":42,"phase":"warmup"}"#
    );
}

#[test]
fn an_absent_value_is_null_and_an_unknown_one_is_missing() {
    let read = Operation::Read { key: bytes("k3") };
    let line = |answer: &Answer| json(&read, answer, Phase::Load);
    assert!(line(&done(Outcome::Value(None))).contains(r#""result":null,"#));
    assert!(line(&done(Outcome::Value(Some(bytes("c1-2"))))).contains(r#""result":"c1-2","#));
    assert!(!line(&Answer::Unknown).contains("result"));
}

#[test]
fn a_scan_lists_what_it_found() {
    let scan = Operation::Scan {
        start: bytes("k1"),
        limit: 5,
    };
    let line = json(
        &scan,
        &done(Outcome::Entries(vec![
            (bytes("k1"), bytes("c1-2")),
            (bytes("k4"), bytes("c2-2")),
        ])),
        Phase::Measured,
    );
    assert!(
        line.contains(r#""key":"k1","limit":5,"result":[["k1","c1-2"],["k4","c2-2"]]"#),
        "{line}"
    );
}

#[test]
fn values_appear_as_tags_and_damaged_ones_as_corrupt() {
    let value = record_value(SizeDistribution::Constant { bytes: 64 }, 7, 5);
    assert_eq!(named(&value), "r5-0");
    let mut damaged = value.to_vec();
    damaged[60] ^= 1;
    assert_eq!(named(&damaged), "corrupt:r5-0:64");
    assert_eq!(named(b"?"), "corrupt:untagged:1");
}

#[test]
fn a_transaction_is_logged_as_the_operations_it_executed() {
    let put = |key| Operation::Put {
        key: bytes(key),
        value: bytes("c1-1"),
    };
    let read = |key| Operation::Read { key: bytes(key) };
    let txn = Operation::Txn {
        guards: Vec::new(),
        then: vec![put("a"), put("b")],
        otherwise: vec![read("a"), read("b")],
    };
    let kinds = |answer: &Answer| {
        lines_of(1, &txn, times(), answer, Phase::Measured)
            .iter()
            .map(|line| (line.op, line.status))
            .collect::<Vec<_>>()
    };
    let branch = |then, outcome| {
        done(Outcome::Branch {
            then,
            outcomes: vec![outcome; 2],
        })
    };
    assert_eq!(
        kinds(&branch(true, Outcome::Written)),
        [(OperationKind::Put, LineStatus::Ok); 2]
    );
    assert_eq!(
        kinds(&branch(false, Outcome::Value(None))),
        [(OperationKind::Read, LineStatus::Ok); 2]
    );
    assert_eq!(
        kinds(&Answer::Unknown),
        [(OperationKind::Put, LineStatus::Unknown); 2]
    );
    assert_eq!(kinds(&done(Outcome::ConditionFalse)), []);
}

#[test]
fn a_sampled_history_keeps_whole_keys_and_about_an_eighth_of_them() {
    let line = |number: u64| HistoryLine {
        key: format!("user{number:010}"),
        ..lines_of(
            1,
            &Operation::Read { key: bytes("k") },
            times(),
            &Answer::Unknown,
            Phase::Load,
        )
        .remove(0)
    };
    let kept = |seed| {
        (0..8000)
            .filter(|number| sampled(&line(*number), seed))
            .collect::<Vec<_>>()
    };
    assert!((850..1150).contains(&kept(7).len()), "{}", kept(7).len());
    assert_eq!(kept(7), kept(7));
    assert_ne!(kept(7), kept(8));
}

#[test]
fn an_unfinished_history_does_not_appear_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.jsonl");
    assert!(
        HistoryWriter::start(&path, HistoryMode::Off, 7)
            .unwrap()
            .is_none()
    );
    let writer = HistoryWriter::start(&path, HistoryMode::Full, 7)
        .unwrap()
        .unwrap();
    let mut sink = writer.sink();
    sink.write(
        &lines_of(
            1,
            &Operation::Read { key: bytes("k") },
            times(),
            &Answer::Unknown,
            Phase::Measured,
        )[0],
    );
    assert!(!path.exists());
    drop(sink);
    assert_eq!(
        writer.finish().unwrap(),
        HistoryCounts {
            lines: 1,
            ok_measured: 0
        }
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
}
