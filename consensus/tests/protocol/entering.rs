//! R10.6: what a replica does with a valid NEW-VIEW.

use consensus::batch::null_digest;
use consensus::pbft::certificate::Phase;
use consensus::pbft::message::{Mode, SlotRecord, Wire};
use consensus::{Event, Policy, SeqNo, Timer, View};
use crypto::Digest;

use crate::fixture::{Fixture, ms, state_at};
use crate::signing_views::{sent_report, status_in, voted};

const NOTHING: [&str; 0] = [];

/// View 1 opens: replicas 0, 1, 3 and 4 report the same of every slot.
fn opens(fixture: &Fixture, records: &[SlotRecord], first: u64, digests: &[Digest]) -> Wire {
    let report = |replica| fixture.report(replica, 1, records.to_vec());
    let new_view = fixture.new_view(&[0, 1, 3, 4].map(report), Vec::new(), first, digests);
    Wire::NewView(fixture.sign_new_view(&new_view))
}

/// The same above a stable checkpoint at 4.
fn opens_above_4(fixture: &Fixture, records: &[SlotRecord], digests: &[Digest]) -> Wire {
    let stable = fixture.stable(&[0, 1, 3, 4], 4, state_at(4));
    let report = |replica| fixture.report_above(stable.clone(), (replica, 1), records.to_vec());
    let new_view = fixture.new_view(&[0, 1, 3, 4].map(report), Vec::new(), 5, digests);
    Wire::NewView(fixture.sign_new_view(&new_view))
}

/// View 1 opens with what was proposed in slot 1.
fn opens_with_slot_1(fixture: &Fixture) -> Wire {
    let proposal = fixture.proposal(1);
    let records = [voted(&proposal.header)];
    opens(fixture, &records, 1, &[proposal.batch.digest()])
}

/// The lines of a view that opens without pending requests, but for its votes.
fn entered(votes: &[&str]) -> Vec<String> {
    let mut lines = vec![
        "persist view v1 Normal",
        "entered v1",
        "cancel NewView",
        "cancel Retransmit",
        "cancel Fast",
    ];
    lines.extend(votes);
    lines.push("set Heartbeat 250ms");
    lines.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_view_is_durable_before_the_first_vote_in_it_leaves() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.receive(0, &fixture.proposal(1).wire());
    let lines = node.receive(1, &opens_with_slot_1(&fixture));
    let votes = ["persist vote s1", "send PREPARE s1 to all once durable"];
    assert_eq!(lines, entered(&votes));
}

#[test]
fn a_slot_is_voted_for_again_where_it_is_decided_and_executed_but_executes_once() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    crate::voting::decide(&fixture, &mut node, 1..=1);
    let mut lines = node.receive(1, &opens_with_slot_1(&fixture));
    let votes = ["persist vote s1", "send PREPARE s1 to all once durable"];
    assert_eq!(lines, entered(&votes));
    let header = fixture.header(1, 1, fixture.proposal(1).batch.digest());
    lines = node.persisted();
    for voter in [0, 1, 3, 4] {
        lines.extend(node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &header))));
    }
    assert_eq!(lines, NOTHING);
}

#[test]
fn a_gap_is_voted_for_without_a_body_and_executes_as_nothing() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let proposal = fixture.proposal(2);
    node.receive(0, &proposal.wire());
    let digests = [null_digest(), proposal.batch.digest()];
    let records = [voted(&proposal.header)];
    node.receive(1, &opens(&fixture, &records, 1, &digests));
    let mut lines = node.persisted();
    for (seq, digest) in (1..).zip(digests) {
        let header = fixture.header(1, seq, digest);
        for voter in [0, 1, 3] {
            lines.extend(node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &header))));
        }
    }
    assert_eq!(
        lines,
        [
            "decided s1 fast",
            "execute s1 (0)",
            "decided s2 fast",
            "execute s2 (1)",
        ]
    );
}

#[test]
fn a_body_that_is_missing_is_fetched_from_a_voter_and_then_from_everybody() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    assert_eq!(node.receive(1, &opens_with_slot_1(&fixture)), entered(&[]));
    let fetches = |lines: Vec<String>| -> Vec<String> {
        let fetch = |line: &String| line.contains("FETCH-BATCH");
        lines.into_iter().filter(fetch).collect()
    };
    // Nobody's vote is here: the primary of the view is asked.
    let asked = fetches(node.status_after_waiting());
    assert_eq!(asked, ["send FETCH-BATCH s1 to r1"]);
    let header = fixture.header(1, 1, fixture.proposal(1).batch.digest());
    node.receive(4, &Wire::Prepare(fixture.prepare(4, &header)));
    // The primary did not answer: it may be the one that hides the batch.
    node.wait(ms(2000));
    let asked = fetches(node.fire(Timer::Status));
    assert_eq!(asked, ["send FETCH-BATCH s1 to all"]);
    let lines = node.receive(3, &Wire::Batch(fixture.proposal(1).batch.to_raw()));
    assert_eq!(
        lines,
        ["persist vote s1", "send PREPARE s1 to all once durable"]
    );
}

