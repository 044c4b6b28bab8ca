//! R10.7: how long a view is waited for.

use consensus::pbft::certificate::Phase;
use consensus::pbft::message::{Decision, Mode, Wire};
use consensus::{Event, Timer, View};

use crate::fixture::{Fixture, ms};
use crate::net::{Net, long};
use crate::node::Node;
use crate::signing_views::status_in;

/// The duration in `set <timer> <duration>`.
fn set(lines: &[String], timer: Timer) -> Option<String> {
    let prefix = format!("set {timer:?} ");
    let mut found = lines.iter().filter_map(|line| line.strip_prefix(&prefix));
    found.next().map(str::to_owned)
}

/// Replica 2 leaves for `view` with three others; its primary stays, or it would resign.
fn all_leave(fixture: &Fixture, node: &mut Node, view: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let stays = node.core.primary().0;
    for replica in (0..5).filter(|id| ![2, stays].contains(id)).take(3) {
        lines.extend(node.receive(replica, &fixture.leaves(replica, view)));
    }
    assert_eq!(
        (node.core.view(), node.core.mode()),
        (View(view), Mode::ViewChange)
    );
    lines
}

#[test]
fn each_view_that_does_not_open_doubles_the_wait_for_the_next_up_to_a_minute() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let waits: Vec<String> = [1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14]
        .map(|view| set(&all_leave(&fixture, &mut node, view), Timer::NewView).unwrap())
        .into();
    assert_eq!(
        waits,
        [
            "1s", "2s", "4s", "8s", "16s", "32s", "60s", "60s", "60s", "60s", "60s"
        ]
    );
}

#[test]
fn the_new_view_timer_starts_with_the_n_minus_f_th_report_of_the_view_or_a_later_one() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.receive(0, &fixture.leaves(0, 2));
    let lines = node.receive(3, &fixture.leaves(3, 1));
    // Itself, replica 3, and replica 0, which is a view ahead: three.
    assert_eq!(node.core.view(), View(1));
    assert_eq!(set(&lines, Timer::NewView), None);
    let lines = node.receive(4, &fixture.leaves(4, 1));
    assert_eq!(set(&lines, Timer::NewView).as_deref(), Some("1s"));
    // It runs: further reports do not begin it anew.
    let lines = node.receive(1, &fixture.leaves(1, 1));
    assert_eq!(set(&lines, Timer::NewView), None);
}

#[test]
fn request_and_heartbeat_timers_double_with_failed_views_as_well() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.request([fixture.request(0, 1)]);
    all_leave(&fixture, &mut node, 1);
    let lines = node.receive(1, &fixture.opens_empty(1));
    assert_eq!(set(&lines, Timer::Heartbeat).as_deref(), Some("500ms"));
    assert_eq!(
        set(&lines, Timer::Request).as_deref(),
        Some("500ms"),
        "half of it"
    );
}

#[test]
fn a_view_that_was_entered_without_leaving_one_doubles_nothing() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let lines = node.receive(1, &fixture.opens_empty(1));
    assert_eq!(set(&lines, Timer::Heartbeat).as_deref(), Some("250ms"));
}

#[test]
fn how_long_a_primary_pauses_says_nothing_of_the_next_one() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.wait(ms(200));
    node.receive(0, &status_in(0, Mode::Normal));
    let lines = node.fire(Timer::Heartbeat);
    assert_eq!(set(&lines, Timer::Heartbeat).as_deref(), Some("400ms"));
    let lines = node.receive(1, &fixture.opens_empty(1));
    assert_eq!(set(&lines, Timer::Heartbeat).as_deref(), Some("250ms"));
}

#[test]
fn an_opening_cancels_the_timer_of_its_view() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    all_leave(&fixture, &mut node, 1);
    let lines = node.receive(1, &fixture.opens_empty(1));
    assert!(lines.contains(&"cancel NewView".to_owned()), "{lines:?}");
    // It may have fired all the same.
    assert!(node.fire(Timer::NewView).is_empty());
    assert_eq!(node.core.view(), View(1));
}

