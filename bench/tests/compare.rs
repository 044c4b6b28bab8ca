//! `bench compare` as its users and their scripts see it: what is printed, what is refused, and exit codes.

#![allow(clippy::unwrap_used, missing_docs)]

mod program;

use std::path::Path;

use program::bench_in;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A run with repeats around `throughput`, a few per cent apart.
fn run(id: &str, throughput: f64, repeats: usize) -> Value {
    let repeat = |index: usize| {
        let factor = 0.98 + 0.005 * ((index * 7) % 10) as f64;
        let latency = json!({"all": {"count": 1000, "p50": 8e6 / throughput / factor, "p99": 2e7 / throughput,
            "p999": 4e7 / throughput}});
        json!({"throughput_ops_s": throughput * factor, "operations": {"ok": 1000},
            "latency_us": latency, "service_latency_us": latency})
    };
    json!({
        "schema": "bench.run/v1", "id": id, "name": "x", "status": "completed", "verdict": "pass",
        "scenario": {"cluster": {"f": 1, "n": 5}, "workload": {"records": 100}, "load": {"clients": 4}},
        "environment": {"durability": "full", "authentication": "ed25519", "build": "release"},
        "repeats": (0..repeats).map(repeat).collect::<Vec<_>>(), "summary": {},
    })
}

fn leave(folder: &Path, run: &Value) {
    let directory = folder.join(run["id"].as_str().unwrap());
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("run.json"), run.to_string()).unwrap();
}

/// Results of ten repeats each: `slow` 20 % below `base`, `fast` 20 % above it, and others.
fn results() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let results = directory.path().join("results");
    leave(&results, &run("20260101T000000Z_base_0001", 1000.0, 10));
    leave(&results, &run("20260102T000000Z_slow_0002", 800.0, 10));
    leave(&results, &run("20260103T000000Z_fast_0003", 1200.0, 10));
    leave(&results, &run("20260104T000000Z_once_0004", 1000.0, 1));
    let mut off = run("20260105T000000Z_off_0005", 1000.0, 10);
    off["environment"]["durability"] = json!("off");
    leave(&results, &off);
    directory
}

const BASE: &str = "20260101";
const SLOW: &str = "20260102";
const FAST: &str = "20260103";
const ONCE: &str = "20260104";
const OFF: &str = "20260105";

#[test]
fn scripts_learn_of_a_regression_by_exit_code_7_if_they_ask() {
    let results = results();
    let compare = |arguments: &[&str]| {
        let arguments = [&["compare"], arguments].concat();
        let ended = bench_in(results.path(), &arguments);
        assert!(!ended.stdout.is_empty(), "{}", ended.stderr);
        ended.code
    };
    assert_eq!(compare(&[BASE, SLOW]), 0);
    assert_eq!(compare(&[BASE, SLOW, "--fail-on", "regression"]), 7);
    assert_eq!(compare(&[BASE, FAST, "--fail-on", "regression"]), 0);
    assert_eq!(compare(&[BASE, FAST, "--fail-on", "any"]), 7);
    assert_eq!(compare(&[BASE, FAST, SLOW, "--fail-on", "regression"]), 7);
    assert_eq!(
        compare(&[BASE, SLOW, "--fail-on", "any", "--threshold", "40%"]),
        0
    );
    assert_eq!(compare(&[BASE, ONCE, "--fail-on", "any"]), 0);
}

