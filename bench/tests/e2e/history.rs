//! The history of a run, checked by the simplest checker there is, which shares no code with the project's own.
//!
//! Every line says at which sequence number it was executed. If that order respects real time, and a plain map that replays each key in that order gives
//! the same answers, the history is linearizable. Only requests of one batch share a number; among those of one key any order will do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{local, results};

#[test]
fn replaying_the_history_in_the_order_of_its_sequence_numbers_gives_every_answer_again() {
    let directory = local::directory();
    let ended = local::run(directory.path(), &[]);
    let run = local::latest(directory.path());
    results::assert_passed(&run, &ended);
    let history = results::lines(&run.join("repeat-1/history.jsonl"));
    assert!(history.len() > 40, "{} lines", history.len());
    assert_linearizable(&history);
}

#[test]
fn the_checker_of_this_test_refuses_what_no_map_would_answer() {
    let line = |op: &str, status: &str, value: Value, (call, ret, seq): (u64, u64, u64)| {
        let field = if op == "read" { "result" } else { "value" };
        serde_json::json!({"op": op, "key": "k", field: value, "call": call, "ret": ret, "status": status, "seq": seq})
    };
    let create = line("create", "ok", "a".into(), (1, 2, 1));
    let refused = |later: Value| violation(&[create.clone(), later]).is_some();
    assert!(!refused(line("read", "ok", "a".into(), (3, 4, 2))));
    assert!(refused(line("read", "ok", Value::Null, (3, 4, 2))));
    assert!(refused(line("create", "ok", "b".into(), (3, 4, 2))));
    assert!(refused(line("update", "fail", "b".into(), (3, 4, 2))));
    let put = |value: &str| line("put", "ok", value.into(), (3, 4, 2));
    let read = |value: &str| line("read", "ok", value.into(), (5, 6, 3));
    // Two writes of one batch: either may be the last one, but nothing else.
    for (value, right) in [("b", true), ("c", true), ("a", false)] {
        let lines = [create.clone(), put("b"), put("c"), read(value)];
        assert_eq!(violation(&lines).is_none(), right, "{value}");
    }
    // Many of one batch: each read has some moment among the writes, or has none.
    let many = |last: &str| {
        let values = (0..40).map(|index| ["a", "b", "c", last][index % 4]);
        let reads = values.map(|value| line("read", "ok", value.into(), (3, 4, 2)));
        let writes = [create.clone(), put("b"), put("c"), put("d")];
        violation(&writes.into_iter().chain(reads).collect::<Vec<_>>())
    };
    assert_eq!(many("d"), None);
    assert!(many("e").is_some());
    // Right as such, but executed before it was called.
    assert!(refused(line("read", "ok", Value::Null, (3, 4, 0))));
}

/// Fails with the reason if the history is not linearizable.
pub(crate) fn assert_linearizable(history: &[Value]) {
    assert_eq!(violation(history), None);
}

fn violation(history: &[Value]) -> Option<String> {
    let mut keys = BTreeMap::<&str, Vec<&Value>>::new();
    for line in history {
        if line["status"] == "unknown" {
            return Some(format!("without an answer: {line}"));
        }
        if line["op"] != "scan" {
            keys.entry(line["key"].as_str()?).or_default().push(line);
        }
    }
    real_time_violation(history)
        .or_else(|| keys.values_mut().find_map(|lines| key_violation(lines)))
}

/// Replays one key; every order of a batch that explains its answers is followed.
fn key_violation(lines: &mut [&Value]) -> Option<String> {
    lines.sort_by_key(|line| line["seq"].as_u64());
    let mut stored = BTreeSet::from([None]);
    for batch in lines.chunk_by(|a, b| a["seq"] == b["seq"]) {
        let after = replay(batch, &stored);
        if after.is_empty() {
            return Some(format!(
                "with one of {stored:?} stored nobody answers {batch:?}"
            ));
        }
        stored = after;
    }
    None
}

/// An operation that was over before another was called has no later number.
fn real_time_violation(history: &[Value]) -> Option<String> {
    let number = |line: &Value, field: &str| line[field].as_u64().unwrap();
    let mut calls: Vec<&Value> = history.iter().collect();
    calls.sort_by_key(|line| number(line, "call"));
    let mut ends: Vec<&Value> = history.iter().collect();
    ends.sort_by_key(|line| number(line, "ret"));
    let (mut over, mut latest) = (0, 0);
    for line in calls {
        while over < ends.len() && number(ends[over], "ret") < number(line, "call") {
            latest = latest.max(number(ends[over], "seq"));
            over += 1;
        }
        if number(line, "seq") < latest {
            return Some(format!(
                "executed before number {latest}, which was over: {line}"
            ));
        }
    }
    None
}

type Stored = Option<String>;

/// Operations on one key in one batch: a bit each.
const BATCH_MAX: usize = 128;

/// The values that a batch can leave, over all orders of its operations and all values before it. An operation that changes
/// nothing comes as early as its answer is right: later it would allow no more.
fn replay(batch: &[&Value], before: &BTreeSet<Stored>) -> BTreeSet<Stored> {
    assert!(
        batch.len() <= BATCH_MAX,
        "{} operations on one key",
        batch.len()
    );
    let settled = |placed: u128, value: Stored| {
        let fits = |index: &usize| answer(batch[*index], &value).as_ref() == Some(&value);
        let fitting = (0..batch.len()).filter(fits);
        let placed = fitting.fold(placed, |placed, index| placed | 1 << index);
        (placed, value)
    };
    // Which operations of the batch have been placed, and what is stored then.
    let mut open: Vec<(u128, Stored)> =
        (before.iter().map(|value| settled(0, value.clone()))).collect();
    let mut reached: BTreeSet<(u128, Stored)> = open.iter().cloned().collect();
    while let Some((placed, value)) = open.pop() {
        for index in (0..batch.len()).filter(|index| placed & (1 << index) == 0) {
            let Some(after) = answer(batch[index], &value) else {
                continue;
            };
            let next = settled(placed | 1 << index, after);
            if reached.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    let all = u128::MAX >> (BATCH_MAX - batch.len());
    let done = reached.into_iter().filter(|(placed, _)| *placed == all);
    done.map(|(_, value)| value).collect()
}

/// The value after one operation; `None` if a map would have answered differently.
fn answer(line: &Value, before: &Stored) -> Option<Stored> {
    let text = |field: &str| line[field].as_str().map(str::to_owned);
    let written = text("value");
    let (holds, after) = match line["op"].as_str()? {
        "read" => return (text("result") == *before).then(|| before.clone()),
        "put" => return (line["status"] == "ok").then_some(written),
        "create" => (before.is_none(), written),
        "update" => (before.is_some(), written),
        "delete" => (before.is_some(), None),
        "cas" => (before.is_some() && text("expect") == *before, written),
        other => panic!("{other} in {line}"),
    };
    match line["status"].as_str()? {
        "ok" => holds.then_some(after),
        _ => (!holds).then(|| before.clone()),
    }
}
