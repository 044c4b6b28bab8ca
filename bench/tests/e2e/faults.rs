//! Fault plans on real processes: replicas are killed, paused and restarted by the scenario, and the run says what it cost.

use std::path::Path;

use serde_json::Value;

use super::command::{Ended, replicas_in};
use super::{history, local, results};

/// Runs the small scenario with this list of faults, until `enough` has come of them.
fn run(
    directory: &Path,
    duration: &str,
    faults: &str,
    more: &[&str],
    enough: impl Fn(&Path, &Value) -> bool,
) -> Ended {
    let (fault, duration) = (
        format!("fault={faults}"),
        format!("load.duration={duration}"),
    );
    let mut values = vec![
        fault.as_str(),
        duration.as_str(),
        // Who comes back learns from the next STATUS, five to a heartbeat, what it missed.
        "cluster.timeouts.heartbeat=2s",
    ];
    values.extend(more);
    local::run_until(directory, &local::set(&values), enough)
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// The events of a run with this name, of one replica.
fn events(run: &Path, name: &str, replica: u64) -> Vec<Value> {
    let mut all = results::lines(&run.join("repeat-1/events.jsonl"));
    all.retain(|event| event["event"] == name && event["replica"] == replica);
    all
}

#[test]
fn a_backup_may_be_killed_paused_and_restarted_one_after_the_other() {
    let directory = local::directory();
    let ended = run(
        directory.path(),
        "3s",
        r#"[
            { at = "500ms", kind = "kill", target = 3, restart_at = "800ms" },
            { at = "1300ms", kind = "pause", target = 4, resume_at = "1700ms" },
            { at = "2200ms", kind = "restart", target = 2 },
        ]"#,
        &["expect.lost_operations=0", "expect.faults=3"],
        |run, repeat| {
            let mut faults = repeat["faults"].as_array().unwrap().iter();
            let over = |fault: &Value| {
                let target = fault["target"].as_u64().unwrap();
                fault["first_commit_ms"].is_number()
                    && fault["end_s"].is_number()
                    && results::log_of(run, target).len() > 10
            };
            let open = &repeat["checks"]["liveness"]["longest_open_after_heal_ms"];
            let keys = repeat["checks"]["read_back"]["keys"].as_u64();
            faults.all(over) && open.is_number() && keys > Some(10)
        },
    );
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    assert_eq!(replicas_in(directory.path()), []);
    assert!(!results::replica_ended(&json), "{}", json["warnings"]);

    let repeat = &json["repeats"][0];
    let faults = repeat["faults"].as_array().unwrap();
    for (fault, (kind, target, at)) in
        faults
            .iter()
            .zip([("kill", 3, 0.5), ("pause", 4, 1.3), ("restart", 2, 2.2)])
    {
        assert_eq!(
            (&fault["kind"], &fault["target"]),
            (&kind.into(), &target.into())
        );
        assert!(fault.get("failed").is_none(), "{fault}");
        let (start, end) = (number(&fault["start_s"]), number(&fault["end_s"]));
        assert!(start >= at && end > start, "{fault}");
        assert!(number(&fault["first_commit_ms"]) > 0.0, "{fault}");
        for name in ["fault", "fault-end"] {
            assert_eq!(events(&run, name, target).len(), 1, "{name} of {target}");
        }
        // Its log tells of all its lives, and agrees with those of the others.
        let log = results::log_of(&run, target);
        assert!(log.len() > 10, "replica {target}: {} lines", log.len());
    }
    let checks = &repeat["checks"];
    for check in [
        "agreement",
        "state",
        "exactly_once",
        "linearizable",
        "liveness",
        "read_back",
    ] {
        assert_eq!(checks[check]["verdict"], "pass", "{check}: {checks}");
    }
    assert!(
        checks["read_back"]["keys"].as_u64().unwrap() > 10,
        "{checks}"
    );
    assert!(
        checks["liveness"]
            .get("longest_open_after_heal_ms")
            .is_some(),
        "{checks}"
    );
    let lines = results::lines(&run.join("repeat-1/history.jsonl"));
    assert!(
        lines.iter().any(|line| line["phase"] == "after"),
        "keys were read back"
    );
    history::assert_linearizable(&lines);
    results::assert_nothing_secret_left(directory.path());
    for words in ["Faults", "kill 3", "pause 4", "restart 2", "read back"] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert!(ended.stderr.contains("kill replica 3"), "{}", ended.stderr);
}

#[test]
fn beyond_f_the_cluster_stands_still_and_the_run_says_what_it_promises() {
    let directory = local::directory();
    let ended = run(
        directory.path(),
        "5s",
        // So long that it is long also if the machine stands still while they are being paused.
        r#"[{ at = "500ms", kind = "pause", target = [3, 4], resume_at = "4s" }]"#,
        &[
            "expect.longest_stall_ms=\">= 800\"",
            "check.liveness.max_stall=300ms",
        ],
        |_, repeat| {
            let mut faults = repeat["faults"].as_array().unwrap().iter();
            faults.all(|fault| fault["first_commit_ms"].is_number())
        },
    );
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let words = "more than f replicas faulty between 500 ms and 4 s";
    assert!(
        json["warnings"].to_string().contains(words),
        "{}",
        json["warnings"]
    );
    let repeat = &json["repeats"][0];
    let liveness = &repeat["checks"]["liveness"];
    assert_eq!(liveness["verdict"], "skipped", "{liveness}");
    assert!(
        liveness["detail"]
            .to_string()
            .contains("safety, not liveness"),
        "{liveness}"
    );
    for fault in repeat["faults"].as_array().unwrap() {
        // How late they are paused and resumed is the machine's affair, and what was decided before may be answered after.
        assert!(number(&fault["longest_stall_ms"]) >= 800.0, "{fault}");
    }
}

