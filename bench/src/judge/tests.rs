#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::check::CheckResult;
use crate::outsider::OutsiderReport;
use crate::record::{
    Checks, ClientAttackFact, ConsensusFacts, Counters, EvidenceFact, FaultFact, LatencySummary,
    Repeat, ReplicaResources, Resources, RunVerdict,
};
use crate::scenario::schema::{Fact, LatencyPoint, Scenario};
use crate::scenario::{Source, load};

/// A scenario with these lines over a minimal file.
fn scenario(tables: &str) -> Scenario {
    let source = Source::Text {
        name: "test.toml".to_owned(),
        text: format!("schema = 1\nname = \"test\"\n{tables}\n"),
    };
    load(&[source], &[])
        .map_err(|error| error.to_string())
        .unwrap()
        .scenario
}

/// A repeat of 10 s in which everything went well: 900 ok, 60 failed, 40 unknown of 1000 sent, 50 dropped, 7 busy.
fn good() -> Repeat {
    let latency = |count| LatencySummary {
        count,
        min: 500.0,
        mean: 1_000.0,
        p50: 2_000.0,
        p90: 3_000.0,
        p99: 4_000.0,
        p999: 5_000.0,
        p9999: 6_000.0,
        max: 7_000.0,
    };
    Repeat {
        duration_s: 10.0,
        operations: Counters {
            offered: 1_050,
            sent: 1_000,
            ok: 900,
            failed: 60,
            unknown: 40,
            dropped: 50,
            late: 0,
            busy_replies: 7,
        },
        throughput_ops_s: 90.0,
        latency_us: BTreeMap::from([
            ("all".to_owned(), latency(900)),
            ("read".to_owned(), latency(400)),
        ]),
        consensus: ConsensusFacts {
            slots: 100,
            fast_path_slots: 95,
            slow_path_slots: 5,
            fast_path_share: 0.95,
            view_changes: 1,
            final_view: 2,
            checkpoints: 3,
            state_transfers: 4,
            other_protocol: 8,
            final_epoch: 1,
            batch_ops_mean: 9.6,
            ..ConsensusFacts::default()
        },
        checks: Checks {
            agreement: CheckResult::pass(""),
            linearizable: CheckResult::pass(""),
            exactly_once: CheckResult::pass(""),
            state: CheckResult::pass(""),
            liveness: CheckResult::pass("").with("longest_stall_ms", 700),
            read_back: CheckResult::pass(""),
            ..Checks::default()
        },
        faults: vec![
            FaultFact {
                kind: "kill".to_owned(),
                target: Some(0),
                start_s: 2.0,
                end_s: Some(3.0),
                first_commit_ms: Some(650.0),
                recovered_95_ms: Some(900.0),
                throughput_kept: Some(0.9),
                caught_up_ms: Some(400.0),
                voting_ms: Some(1_500.0),
                clients: Some(ClientAttackFact {
                    service_kept: Some(0.85),
                    share_kept: Some(0.8),
                    p99_ratio: Some(1.5),
                    longest_wait_ms: 250.0,
                    ..ClientAttackFact::default()
                }),
                ..FaultFact::default()
            },
            FaultFact {
                kind: "pause".to_owned(),
                target: Some(4),
                start_s: 5.0,
                first_commit_ms: Some(3.5),
                recovered_95_ms: Some(0.0),
                stopped: Some("no space left".to_owned()),
                refused: Some("belongs to replica 2".to_owned()),
                learner: true,
                ..FaultFact::default()
            },
            FaultFact {
                kind: "outsider".to_owned(),
                first_commit_ms: Some(1.0),
                recovered_95_ms: Some(0.0),
                outsider: Some(OutsiderReport {
                    attempts: 5,
                    accepted: 1,
                    amplification: 2.5,
                    ..OutsiderReport::default()
                }),
                ..FaultFact::default()
            },
        ],
        resources: Resources {
            replicas: vec![ReplicaResources {
                rss_max_bytes: 64 << 20,
                ..ReplicaResources::default()
            }],
            ..Resources::default()
        },
        evidence: vec![EvidenceFact {
            culprit: 3,
            ..EvidenceFact::default()
        }],
        ..Repeat::default()
    }
}

