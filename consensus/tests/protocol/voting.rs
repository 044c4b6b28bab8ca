//! R7.2: what a backup votes for.

use consensus::pbft::message::Wire;
use consensus::{FastQuorum, Limits, Misbehaviour, Policy};
use crypto::Digest;

use crate::fixture::{Fixture, Proposal, small_limits, state_at};
use crate::node::Node;

const NOTHING: [&str; 0] = [];
const VOTE_FOR_S1: [&str; 2] = ["persist vote s1", "send PREPARE s1 to all once durable"];

#[test]
fn a_backup_makes_its_vote_durable_before_it_leaves() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let proposal = fixture.proposal(1).wire();
    assert_eq!(backup.receive(0, &proposal), VOTE_FOR_S1);
}

#[test]
fn a_proposal_may_be_relayed_by_anybody() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let proposal = fixture.proposal(1).wire();
    assert_eq!(backup.receive(4, &proposal), VOTE_FOR_S1);
}

#[test]
fn a_backup_votes_once_per_view_and_slot() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let proposal = fixture.proposal(1).wire();
    backup.receive(0, &proposal);
    assert_eq!(backup.receive(0, &proposal), NOTHING);
    backup.persisted();
    assert_eq!(backup.receive(0, &proposal), NOTHING);
}

#[test]
fn a_second_proposal_for_a_slot_is_evidence_and_gets_no_vote() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    backup.receive(0, &fixture.proposal(1).wire());
    assert_eq!(
        backup.receive(0, &fixture.other_proposal(1).wire()),
        [
            "equivocation r0 s1",
            "send EVIDENCE to all",
            "leave for v1: equivocation",
            "persist view v1 ViewChange",
            "send VIEW-CHANGE to all once durable",
            "cancel NewView",
            "cancel Request",
            "cancel Heartbeat",
            "set Retransmit 100ms",
        ]
    );
    assert_eq!(backup.records.len(), 2, "one vote, and the view");
}

#[test]
fn without_the_body_there_is_no_vote_until_it_comes() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let proposal = fixture.proposal(1);
    assert_eq!(backup.receive(0, &proposal.header_only()), NOTHING);
    let body = Wire::Batch(proposal.batch.to_raw());
    assert_eq!(backup.receive(3, &body), VOTE_FOR_S1);
}

#[test]
fn another_body_does_not_help() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    backup.receive(0, &fixture.proposal(1).header_only());
    let other = Wire::Batch(fixture.other_proposal(1).batch.to_raw());
    assert_eq!(backup.receive(3, &other), NOTHING);
}

#[test]
fn a_fetched_body_with_a_forged_request_is_refused() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let proposal = fixture.proposal_of(1, vec![fixture.forged_request(0, 1)]);
    backup.receive(0, &proposal.header_only());
    let body = Wire::Batch(proposal.batch.to_raw());
    let refused = backup.try_receive(3, &body);
    assert_eq!(refused, Err(Misbehaviour::BadSignature));
    assert!(backup.records.is_empty());
}

#[test]
fn a_missing_body_is_asked_for_with_the_next_status() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    backup.receive(0, &fixture.proposal(1).header_only());
    assert_eq!(
        backup.status_after_waiting(),
        [
            "send STATUS to all",
            "send FETCH-BATCH s1 to r0",
            "set Status 50ms",
        ]
    );
}

#[test]
fn a_header_that_votes_carry_along_stands_for_the_proposal_that_was_lost() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let proposal = fixture.proposal(1);
    let vote = Wire::Prepare(fixture.prepare(3, &proposal.header));
    assert_eq!(backup.receive(3, &vote), NOTHING);
    let lines = backup.status_after_waiting();
    assert!(lines.contains(&"send FETCH-BATCH s1 to r3".to_owned()));
    let body = Wire::Batch(proposal.batch.to_raw());
    assert_eq!(backup.receive(3, &body), VOTE_FOR_S1);
}

#[test]
fn a_forged_attachment_hides_no_true_header_behind_it() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let proposal = fixture.proposal(1);
    // A liar's vote comes first, for a batch that the primary never signed.
    let mut lie = fixture.prepare(4, &fixture.other_proposal(1).header);
    lie.header_signature = proposal.header.signature;
    backup.receive(4, &Wire::Prepare(lie));
    backup.receive(3, &Wire::Prepare(fixture.prepare(3, &proposal.header)));
    let lines = backup.status_after_waiting();
    assert!(
        lines.contains(&"send FETCH-BATCH s1 to r3".to_owned()),
        "{lines:?}"
    );
    let body = Wire::Batch(proposal.batch.to_raw());
    assert_eq!(backup.receive(3, &body), VOTE_FOR_S1);
}

