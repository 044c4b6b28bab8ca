#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::record::{
    Counters, Environment, LatencySummary, Repeat, ReplicaResources, Resources, RunStatus,
    RunVerdict,
};
use crate::report::Paint;

const OPTIONS: Options = Options {
    threshold: 0.05,
    noise_floor: None,
    force: false,
};

/// Ten factors around 1, a few per cent apart.
const NOISE: [f64; 10] = [
    1.001, 0.985, 1.022, 1.008, 0.978, 1.015, 0.993, 1.004, 0.988, 1.011,
];

fn repeat(factor: f64, noise: f64) -> Repeat {
    let latency = |scale: f64| LatencySummary {
        p50: 8_000.0 * scale,
        p99: 21_000.0 * scale,
        p999: 44_000.0 * scale,
        ..LatencySummary::default()
    };
    let replica = |id| ReplicaResources {
        id,
        rss_max_bytes: 100 << 20,
        bytes_sent: 30_000_000,
        fsyncs: 9_000,
        ..ReplicaResources::default()
    };
    let slower = noise / factor;
    Repeat {
        throughput_ops_s: 7_000.0 * factor * noise,
        operations: Counters {
            ok: 84_000,
            ..Counters::default()
        },
        latency_us: [("all".to_owned(), latency(slower))].into(),
        service_latency_us: [("all".to_owned(), latency(slower * 0.99))].into(),
        resources: Resources {
            replicas: (0..5).map(replica).collect(),
            // Scattered so far that ten repeats leave it open.
            cpu_us_per_op: 220.0 * (1.0 + (noise - 1.0) * 5.0),
            ..Resources::default()
        },
        ..Repeat::default()
    }
}

fn run(name: &str, factor: f64, repeats: usize) -> Measured {
    Measured {
        schema: "bench.run/v1".to_owned(),
        id: format!("20260101T000000Z_{name}_0001"),
        name: name.to_owned(),
        scenario: json!({"name": name, "seed": 7, "cluster": {"f": 1, "n": 5, "fast_quorum": "strong"},
            "load": {"clients": 64}, "workload": {"records": 10_000}}),
        environment: Environment {
            cpu: "A CPU".to_owned(),
            cores: 2,
            commit: "0123456789abcdef".to_owned(),
            build: "release".to_owned(),
            durability: "full".to_owned(),
            authentication: "ed25519".to_owned(),
            ..Environment::default()
        },
        repeats: NOISE
            .iter()
            .cycle()
            .take(repeats)
            .map(|noise| repeat(factor, *noise))
            .collect(),
        ..Measured::default()
    }
}

fn sides(runs: Vec<Measured>) -> Vec<Side> {
    let side = |(label, run): (&'static str, Measured)| Side {
        label,
        place: PathBuf::from("results").join(&run.id),
        runs: vec![run],
    };
    LABELS.into_iter().zip(runs).map(side).collect()
}

fn fast_and_classic() -> Vec<Side> {
    let mut classic = run("classic-pbft", 0.78, 10);
    classic.scenario["cluster"]["fast_quorum"] = json!("off");
    classic.environment.commit = "fedcba9876543210".to_owned();
    sides(vec![run("fast-path", 1.0, 10), classic])
}

/// Lines without what hangs behind them, so that the golden texts stay readable.
fn trimmed(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[test]
fn the_table_says_it_all_in_a_hundred_columns() {
    let comparison = compare(fast_and_classic(), OPTIONS).unwrap();
    let text = comparison_text(&comparison, Paint::PLAIN);
    assert_eq!(trimmed(&text), include_str!("golden/table.txt"), "\n{text}");
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}");
}

#[test]
fn markdown_can_be_pasted_into_a_pull_request() {
    let comparison = compare(fast_and_classic(), OPTIONS).unwrap();
    let text = comparison_markdown(&comparison);
    assert_eq!(trimmed(&text), include_str!("golden/table.md"), "\n{text}");
}

