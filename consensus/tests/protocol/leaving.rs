//! R10.1: what makes a replica give its view up, and what does not.

use consensus::pbft::message::{Mode, Wire};
use consensus::{Event, FastQuorum, Timer, View};

use crate::fixture::{Fixture, ms};
use crate::node::Node;
use crate::signing_views::status_in;

const NOTHING: [&str; 0] = [];

/// START_VC, as it looks from outside.
fn leaving(view: u64, why: &str) -> Vec<String> {
    vec![
        format!("leave for v{view}: {why}"),
        format!("persist view v{view} ViewChange"),
        "send VIEW-CHANGE to all once durable".to_owned(),
        "cancel NewView".to_owned(),
        "cancel Request".to_owned(),
        "cancel Heartbeat".to_owned(),
        "set Retransmit 100ms".to_owned(),
    ]
}

/// Replica 2 of five, which is the primary of neither view 0 nor view 1.
fn started(fixture: &Fixture) -> Node {
    let mut node = fixture.node(2);
    node.step(Event::Started);
    node
}

#[test]
fn a_request_is_passed_on_again_after_half_of_t_req_and_after_t_req_the_primary_is_given_up() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    let forwarded = ["send FORWARD to r0", "set Request 250ms"];
    node.request([fixture.request(0, 1)]);
    assert_eq!(node.fire(Timer::Request), forwarded);
    assert_eq!(node.fire(Timer::Request), leaving(1, "request-timeout"));
}

#[test]
fn when_the_oldest_request_executes_the_next_one_has_its_full_time() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    node.request([fixture.request(0, 1), fixture.request(1, 1)]);
    node.fire(Timer::Request);
    let lines = crate::voting::decide(&fixture, &mut node, 1..=1);
    assert_eq!(lines.last().unwrap(), "set Request 250ms", "{lines:?}");
    // That of client 1 is passed on a second time first.
    let lines = node.fire(Timer::Request);
    assert_eq!(lines, ["send FORWARD to r0", "set Request 250ms"]);
}

#[test]
fn without_a_pending_request_the_request_timer_is_off() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    node.request([fixture.request(0, 1)]);
    let lines = crate::voting::decide(&fixture, &mut node, 1..=1);
    assert_eq!(lines.last().unwrap(), "cancel Request", "{lines:?}");
    // It may have fired while the request was executed.
    assert_eq!(node.fire(Timer::Request), NOTHING);
}

#[test]
fn a_primary_that_cannot_get_a_request_ordered_gives_itself_up() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(0);
    node.request([fixture.request(0, 1)]);
    assert_eq!(node.fire(Timer::Request), ["set Request 250ms"]);
    assert_eq!(node.fire(Timer::Request), leaving(1, "request-timeout"));
}

#[test]
fn a_view_that_does_not_open_in_time_is_left_for_the_next() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    node.receive(3, &fixture.leaves(3, 1));
    node.receive(4, &fixture.leaves(4, 1));
    assert_eq!(node.core.mode(), Mode::ViewChange);
    let all_but_one = node.receive(0, &fixture.leaves(0, 1));
    assert_eq!(all_but_one, ["set NewView 1s"]);
    assert_eq!(node.fire(Timer::NewView), leaving(2, "new-view-timeout"));
}

#[test]
fn silence_is_measured_from_the_last_message_of_the_primary() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    node.wait(ms(100));
    node.receive(0, &status_in(0, Mode::Normal));
    node.wait(ms(100));
    // What others say does not speak for the primary.
    node.receive(1, &status_in(0, Mode::Normal));
    node.wait(ms(50));
    assert_eq!(node.fire(Timer::Heartbeat), ["set Heartbeat 100ms"]);
    node.wait(ms(100));
    assert_eq!(node.fire(Timer::Heartbeat), leaving(1, "silence"));
}

#[test]
fn a_primary_whose_messages_wait_for_verification_is_not_silent() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    let start = node.now;
    node.wait(ms(250));
    let arrived = |from, after| Event::Arrived {
        from: consensus::ReplicaId(from),
        at: start + ms(after),
    };
    node.step(arrived(0, 200));
    node.step(arrived(1, 250));
    // Heard of since, and verified before: what is older changes nothing.
    node.step(arrived(0, 100));
    assert_eq!(node.fire(Timer::Heartbeat), ["set Heartbeat 350ms"]);
    node.wait(ms(350));
    assert_eq!(node.fire(Timer::Heartbeat), leaving(1, "silence"));
}

#[test]
fn a_primary_that_pauses_at_times_may_pause_for_twice_as_long_but_not_for_t_req() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    node.wait(ms(200));
    node.receive(0, &status_in(0, Mode::Normal));
    node.wait(ms(50));
    assert_eq!(node.fire(Timer::Heartbeat), ["set Heartbeat 350ms"]);
    node.wait(ms(350));
    assert_eq!(node.fire(Timer::Heartbeat), leaving(1, "silence"));
    let mut node = started(&fixture);
    node.wait(ms(249));
    node.receive(0, &status_in(0, Mode::Normal));
    node.wait(ms(400));
    node.receive(0, &status_in(0, Mode::Normal));
    node.wait(ms(10));
    // T_req is 500 ms.
    assert_eq!(node.fire(Timer::Heartbeat), ["set Heartbeat 500ms"]);
}

#[test]
fn a_replica_that_was_held_up_itself_hears_what_is_in_its_queues_first() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    // A stopped process: the timer fires long after it was due.
    node.wait(ms(60_000));
    assert_eq!(node.fire(Timer::Heartbeat), ["set Heartbeat 250ms"]);
    node.wait(ms(250));
    assert_eq!(node.fire(Timer::Heartbeat), leaving(1, "silence"));
}

