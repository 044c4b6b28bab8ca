//! The results directory, read as an outside script would read it, and the sums that must agree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::command::Ended;
use super::local;

/// run.json of a run.
pub(crate) fn run_json(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap()
}

/// The lines of a JSON-lines file; every one parses.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line}"));
    text.lines().map(parse).collect()
}

/// What a replica tells of all its lives in the first repeat: the slots that it committed, and its checkpoints.
pub(crate) fn log_of(run: &Path, replica: u64) -> Vec<Value> {
    lines(&run.join(format!("repeat-1/replicas/{replica}/committed.jsonl")))
}

/// The run ended well and passed every check. Returns its run.json.
pub(crate) fn assert_passed(run: &Path, ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    let json = run_json(run);
    assert_eq!(json["schema"], "bench.run/v1");
    assert_eq!(
        (&json["status"], &json["verdict"]),
        (&"completed".into(), &"pass".into()),
        "{json:#}"
    );
    for repeat in json["repeats"].as_array().unwrap() {
        let operations = &repeat["operations"];
        assert!(operations["ok"].as_u64().unwrap() > 0, "{operations}");
        assert_eq!(
            operations["unknown"], 0,
            "{operations}, {}",
            json["warnings"]
        );
        let agreement = &repeat["checks"]["agreement"];
        assert_eq!(agreement["verdict"], "pass", "{agreement}");
    }
    assert_sums_agree(run, &json);
    json
}

/// Whether a warning tells of a replica that ended unasked. ("intended", in what is said of a late load generator, is no end.)
pub(crate) fn replica_ended(json: &Value) -> bool {
    let warnings = json["warnings"].to_string();
    (0..16).any(|id| warnings.contains(&format!("replica {id} ended")))
}

/// Counters, histograms, time series and history were written by different hands and count the same operations.
pub(crate) fn assert_sums_agree(run: &Path, json: &Value) {
    for (index, repeat) in json["repeats"].as_array().unwrap().iter().enumerate() {
        let directory = run.join(format!("repeat-{}", index + 1));
        let operations = &repeat["operations"];
        let count = |name: &str| operations[name].as_u64().unwrap();
        assert_eq!(
            count("sent"),
            count("ok") + count("failed") + count("unknown"),
            "{operations}"
        );
        assert_eq!(count("offered"), count("sent") + count("dropped"));

        let latencies = repeat["latency_us"].as_object().unwrap();
        let mut by_kind = 0;
        for (kind, summary) in latencies {
            let here = summary["count"].as_u64().unwrap();
            assert_eq!(here, in_percentile_file(&directory, kind), "{kind}");
            assert!(directory.join(format!("latency/{kind}.hlog")).exists());
            by_kind += if kind == "all" { 0 } else { here };
        }
        assert_eq!(latencies["all"]["count"], operations["ok"]);
        assert_eq!(by_kind, count("ok"));

        let columns = time_series(&directory);
        for name in ["offered", "sent", "ok", "failed", "dropped"] {
            assert_eq!(columns[name], count(name), "column {name}");
        }

        if repeat["history"]["mode"] == "full" {
            let history = lines(&directory.join("history.jsonl"));
            let ok = |line: &&Value| line["status"] == "ok" && line.get("phase").is_none();
            assert_eq!(history.iter().filter(ok).count() as u64, count("ok"));
            assert_eq!(history.len() as u64, repeat["history"]["lines"]);
        }
    }
}

/// The total at the end of a percentile file.
fn in_percentile_file(directory: &Path, kind: &str) -> u64 {
    let path = directory.join(format!("latency/{kind}.hgrm"));
    let text = fs::read_to_string(&path).unwrap();
    let (_, total) = text.split_once("Total count").unwrap();
    let digits = total.trim_start_matches([' ', '=']);
    digits.split(']').next().unwrap().trim().parse().unwrap()
}

/// The sums of the columns that hold whole numbers.
fn time_series(directory: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(directory.join("timeseries.csv")).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut sums = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        for (name, cell) in names.iter().zip(cells) {
            *sums.entry((*name).to_owned()).or_default() += cell.parse().unwrap_or(0);
        }
    }
    sums
}

