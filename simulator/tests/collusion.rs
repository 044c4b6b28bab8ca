//! Members that act together (ATTACKS C1 to C5): what must hold, with every oracle on, and the witness
//! that they did what they are there for.

use std::time::Duration;

use byzantine::collusion::{HideFastCommit, Mislead, StallWithTheCrashed, Turncoat};
use byzantine::{Behaviour, Plan};
use consensus::Limits;
use simulator::{Config, Faults, Stats, run};

/// Nine replicas, of which two act together: the first primary, and another.
fn pair(seed: u64, other: u16, behaviour: &Behaviour) -> Config {
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
        byzantine: vec![(0, plan(other)), (other, plan(0))],
        heal_at: Duration::from_secs(2),
        restart_all: false,
        ..base
    }
}

fn holds(configs: impl IntoIterator<Item = Config>) -> Stats {
    let mut total = Stats::default();
    for config in configs {
        let outcome = run(&config);
        let what = format!("seed {}: {:?}", config.seed, config.byzantine);
        assert_eq!(outcome.violations, Vec::<String>::new(), "{what}");
        total.add(&outcome.stats);
    }
    total
}

#[test]
fn c1_twins_never_make_two_commits() {
    let twins = |seed| Config {
        byzantine: Vec::new(),
        faults: Faults {
            partitions: true,
            twins: 2,
            ..Faults::none()
        },
        ..pair(seed, 1, &Behaviour::Turncoat(Turncoat::default()))
    };
    let stats = holds((1..31).map(twins));
    assert!(stats.twin_messages > 0 && stats.equivocations > 0);
}

#[test]
fn c2_what_one_correct_replica_decided_fast_survives_the_liars() {
    let behaviour = Behaviour::HideFastCommit(HideFastCommit::default());
    // The other colluder is the next primary, or a backup.
    let stats = holds((1..7).map(|seed| pair(seed, [1, 5][seed as usize % 2], &behaviour)));
    assert!(stats.byzantine_deeds > 0);
    assert!(
        stats.fast_then_view_change > 0,
        "somebody decided, and the view changed"
    );
    assert!(
        stats.views_with_slots > 0,
        "what was decided is proposed again"
    );
}

#[test]
fn c3_replicas_that_are_left_out_and_misled_catch_up() {
    let behaviour = Behaviour::Mislead(Mislead::default());
    let torn = |seed| Config {
        faults: Faults {
            partitions: true,
            ..Faults::none()
        },
        ..pair(seed, 4, &behaviour)
    };
    let stats = holds((1..5).map(torn));
    assert!(stats.byzantine_deeds > 0);
    assert!(stats.transferred > 0);
}

#[test]
fn c4_with_one_more_replica_down_nothing_forks_and_all_goes_on_when_it_is_back() {
    let plan = Plan::of(Behaviour::StallWithTheCrashed(
        StallWithTheCrashed::default(),
    ));
    let down = |seed| Config {
        seed,
        // Replica 4 is down until everything is healed: f + 1 are faulty until then.
        byzantine: vec![(1, plan.clone())],
        faults: Faults {
            silent: 1,
            ..Faults::none()
        },
        heal_at: Duration::from_secs(2),
        restart_all: false,
        ..Config::default()
    };
    let stats = holds((1..4).map(down));
    assert!(stats.byzantine_deeds > 0);
    assert!(stats.slots > 0);
}

#[test]
fn c5_acknowledged_writes_survive_when_all_lose_power_and_some_come_back_as_liars() {
    let behaviour = Behaviour::Turncoat(Turncoat::default());
    let cut = |seed| Config {
        restart_all: true,
        faults: Faults {
            power_cuts: true,
            ..Faults::none()
        },
        ..pair(seed, 1, &behaviour)
    };
    let stats = holds((1..6).map(cut));
    assert!(stats.power_cuts > 0);
    assert!(stats.byzantine_deeds > 0);
}
