//! Every kind of cluster and load that a scenario can ask for, very short: all checks pass and nothing stays without an answer.

use serde_json::Value;

use super::{history, local, results};

/// As short as it gets.
const BRIEF: [&str; 2] = ["load.warmup=0s", "load.duration=400ms"];

/// Runs the small scenario with other values. Returns run.json and the history.
fn passes(values: &[&str]) -> (Value, Vec<Value>) {
    passes_until(values, |_| true)
}

/// The same, for as long as it takes until `enough` has happened.
fn passes_until(values: &[&str], enough: impl Fn(&Value) -> bool) -> (Value, Vec<Value>) {
    let directory = local::directory();
    let values = [&BRIEF, values].concat();
    let ended = local::run_until(directory.path(), &local::set(&values), |_, repeat| {
        enough(repeat)
    });
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let lines = results::lines(&run.join("repeat-1/history.jsonl"));
    results::assert_nothing_secret_left(directory.path());
    (json, lines)
}

/// Runs one of the YCSB presets, which bring their own mix.
fn preset_passes(preset: &str) -> Value {
    let directory = local::directory();
    let mix = local::SMALL
        .lines()
        .find(|line| line.starts_with("mix"))
        .unwrap();
    let kind = format!("preset = \"{preset}\"");
    let scenario = local::SMALL.replace("crud", "ycsb").replace(mix, &kind);
    std::fs::write(directory.path().join("small.toml"), scenario).unwrap();
    let ended = local::run(directory.path(), &local::set(&BRIEF));
    let run = local::latest(directory.path());
    results::assert_passed(&run, &ended)
}

fn kinds(json: &Value) -> Vec<&str> {
    let kinds = json["repeats"][0]["latency_us"].as_object().unwrap();
    kinds
        .keys()
        .map(String::as_str)
        .filter(|kind| *kind != "all")
        .collect()
}

#[test]
fn reads_beside_the_log() {
    let accepted = |repeat: &Value| repeat["quorum_reads"]["accepted"].as_u64() >= Some(1);
    let (json, lines) = passes_until(&["workload.read_mode=quorum"], accepted);
    assert!(accepted(&json["repeats"][0]));
    // Whoever reads beside the log has no place in it: the run's own check has judged those reads.
    let (logged, beside): (Vec<Value>, Vec<Value>) =
        lines.into_iter().partition(|line| line["seq"].is_u64());
    assert!(beside.iter().all(|line| line["op"] == "read"));
    history::assert_linearizable(&logged);
    let repeat = &json["repeats"][0];
    let reads = &repeat["quorum_reads"];
    let number = |name: &str| reads[name].as_u64().unwrap();
    let answered = repeat["latency_us"]["read"]["count"].as_u64().unwrap();
    assert_eq!(number("accepted") + number("fallen_back"), answered);
}

#[test]
fn without_a_disk() {
    let (json, lines) = passes(&["cluster.storage.engine=memory"]);
    history::assert_linearizable(&lines);
    let replicas = &json["repeats"][0]["resources"]["replicas"];
    assert!(
        replicas
            .as_array()
            .unwrap()
            .iter()
            .all(|each| each["fsyncs"] == 0)
    );
    assert_eq!(json["environment"]["durability"], "off (memory)");
}

#[test]
fn without_waiting_for_the_disk() {
    let (json, lines) = passes(&["cluster.storage.durability=off"]);
    history::assert_linearizable(&lines);
    assert_eq!(json["environment"]["durability"], "off");
}

#[test]
fn with_three_phases_and_four_replicas() {
    let (json, lines) = passes(&["cluster.protocol=pbft", "cluster.n=4"]);
    history::assert_linearizable(&lines);
    let consensus = &json["repeats"][0]["consensus"];
    assert_eq!(consensus["fast_path_slots"], 0, "{consensus}");
    assert!(consensus["slow_path_slots"].as_u64().unwrap() > 0);
}

#[test]
fn arriving_by_the_clock() {
    let (json, lines) = passes(&[
        "load.model=open",
        "load.rate=200/s",
        "load.arrival=constant",
    ]);
    history::assert_linearizable(&lines);
    assert_eq!(json["repeats"][0]["operations"]["offered"], 80);
}

#[test]
fn far_more_than_it_can_take() {
    let (json, _) = passes(&[
        "load.model=open",
        "load.rate=40000/s",
        "load.duration=200ms",
        "workload.records=1000",
        "workload.key={ dist = \"uniform\" }",
    ]);
    let operations = &json["repeats"][0]["operations"];
    assert!(
        operations["offered"].as_u64().unwrap() > 4_000,
        "{operations}"
    );
    assert!(operations["dropped"].as_u64().unwrap() > 0, "{operations}");
}

#[test]
fn several_operations_under_one_signature() {
    let (json, lines) = passes(&["load.ops_per_request=16", "load.outstanding=1"]);
    assert!(lines.len() > 40);
    let sent = json["repeats"][0]["operations"]["sent"].as_u64().unwrap();
    assert_eq!(sent % 16, 0);
}

#[test]
fn several_operations_together_or_not_at_all() {
    let atomic = ["load.ops_per_request=16", "load.atomic=true"];
    // Of this mix nearly every request has an operation whose condition is false.
    let (json, _) = passes(
        &[
            &atomic[..],
            &["workload.mix={ create = 0.2, read = 0.4, update = 0.2, delete = 0.2 }"],
        ]
        .concat(),
    );
    let operations = &json["repeats"][0]["operations"];
    assert!(operations["failed"].as_u64().unwrap() > 0, "{operations}");
    // And this one has no conditions.
    let (json, _) = passes(&[&atomic[..], &["workload.mix={ read = 0.5, put = 0.5 }"]].concat());
    assert_eq!(json["repeats"][0]["operations"]["failed"], 0);
}

#[test]
fn with_scans_and_transactions() {
    let (json, lines) = passes(&[
        "workload.mix={ scan = 0.3, txn = 0.4, put = 0.3 }",
        "workload.scan_length=10",
    ]);
    assert_eq!(kinds(&json), ["put", "scan", "txn"]);
    let scanned = lines.iter().filter_map(|line| line["result"].as_array());
    assert!(scanned.clone().all(|entries| entries.len() <= 10));
    assert!(scanned.count() > 0);
}

#[test]
fn ycsb_a_b_and_c() {
    assert_eq!(kinds(&preset_passes("A")), ["read", "update"]);
    assert!(kinds(&preset_passes("B")).contains(&"read"));
    assert_eq!(kinds(&preset_passes("C")), ["read"]);
}

#[test]
fn ycsb_d_e_and_f() {
    assert!(kinds(&preset_passes("D")).contains(&"read"));
    assert!(kinds(&preset_passes("E")).contains(&"scan"));
    assert_eq!(kinds(&preset_passes("F")), ["read", "update"]);
}
