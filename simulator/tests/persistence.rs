//! P9: a crash at every persistence point. One scenario has what replicas write records for: both paths, checkpoints, a view
//! change, a disk that is lost, state transfer and RENEW; another has links that lose and cut, so that slots are proposed again.
//! Each is repeated once for each point of each replica with a crash exactly there, and everything is judged that ever is: no
//! promise is forgotten, nothing acknowledged is lost, all make progress once nothing fails, and all catch up.
//!
//! CI takes some points of each place and kind; `POINTS=all cargo test --release -p simulator --test persistence` takes all,
//! and `SEEDS=1..20` other schedules of the same scenarios.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use consensus::client::Pace;
use consensus::{FastQuorum, Policy};
use simulator::{Config, CrashAt, Faults, Outcome, Place, Point, Points, Scripted, Stats, run};

/// Points of each place and kind that are tried without `POINTS=all`, about.
const EACH: usize = 3;

/// n = 4 with a fast quorum of 4 and a slow one of 3: whoever is down takes the fast path away.
fn scenario(seed: u64) -> Config {
    let millis = Duration::from_millis;
    let mut config = Config {
        seed,
        n: 4,
        fast: FastQuorum::Strong,
        clients: 2,
        requests: 4,
        outstanding: 1,
        think: millis(10)..millis(40),
        pace: Pace {
            retransmit_after: millis(50),
            retransmit_after_max: millis(200),
            ..Pace::default()
        },
        policy: Policy {
            status_interval: millis(20),
            heartbeat_timeout: millis(60),
            request_timeout: millis(100),
            view_change_timeout: millis(100),
            retransmit_interval: millis(20),
            ..Config::default().policy
        },
        ops_max: 1,
        delay: Duration::from_micros(50)..millis(1),
        sync: Duration::from_micros(100)..millis(1),
        script: vec![
            // The primary crashes: a view change, and slots of the slow path while it is away.
            Scripted {
                at: millis(120),
                replica: 0,
                lasting: millis(60),
                wiped: false,
            },
            // A backup loses its disk, for longer than the others' decisions reach back.
            Scripted {
                at: millis(350),
                replica: 3,
                lasting: millis(250),
                wiped: true,
            },
        ],
        heal_at: millis(1_200),
        faults: Faults {
            lasting: millis(10)..millis(40),
            ..Faults::none()
        },
        ..Config::default()
    };
    config.limits.checkpoint_interval = 4;
    config.limits.log_window = 8;
    config.limits.batch_requests_max = 1;
    config
}

/// The same where links lose messages and are cut: proposals that nobody decided come again as others in later views, and
/// what was voted for first is kept.
fn contended(seed: u64) -> Config {
    let millis = Duration::from_millis;
    let scenario = scenario(seed);
    Config {
        fast: FastQuorum::Off,
        clients: 4,
        heal_at: millis(900),
        faults: Faults {
            loss: 0.2,
            partitions: true,
            every: millis(50)..millis(150),
            ..scenario.faults.clone()
        },
        ..scenario
    }
}

/// What crashes struck: place and what it was about, with how often.
type Reached = BTreeMap<(&'static str, &'static str), u64>;

fn word(place: Place) -> &'static str {
    match place {
        Place::Append => "before it is written",
        Place::Appended => "written, not synced",
        Place::Syncing { kept: 0, .. } => "in a sync, nothing kept",
        Place::Syncing { kept, of } if kept == of => "in a sync, all kept",
        Place::Syncing { .. } => "in a sync, torn",
        Place::Synced => "synced, nothing sent",
        Place::Sending => "sent to some",
        Place::Released => "sent",
        Place::Saving => "state under way",
        Place::Saved => "state saved, nobody told",
    }
}

/// The points of a run.
fn points(scenario: &Config) -> Vec<Point> {
    let outcome = run(&Config {
        points: Points::Noted,
        ..scenario.clone()
    });
    assert_eq!(outcome.violations, Vec::<String>::new());
    outcome.points
}

/// The run with a crash there.
fn crashed(scenario: &Config, at: CrashAt) -> Outcome {
    run(&Config {
        points: Points::Crash(at),
        ..scenario.clone()
    })
}

/// `SEEDS=a..b`, or these.
fn seeds(otherwise: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("SEEDS") else {
        return otherwise;
    };
    let (from, to) = text.split_once("..").expect("SEEDS=a..b");
    from.parse().unwrap()..to.parse().unwrap()
}