#[test]
fn time_in_which_a_replica_was_held_up_itself_is_no_silence_of_the_primary() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    // STATUS was due after 50 ms: 150 ms went to work of its own.
    node.wait(ms(200));
    node.fire(Timer::Status);
    node.wait(ms(50));
    assert_eq!(
        node.fire(Timer::Heartbeat),
        ["set Heartbeat 150ms"],
        "the primary was silent for 100 ms at most"
    );
    node.wait(ms(100));
    node.fire(Timer::Status);
    node.wait(ms(50));
    assert_eq!(node.fire(Timer::Heartbeat), ["set Heartbeat 100ms"]);
    // Both timers are late because of the same work; it counts once.
    node.wait(ms(160));
    node.fire(Timer::Status);
    assert_eq!(node.fire(Timer::Heartbeat), ["set Heartbeat 100ms"]);
    node.wait(ms(100));
    assert_eq!(node.fire(Timer::Heartbeat), leaving(1, "silence"));
}

#[test]
fn a_primary_does_not_wait_for_itself() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(0);
    let lines = node.step(Event::Started);
    assert!(lines.contains(&"cancel Heartbeat".to_owned()), "{lines:?}");
    node.wait(ms(60_000));
    assert_eq!(node.fire(Timer::Heartbeat), NOTHING);
}

#[test]
fn a_primary_that_leaves_is_followed_to_the_next_view_however_far_it_went() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    let lines = node.receive(0, &fixture.leaves(0, u64::MAX));
    assert_eq!(lines, leaving(1, "resignation"));
}

#[test]
fn a_backup_that_leaves_is_not_followed() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    for view in [1, 2, 77, u64::MAX] {
        assert_eq!(node.receive(3, &fixture.leaves(3, view)), NOTHING);
    }
    assert_eq!(node.core.view(), View(0));
}

#[test]
fn two_proposals_for_one_slot_end_the_view() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    node.receive(0, &fixture.proposal(1).wire());
    let lines = node.receive(3, &fixture.other_proposal(1).header_only());
    assert_eq!(lines[2..], leaving(1, "equivocation"));
}

#[test]
fn a_primary_that_is_proven_byzantine_is_given_up_whatever_the_proof_is_about() {
    let fixture = Fixture::strong();
    for seq in [1, 1 << 40] {
        let mut node = started(&fixture);
        let proof = Wire::Evidence(fixture.double_pre_prepare(5, seq));
        let lines = node.receive(3, &proof);
        assert_eq!(lines[2..], leaving(1, "equivocation"));
    }
}

#[test]
fn views_whose_primary_is_proven_byzantine_are_passed_over() {
    let fixture = Fixture::new(9, 2, FastQuorum::Strong);
    let mut node = fixture.node(8);
    node.step(Event::Started);
    for view in [1, 2] {
        node.receive(3, &Wire::Evidence(fixture.double_pre_prepare(view, 1)));
    }
    node.wait(ms(250));
    assert_eq!(node.fire(Timer::Heartbeat), leaving(3, "silence"));
}

#[test]
fn a_view_that_a_proven_replica_opens_is_left_at_once() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    node.receive(3, &Wire::Evidence(fixture.double_pre_prepare(1, 1)));
    let lines = node.receive(1, &fixture.opens_empty(1));
    assert!(lines.contains(&"entered v1".to_owned()), "{lines:?}");
    assert!(lines.ends_with(&leaving(2, "equivocation")), "{lines:?}");
}

#[test]
fn a_batch_that_nobody_may_vote_for_ends_the_view_but_only_its_own() {
    let fixture = Fixture::strong();
    let bad = fixture.proposal_of(1, vec![fixture.forged_request(0, 1)]);
    let mut node = started(&fixture);
    let lines = node.receive(0, &bad.wire());
    assert_eq!(lines[1..], leaving(1, "bad-proposal"));
    // Once more, from the view that was left.
    let lines = node.receive(0, &bad.wire());
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn f_replicas_move_nobody_and_f_plus_1_take_a_replica_to_the_view_that_all_of_them_reached() {
    let fixture = Fixture::new(9, 2, FastQuorum::Strong);
    let mut node = fixture.node(8);
    node.step(Event::Started);
    assert_eq!(node.receive(3, &fixture.leaves(3, u64::MAX)), NOTHING);
    assert_eq!(node.receive(4, &fixture.leaves(4, 3)), NOTHING);
    assert_eq!(node.receive(5, &fixture.leaves(5, 7)), leaving(3, "join"));
    // 6 and 7 and the largest number: all three have reached 6.
    assert_eq!(node.receive(6, &fixture.leaves(6, 6)), leaving(6, "join"));
    // The same ones again, and one that has been counted.
    assert_eq!(node.receive(4, &fixture.leaves(4, 3)), NOTHING);
    assert_eq!(node.receive(3, &fixture.leaves(3, u64::MAX)), NOTHING);
}

#[test]
fn one_replica_that_asks_for_many_views_counts_once() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    for view in 1..20 {
        assert_eq!(node.receive(4, &fixture.leaves(4, view)), NOTHING);
    }
    // Two have reached view 1, and no later one.
    assert_eq!(node.receive(3, &fixture.leaves(3, 1)), leaving(1, "join"));
}

#[test]
fn a_replica_goes_no_further_than_a_correct_one_whatever_f_replicas_ask_for() {
    let fixture = Fixture::strong();
    let mut node = started(&fixture);
    node.receive(4, &fixture.leaves(4, u64::MAX));
    for view in 1..6 {
        node.receive(3, &fixture.leaves(3, view));
        assert_eq!(node.core.view(), View(view));
    }
}