#[test]
fn null_is_not_for_free_slots() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let null = fixture.header(0, 1, consensus::batch::null_digest());
    assert_eq!(backup.receive(0, &Wire::PrePrepare(null, None)), NOTHING);
    let proposal = fixture.proposal(1).wire();
    assert_eq!(backup.receive(0, &proposal), VOTE_FOR_S1);
}

#[test]
fn a_body_with_another_digest_is_the_primarys_fault_on_its_own_channel_only() {
    let fixture = Fixture::strong();
    let mut mixed = fixture.proposal(1);
    mixed.batch = fixture.other_proposal(1).batch;
    assert_eq!(
        fixture.node(1).receive(0, &mixed.wire()),
        [
            "dropped r0: malformed message: the body has another digest than the header",
            "leave for v1: bad-proposal",
            "persist view v1 ViewChange",
            "send VIEW-CHANGE to all once durable",
            "cancel NewView",
            "cancel Request",
            "cancel Heartbeat",
            "set Retransmit 100ms",
        ]
    );
    let relayed = fixture.node(1).try_receive(3, &mixed.wire());
    assert!(matches!(relayed, Err(Misbehaviour::Malformed(_))));
}

#[test]
fn a_proposal_with_a_forged_request_is_the_primarys_fault_whoever_relays_it() {
    let fixture = Fixture::strong();
    let requests = vec![fixture.request(0, 1), fixture.forged_request(1, 1)];
    let proposal = fixture.proposal_of(1, requests).wire();
    for relay in [0, 3] {
        assert_eq!(
            fixture.node(1).receive(relay, &proposal),
            [
                "dropped r0: malformed message: a client's signature is invalid",
                "leave for v1: bad-proposal",
                "persist view v1 ViewChange",
                "send VIEW-CHANGE to all once durable",
                "cancel NewView",
                "cancel Request",
                "cancel Heartbeat",
                "set Retransmit 100ms",
            ]
        );
    }
}

#[test]
fn a_forged_header_blames_nobody_but_its_sender() {
    let fixture = Fixture::strong();
    let requests = vec![fixture.forged_request(1, 1)];
    for mut proposal in [fixture.proposal(1), fixture.proposal_of(1, requests)] {
        proposal.header.signature.0[0] ^= 1;
        let refused = fixture.node(1).try_receive(3, &proposal.wire());
        assert_eq!(refused, Err(Misbehaviour::BadSignature));
    }
}

#[test]
fn batches_over_a_limit_or_with_a_request_twice_or_of_strangers_get_no_vote() {
    let fixture = Fixture::strong();
    let strangers = Fixture::with(4, 1, FastQuorum::Strong, small_limits(), Policy::default());
    let stranger = strangers.request(0, 1);
    let twice = vec![fixture.request(0, 1), fixture.request(0, 1)];
    let many = (1..=5).map(|number| fixture.request(0, number)).collect();
    for (what, requests) in [
        ("malformed message: 5 requests in one batch", many),
        ("malformed message: 0 requests in one batch", vec![]),
        (
            "malformed message: the same request twice in one batch",
            twice,
        ),
        (
            "malformed message: a client's signature is invalid",
            vec![stranger],
        ),
    ] {
        let proposal = fixture.proposal_of(1, requests).wire();
        let mut backup = fixture.node(1);
        assert_eq!(
            backup.receive(0, &proposal)[..2],
            [&format!("dropped r0: {what}"), "leave for v1: bad-proposal"]
        );
        assert_eq!(backup.records.len(), 1, "the view and no vote");
    }
}

#[test]
fn a_request_that_was_executed_before_is_no_reason_to_refuse() {
    // Replicas differ in what they have executed; validity may not depend on it.
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let first = fixture.proposal(1);
    backup.receive(0, &first.wire());
    for voter in [0, 2, 3, 4] {
        let vote = Wire::Prepare(fixture.prepare(voter, &first.header));
        backup.receive(voter, &vote);
    }
    let again = fixture.proposal_of(2, vec![fixture.request(0, 1), fixture.request(0, 2)]);
    assert_eq!(
        backup.receive(0, &again.wire()),
        ["persist vote s2", "send PREPARE s2 to all once durable"]
    );
}