/// What a repeat shows instead of what the tables demand.
fn misses(tables: &str, repeat: &Repeat) -> Vec<String> {
    let judgement = judge(&scenario(tables), std::slice::from_ref(repeat));
    let verdict = if judgement.misses.is_empty() {
        RunVerdict::Pass
    } else {
        RunVerdict::SloMissed
    };
    assert_eq!(judgement.verdict, verdict.max(repeat.verdict()));
    judgement
        .misses
        .iter()
        .map(|miss| format!("{} {} {}", miss.objective, miss.wanted, miss.got))
        .collect()
}

#[test]
fn every_objective_is_met_at_its_bound_and_missed_beyond_it() {
    let met = [
        ("mean", "<= 1ms", "< 1ms", "1000.0 us"),
        ("p50", "<= 2ms", "< 2ms", "2000.0 us"),
        ("p90", "<= 3ms", "< 3ms", "3000.0 us"),
        ("p99", "<= 4ms", "< 4ms", "4000.0 us"),
        ("p999", "<= 5ms", "< 5ms", "5000.0 us"),
        ("p9999", "<= 6ms", "< 6ms", "6000.0 us"),
        ("max", "<= 7ms", "< 7ms", "7000.0 us"),
        ("throughput", ">= 90/s", "> 90/s", "90.0/s"),
        (
            "errors",
            "<= 10%",
            "< 10%",
            "10.000%: 60 failed and 40 unknown of 1000",
        ),
        ("read.p99", "<= 4ms", "< 4ms", "4000.0 us"),
        ("read.throughput", ">= 40/s", "> 40/s", "40.0/s"),
    ];
    let points = LatencyPoint::ALL
        .iter()
        .all(|point| met.iter().any(|(name, ..)| *name == point.name()));
    assert!(points, "every point of the distribution is tried");
    for (name, kept, missed, got) in met {
        assert_eq!(
            misses(&format!("[slo]\n{name} = \"{kept}\""), &good()),
            Vec::<String>::new()
        );
        assert_eq!(
            misses(&format!("[slo]\n{name} = \"{missed}\""), &good()),
            [format!("slo.{name} {missed} {got}")]
        );
    }
}