#[test]
fn the_document_has_every_number() {
    let comparison = compare(fast_and_classic(), OPTIONS).unwrap();
    let document = document(&comparison);
    assert_eq!(document["schema"], "bench.compare/v1");
    assert_eq!(document["conclusion"], conclusion(&comparison));
    assert_eq!(document["threshold_percent"], 5.0);
    assert_eq!(document["sides"][1]["name"], "classic-pbft");
    let pair = &document["comparisons"][0];
    let metrics = pair["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 10);
    let throughput = &metrics[0];
    assert_eq!(throughput["name"], "throughput_ops_s");
    assert_eq!(
        (&throughput["verdict"], &throughput["better"]),
        (&json!("worse"), &json!("higher"))
    );
    assert_eq!(
        throughput["baseline"]["values"].as_array().unwrap().len(),
        10
    );
    for key in [
        "ratio",
        "p",
        "p_holm",
        "cliffs_delta",
        "shift",
        "change_percent",
    ] {
        assert!(throughput[key].is_number(), "{key}");
    }
    for interval in [
        &throughput["ratio_ci95"],
        &throughput["baseline"]["ci95"],
        &throughput["candidate"]["ci95"],
    ] {
        assert!(interval[0].as_f64() <= interval[1].as_f64() && interval[0].is_number());
    }
    assert_eq!(
        pair["differences"][0],
        json!({"key": "cluster.fast_quorum", "baseline": "strong", "candidate": "off"})
    );
}

#[test]
fn the_conclusion_follows_the_verdicts() {
    let of = |runs| conclusion(&compare(sides(runs), OPTIONS).unwrap());
    assert!(
        of(vec![run("x", 1.0, 10), run("x", 1.2, 10)])
            .starts_with("B is better than A: throughput 20 % higher, ")
    );
    assert!(
        of(vec![run("x", 1.0, 10), run("x", 0.8, 10)])
            .starts_with("B is worse than A: throughput 20 % lower, ")
    );
    let same = of(vec![run("x", 1.0, 10), run("x", 1.001, 10)]);
    assert_eq!(
        same,
        "No difference is shown between B and A: 9 of 10 metrics are the same within 5 %, 1 undecided."
    );
    let three = of(vec![
        run("x", 1.0, 10),
        run("y", 1.2, 10),
        run("z", 0.8, 10),
    ]);
    assert!(
        three.contains("B (y) is better than A (x)")
            && three.contains("; C (z) is worse than A (x)")
    );
    let mut costly = run("x", 1.2, 10);
    for repeat in &mut costly.repeats {
        repeat.resources.replicas[0].rss_max_bytes *= 2;
    }
    let mixed = of(vec![run("x", 1.0, 10), costly]);
    assert!(mixed.starts_with(
        "B is worse than A in one thing and better in another: memory 100 % higher, but throughput"
    ));
}

#[test]
fn one_repeat_a_side_decides_nothing_and_the_command_for_more_is_there() {
    let comparison = compare(sides(vec![run("x", 1.0, 1), run("x", 0.5, 1)]), OPTIONS).unwrap();
    let text = comparison_text(&comparison, Paint::PLAIN);
    assert!(
        text.starts_with("One repeat a side decides nothing about B against A, and throughput 50 % lower may be chance.\n"),
        "{text}"
    );
    for words in [
        "three repeats a side are the least from which",
        "it takes 6",
        "bench run x --repeat 10",
    ] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    assert!(
        comparison.pairs[0]
            .metrics
            .iter()
            .all(|one| one.verdict == Verdict::Inconclusive)
    );
}

type Change<'a> = &'a dyn Fn(&mut Measured);

#[test]
fn runs_that_answer_different_questions_are_refused_with_field_values_and_remedy() {
    let changed = |change: Change<'_>| {
        let mut other = run("x", 1.0, 3);
        change(&mut other);
        compare(sides(vec![run("x", 1.0, 3), other]), OPTIONS)
            .err()
            .map(|refused| refused.to_string())
    };
    assert_eq!(changed(&|_| {}), None);
    assert_eq!(
        changed(&|run| run.scenario["load"]["clients"] = json!(8)),
        None
    );
    let cases: [(Change<'_>, &str); 7] = [
        (
            &|run| run.environment.durability = "off".into(),
            "durability is full in A and off in B",
        ),
        (
            &|run| run.environment.authentication = "none".into(),
            "authentication is ed25519 in A and none in B",
        ),
        (
            &|run| run.scenario["cluster"]["f"] = json!(2),
            "cluster.f is 1 in A and 2 in B",
        ),
        (
            &|run| run.scenario["cluster"]["n"] = json!(4),
            "cluster.n is 5 in A and 4 in B",
        ),
        (
            &|run| run.scenario["workload"]["preset"] = json!("A"),
            "workload.preset is absent in A and A in B",
        ),
        (
            &|run| run.status = RunStatus::Interrupted,
            "the status of B (20260101T000000Z_x_0001) is interrupted",
        ),
        (
            &|run| run.verdict = RunVerdict::SafetyViolation,
            "is safety-violation",
        ),
    ];
    for (change, words) in cases {
        let refused = changed(change).unwrap();
        assert!(
            refused.contains(words) && refused.contains("--force"),
            "{words}: {refused}"
        );
    }
}

#[test]
fn what_is_forced_carries_its_warning_on_top() {
    let mut off = run("x", 2.0, 10);
    off.environment.durability = "off".to_owned();
    let forced = Options {
        force: true,
        ..OPTIONS
    };
    let comparison = compare(sides(vec![run("x", 1.0, 10), off]), forced).unwrap();
    assert!(
        conclusion(&comparison)
            .starts_with("Not comparable, and compared all the same: B is better")
    );
    let text = comparison_text(&comparison, Paint::PLAIN);
    assert!(text.find("durability is full in A and off in B") < text.find("Metrics"));
    assert!(
        !document(&comparison)["forced"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn more_of_two_commits_takes_two_builds() {
    let mut newer = run("y", 1.02, 3);
    newer.environment.commit = "fedcba9876543210".to_owned();
    let comparison = compare(sides(vec![run("x", 1.0, 3), newer]), OPTIONS).unwrap();
    let text = comparison_text(&comparison, Paint::PLAIN);
    for words in [
        "each with the build of its commit\n  bench run x --repeat 15\n",
        "\n  bench run y --repeat 15\n",
        "service p50, service p99: about 15 repeats",
    ] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
}

#[test]
fn runs_of_one_thing_are_taken_together_and_of_two_things_are_not() {
    let two = |second: Measured| {
        let mut both = sides(vec![run("x", 1.0, 6), run("x", 1.0, 3)]);
        both[1].runs.push(second);
        compare(both, OPTIONS)
    };
    let comparison = two(run("x", 1.0, 3)).unwrap();
    assert_eq!(comparison.pairs[0].repeats(), 6);
    let mut other = run("x", 1.0, 3);
    other.scenario["load"]["clients"] = json!(8);
    let refused = two(other).unwrap_err().to_string();
    assert!(
        refused.contains("holds runs of different things: load.clients is 64"),
        "{refused}"
    );
}

#[test]
fn what_makes_a_comparison_doubtful_is_said() {
    let mut other = run("x", 1.0, 6);
    other.environment.cores = 8;
    other.environment.build = "debug".to_owned();
    other.verdict = RunVerdict::SloMissed;
    other.warnings = vec!["the clock jumped".to_owned()];
    let comparison = compare(sides(vec![run("x", 1.0, 6), other]), OPTIONS).unwrap();
    let all = comparison.warnings.join("\n");
    for words in [
        "the machines differ (cores is 2 in A and 8 in B)",
        "A is a release build and B a debug build",
        "B missed an objective",
        "B has warnings of its own, such as: the clock jumped",
    ] {
        assert!(all.contains(words), "{words} is missing in\n{all}");
    }
}

#[test]
fn a_metric_that_one_side_lacks_is_named() {
    let mut other = run("x", 1.0, 6);
    for repeat in &mut other.repeats {
        repeat.resources = Resources::default();
    }
    let comparison = compare(sides(vec![run("x", 1.0, 6), other]), OPTIONS).unwrap();
    assert_eq!(comparison.pairs[0].metrics.len(), 6);
    let text = comparison_text(&comparison, Paint::PLAIN);
    assert!(text.contains("CPU/op: not measured in B"), "{text}");
}

#[test]
fn the_larger_of_threshold_and_noise_floor_counts() {
    let throughput_only =
        |floor| NoiseFloor::of(|metric| (metric == Metric::Throughput).then_some(floor));
    let floor = |noise_floor| {
        Options {
            noise_floor,
            ..OPTIONS
        }
        .practical_threshold(Metric::Throughput)
    };
    let floors = [None, Some(0.02), Some(0.08)].map(|share| floor(share.map(throughput_only)));
    assert_eq!(floors, [0.05, 0.05, 0.08]);
    let loud = Options {
        noise_floor: Some(throughput_only(0.25)),
        ..OPTIONS
    };
    let comparison = compare(sides(vec![run("x", 1.0, 10), run("x", 0.9, 10)]), loud).unwrap();
    let verdict = |metric| {
        let found = comparison.pairs[0]
            .metrics
            .iter()
            .find(|one| one.metric == metric);
        found.unwrap().verdict
    };
    assert_eq!(verdict(Metric::Throughput), Verdict::Same);
    assert_eq!(
        verdict(Metric::LatencyP50),
        Verdict::Worse,
        "each metric has its own floor"
    );
    let text = comparison_text(&comparison, Paint::PLAIN);
    assert!(
        text.contains("this machine's noise, whatever the threshold: throughput 25 %"),
        "{text}"
    );
    let quiet = Options {
        noise_floor: Some(NoiseFloor::of(|_| Some(0.25))),
        ..OPTIONS
    };
    let comparison = compare(sides(vec![run("x", 1.0, 10), run("x", 0.9, 10)]), quiet).unwrap();
    assert!(!comparison.any(Verdict::Worse));
    let document: Value = document(&comparison);
    assert_eq!(document["noise_floor_percent"], 25.0);
    assert_eq!(document["threshold_percent"], 5.0);
    assert_eq!(
        document["comparisons"][0]["metrics"][0]["threshold_percent"],
        25.0
    );
}