#[test]
fn proposals_beyond_the_window_are_kept_and_voted_for_when_it_moves() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    for seq in [9, 10] {
        let early = fixture.proposal(seq).wire();
        assert_eq!(backup.receive(0, &early), NOTHING, "h + L = 8 < {seq}");
    }
    decide(&fixture, &mut backup, 1..=4);
    backup.state_saved(4, state_at(4));
    let stable = Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, state_at(4)));
    let lines = backup.receive(2, &stable);
    let votes: Vec<_> = lines.iter().filter(|line| line.contains("vote")).collect();
    assert_eq!(votes, ["persist vote s9", "persist vote s10"]);
}

#[test]
fn beyond_h_plus_2l_and_at_or_below_h_nothing_is_kept() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    for seq in [0, 17, u64::MAX] {
        let proposal = fixture.proposal_of(seq, vec![fixture.request(0, 1)]);
        assert_eq!(backup.receive(0, &proposal.wire()), NOTHING);
        let vote = Wire::Prepare(fixture.prepare(2, &proposal.header));
        assert_eq!(backup.receive(2, &vote), NOTHING);
        let commit = Wire::Commit(fixture.commit(2, &proposal.header));
        assert_eq!(backup.receive(2, &commit), NOTHING);
    }
}

#[test]
fn a_proposal_of_a_later_view_gets_no_vote() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(2);
    let batch = fixture.proposal(1).batch;
    let header = fixture.header(1, 1, batch.digest());
    let proposal = Wire::PrePrepare(header, Some(batch.to_raw()));
    assert_eq!(backup.receive(1, &proposal), NOTHING);
}

#[test]
fn a_header_signed_by_a_backup_is_no_proposal() {
    let fixture = Fixture::strong();
    let mut proposal = fixture.proposal(1);
    let body = proposal.header.statement.body();
    proposal.header.signature = fixture.sign(2, crypto::Kind::PrePrepare, &body);
    let refused = fixture.node(1).try_receive(2, &proposal.wire());
    assert_eq!(refused, Err(Misbehaviour::BadSignature));
}

#[test]
fn a_signature_for_one_kind_of_message_is_none_for_another() {
    let fixture = Fixture::strong();
    let header = fixture.header(0, 1, Digest([1; 32]));
    let mut vote = fixture.prepare(2, &header);
    vote.signature = fixture.commit(2, &header).signature;
    let refused = fixture.node(1).try_receive(2, &Wire::Prepare(vote));
    assert_eq!(refused, Err(Misbehaviour::BadSignature));
}

/// Brings these slots to a decision at `backup` with the votes of all others.
pub(crate) fn decide(
    fixture: &Fixture,
    backup: &mut Node,
    slots: std::ops::RangeInclusive<u64>,
) -> Vec<String> {
    decide_each(fixture, backup, slots.map(|seq| fixture.proposal(seq)))
}

/// As [`decide`], with these proposals.
pub(crate) fn decide_each(
    fixture: &Fixture,
    backup: &mut Node,
    proposals: impl Iterator<Item = Proposal>,
) -> Vec<String> {
    let me = backup.core.id().0;
    let n = u16::try_from(fixture.cluster.quorums().n()).unwrap();
    let mut lines = Vec::new();
    for proposal in proposals {
        lines.extend(backup.receive(0, &proposal.wire()));
        lines.extend(backup.persisted());
        for voter in (0..n).filter(|voter| *voter != me) {
            let vote = Wire::Prepare(fixture.prepare(voter, &proposal.header));
            lines.extend(backup.receive(voter, &vote));
        }
    }
    let executed: Vec<u64> = lines.iter().filter_map(|line| executed(line)).collect();
    for seq in executed {
        lines.extend(backup.executed(seq));
    }
    lines
}

/// The slot of an `execute` line.
fn executed(line: &str) -> Option<u64> {
    let (seq, _) = line.strip_prefix("execute s")?.split_once(' ')?;
    seq.parse().ok()
}

/// A replica that has decided and executed so many slots of nearly one MiB each.
pub(crate) fn decided_large(slots: u64) -> (Fixture, Node) {
    let value = vec![7; 60 << 10];
    let limits = Limits {
        batch_requests_max: 16,
        client_window: 16 * slots,
        ..small_limits()
    };
    let fixture = Fixture::with(5, 1, FastQuorum::Strong, limits, Policy::default());
    let mut node = fixture.node(1);
    let proposals = (0..slots).map(|slot| {
        let numbers = 16 * slot + 1..=16 * slot + 16;
        let requests = numbers.map(|number| fixture.request_of(0, 1, number, 0, &[&value]));
        fixture.proposal_of(slot + 1, requests.collect())
    });
    decide_each(&fixture, &mut node, proposals);
    (fixture, node)
}