#[test]
fn every_fact_is_met_and_missed() {
    let facts = [
        (
            "verdict",
            "\"pass\"",
            "\"safety-violation\"",
            "safety-violation pass",
        ),
        ("ok_operations", "900", "\"> 900\"", "> 900 900"),
        ("failed_operations", "60", "0", "= 0 60"),
        ("unknown_operations", "40", "0", "= 0 40"),
        ("dropped_operations", "50", "0", "= 0 50"),
        ("lost_operations", "0", "\"> 0\"", "> 0 0"),
        ("busy_replies", "7", "0", "= 0 7"),
        ("turned_away", "57", "\"< 57\"", "< 57 57"),
        ("slots", "100", "\"> 100\"", "> 100 100"),
        (
            "fast_path_share",
            "\">= 95%\"",
            "\"> 95%\"",
            "> 95% 95.00%: 95 slots fast, 5 slow",
        ),
        ("fast_path_slots", "95", "0", "= 0 95"),
        ("slow_path_slots", "5", "0", "= 0 5"),
        ("batch_ops_mean", "\">= 9.6\"", "\"> 9.6\"", "> 9.6 9.60"),
        ("view_changes", "1", "0", "= 0 1"),
        ("final_view", "2", "0", "= 0 2"),
        ("checkpoints", "3", "\"> 3\"", "> 3 3"),
        ("state_transfers", "4", "0", "= 0 4"),
        ("other_protocol", "8", "0", "= 0 8"),
        ("faults", "2", "0", "= 0 2"),
        ("first_commit_ms", "\"<= 650\"", "\"< 650\"", "< 650 650.0"),
        ("recovered_95_ms", "\"<= 900\"", "\"< 900\"", "< 900 900.0"),
        ("caught_up_ms", "\"<= 400\"", "\"< 400\"", "< 400 400.0"),
        ("voting_ms", "\"<= 1500\"", "\"< 1500\"", "< 1500 1500.0"),
        ("throughput_kept", "\">= 90%\"", "\"> 90%\"", "> 90% 90.00%"),
        ("stopped", "[4]", "[]", "[] [4]"),
        ("refused", "[4]", "[0]", "[0] [4]"),
        ("learners", "[4]", "[0, 4]", "[0, 4] [4]"),
        ("share_kept", "\">= 80%\"", "\"> 80%\"", "> 80% 80.0%"),
        ("service_kept", "\">= 85%\"", "\"> 85%\"", "> 85% 85.0%"),
        ("p99_ratio", "\"<= 1.5\"", "\"< 1.5\"", "< 1.5 1.50"),
        ("longest_wait_ms", "\"<= 250\"", "\"< 250\"", "< 250 250.0"),
        ("final_epoch", "1", "0", "= 0 1"),
        ("rss_max_mib", "64", "\"< 64\"", "< 64 64.0"),
        ("outsider_attempts", "5", "0", "= 0 5"),
        ("outsider_accepted", "1", "0", "= 0 1"),
        (
            "outsider_amplification",
            "\"<= 2.5\"",
            "\"< 2.5\"",
            "< 2.5 2.5",
        ),
        ("longest_stall_ms", "\"<= 700\"", "\"< 700\"", "< 700 700"),
        ("evidence_files", "1", "\"> 1\"", "> 1 1"),
        ("culprits", "[3]", "[]", "[] [3]"),
    ];
    let names: Vec<&str> = facts.iter().map(|(name, ..)| *name).collect();
    let all: Vec<&str> = Fact::ALL.iter().map(|fact| fact.name()).collect();
    assert_eq!(names, all, "every fact is tried");
    for (name, kept, missed, shown) in facts {
        assert_eq!(
            misses(&format!("[expect]\n{name} = {kept}"), &good()),
            Vec::<String>::new()
        );
        assert_eq!(
            misses(&format!("[expect]\n{name} = {missed}"), &good()),
            [format!("expect.{name} {shown}")]
        );
    }
}

#[test]
fn safety_goes_before_liveness_and_liveness_before_objectives() {
    let missed = scenario("[slo]\np99 = \"< 1us\"");
    let mut repeat = good();
    let verdict = |repeat: &Repeat| judge(&missed, &[good(), repeat.clone()]).verdict;
    assert_eq!(verdict(&repeat), RunVerdict::SloMissed);
    repeat.checks.liveness = CheckResult::fail("stood still");
    assert_eq!(verdict(&repeat), RunVerdict::LivenessViolation);
    for check in 0..5 {
        let mut unsafe_one = repeat.clone();
        let checks = &mut unsafe_one.checks;
        let all = [
            &mut checks.agreement,
            &mut checks.linearizable,
            &mut checks.exactly_once,
            &mut checks.state,
            &mut checks.read_back,
        ];
        *all.into_iter().nth(check).unwrap() = CheckResult::fail("contradiction");
        assert_eq!(verdict(&unsafe_one), RunVerdict::SafetyViolation);
    }
}

#[test]
fn the_repeat_that_missed_is_named() {
    let slow = Repeat {
        throughput_ops_s: 10.0,
        ..good()
    };
    let judgement = judge(
        &scenario("[slo]\nthroughput = \">= 50/s\""),
        &[good(), slow, good()],
    );
    let sentences: Vec<String> = judgement.misses.iter().map(ToString::to_string).collect();
    assert_eq!(
        sentences,
        ["slo.throughput: wanted >= 50/s, got 10.0/s (repeat 2)"]
    );
}

#[test]
fn a_fault_without_an_answer_or_recovery_is_missed_by_name() {
    let mut repeat = good();
    repeat.faults[1].first_commit_ms = None;
    repeat.faults[0].recovered_95_ms = None;
    assert_eq!(
        misses(
            "[expect]\nfirst_commit_ms = \">= 0\"\nrecovered_95_ms = \">= 0\"",
            &repeat
        ),
        [
            "expect.first_commit_ms >= 0 no answer after pause of replica 4 at 5.0 s",
            "expect.recovered_95_ms >= 0 no recovery from kill of replica 0 at 2.0 s"
        ]
    );
    repeat.faults.clear();
    assert_eq!(
        misses("[expect]\nfirst_commit_ms = \">= 0\"", &repeat),
        ["expect.first_commit_ms >= 0 nothing: there was no such fault"]
    );
}