#[test]
fn a_voter_is_asked_for_a_missing_body_first() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let header = fixture.header(1, 1, fixture.proposal(1).batch.digest());
    node.receive(4, &Wire::Prepare(fixture.prepare(4, &header)));
    node.receive(1, &opens_with_slot_1(&fixture));
    let lines = node.status_after_waiting();
    assert!(
        lines.contains(&"send FETCH-BATCH s1 to r4".to_owned()),
        "{lines:?}"
    );
}

/// A peer that is a view ahead answers with the proposal of its own view.
#[test]
fn a_fetched_body_is_taken_whatever_view_it_comes_with() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let proposal = fixture.proposal(1);
    for voter in [0, 1, 3, 4] {
        node.receive(
            voter,
            &Wire::Prepare(fixture.prepare(voter, &proposal.header)),
        );
    }
    assert_eq!(node.core.last_executed(), SeqNo(0), "there is no body");
    let ahead = fixture.header(3, 1, proposal.batch.digest());
    let answer = Wire::PrePrepare(ahead, Some(proposal.batch.to_raw()));
    assert_eq!(node.receive(4, &answer), ["execute s1 (1)"]);
}

#[test]
fn a_base_that_this_replica_has_the_state_of_becomes_its_low_watermark() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    crate::voting::decide(&fixture, &mut node, 1..=4);
    node.state_saved(4, state_at(4));
    let proposal = fixture.proposal(5);
    node.receive(0, &proposal.wire());
    let records = [voted(&proposal.header)];
    let lines = node.receive(
        1,
        &opens_above_4(&fixture, &records, &[proposal.batch.digest()]),
    );
    for line in ["stable s4", "persist stable s4", "persist vote s5"] {
        assert!(lines.contains(&line.to_owned()), "{line} in {lines:?}");
    }
    assert_eq!(node.core.stable(), SeqNo(4));
}

#[test]
fn below_a_base_that_is_not_here_yet_nothing_is_voted_for_and_above_it_everything_in_reach() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let proposal = fixture.proposal(5);
    node.receive(0, &proposal.wire());
    let records = [voted(&proposal.header)];
    let opening = opens_above_4(&fixture, &records, &[proposal.batch.digest()]);
    let votes = ["persist vote s5", "send PREPARE s5 to all once durable"];
    assert_eq!(node.receive(1, &opening), entered(&votes));
    assert_eq!(node.core.stable(), SeqNo(0));
    // Slot 3 is settled by the base, whatever the primary says of it.
    let batch = fixture.proposal(3).batch;
    let late = Wire::PrePrepare(fixture.header(1, 3, batch.digest()), Some(batch.to_raw()));
    assert_eq!(node.receive(1, &late), NOTHING);
    // The next report starts where this replica stands.
    node.wait(ms(250));
    node.fire(Timer::Heartbeat);
    let (_, report) = sent_report(&node);
    assert_eq!((report.stable, report.records.len()), (None, 1));
}

#[test]
fn an_opening_with_an_older_base_says_nothing_of_what_is_stable_here() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    crate::voting::decide(&fixture, &mut node, 1..=5);
    node.state_saved(4, state_at(4));
    let stable = fixture.stable(&[0, 1, 3, 4], 4, state_at(4));
    node.receive(3, &Wire::Stable(stable));
    let proposals = [1, 2, 3, 4, 5].map(|seq| fixture.proposal(seq));
    let records = proposals.each_ref().map(|one| voted(&one.header));
    let digests = proposals.each_ref().map(|one| one.batch.digest());
    let lines = node.receive(1, &opens(&fixture, &records, 1, &digests));
    let votes = ["persist vote s5", "send PREPARE s5 to all once durable"];
    assert_eq!(lines, entered(&votes));
}

#[test]
fn slots_above_o_are_free_and_those_of_o_are_not() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.receive(0, &fixture.proposal(1).wire());
    node.receive(1, &opens_with_slot_1(&fixture));
    let propose = |seq: u64, batch: &consensus::Batch| {
        Wire::PrePrepare(fixture.header(1, seq, batch.digest()), Some(batch.to_raw()))
    };
    let lines = node.receive(1, &propose(2, &fixture.proposal(2).batch));
    assert_eq!(lines[0], "persist vote s2");
    // The primary signed O: anything else for one of its slots is a second header.
    let lines = node.receive(1, &propose(1, &fixture.other_proposal(1).batch));
    assert_eq!(lines[0], "equivocation r1 s1");
}

#[test]
fn an_opening_that_loses_a_decision_of_an_older_view_halts_the_replica() {
    let fixture = Fixture::strong();
    let other = fixture.other_proposal(1);
    let lost: [(&str, Vec<SlotRecord>, Vec<Digest>); 2] = [
        ("left out", Vec::new(), Vec::new()),
        (
            "replaced",
            vec![voted(&other.header)],
            vec![other.batch.digest()],
        ),
    ];
    for (how, records, digests) in lost {
        let mut node = fixture.node(2);
        crate::voting::decide(&fixture, &mut node, 1..=1);
        let lines = node.receive(1, &opens(&fixture, &records, 1, &digests));
        assert_eq!(
            lines,
            ["halt: the new view 1 loses the decision of slot 1"],
            "{how}"
        );
    }
}