/// Everything below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found
}

/// No keys, no data of replicas, no locks.
pub(crate) fn assert_nothing_secret_left(directory: &Path) {
    for path in files(directory) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            name != "cluster" && !name.ends_with(".key") && !name.ends_with(".lock"),
            "{} is left behind",
            path.display()
        );
    }
}

#[test]
fn a_short_run_passes_all_checks_and_leaves_every_file_and_nothing_else() {
    let directory = local::directory();
    let checkpoint = |line: &Value| line.get("checkpoint").is_some();
    let ended = local::run_until(directory.path(), &[], |run, _| {
        (0..5).all(|replica| log_of(run, replica).iter().any(checkpoint))
    });
    let run = local::latest(directory.path());
    let json = assert_passed(&run, &ended);
    let repeat = &json["repeats"][0];
    for check in [
        "agreement",
        "linearizable",
        "exactly_once",
        "state",
        "liveness",
    ] {
        let check = &repeat["checks"][check];
        assert_eq!(check["verdict"], "pass", "{check}");
    }
    assert_eq!(json["id"], run.file_name().unwrap().to_str().unwrap());
    assert!(repeat["consensus"]["slots"].as_u64().unwrap() > 0);

    for file in ["scenario.toml", "effective.toml", "env.json", "summary.md"] {
        assert!(run.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    for figure in ["throughput", "latency", "percentiles", "views", "batches"] {
        assert!(
            report.contains(&format!("data-figure=\"{figure}\"")),
            "{figure}"
        );
    }
    let repeat = run.join("repeat-1");
    let events = lines(&repeat.join("events.jsonl"));
    let load = events
        .iter()
        .find(|event| event["event"] == "load")
        .unwrap();
    assert!(
        load["t_s"].as_f64().unwrap() < 0.0,
        "before the measured phase: {load}"
    );
    assert!(repeat.join("evidence").is_dir() && repeat.join("logs").is_dir());
    for replica in 0..5 {
        let log = log_of(&run, replica);
        let slots: Vec<&Value> = log
            .iter()
            .filter(|line| line.get("seq").is_some())
            .collect();
        let in_order = |(index, line): (usize, &&Value)| line["seq"] == index as u64 + 1;
        assert!(!slots.is_empty() && slots.iter().enumerate().all(in_order));
        assert!(log.iter().any(checkpoint));
    }
    assert_nothing_secret_left(directory.path());
    assert!(!run.join("INCOMPLETE").exists());
    assert_eq!(
        local::runs(directory.path()),
        [local_path(&directory, &run)]
    );
}

#[test]
fn the_effective_scenario_runs_again_and_says_the_same_of_itself() {
    let directory = local::directory();
    let short = local::set(&["load.duration=300ms", "load.warmup=0s", "repeat=2"]);
    let ended = local::run(directory.path(), &short);
    let first = local::latest(directory.path());
    let before = assert_passed(&first, &ended);
    fs::copy(
        first.join("effective.toml"),
        directory.path().join("small.toml"),
    )
    .unwrap();
    // Nothing is said of what came of it, so it may be as short as it is.
    local::start(directory.path(), &[]).wait();
    let second = local::latest(directory.path());
    let after = run_json(&second);
    assert_ne!(first, second, "`latest` moved on");
    assert_eq!(before["scenario"], after["scenario"]);
    let seeds = |json: &Value| -> Vec<Value> {
        let repeats = json["repeats"].as_array().unwrap();
        repeats.iter().map(|each| each["seed"].clone()).collect()
    };
    assert_eq!(seeds(&before).len(), 2);
    assert_eq!(seeds(&before), seeds(&after));
}

#[test]
fn with_json_stdout_is_the_result_alone() {
    let directory = local::directory();
    let mut arguments = local::set(&["load.duration=300ms", "load.warmup=0s"]);
    arguments.push("--json");
    let ended = local::run(directory.path(), &arguments);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let json = assert_passed(&local::latest(directory.path()), &ended);
    assert_eq!(document, json);
}

fn local_path(directory: &tempfile::TempDir, run: &Path) -> PathBuf {
    directory
        .path()
        .join("results")
        .join(run.file_name().unwrap())
}