#[test]
fn a_fault_that_did_not_happen_as_planned_is_missed_without_being_asked_for() {
    let mut repeat = good();
    repeat.faults[0].failed = Some("replica 0 ended at its start".to_owned());
    assert_eq!(
        misses("", &repeat),
        ["fault at 2.0 s a kill as planned replica 0 ended at its start"]
    );
}

#[test]
fn a_write_that_is_not_found_at_the_end_is_a_lost_operation() {
    let mut repeat = good();
    repeat.checks.read_back = CheckResult::fail("key a is gone").with(expectation::LOST, 2);
    assert_eq!(
        misses("[expect]\nlost_operations = 0", &repeat),
        ["expect.lost_operations = 0 at least 2: check.read_back failed: key a is gone"]
    );
}

#[test]
fn a_failed_check_counts_as_lost_operations() {
    let lost = "[expect]\nlost_operations = 0";
    let mut repeat = good();
    repeat.checks.state = CheckResult::fail("replicas 0 and 3 differ");
    assert_eq!(
        misses(lost, &repeat),
        ["expect.lost_operations = 0 at least 1: check.state failed: replicas 0 and 3 differ"]
    );
    repeat.checks.exactly_once = CheckResult::fail("gone").with(expectation::LOST, 12);
    assert_eq!(
        misses(lost, &repeat),
        ["expect.lost_operations = 0 at least 12: check.exactly_once failed: gone"]
    );
}

#[test]
fn lost_operations_say_what_they_were_judged_by() {
    let lost = scenario("[expect]\nlost_operations = 0");
    let mut repeat = good();
    repeat.checks.linearizable = CheckResult::skipped("no history was kept");
    let judgement = judge(&lost, std::slice::from_ref(&repeat));
    assert_eq!(judgement.misses, []);
    assert_eq!(
        judgement.notes,
        [
            "expect.lost_operations was judged by exactly_once and state alone: check.linearizable was skipped (no history was kept)"
        ]
    );
    // All replicas may have lost the same write.
    repeat.checks.exactly_once = CheckResult::skipped("not asked for");
    let judgement = judge(&lost, std::slice::from_ref(&repeat));
    assert_eq!(
        judgement.misses[0].got,
        "no judgement: check.exactly_once was skipped (not asked for); check.linearizable was skipped (no history was kept); keep a history (--history sampled)"
    );
}

#[test]
fn a_linearizable_history_alone_shows_that_nothing_is_lost() {
    let mut repeat = good();
    repeat.checks.exactly_once = CheckResult::skipped("no checker");
    repeat.checks.state = CheckResult::skipped("no checkpoint");
    let judgement = judge(&scenario("[expect]\nlost_operations = 0"), &[repeat]);
    assert_eq!(judgement, Judgement::default());
}

#[test]
fn what_was_not_measured_counts_as_missed() {
    let mut blind = good();
    blind.consensus = ConsensusFacts::default();
    for fact in [
        "view_changes = 0",
        "slots = 0",
        "fast_path_share = \">= 0%\"",
        "batch_ops_mean = \">= 0\"",
    ] {
        let misses = misses(&format!("[expect]\n{fact}"), &blind);
        assert!(
            misses.len() == 1 && misses[0].contains("no replica reported"),
            "{misses:?}"
        );
    }
    assert_eq!(
        misses("[slo]\nscan.p99 = \"< 1s\"", &good()),
        ["slo.scan.p99 < 1s nothing: no scan succeeded"]
    );
}

#[test]
fn a_run_in_which_nothing_succeeded_never_passes() {
    let mut idle = good();
    idle.operations = Counters::default();
    let judgement = judge(&scenario(""), &[idle]);
    assert_eq!(judgement.verdict, RunVerdict::SloMissed);
    assert!(
        judgement.misses[0].to_string().starts_with(
            "operations.ok: wanted > 0, got 0: the load generator offered no operation"
        )
    );
}
