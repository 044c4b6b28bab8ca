#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use super::*;
use crate::record::{LatencySummary, Repeat, Run};
use crate::report::Paint;
use crate::scenario::{Source, load};

fn options(directory: &Path, slo: &[&str]) -> SaturateOptions {
    let mut set: Vec<String> = ["load.model=open", "load.rate=1/s", "slo={}"]
        .map(str::to_owned)
        .to_vec();
    set.extend(slo.iter().map(|one| (*one).to_owned()));
    let base =
        load(&[Source::Embedded("quickstart")], &set).unwrap_or_else(|error| panic!("{error}"));
    SaturateOptions {
        objectives_from: match slo {
            [] => Objectives::Default,
            _ => Objectives::CommandLine,
        },
        base,
        repeats: 3,
        precision: 0.05,
        probes_max: 40,
        time_max: Duration::from_secs(1_000),
        directory: directory.to_owned(),
        environment: Environment {
            cores: 2,
            ..Environment::default()
        },
    }
}

/// A cluster whose p99 is 20 ms up to `capacity` and a second beyond it, as `bench run` would measure and judge it.
fn measured(loaded: &Loaded, capacity: f64, generator_cpu_s: f64) -> Finished {
    let scenario = &loaded.scenario;
    let LoadModel::Open { rate, .. } = scenario.load.model else {
        panic!("an open loop");
    };
    let rate = rate.per_second();
    let latency = LatencySummary {
        count: 100,
        p50: 5_000.0,
        p99: if rate <= capacity { 20_000.0 } else { 1e6 },
        ..LatencySummary::default()
    };
    let mut repeat = Repeat {
        seed: scenario.seed,
        duration_s: 10.0,
        ..Repeat::default()
    };
    repeat.operations.offered = (rate * 10.0) as u64;
    repeat.operations.sent = repeat.operations.offered;
    repeat.operations.ok = repeat.operations.offered;
    repeat.latency_us.insert("all".to_owned(), latency);
    repeat.resources.load_generator.cpu_s = generator_cpu_s;
    let judged = crate::judge::judge(scenario, std::slice::from_ref(&repeat));
    Finished {
        run: Run {
            id: "x".to_owned(),
            scenario: serde_json::to_value(scenario).unwrap(),
            environment: Environment {
                cores: 2,
                ..Environment::default()
            },
            verdict: judged.verdict,
            misses: judged.misses,
            repeats: vec![repeat],
            ..Run::default()
        },
        directory: PathBuf::new(),
    }
}

fn search(options: &SaturateOptions, capacity: f64) -> (SaturateDocument, Exit) {
    let run = |loaded: &Loaded, _: &Path| Ok(measured(loaded, capacity, 1.0));
    saturate(options, run, || Duration::ZERO, |_| {}).unwrap()
}

#[test]
fn the_highest_rate_that_meets_the_objective_is_found_within_the_precision() {
    for capacity in [150.0, 3_333.0, 40_000.0] {
        let place = tempfile::tempdir().unwrap();
        let options = options(place.path(), &["slo.p99=\"< 50ms\""]);
        let (document, exit) = search(&options, capacity);
        let (limit, missed) = (
            document.limit_ops_s.unwrap(),
            document.missed_ops_s.unwrap(),
        );
        assert!(
            limit <= capacity && capacity < missed,
            "{limit} {capacity} {missed}"
        );
        assert!(missed / limit <= 1.06, "{limit} {missed}");
        assert_eq!(
            (exit, document.limited_by),
            (Exit::Ok, Some(LimitedBy::Cluster))
        );
        let shares: Vec<f64> = document
            .probes
            .iter()
            .filter_map(|probe| probe.share)
            .collect();
        assert_eq!(shares, SHARES);
        let missed = document.probes.iter().find(|probe| !probe.met).unwrap();
        assert_eq!(missed.why, ["slo.p99: 1000000.0 us, wanted < 50ms"]);
        assert!(place.path().join(SATURATE_FILE).exists());
        let text = saturate_text(&document, Paint::PLAIN);
        assert!(
            text.contains("is the highest rate that met the objective"),
            "{text}"
        );
        assert!(
            text.contains("from --slo") && text.contains("90 % of the limit"),
            "{text}"
        );
    }
}

