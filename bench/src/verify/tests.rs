#![allow(clippy::unwrap_used)]
//! A run as an honest cluster would have left it, written to files and falsified in one of them.

use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;

use super::*;
use crate::check::reexecution::fixture::{CLIENTS, Left as Honest, cluster_file, run};
use crate::check::{Burden, Source as Sender, Usage, write_burdens, write_usage};
use crate::record::{HistoryFacts, Run};

const REPEAT: &str = "repeat-1";

/// The directory of a run of 64 slots in 2 s.
fn honest() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let repeat = root.join(REPEAT);
    let left = run(21, 64);
    fs::create_dir_all(repeat.join("evidence")).unwrap();
    let scenario = format!(
        "schema = 1\nname = \"x\"\n[cluster]\nf = 1\nn = 5\n[load]\nclients = {CLIENTS}\n[check]\nliveness = {{ max_stall = \"500ms\", after_heal = \"1s\" }}\n"
    );
    fs::write(root.join("effective.toml"), scenario).unwrap();
    cluster_file().write(&repeat.join(CLUSTER_FILE)).unwrap();
    left.executed[0].write(&repeat.join(EXECUTED_FILE)).unwrap();
    write_logs(&repeat, &left);
    let history: Vec<String> = left
        .history
        .iter()
        .map(|line| serde_json::to_string(line).unwrap())
        .collect();
    fs::write(repeat.join("history.jsonl"), history.join("\n") + "\n").unwrap();
    let row = |bucket: u32| format!("{}.{},9,9,5,1,0\n", bucket / 10, bucket % 10);
    let series: String = (0..20).map(row).collect();
    fs::write(
        repeat.join("timeseries.csv"),
        format!("t_s,offered,sent,ok,failed,dropped\n{series}"),
    )
    .unwrap();
    let usage: Vec<Usage> = (0..20)
        .map(|tenth| Usage {
            t_s: f64::from(tenth) / 10.0,
            rss: 50 << 20,
            ..Usage::default()
        })
        .collect();
    write_usage(&repeat.join(RESOURCES_FILE), &usage).unwrap();
    let burden = Burden {
        replica: 1,
        seconds: 2.0,
        executed: 64,
        source: Sender::Client(3),
        checks: None,
        bad: 777,
    };
    write_burdens(&repeat.join(SIGNATURES_FILE), &[burden]).unwrap();

    let requests = left.again().requests;
    let facts = HistoryFacts {
        mode: HistoryMode::Full,
        ..HistoryFacts::default()
    };
    let mut measured = Repeat {
        duration_s: 2.0,
        history: facts,
        measured_from_ns: Some(0),
        ..Repeat::default()
    };
    measured.checks.exactly_once = exactly_once(Requests {
        answered: requests,
        unknown: 0,
        hostile: 0,
        executed: Some(requests),
    });
    let document = Run {
        id: "honest".to_owned(),
        repeats: vec![measured],
        ..Run::default()
    };
    fs::write(
        root.join("run.json"),
        serde_json::to_string(&document).unwrap(),
    )
    .unwrap();
    folder
}

fn write_logs(repeat: &Path, left: &Honest) {
    for log in &left.committed {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(
            log.entries
                .iter()
                .map(|entry| serde_json::to_string(entry).unwrap()),
        );
        lines.extend(
            log.checkpoints
                .iter()
                .map(|each| serde_json::to_string(each).unwrap()),
        );
        let folder = repeat.join(format!("replicas/{}", log.replica));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("committed.jsonl"), lines.join("\n") + "\n").unwrap();
    }
}

/// What is found when one file was changed.
fn found(file: &str, change: impl Fn(String) -> String) -> (Exit, BTreeMap<Named, CheckResult>) {
    let folder = honest();
    let path = folder.path().join(REPEAT).join(file);
    let text = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, change(text)).unwrap();
    judged(&folder)
}

fn judged(folder: &TempDir) -> (Exit, BTreeMap<Named, CheckResult>) {
    let mut verified = verify(folder.path(), &Named::ALL).unwrap();
    (verified.exit(), verified.repeats.remove(0).checks)
}

fn failed(checks: &BTreeMap<Named, CheckResult>) -> Vec<Named> {
    let failed = checks
        .iter()
        .filter(|(_, result)| result.verdict == Verdict::Fail);
    failed.map(|(named, _)| *named).collect()
}

#[test]
fn an_honest_run_passes_every_check() {
    let (exit, checks) = judged(&honest());
    assert_eq!(exit, Exit::Ok, "{checks:#?}");
    let skipped: Vec<Named> = checks
        .iter()
        .filter(|(_, result)| result.verdict == Verdict::Skipped)
        .map(|(named, _)| *named)
        .collect();
    // Nothing was read back in it.
    assert_eq!(skipped, [Named::Durability], "{checks:#?}");
}

