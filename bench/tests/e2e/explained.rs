//! What a run says beside its throughput and latency: the phases of slots, messages, replicas over time; and that open-loop latency
//! counts what a standstill cost.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{local, results};

/// Slots that may be under way, and so in one of two counts, when a replica is looked at: the log window of the scenario.
const WINDOW: u64 = 64;

/// A CSV file as one map of columns for each line.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| -> BTreeMap<String, String> {
        let fields = line.split(',').map(str::to_owned);
        names
            .iter()
            .map(|name| (*name).to_owned())
            .zip(fields)
            .collect()
    };
    lines.map(row).collect()
}

fn sum(row: &BTreeMap<String, String>, columns: &[&str]) -> u64 {
    let value = |column: &&str| row[*column].parse::<u64>().unwrap();
    columns.iter().map(value).sum()
}

#[test]
fn phases_messages_and_replicas_over_time_tell_of_the_same_slots() {
    let directory = local::directory();
    // A replica that was not heard at both ends of the phase has not counted everything, and the run says so.
    let ended = local::run_until(directory.path(), &[], |_, repeat| {
        let slots = repeat["consensus"]["slots"].as_u64();
        repeat["messages"]["complete"] == true && slots >= Some(10)
    });
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let repeat = &json["repeats"][0];

    // Each replica decided each of its slots once, in one way, and executed it.
    let replicas = repeat["phases"]["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 5);
    let count = |replica: &Value, phase: &str| {
        let phase = &replica["phases"][phase];
        phase["count"].as_u64().unwrap_or_default()
    };
    for replica in replicas {
        let executed = count(replica, "execute");
        assert!(executed > 0, "{replica}");
        let prepared = count(replica, "prepare");
        assert!(prepared.abs_diff(executed) <= WINDOW, "{replica}");
        assert!(
            count(replica, "fsync") > 0 && count(replica, "reply") > 0,
            "{replica}"
        );
        let primary = replica["proposed"].as_u64().unwrap() > 0;
        assert_eq!(count(replica, "queue") > 0, primary, "{replica}");
        assert_eq!(count(replica, "pre_prepare") > 0, !primary, "{replica}");
    }
    let all = &repeat["phases"]["all"]["execute"]["count"];
    let each: u64 = replicas
        .iter()
        .map(|replica| count(replica, "execute"))
        .sum();
    assert_eq!(all.as_u64(), Some(each));

    // With n = 5 and the strong quorum no COMMIT is ever sent, and nobody can be missing.
    let messages = &repeat["messages"];
    assert_eq!(messages["complete"], true);
    let sent = |name: &str| {
        let types = messages["types"].as_array().unwrap();
        let of = types.iter().find(|each| each["type"] == name).unwrap();
        of["sent"].as_u64().unwrap()
    };
    assert_eq!((sent("commit"), sent("pre-prepare") > 0), (0, true));
    assert!(sent("prepare") > sent("pre-prepare"), "{messages}");
    assert!(sent("reply") > 0);
    assert_eq!(repeat["fallbacks"]["slots"], 0);
    assert_eq!(repeat["fallbacks"]["missing"].as_array().unwrap().len(), 5);

    // A second is too short a time to be called steady, and the file says so.
    if repeat["duration_s"].as_f64() < Some(2.0) {
        assert_eq!(repeat["stationarity"]["verdict"], "skipped");
    }
    assert!(repeat["machine"]["clock_jump_ms"].is_number());

    let rows = rows(&run.join("repeat-1/replicas.csv"));
    for replica in 0..5 {
        let own = || {
            rows.iter()
                .filter(|row| row["replica"] == replica.to_string())
        };
        let (first, last) = (own().next().unwrap(), own().next_back().unwrap());
        let totals = ["fast", "slow", "bytes_sent", "fsyncs"];
        assert_eq!(sum(first, &totals), 0, "totals begin with the phase");
        assert!(sum(last, &["fast"]) > 0 && sum(last, &["fsyncs"]) > 0);
        let executed = sum(last, &["executed"]) - sum(first, &["executed"]);
        let decided = sum(last, &["fast", "slow"]);
        assert!(decided.abs_diff(executed) <= WINDOW, "{first:?} {last:?}");
    }
    assert!(ended.stdout.contains("pre-prepare"), "{}", ended.stdout);
}

#[test]
fn open_loop_latency_contains_the_time_that_the_cluster_stood_still() {
    let directory = local::directory();
    // Two of five paused is one more than the cluster stands: nothing is decided until they go on.
    let values = local::set(&[
        "load.model=open",
        "load.rate=100/s",
        "load.arrival=constant",
        "load.duration=2500ms",
        "check.linearizable=off",
        r#"fault=[
            { at = "500ms", kind = "pause", target = 3, resume_at = "2s" },
            { at = "500ms", kind = "pause", target = 4, resume_at = "2s" },
        ]"#,
    ]);
    let ended = local::run(directory.path(), &values);
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let repeat = &json["repeats"][0];
    let faults = repeat["faults"].as_array().unwrap();
    let begin = faults.iter().map(|each| each["start_s"].as_f64().unwrap());
    let end = faults.iter().map(|each| each["end_s"].as_f64().unwrap());
    let (begin, end) = (begin.fold(0.0, f64::max), end.fold(f64::MAX, f64::min));

    // Whatever should have started in the standstill, but not in its last 300 ms, has waited for 300 ms at least. The machine can make it wait
    // longer, never less.
    let waited_s = 0.3;
    let offered: u64 = rows(&run.join("repeat-1/timeseries.csv"))
        .iter()
        .filter(|row| {
            let t_s: f64 = row["t_s"].parse().unwrap();
            t_s >= begin && t_s + 0.1 <= end - waited_s
        })
        .map(|row| sum(row, &["offered"]))
        .sum();
    let operations = &repeat["operations"];
    let share = offered as f64 / operations["offered"].as_f64().unwrap();
    // More than a tenth of all, or p90 would not have to show it. A slow machine may pause them late.
    assert!(share > 0.12, "{offered} of {operations} fell into it");
    assert_eq!(
        operations["dropped"], 0,
        "the load did not wait: {operations}"
    );
    let p90_us = repeat["latency_us"]["all"]["p90"].as_f64().unwrap();
    assert!(p90_us >= waited_s * 1e6, "p90 is {p90_us} us");
}
