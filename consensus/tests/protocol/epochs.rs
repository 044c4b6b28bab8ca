//! R16: how an epoch ends, what is void behind its end, and how the next one begins.

use consensus::pbft::certificate::StableCertificate;
use consensus::pbft::message::{Mode, Status, Wire};
use consensus::{Epoch, SeqNo, Timer, View};

use crate::fixture::{Fixture, Proposal, ms, state_at};
use crate::node::Node;

pub(crate) const NOTHING: [&str; 0] = [];
/// K, and the end of an epoch that is closed by one of its first K slots.
pub(crate) const K: u64 = 4;
/// The slot that closes the epoch in these tests.
pub(crate) const RENEW_AT: u64 = 2;

/// What the primary proposes at `seq`; at [`RENEW_AT`] replica 4's RENEW.
pub(crate) fn proposal(fixture: &Fixture, seq: u64) -> Proposal {
    if seq == RENEW_AT {
        fixture.proposal_of(seq, vec![fixture.renew(4, 1, 9)])
    } else {
        fixture.proposal(seq)
    }
}

/// All of the votes for what the node has or gets.
pub(crate) fn carry(fixture: &Fixture, node: &mut Node, proposal: &Proposal) -> Vec<String> {
    let me = node.core.id().0;
    let mut lines = node.receive(0, &proposal.wire());
    for voter in (0..5).filter(|voter| *voter != me) {
        let vote = fixture.prepare(voter, &proposal.header);
        lines.extend(node.receive(voter, &Wire::Prepare(vote)));
    }
    lines
}

/// A replica that has executed the epoch's last slot, and the lines of that.
pub(crate) fn at_the_end(fixture: &Fixture, id: u16) -> Node {
    let mut node = fixture.node(id);
    for seq in 1..=K {
        carry(fixture, &mut node, &proposal(fixture, seq));
        node.executed(seq);
    }
    assert_eq!(node.core.configuration().closing(), Some(SeqNo(K)));
    node.state_saved(K, state_at(K));
    node
}

/// Its certificate, by which the epoch ends.
pub(crate) fn final_certificate(fixture: &Fixture) -> StableCertificate {
    fixture.stable(&[0, 2, 3, 4], K, state_at(K))
}

/// A replica that has just entered epoch 1.
pub(crate) fn in_epoch_1(fixture: &Fixture, id: u16) -> (Node, Vec<String>) {
    let mut node = at_the_end(fixture, id);
    let lines = node.receive(2, &Wire::Stable(final_certificate(fixture)));
    assert_eq!(node.core.epoch(), Epoch(1));
    (node, lines)
}

pub(crate) fn old_status(last_executed: u64) -> Wire {
    Wire::Status(Status {
        epoch: Epoch(0),
        view: View(0),
        mode: Mode::Normal,
        stable: SeqNo(0),
        last_executed: SeqNo(last_executed),
        undecided: vec![0xff].into(),
    })
}

#[test]
fn slots_above_the_boundary_are_void() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let early = carry(&fixture, &mut node, &proposal(&fixture, 5));
    assert!(early.contains(&"decided s5 fast".to_owned()), "{early:?}");
    for seq in 1..=K {
        let lines = carry(&fixture, &mut node, &proposal(&fixture, seq));
        let executes = |line: &&String| line.starts_with("execute");
        assert_eq!(lines.iter().filter(executes).count(), 1, "{lines:?}");
    }
    let decision = proposal(&fixture, 5);
    let lines = carry(&fixture, &mut node, &decision);
    assert_eq!(lines, NOTHING, "decided, and never executed");
}

#[test]
fn nothing_is_promised_above_the_boundary() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    for seq in 1..=RENEW_AT {
        carry(&fixture, &mut node, &proposal(&fixture, seq));
    }
    let inside = node.receive(0, &proposal(&fixture, K).wire());
    assert_eq!(inside[0], "persist vote s4");
    let behind = node.receive(0, &proposal(&fixture, K + 1).wire());
    assert_eq!(behind, NOTHING);
}

#[test]
fn the_next_epoch_is_recorded_and_begins_with_view_0_and_a_window_of_its_own() {
    let fixture = Fixture::strong();
    let (node, lines) = in_epoch_1(&fixture, 2);
    assert_eq!(
        lines,
        [
            "stable s4",
            "persist epoch e1",
            "persist view v0 Normal",
            "persist stable s4",
            "truncate s4",
            "cancel NewView",
            "cancel Retransmit",
            "cancel Fast",
            "cancel Request",
            "entered e1",
            "entered v0",
            "send STATUS to all",
            "set Heartbeat 250ms",
        ]
    );
    assert_eq!(node.core.primary().0, 1, "(1 + 0) mod 5");
    assert_eq!(node.core.stable(), SeqNo(K));
}

#[test]
fn votes_of_the_old_epoch_are_worth_nothing_in_the_new_one() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    let later = fixture.in_epoch(1);
    let new = later.proposal(5);
    node.receive(1, &new.wire());
    for voter in [0, 1, 3, 4] {
        let old = fixture.prepare(voter, &proposal(&fixture, 5).header);
        node.receive(voter, &Wire::Prepare(old));
        let header = later.header(0, 5, new.batch.digest());
        let old_signature = fixture.prepare(voter, &header);
        let mixed = consensus::pbft::message::Prepare {
            epoch: Epoch(1),
            ..old_signature
        };
        let refused = node.try_receive(voter, &Wire::Prepare(mixed));
        assert_eq!(refused, Err(consensus::Misbehaviour::BadSignature));
    }
    for voter in [0, 1, 3] {
        let vote = later.prepare(voter, &new.header);
        assert_eq!(node.receive(voter, &Wire::Prepare(vote)), NOTHING);
    }
    let last = later.prepare(4, &new.header);
    let lines = node.receive(4, &Wire::Prepare(last));
    assert_eq!(lines[..2], ["decided s5 fast", "execute s5 (1)"]);
}