#[test]
fn every_k_slots_executed_in_one_view_make_the_next_wait_shorter_again() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    for view in [1, 3] {
        all_leave(&fixture, &mut node, view);
    }
    node.receive(3, &fixture.opens_empty(3));
    let wait_after = |node: &mut Node, slots: std::ops::RangeInclusive<u64>| {
        for seq in slots {
            let batch = fixture.proposal(seq).batch;
            let header = fixture.header(3, seq, batch.digest());
            node.receive(3, &Wire::PrePrepare(header, Some(batch.to_raw())));
            for voter in [0, 1, 3, 4] {
                node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &header)));
            }
        }
        let lines = node.fire(Timer::Heartbeat);
        set(&lines, Timer::Heartbeat).unwrap()
    };
    assert_eq!(wait_after(&mut node, 1..=3), "1s", "two views have failed");
    assert_eq!(wait_after(&mut node, 4..=4), "500ms", "K = 4");
    assert_eq!(wait_after(&mut node, 5..=7), "500ms");
    assert_eq!(wait_after(&mut node, 8..=8), "250ms");
}

#[test]
fn slots_of_different_views_do_not_add_up_to_k() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let executes = |node: &mut Node, seq: u64| {
        let proposal = fixture.proposal(seq);
        let certificate = fixture.certificate(Phase::Prepare, &[0, 1, 3, 4], &proposal.header);
        let batch = Some(proposal.batch.to_raw());
        let decision = Wire::Decision(Decision { certificate, batch });
        let lines = node.receive(3, &decision);
        assert!(lines[1].starts_with("execute"), "{lines:?}");
    };
    all_leave(&fixture, &mut node, 1);
    for seq in 1..=3 {
        executes(&mut node, seq);
    }
    // A fourth slot after the next change of views is the first since.
    let lines = all_leave(&fixture, &mut node, 3);
    assert_eq!(set(&lines, Timer::NewView).as_deref(), Some("2s"));
    executes(&mut node, 4);
    let lines = all_leave(&fixture, &mut node, 4);
    assert_eq!(set(&lines, Timer::NewView).as_deref(), Some("4s"));
}

#[test]
fn status_is_sent_while_the_view_changes_too_and_says_so() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    all_leave(&fixture, &mut node, 1);
    node.sent.clear();
    let lines = node.fire(Timer::Status);
    assert_eq!(lines.last().unwrap(), "set Status 50ms");
    let Some(Wire::Status(status)) = node.sent.first() else {
        panic!("{:?}", node.sent);
    };
    assert_eq!((status.view, status.mode), (View(1), Mode::ViewChange));
}

#[test]
fn the_opening_is_sent_again_further_and_further_apart() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.receive(1, &fixture.opens_empty(1));
    node.sent.clear();
    let mut sent_at = Vec::new();
    for at in (0..3200).step_by(50) {
        let before = node.sent.len();
        node.receive(4, &status_in(0, Mode::Normal));
        if node.sent[before..]
            .iter()
            .any(|wire| wire.name() == "new-view")
        {
            sent_at.push(at);
        }
        node.wait(ms(50));
    }
    assert_eq!(sent_at, [100, 300, 700, 1500, 3100]);
}

#[test]
fn a_replica_that_missed_several_view_changes_is_brought_up_to_date_by_status() {
    for missed in 1..=5u64 {
        let fixture = Fixture::strong();
        let mut net = Net::new(&fixture, &[]);
        net.settle();
        net.loses = Box::new(|from, to, _| from == 4 || to == 4);
        while net.core(0).view() < View(missed) {
            let primary = net.core(0).primary().0;
            // Replica 4 does not open its view: the others wait for it in vain.
            if primary != 4 {
                net.restart(primary);
            }
            net.run(long() * 10);
        }
        assert!(net.core(4).view() <= View(1), "it is alone");
        net.loses = Box::new(|_, _, _| false);
        net.run(long());
        assert_eq!(net.core(4).view(), net.core(0).view());
        assert_eq!(net.core(4).mode(), Mode::Normal);
        net.request(4, fixture.request(0, 1));
        net.run(long());
        for id in 0..5 {
            assert!(net.executed(id, 1), "r{id} after {missed} view changes");
        }
    }
}

#[test]
fn a_started_replica_watches_its_primary() {
    let fixture = Fixture::strong();
    let lines = fixture.node(2).step(Event::Started);
    assert_eq!(set(&lines, Timer::Heartbeat).as_deref(), Some("250ms"));
}
