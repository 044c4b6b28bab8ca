//! Oracles that the world itself keeps, each shown what it is there for.

use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::report::Trigger;
use consensus::{Action, Protocol, ReplicaId, Report, SeqNo, View};

use super::*;

type Doing = Action<Wire, <Pbft as Protocol>::Record>;

/// The first words of what is objected to when replica 1 does this.
fn objections(config: &Config, action: Doing) -> Vec<String> {
    let mut world = World::new(config, None);
    world.start();
    world.act(1, action);
    let first = |text: &String| text.split(':').next().unwrap_or_default().to_owned();
    world.ledger.violations.iter().map(first).collect()
}

fn twins() -> Config {
    Config {
        faults: crate::Faults {
            twins: 1,
            ..crate::Faults::none()
        },
        ..Config::default()
    }
}

#[test]
fn a_correct_replica_that_halts_is_found() {
    let halt = Action::Halt("a planted diagnosis".to_owned());
    assert_eq!(objections(&Config::default(), halt), ["halt"]);
}

#[test]
fn blame_of_a_correct_replica_is_found_and_blame_of_a_twin_is_right() {
    let accuse = |culprit| {
        Action::Report(Report::Equivocation {
            culprit: ReplicaId(culprit),
            seq: SeqNo(1),
        })
    };
    assert_eq!(objections(&Config::default(), accuse(2)), ["blame"]);
    let config = twins();
    let world = World::new(&config, None);
    let twin = world.nodes.iter().position(|node| node.twin);
    let twin = u16::try_from(twin.expect("one runs twice")).expect("few replicas");
    assert_eq!(objections(&config, accuse(twin)), Vec::<String>::new());
}

/// Replica `member` is Byzantine, and does nothing.
fn byzantine(member: u16) -> Config {
    Config {
        byzantine: vec![(member, byzantine::Plan::default())],
        ..Config::default()
    }
}

#[test]
fn only_a_byzantine_member_may_be_blamed_or_left_for_what_it_proposed() {
    let accuse = |culprit| {
        Action::Report(Report::Equivocation {
            culprit: ReplicaId(culprit),
            seq: SeqNo(1),
        })
    };
    assert_eq!(objections(&byzantine(2), accuse(2)), Vec::<String>::new());
    assert_eq!(objections(&byzantine(3), accuse(2)), ["blame"]);
    let leave = || {
        let (to, why) = (View(1), Trigger::BadProposal);
        Action::Report(Report::LeftView { to, why })
    };
    assert_eq!(objections(&byzantine(0), leave()), Vec::<String>::new());
    assert_eq!(objections(&byzantine(3), leave()), ["blame"]);
}

#[test]
fn a_byzantine_member_that_halts_is_nobody_elses_concern() {
    let halt = Action::Halt("a planted diagnosis".to_owned());
    assert_eq!(objections(&byzantine(1), halt), Vec::<String>::new());
}

#[test]
fn leaving_a_view_for_what_no_correct_primary_does_is_found() {
    let leave = |why| Action::Report(Report::LeftView { to: View(1), why });
    assert_eq!(
        objections(&Config::default(), leave(Trigger::BadProposal)),
        ["blame"]
    );
    assert_eq!(
        objections(&Config::default(), leave(Trigger::Silence)),
        Vec::<String>::new()
    );
}

#[test]
fn a_panic_of_the_code_under_test_is_a_violation() {
    let config = Config {
        // Impossible draws: the random source is asked for a number from an empty range.
        sync: Duration::from_millis(2)..Duration::from_millis(1),
        ..Config::default()
    };
    let first = run(&config)
        .violations
        .into_iter()
        .next()
        .unwrap_or_default();
    assert!(first.starts_with("panic: "), "{first}");
}
