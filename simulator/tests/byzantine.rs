//! Byzantine members in simulated clusters: every behaviour of the catalogue, as the primary and as a
//! backup, with every oracle on. A behaviour that never struck has shown nothing, so each test has its
//! witness.

use std::time::Duration;

use byzantine::{Behaviour, Part, Plan, Plays, Trigger};
use simulator::{Config, Outcome, run};

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

#[test]
fn no_behaviour_of_the_catalogue_breaks_a_promise_as_primary_or_backup() {
    let mut failures = Vec::new();
    for behaviour in Behaviour::catalogue() {
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
                    Plays::Either => true,
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
