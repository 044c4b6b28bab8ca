//! Replicas that lie, as real processes: what they did is reported, and the others go on and agree.

use std::path::Path;

use serde_json::Value;

use super::command::replicas_in;
use super::{local, results};

/// Runs the small scenario with these liars until they have lied and `enough` has come of it; the facts of the only repeat.
fn attacked(
    byzantine: &str,
    duration: &str,
    more: &[&str],
    enough: impl Fn(&Path, &Value) -> bool,
) -> Value {
    let directory = local::directory();
    let (byzantine, duration) = (
        format!("byzantine={byzantine}"),
        format!("load.duration={duration}"),
    );
    let mut values = vec![
        byzantine.as_str(),
        duration.as_str(),
        "expect.lost_operations=0",
    ];
    values.extend(more);
    let ended = local::run_until(directory.path(), &local::set(&values), |run, repeat| {
        repeat["faults"][0]["acted"].as_u64() >= Some(1) && enough(run, repeat)
    });
    let json = results::assert_passed(&local::latest(directory.path()), &ended);
    assert_eq!(replicas_in(directory.path()), []);
    json["repeats"][0].clone()
}

#[test]
fn a_primary_that_equivocates_is_replaced_by_its_own_signatures() {
    // No time-out is as short as this run: nothing but the proof ends its view.
    let repeat = attacked(
        r#"[{ replica = "primary", behavior = "equivocate" }]"#,
        "2s",
        &[
            "expect.final_view=>= 1",
            "expect.faults=1",
            "expect.culprits=[0]",
        ],
        |_, repeat| {
            repeat["evidence"][0]["culprit"] == 0
                && repeat["consensus"]["final_view"].as_u64() >= Some(1)
        },
    );
    let fault = &repeat["faults"][0];
    assert_eq!(
        (&fault["kind"], &fault["behavior"]),
        (&"byzantine".into(), &"equivocate".into())
    );
    assert_eq!(
        (&fault["target"], &fault["end_s"]),
        (&0.into(), &Value::Null)
    );
    assert!(fault["acted"].as_u64() >= Some(1), "{fault}");
}

#[test]
fn clients_believe_no_single_liar_and_checks_rest_on_the_others() {
    let repeat = attacked(
        r#"[{ replica = 4, behavior = "corrupt-reply", when = { from = "200ms", to = "1500ms" } }]"#,
        "2s",
        &["expect.view_changes=0"],
        |_, _| true,
    );
    let fault = &repeat["faults"][0];
    assert!(fault["acted"].as_u64() >= Some(1), "{fault}");
    let (start, end) = (
        fault["start_s"].as_f64().unwrap(),
        fault["end_s"].as_f64().unwrap(),
    );
    assert!((0.2..end).contains(&start) && end >= 1.5, "{fault}");
    assert_eq!(repeat["checks"]["linearizable"]["verdict"], "pass");
}

#[test]
fn reads_beside_the_log_believe_no_liar_either() {
    let repeat = attacked(
        r#"[{ replica = 4, behavior = "corrupt-reply", args = { lie = "any" } }]"#,
        "1s",
        &["workload.read_mode=quorum"],
        |_, repeat| repeat["quorum_reads"]["accepted"].as_u64() >= Some(1),
    );
    assert!(repeat["faults"][0]["acted"].as_u64() >= Some(1));
    // The other four are n - f: what they agree on needs no liar.
    let reads = &repeat["quorum_reads"];
    assert!(reads["accepted"].as_u64() >= Some(1), "{reads}");
    assert_eq!(repeat["checks"]["linearizable"]["verdict"], "pass");
}

#[test]
fn a_liar_that_finds_no_occasion_is_no_attack() {
    let directory = local::directory();
    // A backup makes no proposals that it could contradict.
    let byzantine = r#"byzantine=[{ replica = 4, behavior = "equivocate" }]"#;
    let ended = local::run(directory.path(), &local::set(&[byzantine]));
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("no occasion for equivocate"),
        "{}",
        ended.stdout
    );
}

/// Bad signatures of replica 4 that replica 1 has checked in the measured phase.
fn bad_of_4_at_1(run: &Path) -> u64 {
    let counted = std::fs::read_to_string(run.join("repeat-1/signatures.csv")).unwrap();
    let of = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[0] == "1" && fields[3..5] == ["peer", "4"]).then(|| fields[6].parse().unwrap())
    };
    counted.lines().find_map(of).unwrap_or_default()
}

#[test]
fn a_flood_of_bad_signatures_is_counted_and_ends_long_before_its_share_is_used_up() {
    // Sixteen are let pass before a peer is cut off for the first time.
    let bad = std::cell::Cell::new(0);
    let repeat = attacked(
        r#"[{ replica = 4, behavior = "signature-flood", when = { from = "200ms", to = "1500ms" }, args = { per_second = 20_000 } }]"#,
        "2s",
        &["expect.culprits=[]"],
        |run, _| {
            bad.set(bad_of_4_at_1(run));
            bad.get() >= 16
        },
    );
    let resources = &repeat["checks"]["resources"];
    assert_eq!(resources["verdict"], "pass", "{resources}");
    // It is cut off for half a second, then for one, then for two, and each time it gets one round of votes checked before.
    let rounds = 4 * replica::verify::ROUND_VOTES_EACH_MAX as u64;
    assert!(
        (16..=rounds).contains(&bad.get()),
        "{}: {resources}",
        bad.get()
    );
}