#[test]
fn the_conclusion_comes_first_in_every_format() {
    let results = results();
    let compare = |more: &[&str]| {
        let arguments = [
            &["compare", BASE, "results/20260102T000000Z_slow_0002"],
            more,
        ]
        .concat();
        let ended = bench_in(results.path(), &arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        ended.stdout
    };
    let words = "B is worse than A: throughput 20 % lower, latency p50 25 % higher";
    assert!(compare(&[]).starts_with(words));
    let markdown = compare(&["--format", "md"]);
    assert!(markdown.starts_with(&format!("**{words}")) && markdown.contains("| throughput | 1,"));
    for arguments in [&["--format", "json"], &["--json", "-q"]] {
        let document: Value = serde_json::from_str(&compare(arguments)).unwrap();
        assert_eq!(document["schema"], "bench.compare/v1");
        assert!(document["conclusion"].as_str().unwrap().starts_with(words));
        let throughput = &document["comparisons"][0]["metrics"][0];
        assert_eq!(throughput["verdict"], "worse");
        assert!(throughput["ratio_ci95"][1].as_f64() < Some(1.0));
    }
    let page = compare(&["--format", "html"]);
    assert!(page.contains(words) && page.contains(">WORSE<"));
    for figure in ["changes", "repeats"] {
        assert!(page.contains(&format!("data-figure=\"{figure}\"")));
    }
    let printed = compare(&["--format", "md", "-o", "report.md"]);
    assert_eq!(printed.lines().count(), 1);
    let written = std::fs::read_to_string(results.path().join("report.md")).unwrap();
    assert_eq!(written, markdown);
}

#[test]
fn runs_are_given_by_place_by_id_and_by_age_and_folders_are_taken_as_one() {
    let results = results();
    let turns = results.path().join("turns");
    for turn in 0..10 {
        let moment = format!("2026020{turn}T000000Z_x_000{turn}");
        let noise = 1.0 + 0.003 * f64::from(turn);
        leave(&turns.join("before"), &run(&moment, 1000.0 * noise, 1));
        leave(&turns.join("after"), &run(&moment, 1100.0 * noise, 1));
    }
    std::os::unix::fs::symlink("20260200T000000Z_x_0000", turns.join("after/latest")).unwrap();
    let said = |arguments: &[&str]| {
        let arguments = [&["compare"], arguments].concat();
        let ended = bench_in(results.path(), &arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    };
    let text = said(&["turns/before", "turns/after"]);
    assert!(
        text.starts_with("B is better than A: throughput 10 % higher"),
        "{text}"
    );
    assert!(
        text.contains("10 repeats, 10 runs in turns/after"),
        "{text}"
    );
    // The fifth and the fourth newest.
    assert_eq!(said(&["@5", "@4"]), said(&[BASE, SLOW]));
    let file = "results/20260102T000000Z_slow_0002/run.json";
    assert!(said(&[BASE, file]).starts_with("B is worse than A"));
    assert!(said(&[BASE, BASE]).contains("A and B are the same run"));
}

#[test]
fn one_repeat_decides_nothing_and_says_what_would() {
    let results = results();
    leave(
        &results.path().join("results"),
        &run("20260106T000000Z_once_0006", 2000.0, 1),
    );
    let ended = bench_in(results.path(), &["compare", ONCE, "20260106"]);
    assert_eq!(ended.code, 0);
    assert!(
        ended
            .stdout
            .starts_with("One repeat a side decides nothing"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("bench run x --repeat 10"),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_cannot_be_compared_is_refused_with_exit_code_2_and_a_remedy() {
    let results = results();
    let refused = |arguments: &[&str], words: &str| {
        let arguments = [&["compare"], arguments].concat();
        let ended = bench_in(results.path(), &arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains(words),
            "{words} is missing in {}",
            ended.stderr
        );
    };
    refused(&[BASE, OFF], "durability is full in A and off in B");
    refused(&[BASE, OFF], "--force compares them all the same");
    refused(&[BASE, "results"], "results holds runs of different things");
    refused(
        &[BASE, "2027"],
        "there is no run 2027 in results; choose another place with --results DIR",
    );
    refused(&[BASE, "@9"], "has 5 runs");
    refused(&[BASE], "RUN");
    refused(&[BASE, SLOW, "--threshold", "-3"], "");
    refused(&[BASE, SLOW, "--threshold", "few"], "percentage");
    refused(&[BASE, SLOW, "--format", "pdf"], "html");
    let forced = bench_in(results.path(), &["compare", BASE, OFF, "--force"]);
    assert_eq!(forced.code, 0, "{}", forced.stderr);
    assert!(
        forced
            .stdout
            .starts_with("Not comparable, and compared all the same:")
    );
    let document = bench_in(results.path(), &["compare", BASE, OFF, "--json"]);
    let error: Value = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!(
        (document.code, &error["schema"]),
        (2, &json!("bench.error/v1"))
    );
}

#[test]
fn a_result_that_cannot_be_read_or_written_is_a_runtime_error() {
    let results = results();
    let broken = results.path().join("results/20260109T000000Z_broken_0009");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("run.json"), "{").unwrap();
    let ended = bench_in(results.path(), &["compare", BASE, "20260109"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert!(
        ended
            .stderr
            .contains("run.json: is no result of `bench run`"),
        "{}",
        ended.stderr
    );
    let ended = bench_in(results.path(), &["compare", BASE, SLOW, "-o", "none/x.md"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("none/x.md"), "{}", ended.stderr);
}
