#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::path::PathBuf;

use super::*;
use crate::cli::output::tests::Written;
use crate::record::{HistoryMode, Run, RunStatus, RunVerdict};

fn arguments(scenarios: &[&str]) -> RunArgs {
    RunArgs {
        scenarios: scenarios.iter().map(|name| (*name).to_owned()).collect(),
        ..RunArgs::default()
    }
}

fn finished(name: &str, verdict: RunVerdict, status: RunStatus) -> Result<Finished, RunError> {
    Ok(Finished {
        run: Run {
            name: name.to_owned(),
            verdict,
            status,
            ..Run::default()
        },
        directory: PathBuf::from("results/x"),
    })
}

/// Runs with a runner that ends each scenario as `end` says; gives the exit, stdout and what was run.
fn ran(
    arguments: &RunArgs,
    json: bool,
    end: impl Fn(&str) -> Result<Finished, RunError>,
) -> (Exit, String, Vec<String>) {
    let stdout = Written::default();
    let names = RefCell::new(Vec::new());
    let exit = execute(arguments, &Output::to(stdout.clone(), json), |options| {
        let name = &options.loaded.scenario.name;
        names.borrow_mut().push(name.clone());
        end(name)
    });
    (exit, stdout.text(), names.into_inner())
}

#[test]
fn every_end_of_a_run_has_its_exit_code() {
    use RunStatus::{Completed, Interrupted};
    use RunVerdict::{LivenessViolation, Pass, SafetyViolation, SloMissed};
    for (verdict, status, code) in [
        (Pass, Completed, 0),
        (SloMissed, Completed, 3),
        (SafetyViolation, Completed, 4),
        (LivenessViolation, Completed, 5),
        (Pass, Interrupted, 130),
    ] {
        let (exit, _, names) = ran(&arguments(&[]), false, |name| {
            finished(name, verdict, status)
        });
        assert_eq!((exit.code(), names), (code, vec!["quickstart".to_owned()]));
    }
    let (exit, stdout, _) = ran(&arguments(&[]), false, |_| {
        Err(RunError::new(Exit::Environment, "port 7000 is taken"))
    });
    assert_eq!((exit.code(), stdout.as_str()), (6, ""));
}

#[test]
fn several_scenarios_run_one_after_the_other_and_the_gravest_end_decides() {
    let (exit, stdout, names) = ran(
        &arguments(&["fast-path", "overload", "quickstart"]),
        false,
        |name| {
            let verdict = if name == "overload" {
                RunVerdict::SafetyViolation
            } else {
                RunVerdict::SloMissed
            };
            finished(name, verdict, RunStatus::Completed)
        },
    );
    assert_eq!(
        (exit, names),
        (
            Exit::Safety,
            vec![
                "fast-path".to_owned(),
                "overload".to_owned(),
                "quickstart".to_owned()
            ]
        )
    );
    assert!(
        stdout.contains("fast-path: SLO MISSED") && stdout.contains("overload: SAFETY VIOLATION")
    );
}

#[test]
fn an_interruption_ends_the_series() {
    let (exit, _, names) = ran(&arguments(&["fast-path", "overload"]), false, |name| {
        finished(name, RunVerdict::Pass, RunStatus::Interrupted)
    });
    assert_eq!((exit, names.len()), (Exit::Interrupted, 1));
}

#[test]
fn one_wrong_scenario_starts_none() {
    let (exit, stdout, names) = ran(&arguments(&["fast-path", "no-such-scenario"]), true, |_| {
        unreachable!("nothing may start")
    });
    assert_eq!((exit, names.len()), (Exit::Usage, 0));
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&document["schema"], &document["exit"]),
        (&Value::from("bench.error/v1"), &Value::from(2))
    );
}

#[test]
fn json_is_one_document_for_one_scenario_and_an_array_for_several() {
    let (_, stdout, _) = ran(&arguments(&[]), true, |name| {
        finished(name, RunVerdict::Pass, RunStatus::Completed)
    });
    let run: Run = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (run.schema.as_str(), run.name.as_str()),
        ("bench.run/v1", "quickstart")
    );
    let (_, stdout, _) = ran(
        &arguments(&["fast-path", "overload"]),
        true,
        |name| match name {
            "overload" => Err(RunError::new(Exit::Environment, "port 7000 is taken")),
            name => finished(name, RunVerdict::Pass, RunStatus::Completed),
        },
    );
    let all: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (all[0]["name"].as_str(), all[1]["message"].as_str()),
        (Some("fast-path"), Some("port 7000 is taken"))
    );
}

#[test]
fn options_reach_the_runner() {
    let arguments = RunArgs {
        set: vec!["load.clients=3".to_owned(), "seed=1".to_owned()],
        repeat: Some(4),
        seed: Some(99),
        name: Some("007".to_owned()),
        out: PathBuf::from("elsewhere"),
        history: Some(super::super::arguments::History::Full),
        keep_data: true,
        ..RunArgs::default()
    };
    let exit = execute(
        &arguments,
        &Output::to(Written::default(), false),
        |options| {
            let scenario = &options.loaded.scenario;
            assert_eq!(
                (
                    scenario.load.clients,
                    scenario.repeat,
                    scenario.seed,
                    scenario.name.as_str()
                ),
                (3, 4, 99, "007")
            );
            assert_eq!(
                (options.history, options.keep_data),
                (Some(HistoryMode::Full), true)
            );
            assert_eq!(options.out, PathBuf::from("elsewhere"));
            finished("007", RunVerdict::Pass, RunStatus::Completed)
        },
    );
    assert_eq!(exit, Exit::Ok);
}
