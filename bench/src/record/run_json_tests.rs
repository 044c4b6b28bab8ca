#![allow(clippy::unwrap_used)]

use super::super::{BatchSizes, MeasuredCosts, ReplicaResources};
use super::*;

/// Every path that the documentation promises, so that a rename is noticed here.
#[test]
fn the_document_has_every_field_of_the_contract() {
    let repeat = Repeat {
        latency_us: BTreeMap::from([("all".to_owned(), LatencySummary::default())]),
        faults: vec![FaultFact::default()],
        evidence: vec![EvidenceFact::default()],
        resources: Resources {
            replicas: vec![ReplicaResources::default()],
            ..Resources::default()
        },
        bounds: Bounds {
            hop_bound_ms: Some(0.5),
            hop_bound_share: Some(0.5),
            pace_change: Some(1.0),
            costs: Some(MeasuredCosts {
                fsync_4k_us: Some(1.0),
                fsync_64k_us: Some(1.0),
                quic_round_trip_us: Some(1.0),
                ..MeasuredCosts::default()
            }),
            ..Bounds::default()
        },
        ..Repeat::default()
    };
    let run = Run {
        repeats: vec![repeat],
        ..Run::default()
    };
    let json = serde_json::to_value(&run).unwrap();
    assert_eq!(json["schema"], "bench.run/v1");
    let promised = "
        id name status verdict scenario
        environment/cpu environment/cores environment/kernel environment/commit environment/rustc environment/durability environment/authentication
        repeats/0/seed repeats/0/duration_s repeats/0/throughput_ops_s
        repeats/0/operations/offered repeats/0/operations/sent repeats/0/operations/ok repeats/0/operations/failed
        repeats/0/operations/unknown repeats/0/operations/dropped repeats/0/operations/late repeats/0/operations/busy_replies
        repeats/0/latency_us/all/count repeats/0/latency_us/all/min repeats/0/latency_us/all/mean repeats/0/latency_us/all/p50
        repeats/0/latency_us/all/p90 repeats/0/latency_us/all/p99 repeats/0/latency_us/all/p999 repeats/0/latency_us/all/p9999
        repeats/0/latency_us/all/max repeats/0/service_latency_us
        repeats/0/consensus/slots repeats/0/consensus/fast_path_slots repeats/0/consensus/slow_path_slots repeats/0/consensus/fast_path_share
        repeats/0/consensus/view_changes repeats/0/consensus/final_view repeats/0/consensus/checkpoints repeats/0/consensus/state_transfers
        repeats/0/consensus/batch_ops_mean repeats/0/consensus/batch/mean repeats/0/consensus/batch/p50 repeats/0/consensus/batch/p99
        repeats/0/consensus/batch/max
        repeats/0/checks/agreement/verdict repeats/0/checks/agreement/detail repeats/0/checks/linearizable/verdict
        repeats/0/checks/exactly_once repeats/0/checks/state repeats/0/checks/liveness/verdict
        repeats/0/faults/0/kind repeats/0/faults/0/target repeats/0/faults/0/start_s repeats/0/faults/0/end_s
        repeats/0/faults/0/first_commit_ms repeats/0/faults/0/recovered_95_ms
        repeats/0/evidence/0/culprit repeats/0/evidence/0/kind repeats/0/evidence/0/file
        repeats/0/bounds/signature_bound_ops_s repeats/0/bounds/signature_bound_share
        repeats/0/bounds/hop_bound_ms repeats/0/bounds/hop_bound_share repeats/0/bounds/pace_change repeats/0/bounds/costs/cores
        repeats/0/bounds/costs/sign_us repeats/0/bounds/costs/verify_us repeats/0/bounds/costs/verify_batched_64_us
        repeats/0/bounds/costs/verify_batched_us repeats/0/bounds/costs/hash_128_us repeats/0/bounds/costs/hash_bytes_s
        repeats/0/bounds/costs/fsync_4k_us repeats/0/bounds/costs/fsync_64k_us repeats/0/bounds/costs/quic_round_trip_us
        repeats/0/resources/replicas/0/id repeats/0/resources/replicas/0/cpu_s repeats/0/resources/replicas/0/rss_max_bytes
        repeats/0/resources/replicas/0/bytes_sent repeats/0/resources/replicas/0/fsyncs repeats/0/resources/load_generator
        repeats/0/history/mode repeats/0/history/lines repeats/0/history/ok_measured
        summary/throughput_ops_s/median summary/throughput_ops_s/ci95/1 summary/throughput_ops_s/repeats
        summary/p50_us/median summary/p99_us/median summary/cpu_us_per_op/median";
    for path in promised.split_whitespace() {
        assert!(
            json.pointer(&format!("/{path}")).is_some(),
            "{path} is missing in {json:#}"
        );
    }
    let back: Run = serde_json::from_value(json).unwrap();
    assert_eq!(back, run);
}

#[test]
fn verdicts_are_written_as_documented() {
    let written = |verdict| serde_json::to_value(verdict).unwrap();
    assert_eq!(written(RunVerdict::Pass), "pass");
    assert_eq!(written(RunVerdict::SloMissed), "slo-missed");
    assert_eq!(written(RunVerdict::SafetyViolation), "safety-violation");
    assert_eq!(written(RunVerdict::LivenessViolation), "liveness-violation");
    assert_eq!(
        serde_json::to_value(RunStatus::Interrupted).unwrap(),
        "interrupted"
    );
    assert!(
        RunVerdict::SafetyViolation > RunVerdict::LivenessViolation
            && RunVerdict::LivenessViolation > RunVerdict::SloMissed
    );
}

#[test]
fn a_failed_check_decides_the_verdict_and_safety_goes_first() {
    let mut repeat = Repeat::default();
    assert_eq!(repeat.verdict(), RunVerdict::Pass);
    repeat.checks.liveness = CheckResult::fail("stood still");
    assert_eq!(repeat.verdict(), RunVerdict::LivenessViolation);
    repeat.checks.state = CheckResult::fail("states differ");
    assert_eq!(repeat.verdict(), RunVerdict::SafetyViolation);
}

#[test]
fn shares_and_batch_sizes_follow_from_counts() {
    let facts = ConsensusFacts {
        slots: 4,
        fast_path_slots: 3,
        slow_path_slots: 1,
        ..ConsensusFacts::default()
    };
    let facts = facts.with_batches(BatchSizes::of(vec![1, 9, 2, 4]));
    assert_eq!((facts.fast_path_share, facts.batch_ops_mean), (0.75, 4.0));
    assert_eq!(
        facts.batch,
        BatchSizes {
            mean: 4.0,
            p50: 2,
            p99: 9,
            max: 9
        }
    );
    assert_eq!(BatchSizes::of(Vec::new()), BatchSizes::default());
    assert_eq!(
        ConsensusFacts::default()
            .with_batches(BatchSizes::default())
            .fast_path_share,
        0.0
    );
}

#[test]
fn a_summary_is_the_median_of_its_repeats() {
    let repeat = |throughput_ops_s| Repeat {
        throughput_ops_s,
        ..Repeat::default()
    };
    let summary = Summary::of(&[repeat(10.0), repeat(30.0), repeat(20.0)]);
    assert_eq!(
        (
            summary.throughput_ops_s.median,
            summary.throughput_ops_s.repeats
        ),
        (20.0, 3)
    );
}