#[test]
fn without_an_objective_an_idle_cluster_gives_one_and_that_is_said() {
    let place = tempfile::tempdir().unwrap();
    let (document, _) = search(&options(place.path(), &[]), 1_000.0);
    assert_eq!(
        document.objectives[0],
        "p99 <= 50.0 ms (10 times the median at 100/s)"
    );
    let limit = document.limit_ops_s.unwrap();
    assert!((950.0..=1_000.0).contains(&limit), "{limit}");
    assert_eq!(
        serde_json::to_value(&document).unwrap()["objectives_from"],
        "default"
    );
}

#[test]
fn one_disturbed_run_decides_nothing() {
    let place = tempfile::tempdir().unwrap();
    let options = options(place.path(), &["slo.p99=\"< 50ms\""]);
    let runs = Cell::new(0);
    let run = |loaded: &Loaded, _: &Path| {
        runs.set(runs.get() + 1);
        // The first run of each rate goes wrong, whatever the rate.
        let disturbed = loaded.scenario.seed == 7 && runs.get() % 3 == 1;
        Ok(measured(loaded, if disturbed { 0.0 } else { 3_333.0 }, 1.0))
    };
    let (document, _) = saturate(&options, run, || Duration::ZERO, |_| {}).unwrap();
    let limit = document.limit_ops_s.unwrap();
    assert!((3_100.0..=3_333.0).contains(&limit), "{limit}");
    let runs = document.probes.iter().map(|probe| probe.repeats.len());
    assert_eq!(runs.max(), Some(3), "two that agree are enough");
}

#[test]
fn a_load_generator_that_is_behind_is_not_taken_for_the_cluster() {
    let place = tempfile::tempdir().unwrap();
    let options = options(place.path(), &["slo.p99=\"< 50ms\""]);
    // 18 s of CPU in 10 s on 2 threads.
    let run = |loaded: &Loaded, _: &Path| Ok(measured(loaded, 1_000.0, 18.0));
    let (document, _) = saturate(&options, run, || Duration::ZERO, |_| {}).unwrap();
    assert_eq!(document.limited_by, Some(LimitedBy::LoadGenerator));
    assert!(
        document.conclusion.contains("not that of the cluster"),
        "{}",
        document.conclusion
    );
}

#[test]
fn a_search_ends_at_its_bounds_and_says_what_it_knows() {
    let place = tempfile::tempdir().unwrap();
    let mut few = options(place.path(), &["slo.p99=\"< 50ms\""]);
    few.probes_max = 4;
    let (document, exit) = search(&few, 3_333.0);
    assert_eq!(
        (document.probes.len(), document.limited_by),
        (4, Some(LimitedBy::Probes))
    );
    assert!(
        document.conclusion.contains("800/s met the objective"),
        "{}",
        document.conclusion
    );
    assert_eq!(exit, Exit::Ok);

    let runs = Cell::new(0_u64);
    let run = |loaded: &Loaded, _: &Path| {
        runs.set(runs.get() + 1);
        Ok(measured(loaded, 3_333.0, 1.0))
    };
    let options = options(place.path(), &["slo.p99=\"< 50ms\""]);
    let elapsed = || Duration::from_secs(300 * runs.get());
    let (document, _) = saturate(&options, run, elapsed, |_| {}).unwrap();
    assert_eq!(document.limited_by, Some(LimitedBy::Time));
    assert_eq!(runs.get(), 4, "no run begins after the time");

    let (document, exit) = search(&options, 50.0);
    assert_eq!((exit, document.limit_ops_s), (Exit::Missed, None));
    assert_eq!(document.limited_by, Some(LimitedBy::NothingMet));
}

#[test]
fn what_was_found_before_an_interruption_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let options = options(place.path(), &["slo.p99=\"< 50ms\""]);
    let runs = Cell::new(0);
    let run = |loaded: &Loaded, _: &Path| {
        runs.set(runs.get() + 1);
        let mut finished = measured(loaded, 3_333.0, 1.0);
        if runs.get() == 6 {
            finished.run.status = RunStatus::Interrupted;
        }
        Ok(finished)
    };
    let (document, exit) = saturate(&options, run, || Duration::ZERO, |_| {}).unwrap();
    assert_eq!(
        (exit, document.status),
        (Exit::Interrupted, SaturateStatus::Interrupted)
    );
    assert_eq!(document.limit_ops_s, Some(200.0), "400/s was cut short");
    assert_eq!(document.probes.len(), 3);
}
