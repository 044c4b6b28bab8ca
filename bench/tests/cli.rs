//! The program as its users and their scripts see it: output, messages and exit codes, without starting a cluster.

#![allow(clippy::unwrap_used, missing_docs)]

mod program;

use program::{Ended, bench_in};

/// Runs `bench` in an empty directory.
fn bench(arguments: &[&str]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    bench_in(directory.path(), arguments)
}

#[test]
fn help_is_short_or_long_with_examples() {
    let short = bench(&["-h"]);
    let long = bench(&["--help"]);
    assert_eq!((short.code, long.code), (0, 0));
    assert!(!short.stdout.contains("Examples:") && long.stdout.contains("Examples:"));
    assert!(
        long.stdout.contains("bench run overload") && long.stdout.contains("4  safety violation")
    );
    assert!(
        bench(&["run", "--help"])
            .stdout
            .contains("--attach cluster/cluster.toml")
    );
    assert!(!long.stdout.contains("replica-process"));
}

#[test]
fn the_version_is_on_stdout() {
    let version = bench(&["-V"]);
    assert_eq!(
        (version.code, version.stdout),
        (0, format!("bench {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn wrong_usage_is_exit_code_2_and_leaves_stdout_empty() {
    for arguments in [
        &["run", "--no-such-flag"][..],
        &["no-such-command"],
        &["saturate"],
        &["saturate", "quickstart", "--repeat", "0"],
        &["run", "--repeat", "many"],
        &["run", "--history", "some"],
        &["scenario", "check"],
        &["run", "-q", "-v"],
        &[],
    ] {
        let ended = bench(arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(!ended.stderr.is_empty());
    }
    let ended = bench(&["scenario", "list", "--log", "bench=loud"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("--log \"bench=loud\" is no filter"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_wrong_scenario_is_named_with_its_place_and_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("bad.toml"),
        "schema = 1\nname = \"bad\"\n[load]\nclientz = 3\n",
    )
    .unwrap();
    let ended = bench_in(directory.path(), &["run", "bad.toml"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    for part in ["bad.toml:4:1", "clientz", "did you mean `clients`?"] {
        assert!(
            ended.stderr.contains(part),
            "{part} is missing in {}",
            ended.stderr
        );
    }
    assert!(
        !ended.stderr.contains('\u{1b}'),
        "no colour where stderr is no terminal"
    );
    assert!(
        !directory.path().join("results").exists(),
        "nothing half-written"
    );
}

#[test]
fn wrong_overrides_and_missing_files_are_refused() {
    for (arguments, words) in [
        (&["run", "--set", "load.clients=0"][..], "out of bounds"),
        (&["run", "--repeat", "0"], "out of bounds"),
        (
            &["saturate", "quickstart", "--slo", "p99"],
            "is no objective",
        ),
        (
            &["saturate", "quickstart", "--slo", "p9 < 1ms"],
            "did you mean `p90`?",
        ),
        (&["saturate", "quickstrat"], "did you mean quickstart?"),
        (
            &["sweep", "quickstart", "--over", "load.clients=1,none"],
            "load.clients",
        ),
        (&["run", "--name", "a/b"], "cannot name a directory"),
        (&["run", "missing.toml"], "neither a file nor a scenario"),
        (&["run", "quickstrat"], "did you mean quickstart?"),
        (
            &["scenario", "new", "--from", "missing"],
            "neither a file nor a scenario",
        ),
    ] {
        let ended = bench(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}");
        assert!(
            ended.stderr.contains(words),
            "{words} is missing in {}",
            ended.stderr
        );
    }
}

#[test]
fn with_json_a_refusal_is_a_document_too() {
    let ended = bench(&["run", "--json", "--set", "load.clients=0"]);
    assert_eq!(ended.code, 2);
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["schema"], "bench.error/v1");
    assert_eq!(
        (&document["exit"], &document["problems"][0]["file"]),
        (&2.into(), &"--set".into())
    );
}

#[test]
fn a_machine_is_examined_without_a_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let ended = bench_in(directory.path(), &["doctor", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["schema"], "bench.doctor/v1");
    assert_eq!(document["noise_floor"], serde_json::Value::Null);
    let findings = document["findings"].as_array().unwrap();
    let buffer = findings
        .iter()
        .find(|one| one["name"] == "udp_receive_buffer_bytes");
    assert!(buffer.unwrap()["value"].as_f64().unwrap() > 0.0);
    std::fs::write(directory.path().join("taken"), "").unwrap();
    let ended = bench_in(directory.path(), &["doctor", "--results", "taken/results"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (6, ""));
    for wrong in [
        &["doctor", "--aa", "1"][..],
        &["doctor", "--set", "load.clients=1"],
    ] {
        assert_eq!(bench_in(directory.path(), wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn a_screen_without_a_terminal_is_refused_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    let ended = bench_in(directory.path(), &["run", "--tui"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(
        ended
            .stderr
            .contains("--tui needs a terminal, and stdout is none"),
        "{}",
        ended.stderr
    );
    assert!(!directory.path().join("results").exists());
    for other in ["--plain", "--json", "--quiet"] {
        assert_eq!(bench_in(directory.path(), &["run", "--tui", other]).code, 2);
    }
}

#[test]
fn whoever_asks_for_results_that_are_not_there_is_told_what_is() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| bench_in(directory.path(), arguments);
    for arguments in [&["list"][..], &["show"], &["show", "--reproduce"]] {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
        assert!(
            ended.stderr.contains("results cannot be read")
                && ended.stderr.contains("--results DIR"),
            "{}",
            ended.stderr
        );
    }
    let cut = directory.path().join("results/20260101T000000Z_cut_0001");
    std::fs::create_dir_all(&cut).unwrap();
    assert!(run(&["list"]).stdout.contains("no runs in results"));
    std::fs::write(cut.join("INCOMPLETE"), "").unwrap();
    assert!(run(&["list"]).stdout.contains("incomplete"));
    let listed: serde_json::Value = serde_json::from_str(&run(&["list", "--json"]).stdout).unwrap();
    assert_eq!(
        listed["runs"][0]["throughput_ops_s"],
        serde_json::Value::Null
    );
    for (run_named, words) in [
        ("@1", "results has 0 runs"),
        ("2026", "was cut off"),
        ("2027", "there is no run 2027"),
    ] {
        let ended = run(&["show", run_named, "--json"]);
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(document["schema"], "bench.error/v1");
    }
    assert_eq!(run(&["show", "--env", "--faults"]).code, 2);
}

#[test]
fn scenarios_are_listed_checked_explained_and_begun() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| bench_in(directory.path(), arguments);
    let list = run(&["scenario", "list"]);
    assert!(
        list.code == 0 && list.stdout.starts_with("quickstart "),
        "{}",
        list.stdout
    );
    let new = run(&["scenario", "new", "--from", "fast-path"]);
    assert_eq!(new.code, 0);
    std::fs::write(directory.path().join("mine.toml"), &new.stdout).unwrap();
    let check = run(&["scenario", "check", "mine.toml", "quickstart"]);
    assert_eq!(
        (check.code, check.stdout.lines().count()),
        (0, 2),
        "{}",
        check.stderr
    );
    assert!(
        check
            .stdout
            .starts_with("mine.toml: ok, my-fast-path, n = 5, f = 1"),
        "{}",
        check.stdout
    );
    let explain = run(&["scenario", "explain", "mine.toml", "--set", "cluster.f=2"]);
    assert!(
        explain.stdout.contains("f = 2") && explain.stdout.contains("# --set"),
        "{}",
        explain.stdout
    );
    let check = run(&["scenario", "check", "mine.toml", "missing.toml", "--json"]);
    assert_eq!(check.code, 2);
    let documents: Vec<serde_json::Value> = serde_json::from_str(&check.stdout).unwrap();
    assert_eq!(
        (&documents[0]["valid"], &documents[1]["valid"]),
        (&true.into(), &false.into())
    );
}

#[test]
fn every_scenario_command_speaks_json() {
    for arguments in [
        &["scenario", "list", "--json"][..],
        &["scenario", "explain", "quickstart", "--json"],
        &["scenario", "new", "--json"],
        &["scenario", "schema"],
        &["--json", "scenario", "check", "quickstart"],
    ] {
        let ended = bench(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        assert!(
            serde_json::from_str::<serde_json::Value>(&ended.stdout).is_ok(),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn an_unwritable_directory_is_exit_code_6() {
    let directory = tempfile::tempdir().unwrap();
    // A file where the directory should be stops also a user who may write everywhere.
    std::fs::write(directory.path().join("taken"), "").unwrap();
    let ended = bench_in(
        directory.path(),
        &["run", "--out", "taken/results", "--json"],
    );
    assert_eq!(ended.code, 6, "{}", ended.stderr);
    assert!(ended.stderr.contains("taken/results"), "{}", ended.stderr);
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["exit"], 6);
}

/// A sweep with two cells of one run each, newer than a plain run.
fn with_a_sweep(directory: &std::path::Path) {
    let leave = |place: &str, file: &str, document: &serde_json::Value| {
        let place = directory.join("results").join(place);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(file), document.to_string()).unwrap();
    };
    let run = |id: &str| {
        serde_json::json!({"schema": "bench.run/v1", "id": id, "name": "plain", "scenario": {"cluster": {"n": 5}},
            "repeats": [{"throughput_ops_s": 5.0, "operations": {"ok": 10}}]})
    };
    leave("20260101T000000Z_plain_0001", "run.json", &run("a"));
    let sweep = "20260102T000000Z_swept_0002";
    let document = serde_json::json!({"schema": "bench.sweep/v1", "id": sweep, "name": "swept", "status": "completed",
        "cells": [{"name": "one", "runs": [{"verdict": "pass"}]}, {"name": "two", "runs": [{"verdict": "slo-missed"}]}]});
    leave(sweep, "sweep.json", &document);
    std::fs::write(
        directory.join("results").join(sweep).join("sweep.md"),
        "the table\n",
    )
    .unwrap();
    leave(&format!("{sweep}/one/r1"), "run.json", &run("r1"));
    leave(&format!("{sweep}/two/r2"), "run.json", &run("r2"));
}

#[test]
fn a_sweep_is_listed_and_named_as_a_run_is() {
    let directory = tempfile::tempdir().unwrap();
    with_a_sweep(directory.path());
    let says = |arguments: &[&str]| {
        let ended = bench_in(directory.path(), arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        ended.stdout
    };
    let listed = says(&["list"]);
    assert!(
        listed.contains("swept (sweep)") && listed.contains("SLO missed"),
        "{listed}"
    );
    let listed: serde_json::Value = serde_json::from_str(&says(&["list", "--json"])).unwrap();
    assert_eq!(
        (&listed["runs"][0]["kind"], &listed["runs"][1]["kind"]),
        (&"sweep".into(), &"run".into())
    );
    for name in ["@1", "20260102"] {
        assert_eq!(says(&["show", name]), "the table\n");
        assert!(says(&["report", name]).ends_with("swept_0002/report.html\n"));
    }
    let shown: serde_json::Value = serde_json::from_str(&says(&["show", "--json"])).unwrap();
    assert_eq!(shown["schema"], "bench.sweep/v1");
    assert!(says(&["show", "@1/one/r1"]).contains("plain"));
    assert!(says(&["compare", "@1/one", "20260102/two", "@2"]).contains("C"));
}

#[test]
fn a_command_for_one_run_says_which_run_of_a_sweep_could_be_meant() {
    let directory = tempfile::tempdir().unwrap();
    with_a_sweep(directory.path());
    for arguments in [
        &["verify"][..],
        &["verify", "@1"],
        &["show", "@1", "--reproduce"],
        &["show", "--env"],
        &["compare", "@1", "@2"],
    ] {
        let ended = bench_in(directory.path(), arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{arguments:?}"
        );
        for words in ["sweep", "swept_0002/one/r1", "name a run in it"] {
            assert!(
                ended.stderr.contains(words),
                "{arguments:?}: {}",
                ended.stderr
            );
        }
    }
    let ended = bench_in(directory.path(), &["report", "@1", "@2"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("no room for others"),
        "{}",
        ended.stderr
    );
}
