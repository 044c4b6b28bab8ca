#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};

use super::*;
use crate::record::{LatencySummary, Repeat, Run};
use crate::report::Paint;
use crate::scenario::{Source, load};

fn options(slo: &[&str]) -> SaturateOptions {
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
        directory: std::path::PathBuf::new(),
    }
}

fn program() -> Program {
    Program {
        digest: "p1".to_owned(),
        flags: String::new(),
    }
}

/// Searches in `out`, and goes on with what is unfinished there.
fn searched(
    out: &Path,
    options: &SaturateOptions,
    run: impl Fn(&Loaded, &Path) -> Result<Finished, RunError>,
    elapsed: impl Fn() -> Duration,
) -> (SaturateDocument, Exit) {
    let campaign = open(out, options, &program(), false).unwrap();
    saturate(options, &campaign, run, elapsed, |_| {}).unwrap()
}

fn search(out: &Path, options: &SaturateOptions, capacity: f64) -> (SaturateDocument, Exit) {
    let run = |loaded: &Loaded, _: &Path| Ok(measured(loaded, capacity, 1.0));
    searched(out, options, run, || Duration::ZERO)
}

#[test]
fn the_highest_rate_that_meets_the_objective_is_found_within_the_precision() {
    for capacity in [150.0, 3_333.0, 40_000.0] {
        let place = tempfile::tempdir().unwrap();
        let options = options(&["slo.p99=\"< 50ms\""]);
        let (document, exit) = search(place.path(), &options, capacity);
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
        assert!(
            Path::new(&document.directory)
                .join("saturate.json")
                .exists()
        );
        let text = saturate_text(&document, None, Paint::PLAIN);
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
    let (document, _) = search(place.path(), &options(&[]), 1_000.0);
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
    let options = options(&["slo.p99=\"< 50ms\""]);
    let runs = Cell::new(0);
    let run = |loaded: &Loaded, _: &Path| {
        runs.set(runs.get() + 1);
        // The first run of each rate goes wrong, whatever the rate.
        let disturbed = loaded.scenario.seed == 7 && runs.get() % 3 == 1;
        Ok(measured(loaded, if disturbed { 0.0 } else { 3_333.0 }, 1.0))
    };
    let (document, _) = searched(place.path(), &options, run, || Duration::ZERO);
    let limit = document.limit_ops_s.unwrap();
    assert!((3_100.0..=3_333.0).contains(&limit), "{limit}");
    let runs = document.probes.iter().map(|probe| probe.repeats.len());
    assert_eq!(runs.max(), Some(3), "two that agree are enough");
}

#[test]
fn a_load_generator_that_is_behind_is_not_taken_for_the_cluster() {
    let place = tempfile::tempdir().unwrap();
    let options = options(&["slo.p99=\"< 50ms\""]);
    // 18 s of CPU in 10 s on 2 threads.
    let run = |loaded: &Loaded, _: &Path| Ok(measured(loaded, 1_000.0, 18.0));
    let (document, _) = searched(place.path(), &options, run, || Duration::ZERO);
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
    let mut few = options(&["slo.p99=\"< 50ms\""]);
    few.probes_max = 4;
    let (document, exit) = search(place.path(), &few, 3_333.0);
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
    let options = options(&["slo.p99=\"< 50ms\""]);
    let elapsed = || Duration::from_secs(300 * runs.get());
    let (document, _) = searched(place.path(), &options, run, elapsed);
    assert_eq!(document.limited_by, Some(LimitedBy::Time));
    assert_eq!(runs.get(), 4, "no run begins after the time");

    let (document, exit) = search(place.path(), &options, 50.0);
    assert_eq!((exit, document.limit_ops_s), (Exit::Missed, None));
    assert_eq!(document.limited_by, Some(LimitedBy::NothingMet));
}

/// Leaves what `bench run` leaves.
fn left(finished: Finished, folder: &Path) -> Finished {
    let count = std::fs::read_dir(folder).map_or(0, Iterator::count);
    let id = format!("2026010{count}T000000Z_q_000{count}");
    let directory = folder.join(&id);
    std::fs::create_dir_all(&directory).unwrap();
    let run = Run { id, ..finished.run };
    write_json(&directory.join("run.json"), &run).unwrap();
    Finished { run, directory }
}

/// Searches until `stop_at` runs were made; gives what came of it and the rates and seeds of the runs.
fn stopped(
    out: &Path,
    options: &SaturateOptions,
    stop_at: usize,
) -> (SaturateDocument, Exit, Vec<(f64, u64)>) {
    let order = RefCell::new(Vec::new());
    let run = |loaded: &Loaded, folder: &Path| {
        let rate = crate::scenario::planned_rate(&loaded.scenario).unwrap();
        order.borrow_mut().push((rate, loaded.scenario.seed));
        let mut finished = measured(loaded, 3_333.0, 1.0);
        if order.borrow().len() == stop_at {
            finished.run.status = RunStatus::Interrupted;
        }
        Ok(left(finished, folder))
    };
    let (document, exit) = searched(out, options, run, || Duration::ZERO);
    (document, exit, order.into_inner())
}

#[test]
fn a_search_that_was_stopped_goes_on_and_measures_nothing_twice() {
    let undisturbed = tempfile::tempdir().unwrap();
    // Without an objective of its own: the one that the low load gives is the same once more.
    let options = options(&[]);
    let (whole, _, all) = stopped(undisturbed.path(), &options, usize::MAX);
    let place = tempfile::tempdir().unwrap();
    let (document, exit, before) = stopped(place.path(), &options, 6);
    assert_eq!(
        (exit, document.status),
        (Exit::Interrupted, SaturateStatus::Interrupted)
    );
    assert_eq!(document.limit_ops_s, Some(200.0), "400/s was cut short");
    assert_eq!(document.probes.len(), 3);
    assert!(
        document.conclusion.contains("the same command goes on"),
        "{}",
        document.conclusion
    );
    // Whoever kills the program leaves no more than the runs.
    std::fs::write(
        Path::new(&document.directory).join("saturate.json"),
        r#"{"name": "quickstart", "status": "running", "environment": {"cores": 2}, "repeats": 3, "precision": 0.05}"#,
    )
    .unwrap();
    let (again, exit, after) = stopped(place.path(), &options, usize::MAX);
    assert_eq!((exit, again.status), (Exit::Ok, SaturateStatus::Completed));
    assert_eq!(again.id, document.id, "the same directory");
    // The sixth run was thrown away, and is the first that is made again.
    assert_eq!(after, all[5..]);
    assert_eq!(before, all[..6]);
    assert_eq!(
        (again.limit_ops_s, again.missed_ops_s, again.probes.len()),
        (whole.limit_ops_s, whole.missed_ops_s, whole.probes.len())
    );
    assert_eq!(again.objectives, whole.objectives);
    let aside = Path::new(&again.directory).join("aside");
    assert_eq!(std::fs::read_dir(aside).unwrap().count(), 1);
    // What is complete is not gone on with.
    let (third, _, runs) = stopped(place.path(), &options, usize::MAX);
    assert_ne!(third.id, again.id);
    assert_eq!(runs, all);
}

#[test]
fn a_search_for_something_else_is_not_gone_on_with() {
    let place = tempfile::tempdir().unwrap();
    let before = options(&["slo.p99=\"< 50ms\""]);
    stopped(place.path(), &before, 3);
    let refused = |now: &SaturateOptions| {
        let refused = open(place.path(), now, &program(), false).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(
            refused.message.contains("begin a new search with --fresh"),
            "{refused}"
        );
        refused.message
    };
    let message = refused(&options(&["slo.p99=\"< 60ms\""]));
    assert!(
        message.contains("< 50ms") && message.contains("< 60ms"),
        "{message}"
    );
    let mut now = before.clone();
    now.repeats = 5;
    assert!(refused(&now).contains("--repeat was 3 and is 5 now"));
    let mut now = before.clone();
    now.precision = 0.1;
    assert!(refused(&now).contains("was 0.05 and is 0.1 now"));
    assert!(!open(place.path(), &now, &program(), true).unwrap().resumed);
    let mut now = before.clone();
    (now.probes_max, now.time_max) = (50, Duration::from_secs(1));
    assert!(
        open(place.path(), &before, &program(), false)
            .unwrap()
            .resumed,
        "how long it may take changes nothing that was measured"
    );
}

#[test]
fn a_search_whose_run_fails_tries_it_once_more() {
    let place = tempfile::tempdir().unwrap();
    let options = options(&["slo.p99=\"< 50ms\""]);
    let campaign = open(place.path(), &options, &program(), false).unwrap();
    let run = |_: &Loaded, _: &Path| Err(RunError::new(Exit::Environment, "a port is taken"));
    let refused = saturate(&options, &campaign, run, || Duration::ZERO, |_| {}).unwrap_err();
    assert_eq!(refused.exit, Exit::Environment);
    let id = campaign.id();
    drop(campaign);
    let (document, exit, _) = stopped(place.path(), &options, usize::MAX);
    assert_eq!((document.id, exit), (id, Exit::Ok));
}

#[test]
fn a_rate_at_which_something_is_dropped_unanswered_or_wrong_is_missed() {
    let place = tempfile::tempdir().unwrap();
    let options = options(&["slo.p99=\"< 50ms\""]);
    let spoilt = |spoil: fn(&mut Run)| {
        let run = |loaded: &Loaded, _: &Path| {
            let mut finished = measured(loaded, 1e9, 1.0);
            if crate::scenario::planned_rate(&loaded.scenario) == Some(400.0) {
                spoil(&mut finished.run);
            }
            Ok(finished)
        };
        let (document, exit) = searched(place.path(), &options, run, || Duration::ZERO);
        let missed = document.probes.iter().find(|probe| !probe.met).unwrap();
        assert_eq!(missed.rate_ops_s, 400.0);
        (missed.why[0].clone(), missed.generator_limited, exit)
    };
    let (why, _, exit) = spoilt(|run| run.repeats[0].operations.dropped = 3);
    assert_eq!(
        (why.as_str(), exit),
        ("3 operations dropped before sending", Exit::Ok)
    );
    let (why, ..) = spoilt(|run| run.repeats[0].operations.unknown = 1);
    assert_eq!(why, "1 operation never answered");
    // Late by more than one in a hundred: the generator was behind.
    let (_, generator, _) = spoilt(|run| {
        run.repeats[0].operations.dropped = 1;
        run.repeats[0].operations.late = run.repeats[0].operations.sent / 100 + 1;
    });
    assert!(generator);
    let (why, generator, exit) = spoilt(|run| run.verdict = RunVerdict::LivenessViolation);
    assert_eq!(
        (why.as_str(), generator),
        ("a check of correctness failed", false)
    );
    assert_eq!(exit, Exit::Liveness, "it is no objective that was missed");
}
