//! What the model of whole replicas is asked, and how much of it at a time.
//!
//! `cargo test -p hunt modelling` stays within a minute. With `FULL=1` there is no bound but the
//! model's own, which takes hours: `FULL=1 cargo test --release -p hunt modelling -- --nocapture`.

use consensus::FastQuorum;
use consensus::mutation::Mutation;
use stateright::{Checker, HasDiscoveries, Model, UniformChooser};

use crate::cast::Size;
use crate::rounds::{Rounds, Witness};
use Witness::{Again, Crashed, Excluded, Fast, Gap, Slow};

const FOUR: Size = (4, 1, FastQuorum::Strong);
const FIVE: Size = (5, 1, FastQuorum::Strong);
/// q_F = 5 and q = 4: there are certificates that are no decisions, and COMMITs.
const CONSERVATIVE: Size = (5, 1, FastQuorum::Conservative);
/// No fast path.
const CLASSIC: Size = (5, 1, FastQuorum::Off);

/// States of a model that is too large to be gone through in an ordinary run.
const STATES: usize = 20_000;

fn full() -> bool {
    std::env::var_os("FULL").is_some()
}

fn judge(checker: &impl Checker<Rounds>, title: &str) {
    println!(
        "{title}: {} states, depth {}",
        checker.unique_state_count(),
        checker.max_depth()
    );
    for path in checker.discoveries().into_values() {
        if let Err(why) = path.last_state().stage.ledger.verdict() {
            panic!("{title}: {why}\n{:#?}", path.into_actions());
        }
    }
    checker.assert_properties();
}

/// Goes through all of a model.
fn all_of(model: Rounds, title: &str) {
    judge(&model.checker().spawn_dfs().join(), title);
}

/// Goes through all of it if there is time, and else through courses of things drawn at random.
fn some_of(model: Rounds, title: &str) {
    if full() {
        let checker = model.checker().threads(2).spawn_dfs().join();
        return judge(&checker, title);
    }
    let checker = model.checker().target_state_count(STATES);
    judge(&checker.spawn_simulation(1, UniformChooser).join(), title);
}

#[test]
fn two_views_of_one_slot_are_safe_whoever_lies() {
    // The primaries of the views, and one who never is.
    for traitor in [0, 1, 2] {
        let sees: &[Witness] = match traitor {
            0 => &[Fast, Again, Crashed, Excluded],
            _ => &[Fast, Again, Crashed],
        };
        for (name, size) in [("n = 4", FOUR), ("n = 5", FIVE)] {
            let model = Rounds::new(size, traitor, 2, 1).seeing(sees);
            all_of(model, &format!("{name}, r{traitor} lies, 2 views, 1 slot"));
        }
    }
}

#[test]
fn two_views_with_commits_are_safe_whoever_lies() {
    for traitor in [0, 1, 2] {
        let model = Rounds::new(CONSERVATIVE, traitor, 2, 1).seeing(&[Slow, Again, Crashed]);
        let title = format!("n = 5, q_F = 5, r{traitor} lies, 2 views, 1 slot");
        if traitor == 2 || full() {
            all_of(model, &title);
        } else {
            some_of(model, &title);
        }
    }
}

#[test]
fn two_views_of_two_slots_are_safe_whoever_lies() {
    for traitor in [0, 1, 2] {
        let sees: &[Witness] = match traitor {
            0 => &[Fast, Again, Gap],
            _ => &[Fast, Again],
        };
        let model = Rounds::new(FOUR, traitor, 2, 2).seeing(sees);
        some_of(model, &format!("n = 4, r{traitor} lies, 2 views, 2 slots"));
    }
}

#[test]
fn three_views_are_safe_whoever_lies() {
    for traitor in [0, 1, 2, 3] {
        for (name, size, slots) in [
            ("n = 4", FOUR, 1),
            ("n = 5", FIVE, 1),
            ("n = 5, q_F = 5", CONSERVATIVE, 2),
            ("n = 5, no fast path", CLASSIC, 1),
        ] {
            let sees: &[Witness] = if size == CLASSIC { &[Slow] } else { &[Fast] };
            let model = Rounds::new(size, traitor, 3, slots).seeing(sees);
            some_of(
                model,
                &format!("{name}, r{traitor} lies, 3 views, {slots} slots"),
            );
        }
    }
}

/// Broken rules that the model notices within seconds, and the traitor that shows them.
pub(crate) const NOTICED: [(Mutation, Size, u16); 7] = [
    (Mutation::SlowQuorumOneSmaller, FOUR, 0),
    (Mutation::ViewChangeQuorumOneSmaller, FOUR, 0),
    (Mutation::IgnoreVotes, FOUR, 0),
    (Mutation::BreakTies, FIVE, 0),
    (Mutation::ForgetVotesAtRestart, FOUR, 0),
    (Mutation::DropPrepared, CONSERVATIVE, 0),
    (Mutation::VoteTwice, FOUR, 0),
];

/// The model is a catcher, too: a checker that finds nothing in broken rules would be worth nothing.
#[test]
fn the_model_notices_broken_rules() {
    for (mutation, size, traitor) in NOTICED {
        let checker = Rounds::new(size, traitor, 2, 1)
            .broken(mutation)
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_dfs()
            .join();
        println!("{mutation:?}: {} states", checker.state_count());
        assert!(!checker.discoveries().is_empty(), "{mutation:?}");
    }
}
