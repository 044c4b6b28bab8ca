//! How runs end that do not end as planned: by Ctrl-C, by a killed replica, by the death of `bench` itself.

use rustix::process::{Signal, kill_process};

use super::command::{Running, replicas_in, wait_for};
use super::{history, local, results};

/// Waits for a heartbeat of the measured phase that tells of answers.
fn wait_for_the_middle(running: &mut Running) {
    running.wait_for_line("answers in the measured phase", |line| {
        let nothing = [" ok/s=0 ", " ok/s=- "];
        line.contains("phase=measure at=") && !nothing.iter().any(|words| line.contains(words))
    });
}

#[test]
fn ctrl_c_leaves_partial_results_that_say_so_and_no_process() {
    let directory = local::directory();
    let mut running = local::start(directory.path(), &local::set(&["load.duration=10m"]));
    wait_for_the_middle(&mut running);
    running.interrupt_group();
    let ended = running.wait();
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(ended.stderr.contains("phase=drain"), "{}", ended.stderr);
    assert_eq!(replicas_in(directory.path()), []);

    let run = local::latest(directory.path());
    let json = results::run_json(&run);
    assert_eq!(json["status"], "interrupted");
    assert_eq!(json["verdict"], "pass", "{json:#}");
    let repeat = &json["repeats"][0];
    assert!(repeat["operations"]["ok"].as_u64().unwrap() > 0);
    // The signal went to the whole process group, and yet the replicas stayed to answer what was under way.
    assert_eq!(repeat["operations"]["unknown"], 0, "{}", json["warnings"]);
    let seconds = repeat["duration_s"].as_f64().unwrap();
    assert!(seconds < 600.0, "measured {seconds} s");
    results::assert_sums_agree(&run, &json);
    history::assert_linearizable(&results::lines(&run.join("repeat-1/history.jsonl")));
    results::assert_nothing_secret_left(directory.path());
    assert!(
        ended.stdout.to_lowercase().contains("interrupted"),
        "{}",
        ended.stdout
    );
}

#[test]
fn ctrl_c_while_records_are_loaded_ends_the_run_as_well() {
    let directory = local::directory();
    let records = local::set(&["workload.records=10000000"]);
    let mut running = local::start(directory.path(), &records);
    running.wait_for_words("phase=load");
    running.signal(Signal::TERM);
    let ended = running.wait();
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert_eq!(replicas_in(directory.path()), []);
    let run = local::latest(directory.path());
    assert_eq!(results::run_json(&run)["status"], "interrupted");
    results::assert_nothing_secret_left(directory.path());
}

#[test]
fn replicas_notice_when_bench_is_killed() {
    let directory = local::directory();
    let mut running = local::start(directory.path(), &local::set(&["load.duration=10m"]));
    wait_for_the_middle(&mut running);
    assert_eq!(replicas_in(directory.path()).len(), 5);
    running.signal(Signal::KILL);
    assert_eq!(running.wait().code, None);
    wait_for("the replicas to go", || {
        replicas_in(directory.path()).is_empty().then_some(())
    });
    let runs = local::runs(directory.path());
    assert!(
        runs.len() == 1 && runs[0].join("INCOMPLETE").exists(),
        "whoever finds {runs:?} knows that it was cut off"
    );
    assert!(!directory.path().join("results/latest").exists());
}

#[test]
fn every_operation_is_answered_although_a_backup_is_killed_in_the_middle() {
    let directory = local::directory();
    let mut running = local::start(directory.path(), &local::set(&["load.duration=4s"]));
    wait_for_the_middle(&mut running);
    let replicas = replicas_in(directory.path());
    let (backup, _) = replicas
        .iter()
        .find(|(_, line)| line.contains("/replica-3 "))
        .unwrap();
    kill_process(*backup, Signal::KILL).unwrap();
    let ended = running.wait();
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let warnings = json["warnings"].to_string();
    assert!(warnings.contains("replica 3 ended"), "{warnings}");
    assert!(results::replica_ended(&json));
    assert!(ended.stdout.contains("replica 3 ended"), "{}", ended.stdout);
    let checks = &json["repeats"][0]["checks"];
    assert_eq!(checks["exactly_once"]["verdict"], "pass", "{checks}");
    history::assert_linearizable(&results::lines(&run.join("repeat-1/history.jsonl")));
    results::assert_nothing_secret_left(directory.path());
}