#[test]
fn a_forked_log_is_found() {
    let (exit, checks) = found("replicas/1/committed.jsonl", |text| {
        let entry = text.lines().nth(9).unwrap().to_owned();
        let digest = entry.split('"').find(|part| part.len() == 64).unwrap();
        text.replacen(digest, &"ab".repeat(32), 1)
    });
    assert_eq!(exit, Exit::Safety);
    assert!(failed(&checks).contains(&Named::Agreement));
}

#[test]
fn an_altered_answer_is_found_twice() {
    let (exit, checks) = found("history.jsonl", |text| {
        let line = text
            .lines()
            .find(|line| line.contains(r#""result":""#))
            .unwrap();
        let value = line
            .split(r#""result":""#)
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let altered = line.replace(&format!(r#""result":"{value}""#), r#""result":"made-up""#);
        text.replacen(line, &altered, 1)
    });
    assert_eq!(exit, Exit::Safety);
    assert_eq!(failed(&checks), [Named::State, Named::Linearizable]);
}

#[test]
fn a_lost_request_is_found() {
    let folder = honest();
    let path = folder.path().join("run.json");
    let mut run: Run = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let facts = &mut run.repeats[0].checks.exactly_once.facts;
    let answered = facts[ANSWERED].as_u64().unwrap();
    facts.insert(ANSWERED.to_owned(), (answered + 1).into());
    fs::write(&path, serde_json::to_string(&run).unwrap()).unwrap();
    let (exit, checks) = judged(&folder);
    assert_eq!(
        (exit, failed(&checks)),
        (Exit::Safety, vec![Named::ExactlyOnce])
    );
}

#[test]
fn an_accusation_without_proof_is_found() {
    let (exit, checks) = found("evidence/double-prepare-1-e0-v0-s1.json", |_| {
        "{}".to_owned()
    });
    assert_eq!(
        (exit, failed(&checks)),
        (Exit::Safety, vec![Named::Evidence])
    );
}

#[test]
fn a_standstill_is_a_liveness_violation() {
    let (exit, checks) = found("timeseries.csv", |text| {
        text.replace(",5,1,0\n1.", ",0,0,0\n1.")
            .replace("9,9,5,1,0", "9,9,0,0,0")
    });
    assert_eq!(
        (exit, failed(&checks)),
        (Exit::Liveness, vec![Named::Liveness])
    );
}

#[test]
fn a_replica_that_needed_too_much_misses_an_objective() {
    let (exit, checks) = found(RESOURCES_FILE, |text| {
        text.replace(&(50 << 20).to_string(), &(1_u64 << 30).to_string())
    });
    assert_eq!(
        (exit, failed(&checks)),
        (Exit::Missed, vec![Named::Resources])
    );
}

#[test]
fn a_client_that_had_too_many_bad_signatures_checked_misses_an_objective() {
    let (exit, checks) = found(SIGNATURES_FILE, |text| text.replace("777", "777777"));
    assert_eq!(
        (exit, failed(&checks)),
        (Exit::Missed, vec![Named::Resources])
    );
    let (exit, checks) = found(SIGNATURES_FILE, |text| text.replace("client", "guest"));
    assert_eq!((exit, failed(&checks)), (Exit::Ok, vec![]));
    assert_eq!(checks[&Named::Resources].verdict, Verdict::Skipped);
    // Earlier versions left no such file.
    let folder = honest();
    fs::remove_file(folder.path().join(REPEAT).join(SIGNATURES_FILE)).unwrap();
    let (_, checks) = judged(&folder);
    assert_eq!(checks[&Named::Resources].verdict, Verdict::Pass);
}

#[test]
fn what_is_missing_is_skipped_with_the_reason_and_never_passed() {
    for (file, silent) in [
        (
            EXECUTED_FILE,
            vec![Named::State, Named::Integrity, Named::ExactlyOnce],
        ),
        (
            CLUSTER_FILE,
            vec![
                Named::State,
                Named::Integrity,
                Named::ExactlyOnce,
                Named::Evidence,
            ],
        ),
        (
            "history.jsonl",
            vec![Named::Linearizable, Named::Durability],
        ),
        (RESOURCES_FILE, vec![Named::Resources]),
        ("timeseries.csv", vec![Named::Liveness]),
    ] {
        let folder = honest();
        fs::remove_file(folder.path().join(REPEAT).join(file)).unwrap();
        let (exit, checks) = judged(&folder);
        assert_eq!(exit, Exit::Ok, "{file}");
        for named in silent {
            let result = &checks[&named];
            assert_eq!(
                result.verdict,
                Verdict::Skipped,
                "{file}: {named:?}: {}",
                result.detail
            );
            assert!(!result.detail.is_empty());
        }
    }
}

#[test]
fn what_run_json_says_is_shown_where_it_differs() {
    let folder = honest();
    let verified = verify(folder.path(), &[Named::Agreement, Named::ExactlyOnce]).unwrap();
    // This document never said anything about agreement.
    assert_eq!(
        verified.repeats[0].recorded,
        [(Named::Agreement, Verdict::Skipped)].into()
    );
}
