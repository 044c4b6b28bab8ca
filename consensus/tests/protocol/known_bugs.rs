//! Bugs that other implementations of PBFT had, each with its test (the rows of the list of known
//! bugs that are about views, and that no test of a single rule shows).

use std::collections::BTreeSet;

use consensus::pbft::message::{Mode, Wire};
use consensus::{Event, FastQuorum, SeqNo, Timer, View};
use crypto::Digest;

use crate::fixture::{Fixture, ms, state_at};
use crate::net::{Net, long};
use crate::signing_views::voted;

/// The lines of a chart that say that a view is left.
fn departures(net: &Net<'_>) -> Vec<String> {
    let chart = net.chart();
    let left = chart.lines().filter(|line| line.contains(" leaves for "));
    left.map(str::to_owned).collect()
}

/// The primary moves its window before the backups do and proposes beyond theirs, which they drop:
/// view changes under load.
#[test]
fn a_full_window_with_one_replica_down_is_no_reason_to_change_the_view() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[4]);
    net.settle();
    for number in 1..=60 {
        net.request(0, fixture.request(0, number));
        net.request(0, fixture.request(1, number));
        net.run(ms(1));
    }
    net.run(long());
    assert_eq!(departures(&net), Vec::<String>::new());
    for id in 0..4 {
        assert_eq!(net.core(id).pending(), 0, "r{id}");
        assert!(
            net.core(id).last_executed() > SeqNo(16),
            "r{id} is past 2 L"
        );
    }
}

/// View mania: views that change while nothing happens, or for ever after a fault.
#[test]
fn views_stay_while_nothing_happens_and_after_a_change() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.settle();
    net.run(ms(20_000));
    assert_eq!(departures(&net), Vec::<String>::new());
    net.crash(0);
    net.run(ms(20_000));
    assert_eq!(departures(&net).len(), 4, "{:?}", departures(&net));
    net.start(0);
    net.run(ms(20_000));
    assert_eq!(departures(&net).len(), 4, "{:?}", departures(&net));
    assert!((0..5).all(|id| net.core(id).view() == View(1)));
}

/// What happens around a view change, in any order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Happens {
    Stable,
    Report(u16),
    Silence,
    Persisted,
}

/// A view change that is not started when a stable checkpoint arrives in between.
#[test]
fn stable_checkpoint_reports_and_timers_lead_into_the_view_in_any_order() {
    let fixture = Fixture::strong();
    let stable = fixture.stable(&[0, 2, 3, 4], 4, state_at(4));
    let header = fixture.proposal(5).header;
    let happenings = [
        Happens::Stable,
        Happens::Report(2),
        Happens::Report(3),
        Happens::Report(4),
        Happens::Silence,
        Happens::Persisted,
    ];
    for order in permutations(&happenings) {
        let mut node = fixture.node(1);
        crate::voting::decide(&fixture, &mut node, 1..=4);
        node.receive(0, &fixture.proposal(5).wire());
        node.state_saved(4, state_at(4));
        node.step(Event::Started);
        for happens in &order {
            match happens {
                Happens::Stable => node.receive(3, &Wire::Stable(stable.clone())),
                // Replica 3 has the checkpoint as well.
                Happens::Report(replica) => {
                    let records = vec![voted(&header)];
                    let report = if *replica == 3 {
                        fixture.report_above(stable.clone(), (3, 1), records)
                    } else {
                        fixture.report(*replica, 1, records)
                    };
                    node.receive(*replica, &Wire::ViewChange(fixture.sign_report(&report)))
                }
                Happens::Silence => {
                    node.wait(ms(250));
                    node.fire(Timer::Heartbeat)
                }
                Happens::Persisted => node.persisted(),
            };
        }
        // In some orders the primary of the view opens it and is then silent itself.
        assert_eq!(node.core.view(), View(1), "{order:?}");
        assert_eq!(node.core.mode(), Mode::Normal, "{order:?}");
        assert_eq!(node.core.stable(), SeqNo(4), "{order:?}");
        let voted_in_1 = node.sent.iter().any(|wire| {
            matches!(wire, Wire::Prepare(vote) if vote.statement.view == View(1)
                && vote.statement.seq == SeqNo(5))
        });
        assert!(voted_in_1, "{order:?}");
    }
}