#[test]
fn a_decision_of_the_view_itself_may_come_before_its_opening_and_differ_from_it() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    // Slot 2 is free in this view, slot 1 holds something else in another valid opening.
    for seq in [1, 2] {
        let header = fixture.header(1, seq, fixture.other_proposal(seq).batch.digest());
        let certificate = fixture.certificate(Phase::Prepare, &[0, 1, 3, 4], &header);
        let batch = Some(fixture.other_proposal(seq).batch.to_raw());
        let decision = consensus::pbft::message::Decision { certificate, batch };
        node.receive(3, &Wire::Decision(decision));
    }
    assert_eq!(node.core.last_executed(), SeqNo(0));
    node.executed(2);
    let lines = node.receive(1, &opens_with_slot_1(&fixture));
    assert_eq!(lines, entered(&[]));
}

#[test]
fn a_decision_below_the_base_is_no_concern_of_the_opening() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    crate::voting::decide(&fixture, &mut node, 1..=3);
    assert_eq!(
        node.receive(1, &opens_above_4(&fixture, &[], &[])),
        entered(&[])
    );
}

#[test]
fn a_new_primary_goes_on_behind_o_and_its_first_proposals_wait_for_the_view_to_be_durable() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    node.receive(0, &fixture.proposal(3).wire());
    node.request([fixture.request(0, 3)]);
    let vote = voted(&fixture.proposal(3).header);
    for replica in [2, 3, 4] {
        let report = fixture.report(replica, 1, vec![vote.clone()]);
        node.receive(replica, &Wire::ViewChange(fixture.sign_report(&report)));
    }
    assert_eq!(
        (node.core.view(), node.core.mode()),
        (View(1), Mode::Normal)
    );
    // The request in O is in flight; another one is proposed behind it.
    node.wait(ms(10));
    let proposed = |lines: Vec<String>| -> Vec<String> {
        let of = |line: &String| line.contains("PRE-PREPARE") || line.starts_with("proposed");
        lines.into_iter().filter(of).collect()
    };
    node.request([fixture.request(1, 1)]);
    node.wait(ms(10));
    assert_eq!(
        proposed(node.fire(Timer::Batch)),
        ["proposed s4 (1)", "send PRE-PREPARE s4 to all once durable"]
    );
    node.persisted();
    node.request([fixture.request(1, 2)]);
    node.wait(ms(10));
    assert_eq!(
        proposed(node.fire(Timer::Batch)),
        ["proposed s5 (1)", "send PRE-PREPARE s5 to all"]
    );
}

#[test]
fn everything_pending_is_passed_on_to_the_new_primary() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.request([fixture.request(0, 1), fixture.request(1, 1)]);
    node.sent.clear();
    let lines = node.receive(1, &fixture.opens_empty(1));
    assert!(
        lines.contains(&"send FORWARD to r1".to_owned()),
        "{lines:?}"
    );
    let forwarded = node.sent.iter().find_map(|wire| match wire {
        Wire::Forward(requests) => Some(requests.len()),
        _ => None,
    });
    assert_eq!(forwarded, Some(2));
    // Once is enough, however long it has them.
    node.wait(Policy::default().request_timeout / 8);
    let lines = node.fire(Timer::Status);
    assert!(
        !lines.contains(&"send FORWARD to r1".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn what_an_old_primary_had_in_flight_and_o_does_not_hold_is_proposed_again() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(0);
    node.request([fixture.request(0, 1)]);
    // The others never heard of it. Views 1 to 4 come and go, then it is its turn again.
    node.receive(1, &fixture.opens_empty(1));
    for replica in [2, 3, 4] {
        node.receive(replica, &fixture.leaves(replica, 5));
    }
    assert_eq!(
        (node.core.view(), node.core.mode()),
        (View(5), Mode::Normal)
    );
    let proposed = node.sent.iter().rev().find_map(|wire| match wire {
        Wire::PrePrepare(header, _) => Some(header.statement),
        _ => None,
    });
    let digest = fixture.proposal(1).batch.digest();
    let expected = crate::fixture::statement(5, 1, digest);
    assert_eq!(proposed, Some(expected));
}

#[test]
fn whoever_is_behind_gets_the_opening_from_anybody_who_has_it() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let opening = opens_with_slot_1(&fixture);
    node.receive(1, &opening);
    for (view, mode, lacks) in [
        (0, Mode::Normal, true),
        (1, Mode::ViewChange, true),
        (1, Mode::Normal, false),
        (2, Mode::ViewChange, false),
    ] {
        node.sent.clear();
        node.hear_stuck(4, &status_in(view, mode));
        let sent = node.sent.contains(&opening);
        assert_eq!(sent, lacks, "v{view} {mode:?}");
        node.receive(4, &status_in(9, Mode::Normal));
    }
    // Once it has left the view itself it does not lead others into it.
    node.step(Event::Started);
    node.receive(1, &fixture.leaves(1, 2));
    node.sent.clear();
    node.hear_stuck(4, &status_in(0, Mode::Normal));
    assert!(!node.sent.contains(&opening));
}
