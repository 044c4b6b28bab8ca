//! Byzantine members in simulated clusters: every behaviour of the catalogue, as the primary and as a
//! backup, with every oracle on. A behaviour that never struck has shown nothing, so each test has its
//! witness.

use std::time::Duration;

use byzantine::{Behaviour, Part, Plan, Plays, Trigger};
use consensus::Limits;
use simulator::{Config, Faults, Outcome, Signatures, run};

/// Five replicas of which one misbehaves, on a good network.
fn cluster(member: u16, plan: Plan) -> Config {
    Config {
        byzantine: vec![(member, plan)],
        heal_at: Duration::from_secs(2),
        ..Config::default()
    }
}

fn good(config: &Config, what: &str) -> Outcome {
    let outcome = run(config);
    assert_eq!(outcome.violations, Vec::<String>::new(), "{what}");
    outcome
}

/// Behaviours that need more than a good network to do anything: a view that changes, somebody who lags
/// behind, colluders, real signatures, a restart.
const NEEDY: [&str; 8] = [
    "bogus-view-change",
    "forged-new-view",
    "hide-fast-commit",
    "lying-transfer",
    "never-serve",
    "stall-with-the-crashed",
    "torsion-votes",
    "turncoat",
];

/// As many bad signatures as a member can make would be all that the simulated time consists of.
fn catalogue() -> Vec<Behaviour> {
    let mut all = Behaviour::catalogue();
    for behaviour in &mut all {
        if let Behaviour::SignatureFlood(args) = behaviour {
            args.per_second = 2_000;
        }
    }
    all
}

#[test]
fn no_behaviour_of_the_catalogue_breaks_a_promise_as_primary_or_backup() {
    let mut failures = Vec::new();
    for behaviour in catalogue() {
        // View 0 needs no opening; view 1 does, once all have been restarted.
        let leader = u16::from(behaviour.name() == "stall-view");
        for (member, part) in [(leader, Part::Primary), (3, Part::Backup)] {
            for seed in 1..4 {
                let plan = Plan::of(behaviour.clone());
                let config = Config {
                    seed,
                    ..cluster(member, plan)
                };
                let what = format!("{} as {part:?}, seed {seed}", behaviour.name());
                let outcome = run(&config);
                if !outcome.violations.is_empty() {
                    failures.push(format!("{what}: {:?}", outcome.violations));
                }
                let plays = match behaviour.plays() {
                    Plays::Primary => part == Part::Primary,
                    Plays::Backup => part == Part::Backup,
                    Plays::Either => !NEEDY.contains(&behaviour.name()),
                };
                let deeds = outcome.stats.byzantine_deeds;
                if plays && deeds == 0 {
                    failures.push(format!("{what} did nothing"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Nine replicas of which two collude, in a network that keeps falling apart, with windows so small that
/// who is away for a moment needs the state.
fn hard(seed: u64, behaviour: &Behaviour) -> Config {
    let plan = |colluder| Plan {
        colluders: vec![colluder],
        seed,
        ..Plan::of(behaviour.clone())
    };
    let base = Config::default();
    Config {
        seed,
        n: 9,
        f: 2,
        limits: Limits {
            checkpoint_interval: 4,
            log_window: 8,
            ..base.limits.clone()
        },
        think: Duration::from_millis(1)..Duration::from_millis(100),
        byzantine: vec![(0, plan(1)), (1, plan(0))],
        signatures: match behaviour.name() {
            "torsion-votes" => Signatures::Ed25519,
            _ => Signatures::Fake,
        },
        faults: Faults {
            partitions: true,
            lasting: Duration::from_millis(100)..Duration::from_millis(1_500),
            ..Faults::none()
        },
        ..base
    }
}

#[test]
fn no_behaviour_of_two_colluders_breaks_a_promise_in_a_network_that_falls_apart() {
    for behaviour in catalogue() {
        let name = behaviour.name();
        let seeds = if name == "torsion-votes" { 1..2 } else { 1..4 };
        let mut deeds = 0;
        for seed in seeds {
            let config = hard(seed, &behaviour);
            deeds += good(&config, &format!("{name}, seed {seed}"))
                .stats
                .byzantine_deeds;
        }
        assert!(deeds > 0, "{name} did nothing");
    }
}

#[test]
fn a_plan_that_never_strikes_changes_nothing_that_correct_replicas_do() {
    let trigger = Trigger {
        probability: Some(0.0),
        ..Trigger::default()
    };
    let plan = Behaviour::catalogue()
        .into_iter()
        .take(8)
        .fold(Plan::default(), |plan, it| plan.and(it, trigger.clone()));
    let quiet = |plan| Config {
        restart_all: false,
        ..cluster(0, plan)
    };
    let bent = good(&quiet(plan), "a plan that never strikes");
    let honest = good(&quiet(Plan::default()), "no plan");
    assert_eq!(bent.stats.byzantine_deeds, 0);
    assert_eq!(bent.trace, honest.trace);
    assert_eq!(bent.stats.views_entered, 0);
}
