#![allow(clippy::unwrap_used)]

use std::cell::RefCell;

use super::*;
use crate::campaign::Program;
use crate::record::{Environment, LatencySummary, Repeat, Run};
use crate::scenario::{Source, load_over};

const BASE: &str = r#"
schema = 1
name = "s"
repeat = 2
[load]
clients = 2
[sweep]
over = { load.rate = ["100/s", "200/s"] }
variant = [{ name = "fast" }, { name = "slow", set = { cluster.fast_quorum = "off" } }]
[[sweep.exclude]]
variant = "slow"
"load.rate" = "200/s"
"#;

fn experiment(text: &str) -> Experiment {
    let source = Source::Text {
        name: "s.toml".to_owned(),
        text: text.to_owned(),
    };
    let base = load_over(&[source], &[], &[]).unwrap_or_else(|error| panic!("{error}"));
    Experiment {
        cells: base.cells().unwrap(),
        repeats: base.scenario.repeat,
        base,
    }
}

/// Leaves what `bench run` leaves.
fn ran(loaded: &Loaded, folder: &Path, status: RunStatus) -> Finished {
    let count = std::fs::read_dir(folder).map_or(0, Iterator::count);
    let id = format!("2026010{count}T000000Z_s_000{count}");
    let latency = LatencySummary {
        count: 5,
        p50: 10.0,
        p99: 20.0,
        ..LatencySummary::default()
    };
    let mut repeat = Repeat {
        seed: loaded.scenario.seed,
        duration_s: 2.0,
        ..Repeat::default()
    };
    repeat.operations.ok = 300;
    repeat.latency_us.insert("all".to_owned(), latency);
    let run = Run {
        id: id.clone(),
        status,
        repeats: vec![repeat],
        ..Run::default()
    };
    let directory = folder.join(id);
    std::fs::create_dir_all(&directory).unwrap();
    write_json(&directory.join("run.json"), &run).unwrap();
    Finished { run, directory }
}

fn program() -> Program {
    Program {
        digest: "p1".to_owned(),
        flags: String::new(),
    }
}

fn environment() -> Environment {
    Environment {
        commit: "c0ffee".to_owned(),
        ..Environment::default()
    }
}

/// Runs until `stop_at` runs were made; gives the exit, the document and what was run.
fn swept(
    out: &Path,
    experiment: &Experiment,
    stop_at: usize,
) -> (Exit, SweepDocument, Vec<(String, u64)>) {
    let opened = open(out, experiment, environment(), &program(), false).unwrap();
    let order = RefCell::new(Vec::new());
    let run = |loaded: &Loaded, folder: &Path| {
        let cell = folder.file_name().unwrap().to_str().unwrap().to_owned();
        order.borrow_mut().push((cell, loaded.scenario.seed));
        let status = match order.borrow().len() == stop_at {
            true => RunStatus::Interrupted,
            false => RunStatus::Completed,
        };
        Ok(ran(loaded, folder, status))
    };
    let (document, exit) = run_experiment(experiment, &opened, run, |_, _, _| {}).unwrap();
    (exit, document, order.into_inner())
}

#[test]
fn cells_take_turns_over_the_repeats_and_share_their_seeds() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(BASE);
    let (exit, document, order) = swept(out.path(), &experiment, usize::MAX);
    assert_eq!(exit, Exit::Ok);
    let cells = ["fast_rate=100-s", "fast_rate=200-s", "slow_rate=100-s"];
    let expected: Vec<(String, u64)> = [7, 8]
        .iter()
        .flat_map(|seed| cells.map(|cell| (cell.to_owned(), *seed)))
        .collect();
    assert_eq!(order, expected, "the slow one at 200/s is left out");
    assert_eq!(document.status, SweepStatus::Completed);
    let json = serde_json::to_value(&document).unwrap();
    assert_eq!(json["cells"][1]["rate_ops_s"], 200.0);
    assert_eq!(json["cells"][1]["values"]["load.rate"], "200/s");
    assert_eq!(json["cells"][2]["variant"], "slow");
    assert_eq!(
        json["cells"][0]["summary"]["throughput_ops_s"]["median"],
        150.0
    );
    assert_eq!(
        json["cells"][0]["runs"][0]["fast_path_share"],
        serde_json::Value::Null,
        "nothing was decided, which is no share of 0"
    );
    assert_eq!(json["scenario"]["sweep"], serde_json::Value::Null);

    let text = std::fs::read_to_string(Path::new(&document.directory).join("sweep.csv")).unwrap();
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let header = table.headers().unwrap().clone();
    assert_eq!(
        &header.iter().take(5).collect::<Vec<_>>(),
        &["cell", "variant", "load.rate", "repeat", "seed"]
    );
    let column = |name: &str| header.iter().position(|one| one == name).unwrap();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 6, "one row for each cell and repeat");
    assert_eq!(&rows[1][column("seed")], "8");
    assert_eq!(&rows[0][column("p99_us")], "20.0");
    assert_eq!(&rows[0][column("fast_path_share")], "", "missing, not 0");
}