fn permutations(all: &[Happens]) -> Vec<Vec<Happens>> {
    if all.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for first in all {
        let rest: Vec<Happens> = all.iter().filter(|one| *one != first).copied().collect();
        for mut order in permutations(&rest) {
            order.insert(0, *first);
            orders.push(order);
        }
    }
    orders
}

/// Stuck in a view change while decisions come in by catching up.
#[test]
fn a_replica_that_catches_up_with_decisions_of_a_view_enters_it() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.settle();
    net.loses = Box::new(|_, to, wire| to == 3 && ["new-view", "prepare"].contains(&wire.name()));
    net.restart(0);
    net.request(1, fixture.request(0, 1));
    // Not so long that T_vc takes it to the next view by itself.
    net.run(ms(400));
    assert!(net.executed(3, 1), "it got the decision");
    assert_eq!(net.core(3).mode(), Mode::ViewChange);
    net.loses = Box::new(|_, _, _| false);
    net.run(long());
    assert_eq!(
        (net.core(3).view(), net.core(3).mode()),
        (View(1), Mode::Normal)
    );
}

/// A view change while a slot waits for its COMMITs must not decide another batch.
#[test]
fn a_slot_that_was_prepared_when_its_view_was_left_keeps_its_batch() {
    for fast in [FastQuorum::Conservative, FastQuorum::Off] {
        let fixture = Fixture::new(5, 1, fast);
        let mut net = Net::new(&fixture, &[4]);
        net.settle();
        // One COMMIT gets through, to a replica that needs q of them.
        net.loses = Box::new(|from, _, wire| wire.name() == "commit" && from != 3);
        net.request(0, fixture.request(0, 1));
        net.run(ms(40));
        assert!(net.decided.is_empty());
        net.loses = Box::new(|_, _, _| false);
        net.restart(0);
        net.request(2, fixture.request(1, 1));
        net.run(long());
        let digests: BTreeSet<Digest> = (0..4).map(|id| net.decided[&(id, SeqNo(1))]).collect();
        assert_eq!(
            digests,
            BTreeSet::from([fixture.proposal(1).batch.digest()])
        );
        assert!((0..4).all(|id| net.executed(id, 2)));
    }
}

/// A silent primary with a request that only it knows of: nobody else can suspect it for that.
#[test]
fn a_request_that_a_client_sends_to_all_is_ordered_without_the_primary_that_ignores_it() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.settle();
    // It says STATUS and answers everything, but proposes nothing.
    net.loses = Box::new(|from, _, wire| from == 0 && wire.name() == "pre-prepare");
    net.request(0, fixture.request(0, 1));
    net.run(ms(100));
    for at in 1..5 {
        net.request(at, fixture.request(0, 1));
    }
    net.run(long());
    for id in 1..5 {
        assert!(net.executed(id, 1), "r{id}");
    }
    let why: BTreeSet<bool> = departures(&net)
        .iter()
        .map(|line| line.contains("request-timeout") || line.contains("resignation"))
        .collect();
    assert!(why.contains(&true), "{:?}", departures(&net));
}

/// Two replicas that wait for different views.
#[test]
fn replicas_that_gave_up_at_different_times_meet_in_one_view() {
    for alone in 1..5u16 {
        let fixture = Fixture::strong();
        let mut net = Net::new(&fixture, &[]);
        net.settle();
        // One hears nobody for a while, and goes to view 1 by itself.
        net.loses = Box::new(move |_, to, _| to == alone);
        net.run(ms(400));
        assert_eq!(net.core(alone).view(), View(1));
        net.loses = Box::new(|_, _, _| false);
        net.run(long());
        // The others did not care; but when the primary does crash they all meet.
        net.crash(0);
        net.request(1, fixture.request(0, 1));
        net.run(long() * 5);
        for id in 1..5 {
            assert!(net.executed(id, 1), "r{id} when r{alone} went ahead");
            assert_eq!(net.core(id).mode(), Mode::Normal, "r{id}");
        }
    }
}
