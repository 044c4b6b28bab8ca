//! A rule broken on purpose, and the Byzantine member that takes advantage of it: were an attack only
//! nominal, the cluster would do just as well without the rule. Each is shown to be harmless as long as
//! the rule is there.

use std::time::Duration;

use byzantine::primary::{Equivocate, EquivocateFast};
use byzantine::{Behaviour, Plan};
use consensus::FastQuorum;
use consensus::mutation::{Mutation, plant};
use simulator::{Config, run};

/// Seeds after which an attack that does no harm is taken for one that cannot.
const SEEDS: u64 = 160;

fn led_by(behaviour: &Behaviour, fast: FastQuorum, seed: u64) -> Config {
    Config {
        seed,
        fast,
        byzantine: vec![(0, Plan::of(behaviour.clone()))],
        heal_at: Duration::from_millis(500),
        restart_all: false,
        ..Config::default()
    }
}

/// The first objection that some seed leads to.
fn harm(broken: Option<Mutation>, behaviour: &Behaviour, fast: FastQuorum) -> Option<String> {
    let _broken = plant(broken);
    (1..=SEEDS).find_map(|seed| {
        let violations = run(&led_by(behaviour, fast, seed)).violations;
        violations.into_iter().next()
    })
}

/// Each of the rules is all that stands between the attack and harm.
fn needs(rules: &[Mutation], behaviour: &Behaviour, fast: FastQuorum) {
    assert_eq!(harm(None, behaviour, fast), None, "{behaviour:?}");
    for rule in rules {
        let found = harm(Some(*rule), behaviour, fast);
        let found = found.unwrap_or_else(|| panic!("{behaviour:?} is harmless without {rule:?}"));
        let serious = ["agreement", "halt", "state", "results", "liveness"];
        let kind = found.split(':').next().unwrap_or_default();
        assert!(serious.contains(&kind), "{rule:?}: {found}");
    }
}

#[test]
fn quorums_one_smaller_are_split_by_an_equivocating_primary() {
    let halves = Behaviour::Equivocate(Equivocate::default());
    let fast = [Mutation::FastQuorumOneSmaller, Mutation::KeepBaseThreshold];
    needs(&fast, &halves, FastQuorum::Strong);
    needs(&[Mutation::SlowQuorumOneSmaller], &halves, FastQuorum::Off);
}

#[test]
fn a_view_change_by_other_rules_forgets_what_one_replica_decided_fast() {
    let hidden = Behaviour::EquivocateFast(EquivocateFast::default());
    let rules = [
        Mutation::IgnoreVotes,
        Mutation::BreakTies,
        Mutation::ThresholdF,
        Mutation::VoteAfterViewChange,
        Mutation::ReportFirstVote,
    ];
    needs(&rules, &hidden, FastQuorum::Strong);
}