#[test]
fn a_sweep_that_was_stopped_goes_on_and_keeps_what_it_has() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(BASE);
    let (exit, document, _) = swept(out.path(), &experiment, 4);
    assert_eq!(
        (exit, document.status),
        (Exit::Interrupted, SweepStatus::Interrupted)
    );
    let text = sweep_text(&document, None, crate::report::Paint::PLAIN);
    assert!(text.contains("INTERRUPTED after 3 of 6 runs"), "{text}");
    let (exit, again, order) = swept(out.path(), &experiment, usize::MAX);
    assert_eq!(exit, Exit::Ok);
    assert_eq!(again.id, document.id, "the same directory");
    assert_eq!(order.len(), 3, "what was finished is not run again");
    assert_eq!(order[0], ("fast_rate=100-s".to_owned(), 8));
    assert!(again.cells.iter().all(|cell| cell.runs.len() == 2));
    let aside = Path::new(&again.directory).join("aside");
    assert_eq!(std::fs::read_dir(aside).unwrap().count(), 1);
    // What is complete is not gone on with.
    let (_, third, order) = swept(out.path(), &experiment, usize::MAX);
    assert_ne!(third.id, again.id);
    assert_eq!(order.len(), 6);
}

#[test]
fn a_sweep_of_another_scenario_is_not_gone_on_with() {
    let out = tempfile::tempdir().unwrap();
    let before = experiment(BASE);
    swept(out.path(), &before, 2);
    let now = experiment(&BASE.replace("clients = 2", "clients = 3"));
    let refused = open(out.path(), &now, environment(), &program(), false).unwrap_err();
    assert_eq!(refused.exit, Exit::Usage);
    for words in ["`clients = 2`", "`clients = 3`", "a new sweep with --fresh"] {
        assert!(refused.message.contains(words), "{refused}");
    }
    let fresh = open(out.path(), &now, environment(), &program(), true).unwrap();
    assert!(!fresh.campaign.resumed);
    let going_on = open(out.path(), &before, environment(), &program(), false).unwrap();
    let second = open(out.path(), &before, environment(), &program(), false).unwrap_err();
    assert!(
        second.message.contains("goes on in another process"),
        "{second}"
    );
    assert_eq!(going_on.measured(), 1);
}

#[test]
fn a_run_that_fails_is_tried_again_the_next_time() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(BASE);
    let opened = open(out.path(), &experiment, environment(), &program(), false).unwrap();
    let run = |loaded: &Loaded, folder: &Path| match folder.ends_with("slow_rate=100-s") {
        true => Err(RunError::new(Exit::Environment, "a port is taken")),
        false => Ok(ran(loaded, folder, RunStatus::Completed)),
    };
    let (document, exit) = run_experiment(&experiment, &opened, run, |_, _, _| {}).unwrap();
    assert_eq!(
        (exit, document.status),
        (Exit::Environment, SweepStatus::Failed)
    );
    assert_eq!(document.failures.len(), 2);
    assert!(document.cells[2].summary.is_none());
    drop(opened);
    let (exit, document, order) = swept(out.path(), &experiment, usize::MAX);
    assert_eq!((exit, order.len()), (Exit::Ok, 2));
    assert_eq!(document.status, SweepStatus::Completed);
}
