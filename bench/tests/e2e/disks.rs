//! Disks that fail under real processes: what each replica makes of it, and what the run says.

use std::path::Path;

use serde_json::Value;

use super::{local, results};

/// The fault of this attack, which was to strike this replica.
fn fault<'f>(faults: &'f [Value], attack: &str, target: u64) -> &'f Value {
    let found = faults
        .iter()
        .find(|fault| fault["attack"] == attack && fault["target"] == target);
    found.unwrap_or_else(|| panic!("no {attack} of {target}: {faults:?}"))
}

fn says(fault: &Value, field: &str, words: &str) {
    let said = fault[field].as_str().unwrap_or_default();
    assert!(said.contains(words), "{field}: {fault}");
}

#[test]
fn replicas_stop_or_refuse_and_say_why_and_who_lost_promises_has_no_vote() {
    let directory = local::directory();
    let faults = r#"fault=[
        { at = "300ms", kind = "disk", attack = "fsync-error", target = 4, heal_at = "1900ms" },
        { at = "2200ms", kind = "disk", attack = "swapped", from = 0, target = 1, heal_at = "2800ms" },
        { at = "3100ms", kind = "disk", attack = "file-times", target = 2 },
        { at = "3600ms", kind = "disk", attack = "stale-restore", target = 3, cut_at = "5200ms" },
    ]"#;
    let back = |fault: &Value| fault["end_s"].is_number() || fault["learner"] == true;
    let ended = local::run_until(
        directory.path(),
        &local::set(&[
            faults,
            "load.duration=7s",
            // Who comes back learns from the next STATUS, five to a heartbeat, what it missed.
            "cluster.timeouts.heartbeat=2s",
            "expect.lost_operations=0",
            "expect.stopped=[4]",
            "expect.refused=[1]",
            "expect.learners=[3]",
        ]),
        |_, repeat| repeat["faults"].as_array().unwrap().iter().all(back),
    );
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let faults = json["repeats"][0]["faults"].as_array().unwrap();
    let failed = faults.iter().find(|fault| fault.get("failed").is_some());
    assert_eq!(failed, None);
    says(fault(faults, "fsync-error", 4), "stopped", "input/output");
    says(fault(faults, "swapped", 1), "refused", "belongs to");
    says(fault(faults, "stale-restore", 3), "what", "is gone");
    assert_eq!(fault(faults, "stale-restore", 3)["learner"], true);
    assert!(fault(faults, "file-times", 2).get("learner").is_none());
    for (attack, target) in [("fsync-error", 4), ("swapped", 1), ("file-times", 2)] {
        let fault = fault(faults, attack, target);
        assert!(fault["end_s"].is_number(), "it came back: {fault}");
    }
    results::assert_nothing_secret_left(directory.path());
    for words in ["disk fsync-error 4, stopped", "disk swapped 1, refused"] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
}

#[test]
fn a_replica_that_is_dying_when_its_disk_is_healed_is_started_again() {
    let directory = local::directory();
    // The shortest time in which it is struck: it takes longer to end than that.
    let struck = |run: &Path| {
        let json = results::run_json(run);
        json["repeats"][0]["faults"][0]["stopped"].is_string()
    };
    let mut ended = None;
    for heal_ms in [310, 320, 340, 380, 460, 620, 940, 1_580, 2_860] {
        let fault = format!(
            r#"fault=[{{ at = "300ms", kind = "disk", attack = "fsync-error", target = 4, heal_at = "{heal_ms}ms" }}]"#
        );
        let arguments = local::set(&[
            &fault,
            "load.duration=4s",
            "expect.stopped=[4]",
            "expect.lost_operations=0",
        ]);
        ended = Some(local::run_until(directory.path(), &arguments, |_, _| true));
        if struck(&local::latest(directory.path())) {
            break;
        }
    }
    let json = results::assert_passed(&local::latest(directory.path()), &ended.unwrap());
    let fault = &json["repeats"][0]["faults"][0];
    assert!(fault["end_s"].is_number(), "it came back: {fault}");
    assert_eq!(
        json["repeats"][0]["messages"]["replicas"]
            .as_array()
            .map(Vec::len),
        Some(5),
        "and answers: {json:#}"
    );
}

#[test]
fn a_replica_that_does_not_do_what_its_disk_demands_is_a_missed_expectation() {
    let directory = local::directory();
    let ended = local::run(
        directory.path(),
        &local::set(&[
            r#"fault=[{ at = "200ms", kind = "disk", attack = "slow-disk", delay = "1ms", target = 4, heal_at = "500ms" }]"#,
            "expect.stopped=[4]",
        ]),
    );
    assert_eq!(ended.code, Some(3), "{}", ended.stdout);
    assert!(ended.stdout.contains("stopped"), "{}", ended.stdout);
}