#[test]
fn faults_need_replicas_of_one_s_own() {
    let directory = local::directory();
    let fault = r#"fault=[{ at = "500ms", kind = "kill", target = 3 }]"#;
    let ended = local::run(
        directory.path(),
        &["--set", fault, "--attach", "nowhere/cluster.toml"],
    );
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("only replicas that this program started"),
        "{}",
        ended.stderr
    );
}

/// Views that replicas have entered since the first second of the measured phase.
fn view_changes(run: &Path) -> Vec<Value> {
    let mut events = results::lines(&run.join("repeat-1/events.jsonl"));
    events.retain(|event| event["event"] == "view-change" && number(&event["t_s"]) >= 1.0);
    events
}

#[test]
fn when_the_primary_is_killed_another_one_serves_and_nothing_is_lost() {
    let directory = local::directory();
    let ended = run(
        directory.path(),
        "4s",
        r#"[{ at = "1s", kind = "kill", target = "primary", restart_at = "2500ms" }]"#,
        &[
            "cluster.timeouts.view_change=1s",
            "cluster.timeouts.heartbeat=500ms",
            "cluster.timeouts.client=500ms",
            "expect.lost_operations=0",
            "expect.view_changes=\">= 1\"",
        ],
        |run, repeat| {
            repeat["faults"][0]["first_commit_ms"].is_number() && view_changes(run).len() >= 4
        },
    );
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let repeat = &json["repeats"][0];
    let fault = &repeat["faults"][0];
    // What was decided before may be answered after. For the rest, the others had to lose patience first.
    assert!(number(&fault["longest_stall_ms"]) >= 200.0, "{fault}");
    assert_eq!(repeat["checks"]["linearizable"]["verdict"], "pass");
    let entered = view_changes(&run);
    assert!(
        entered.len() >= 4,
        "the others are in a new view: {entered:?}"
    );
    history::assert_linearizable(&results::lines(&run.join("repeat-1/history.jsonl")));
}

#[test]
fn a_backup_that_lost_its_disk_comes_back_as_a_learner_and_gets_its_vote_again() {
    let directory = local::directory();
    let ended = run(
        directory.path(),
        "6s",
        r#"[{ at = "500ms", kind = "kill", target = 3, restart_at = "1s", wipe = true }]"#,
        &[
            "expect.lost_operations=0",
            "expect.final_epoch=\">= 1\"",
            "expect.voting_ms=\">= 0\"",
        ],
        |run, repeat| {
            repeat["faults"][0]["voting_ms"].is_number() && !events(run, "epoch", 0).is_empty()
        },
    );
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let repeat = &json["repeats"][0];
    let fault = &repeat["faults"][0];
    assert_eq!(fault["wipe"], true);
    assert!(
        number(&fault["voting_ms"]) > 0.0,
        "it had no vote at first: {fault}"
    );
    // What it held before it lost its disk, and what it fetched after, is the same history.
    assert_eq!(repeat["checks"]["agreement"]["verdict"], "pass");
    assert_eq!(repeat["checks"]["state"]["verdict"], "pass");
    let roles: Vec<Value> = events(&run, "role", 3)
        .iter()
        .map(|event| event["role"].clone())
        .collect();
    assert_eq!(roles.last(), Some(&"member".into()), "{roles:?}");
    assert!(!events(&run, "epoch", 0).is_empty(), "the epoch ended");
    results::assert_nothing_secret_left(directory.path());
}

fn knows_of_the_other_version(run: &Path, id: u32) -> bool {
    let log = run.join(format!("repeat-1/logs/replica-{id}.log"));
    let said = std::fs::read_to_string(log).unwrap();
    said.contains("speaks another version")
}

#[test]
fn a_replica_of_another_version_is_refused_by_name_and_takes_part_again_with_the_right_one() {
    let directory = local::directory();
    // It dials those below it, and the one above it dials it: both sides know why.
    let knowing = [0, 3, 4];
    let ended = run(
        directory.path(),
        "9s",
        r#"[{ at = "500ms", kind = "upgrade", target = 3, restart_at = "4500ms" }]"#,
        &[
            // It hears nobody meanwhile, and must not give up on their view for that.
            "cluster.timeouts.heartbeat=10s",
            "expect.lost_operations=0",
            "expect.view_changes=0",
            "expect.faults=1",
            "expect.other_protocol=\">= 1\"",
            "expect.caught_up_ms=\">= 0\"",
            "expect.culprits=[]",
        ],
        |run, repeat| {
            repeat["faults"][0]["caught_up_ms"].is_number()
                && knowing
                    .iter()
                    .all(|id| knows_of_the_other_version(run, *id))
        },
    );
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let repeat = &json["repeats"][0];
    let fault = &repeat["faults"][0];
    assert_eq!(fault["kind"], "upgrade");
    assert!(number(&fault["end_s"]) >= 4.5, "{fault}");
    for id in knowing {
        assert!(knows_of_the_other_version(&run, id), "replica {id}");
    }
    for check in ["agreement", "state", "linearizable", "exactly_once"] {
        assert_eq!(repeat["checks"][check]["verdict"], "pass", "{check}");
    }
}