#[test]
fn an_own_vote_of_the_old_epoch_that_becomes_durable_in_the_new_one_does_not_count() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.receive(0, &proposal(&fixture, 5).wire());
    for seq in 1..=K {
        carry(&fixture, &mut node, &proposal(&fixture, seq));
    }
    node.state_saved(K, state_at(K));
    node.receive(3, &Wire::Stable(final_certificate(&fixture)));
    assert_eq!(node.core.epoch(), Epoch(1));
    let later = fixture.in_epoch(1);
    let same = later.proposal(5);
    node.receive(1, &same.wire());
    for voter in [0, 1, 3] {
        let vote = later.prepare(voter, &same.header);
        node.receive(voter, &Wire::Prepare(vote));
    }
    let up_to_the_old = consensus::Event::Persisted(consensus::Ticket(5));
    assert_eq!(node.step(up_to_the_old), NOTHING);
    let lines = node.persisted();
    assert_eq!(lines[..2], ["decided s5 fast", "execute s5 (1)"]);
}

#[test]
fn the_requests_of_void_slots_wait_again() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    carry(&fixture, &mut node, &proposal(&fixture, 5));
    for seq in 1..=K {
        carry(&fixture, &mut node, &proposal(&fixture, seq));
    }
    assert_eq!(
        node.core.pending(),
        0,
        "a backup never heard of them itself"
    );
    node.state_saved(K, state_at(K));
    let lines = node.receive(2, &Wire::Stable(final_certificate(&fixture)));
    assert!(lines.contains(&"proposed s5 (1)".to_owned()), "{lines:?}");
}

#[test]
fn the_first_proposals_of_an_epoch_wait_for_its_record() {
    let fixture = Fixture::strong();
    let (mut primary, _) = in_epoch_1(&fixture, 1);
    let first = primary.request([fixture.request(0, 9)]);
    let waits = "send PRE-PREPARE s5 to all once durable";
    assert!(first.contains(&waits.to_owned()), "{first:?}");
    primary.persisted();
    let second = primary.request([fixture.request(1, 9)]);
    primary.wait(ms(5));
    let leaves = "send PRE-PREPARE s6 to all";
    let next = primary.fire(Timer::Batch);
    assert!(
        second.iter().chain(&next).any(|line| line == leaves),
        "{second:?} {next:?}"
    );
}

#[test]
fn messages_of_the_old_epoch_are_answered_with_the_certificate() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    let vote = Wire::Prepare(fixture.prepare(4, &proposal(&fixture, 5).header));
    assert_eq!(node.receive(4, &vote), NOTHING, "it may be under way");
    node.wait(ms(200));
    let answer = ["send STABLE s4 to r4", "retransmitted 1 to r4"];
    assert_eq!(node.receive(4, &vote), answer);
    assert_eq!(node.receive(4, &vote), NOTHING, "not again and again");
    assert_eq!(
        node.sent.last(),
        Some(&Wire::Stable(final_certificate(&fixture)))
    );
}

#[test]
fn whoever_is_a_few_slots_behind_the_boundary_gets_the_decisions_up_to_it() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    let later = fixture.in_epoch(1);
    let next = later.proposal(5);
    node.receive(1, &next.wire());
    for voter in [0, 1, 3, 4] {
        let vote = later.prepare(voter, &next.header);
        node.receive(voter, &Wire::Prepare(vote));
    }
    let lines = node.hear_stuck(1, &old_status(1));
    let expected = [
        "send STABLE s4 to r1",
        "send DECISION s2 to r1",
        "send DECISION s3 to r1",
        "send DECISION s4 to r1",
        "retransmitted 4 to r1",
    ];
    assert_eq!(lines, expected, "slot 5 belongs to the new epoch");
    let mut behind = fixture.node(1);
    carry(&fixture, &mut behind, &proposal(&fixture, 1));
    for wire in &node.sent[node.sent.len() - 3..] {
        behind.receive(2, wire);
    }
    behind.state_saved(K, state_at(K));
    behind.receive(2, &Wire::Stable(final_certificate(&fixture)));
    assert_eq!(behind.core.epoch(), Epoch(1));
}

#[test]
fn a_certificate_of_a_later_epoch_shows_a_replica_that_it_is_behind() {
    let fixture = Fixture::strong();
    let node = || {
        let mut node = fixture.node(1);
        crate::voting::decide(&fixture, &mut node, 1..=K);
        node
    };
    let certified = |epoch: u64, seq| {
        let later = fixture.in_epoch(epoch);
        Wire::Stable(later.stable(&[0, 2, 3, 4], seq, state_at(seq)))
    };
    let mut one_behind = node();
    assert_eq!(one_behind.receive(2, &certified(1, 12)), NOTHING);
    let why = "decisions of the next epoch can still be had, once this one has ended";
    assert_eq!(
        one_behind.receive(2, &certified(1, 16)),
        ["behind s16", "fetch state s16"],
        "{why}"
    );
    let mut two_behind = node();
    assert_eq!(
        two_behind.receive(2, &certified(2, 12)),
        ["behind s12", "fetch state s12"]
    );
    assert_eq!(
        two_behind.core.epoch(),
        Epoch(0),
        "what it lacks comes first"
    );
}