/// Of each replica some points for each place and kind of record or message: the first, the last, and between.
fn share(points: &[Point]) -> Vec<CrashAt> {
    let mut kinds: BTreeMap<_, Vec<CrashAt>> = BTreeMap::new();
    for Point { at, place, about } in points {
        for about in about {
            let kind = (word(*place), *about);
            kinds.entry(kind).or_default().push(*at);
        }
    }
    let mut some: Vec<CrashAt> = kinds
        .into_values()
        .flat_map(|all| {
            let step = all.len().div_ceil(EACH).max(1);
            all.into_iter().step_by(step)
        })
        .collect();
    some.sort_by_key(|at| (at.replica, at.point));
    some.dedup();
    some
}

/// Crashes at every point of the run, or at its share of them, and judges each.
fn crash_everywhere(scenario: &Config, reached: &mut Reached, stats: &mut Stats) {
    let points = points(scenario);
    let crashes: Vec<CrashAt> = match std::env::var_os("POINTS") {
        Some(_) => points.iter().map(|point| point.at).collect(),
        None => share(&points),
    };
    let seed = scenario.seed;
    println!("seed {seed}: {} of {} points", crashes.len(), points.len());
    for at in crashes {
        let outcome = crashed(scenario, at);
        let [struck] = outcome.points.as_slice() else {
            panic!("{at:?}: up to its point a run is the one that was listed");
        };
        let wrong = outcome.violations.join("\n");
        assert!(wrong.is_empty(), "seed {seed}, {struck:?}: {wrong}");
        for about in &struck.about {
            *reached.entry((word(struck.place), about)).or_default() += 1;
        }
        stats.add(&outcome.stats);
    }
}

#[test]
fn a_replica_may_crash_at_every_persistence_point() {
    let (mut reached, mut stats) = (Reached::new(), Stats::default());
    for seed in seeds(1..2) {
        for scenario in [scenario(seed), contended(seed)] {
            crash_everywhere(&scenario, &mut reached, &mut stats);
        }
    }
    for ((place, about), count) in &reached {
        println!("{about:>14} {place:<26} {count}");
    }
    let missing = |place: &[&'static str], about: &[&'static str]| {
        let pairs = about
            .iter()
            .flat_map(|it| place.iter().map(|place| (*place, *it)));
        let missing: Vec<_> = pairs.filter(|pair| !reached.contains_key(pair)).collect();
        assert!(missing.is_empty(), "never struck: {missing:?}");
    };
    let records = [
        "vote", "prepared", "stable", "view", "epoch", "role", "bodies",
    ];
    missing(&["before it is written", "written, not synced"], &records);
    missing(
        &[
            "in a sync, nothing kept",
            "in a sync, all kept",
            "synced, nothing sent",
            "sent",
        ],
        &[&records[..], &["truncation"]].concat(),
    );
    missing(
        &["in a sync, torn"],
        &["vote", "prepared", "stable", "view"],
    );
    missing(
        &["state under way", "state saved, nobody told"],
        &["state", "fetched state"],
    );
    missing(
        &["sent to some"],
        &[
            "PRE-PREPARE",
            "PREPARE",
            "COMMIT",
            "CHECKPOINT",
            "VIEW-CHANGE",
            "NEW-VIEW",
        ],
    );
    let witnesses = [
        ("fast", stats.fast),
        ("slow", stats.slow),
        ("torn_writes", stats.torn_writes),
        ("views_entered", stats.views_entered),
        ("state_transfers", stats.state_transfers),
        ("members_again", stats.members_again),
        ("renewed_votes", stats.renewed_votes),
    ];
    for (name, count) in witnesses {
        assert!(count > 0, "never reached: {name}");
    }
}

#[test]
fn messages_that_leave_before_they_are_durable_are_found() {
    let hasty = |seed| {
        let mut scenario = scenario(seed);
        scenario.faults.haste = true;
        scenario
    };
    let found = seeds(1..4).any(|seed| {
        let scenario = hasty(seed);
        let lost = |point: &&Point| matches!(point.place, Place::Sending | Place::Appended);
        let points = points(&scenario);
        let crashes = points.iter().filter(lost).map(|point| point.at);
        crashes.into_iter().any(|at| {
            let violations = crashed(&scenario, at).violations;
            if let Some(first) = violations.first() {
                println!("seed {seed}, {at:?}: {first}");
            }
            !violations.is_empty()
        })
    });
    assert!(
        found,
        "no crash showed that promises had left before they were durable"
    );
}
