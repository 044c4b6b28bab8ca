//! R7.3, R7.4, R7.5 and R18: how votes are counted, what decides, and what proves a lie.

use consensus::pbft::certificate::Phase;
use consensus::pbft::message::{Decision, MisbehaviourProof, Wire};
use consensus::{FastQuorum, Misbehaviour, Protocol};
use crypto::Digest;

use crate::fixture::{Fixture, Proposal};
use crate::node::Node;
use crate::voting::decide;

const NOTHING: [&str; 0] = [];

/// Replica 1 with its own durable vote for slot 1.
fn voted(fixture: &Fixture) -> (Node, Proposal) {
    let mut node = fixture.node(1);
    let proposal = fixture.proposal(1);
    node.receive(0, &proposal.wire());
    assert_eq!(node.persisted(), NOTHING);
    (node, proposal)
}

#[test]
fn q_f_prepares_decide_and_the_slot_is_executed() {
    let fixture = Fixture::strong();
    let (mut node, proposal) = voted(&fixture);
    let vote = |id| Wire::Prepare(fixture.prepare(id, &proposal.header));
    assert_eq!(node.receive(0, &vote(0)), NOTHING);
    assert_eq!(node.receive(2, &vote(2)), NOTHING);
    assert_eq!(
        node.receive(3, &vote(3)),
        ["decided s1 fast", "execute s1 (1)"]
    );
    assert_eq!(node.receive(4, &vote(4)), NOTHING);
}

#[test]
fn a_vote_counts_once_however_often_it_comes() {
    let fixture = Fixture::strong();
    let (mut node, proposal) = voted(&fixture);
    for _ in 0..5 {
        for voter in [0, 2] {
            let vote = Wire::Prepare(fixture.prepare(voter, &proposal.header));
            assert_eq!(node.receive(voter, &vote), NOTHING);
        }
    }
}

#[test]
fn the_own_vote_counts_only_when_it_is_durable() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let proposal = fixture.proposal(1);
    node.receive(0, &proposal.wire());
    for voter in [0, 2, 3] {
        let vote = Wire::Prepare(fixture.prepare(voter, &proposal.header));
        assert_eq!(node.receive(voter, &vote), NOTHING);
    }
    assert_eq!(node.persisted(), ["decided s1 fast", "execute s1 (1)"]);
}

#[test]
fn a_replica_decides_without_having_voted_itself() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let proposal = fixture.proposal(1);
    let mut lines = Vec::new();
    for voter in [0, 2, 3, 4] {
        let vote = Wire::Prepare(fixture.prepare(voter, &proposal.header));
        lines.extend(node.receive(voter, &vote));
    }
    assert_eq!(lines, ["decided s1 fast"], "without a body it waits");
    assert_eq!(
        node.receive(0, &proposal.wire()),
        [
            "persist vote s1",
            "send PREPARE s1 to all once durable",
            "execute s1 (1)",
        ]
    );
}

#[test]
fn votes_for_different_batches_do_not_add_up() {
    let fixture = Fixture::strong();
    let (mut node, proposal) = voted(&fixture);
    let other = fixture.other_proposal(1);
    node.receive(0, &Wire::Prepare(fixture.prepare(0, &proposal.header)));
    node.receive(2, &Wire::Prepare(fixture.prepare(2, &other.header)));
    let lines = node.receive(3, &Wire::Prepare(fixture.prepare(3, &other.header)));
    assert_eq!(lines, NOTHING, "two for each");
}

#[test]
fn slots_are_decided_in_any_order_and_executed_in_sequence() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    assert_eq!(
        without_votes(decide(&fixture, &mut node, 3..=3)),
        ["decided s3 fast"]
    );
    assert_eq!(
        without_votes(decide(&fixture, &mut node, 2..=2)),
        ["decided s2 fast"]
    );
    assert_eq!(
        without_votes(decide(&fixture, &mut node, 1..=1)),
        [
            "decided s1 fast",
            "execute s1 (1)",
            "execute s2 (1)",
            "execute s3 (1)",
        ]
    );
}

fn without_votes(lines: Vec<String>) -> Vec<String> {
    let kept = |line: &String| line.starts_with("decided") || line.starts_with("execute");
    lines.into_iter().filter(kept).collect()
}

#[test]
fn two_digests_of_one_voter_are_evidence_and_only_the_first_counts() {
    // Two of nine may be faulty, and q_F = 7.
    let fixture = Fixture::new(9, 2, FastQuorum::Strong);
    let (mut node, proposal) = voted(&fixture);
    let other = fixture.other_proposal(1);
    let (first, second) = (
        fixture.prepare(2, &proposal.header),
        fixture.prepare(2, &other.header),
    );
    node.receive(2, &Wire::Prepare(first));
    // The contradicting attachment convicts the primary as well.
    assert_eq!(
        node.receive(2, &Wire::Prepare(second)),
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
            "equivocation r2 s1",
            "send EVIDENCE to all",
        ]
    );
    let proofs: Vec<_> = node.core.evidence().map(|(_, proof)| *proof).collect();
    assert_eq!(
        proofs,
        [
            MisbehaviourProof::DoublePrePrepare(proposal.header, other.header),
            MisbehaviourProof::DoublePrepare(first, second),
        ]
    );
    // Six votes for the other digest: that of replica 2 must not make seven.
    for voter in 3..8 {
        let vote = Wire::Prepare(fixture.prepare(voter, &other.header));
        assert_eq!(node.receive(voter, &vote), NOTHING);
    }
    let vote = Wire::Prepare(fixture.prepare(0, &other.header));
    assert_eq!(node.receive(0, &vote), NOTHING);
}

#[test]
fn a_voter_that_makes_a_header_up_convicts_itself_only_when_it_votes_twice() {
    let fixture = Fixture::strong();
    let (mut node, proposal) = voted(&fixture);
    let mut lie = fixture.prepare(2, &fixture.other_proposal(1).header);
    lie.header_signature = proposal.header.signature;
    assert_eq!(node.receive(2, &Wire::Prepare(lie)), NOTHING);
    assert_eq!(node.core.evidence().count(), 0);
}

#[test]
fn evidence_is_believed_after_verification_passed_on_once_and_convicts_the_signer() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let proof = MisbehaviourProof::DoublePrePrepare(
        fixture.proposal(3).header,
        fixture.other_proposal(3).header,
    );
    assert_eq!(
        node.receive(4, &Wire::Evidence(proof)),
        [
            "equivocation r0 s3",
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
    assert_eq!(node.receive(2, &Wire::Evidence(proof)), NOTHING);
}

#[test]
fn evidence_against_a_backup_suspects_no_primary() {
    let fixture = Fixture::strong();
    let proof = MisbehaviourProof::DoublePrepare(
        fixture.prepare(3, &fixture.proposal(1).header),
        fixture.prepare(3, &fixture.other_proposal(1).header),
    );
    assert_eq!(
        fixture.node(1).receive(4, &Wire::Evidence(proof)),
        ["equivocation r3 s1", "send EVIDENCE to all"]
    );
}

#[test]
fn a_proof_against_oneself_halts_unless_a_wrapper_knows_better() {
    let fixture = Fixture::strong();
    let proof = Wire::Evidence(MisbehaviourProof::DoublePrepare(
        fixture.prepare(1, &fixture.proposal(1).header),
        fixture.prepare(1, &fixture.other_proposal(1).header),
    ));
    let lines = fixture.node(1).receive(4, &proof);
    assert!(lines[0].starts_with("halt: this replica is proven"));
    let mut wrapped = fixture.node(1);
    wrapped.core.go_on_when_proven();
    assert_eq!(wrapped.receive(4, &proof), NOTHING);
    assert_eq!(wrapped.core.evidence().count(), 0);
}

#[test]
fn forged_or_harmless_evidence_is_refused() {
    let fixture = Fixture::strong();
    let (one, other) = (fixture.proposal(1).header, fixture.other_proposal(1).header);
    let (vote, contrary) = (fixture.prepare(2, &one), fixture.prepare(2, &other));
    let later = fixture.proposal(2).header;
    let next_view = fixture.header(5, 1, other.statement.digest);
    let mut forged = other;
    forged.signature.0[0] ^= 1;
    let mut forged_vote = contrary;
    forged_vote.signature.0[0] ^= 1;
    let harmless = Misbehaviour::Unexpected("two messages that do not contradict each other");
    use MisbehaviourProof::{DoublePrePrepare, DoublePrepare};
    for (proof, refusal) in [
        (DoublePrePrepare(one, one), &harmless),
        (DoublePrePrepare(one, later), &harmless),
        (DoublePrePrepare(one, next_view), &harmless),
        (DoublePrepare(vote, vote), &harmless),
        (DoublePrepare(vote, fixture.prepare(3, &other)), &harmless),
        (DoublePrepare(vote, fixture.prepare(2, &later)), &harmless),
        (DoublePrePrepare(one, forged), &Misbehaviour::BadSignature),
        (DoublePrePrepare(forged, one), &Misbehaviour::BadSignature),
        (
            DoublePrepare(vote, forged_vote),
            &Misbehaviour::BadSignature,
        ),
    ] {
        let refused = fixture.node(1).try_receive(4, &Wire::Evidence(proof));
        assert_eq!(refused.as_ref(), Err(refusal), "{proof:?}");
    }
}

#[test]
fn both_rules_decide_for_every_cluster_size_whichever_comes_first() {
    for (n, f) in [(4, 1), (5, 1), (6, 1), (7, 2), (9, 2), (13, 3)] {
        for fast in [
            FastQuorum::Strong,
            FastQuorum::Conservative,
            FastQuorum::Off,
        ] {
            let fixture = Fixture::new(n, f, fast);
            let quorums = fixture.cluster.quorums();
            let proposal = fixture.proposal(1);
            let count_until_decided = |wire: &dyn Fn(u16) -> Wire| {
                let mut node = fixture.node(n - 1);
                (0..n - 1).position(|voter| {
                    let lines = node.receive(voter, &wire(voter));
                    lines.iter().any(|line| line.starts_with("decided"))
                })
            };
            let prepares =
                count_until_decided(&|id| Wire::Prepare(fixture.prepare(id, &proposal.header)));
            let commits =
                count_until_decided(&|id| Wire::Commit(fixture.commit(id, &proposal.header)));
            // With q_F = n the n − 1 others are not enough.
            let fast = quorums.fast().filter(|fast| *fast < quorums.n());
            assert_eq!(prepares.map(|at| at + 1), fast, "n = {n}");
            assert_eq!(commits.map(|at| at + 1), Some(quorums.slow()), "n = {n}");
        }
    }
}

#[test]
fn commits_are_counted_once_per_replica_and_only_for_one_batch() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(1);
    let (one, other) = (fixture.proposal(1).header, fixture.other_proposal(1).header);
    for _ in 0..3 {
        for voter in [0, 2, 3] {
            assert_eq!(
                node.receive(voter, &Wire::Commit(fixture.commit(voter, &one))),
                NOTHING
            );
        }
        assert_eq!(
            node.receive(4, &Wire::Commit(fixture.commit(4, &other))),
            NOTHING
        );
        assert_eq!(
            node.receive(4, &Wire::Commit(fixture.commit(4, &one))),
            NOTHING,
            "its first word stands"
        );
    }
}

/// Three replicas' keys are in wrong hands: more than f, so anything may be certified.
fn contradiction(fixture: &Fixture) -> (Node, Decision) {
    let mut node = fixture.node(1);
    decide(fixture, &mut node, 1..=1);
    let other = fixture.other_proposal(1);
    let certificate = fixture.certificate(Phase::Commit, &[0, 2, 3, 4], &other.header);
    let batch = Some(other.batch.to_raw());
    (node, Decision { certificate, batch })
}

fn halts(lines: &[String]) -> bool {
    let halt = lines
        .iter()
        .position(|line| line.starts_with("halt: slot 1 decided twice"));
    halt == lines.len().checked_sub(1) && !lines.is_empty()
}

#[test]
fn a_second_decision_for_a_slot_halts_the_replica_whichever_way_it_comes() {
    let fixture = Fixture::strong();
    let (mut node, decision) = contradiction(&fixture);
    let lines = node.receive(3, &Wire::Decision(decision.clone()));
    assert!(halts(&lines), "by a certificate: {lines:?}");
    assert_eq!(node.receive(0, &fixture.proposal(2).wire()), NOTHING);

    let (mut node, _) = contradiction(&fixture);
    let other = fixture.other_proposal(1).header;
    let mut lines = Vec::new();
    for voter in [0, 2, 3, 4] {
        lines = node.receive(voter, &Wire::Commit(fixture.commit(voter, &other)));
    }
    assert!(halts(&lines), "by votes: {lines:?}");
}

#[test]
fn nothing_follows_a_halt_in_the_same_step() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(1);
    let (one, other) = (fixture.proposal(1), fixture.other_proposal(1));
    // Prepared for one batch, with the COMMITs of all others for another one.
    for voter in [0, 2, 3, 4] {
        node.receive(voter, &Wire::Commit(fixture.commit(voter, &other.header)));
    }
    node.receive(0, &one.wire());
    node.receive(0, &fixture.proposal(2).wire());
    for voter in [0, 2, 3, 4] {
        node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &one.header)));
        let second = fixture.proposal(2).header;
        node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &second)));
    }
    // Both own votes become durable at once: the first one breaks the invariant.
    let lines = node.persisted();
    assert!(halts(&lines), "{lines:?}");
}

#[test]
fn a_decision_brings_slot_and_body_at_once() {
    let fixture = Fixture::strong();
    let proposal = fixture.proposal(1);
    let batch = Some(proposal.batch.to_raw());
    for phase in [Phase::Prepare, Phase::Commit] {
        let certificate = fixture.certificate(phase, &[0, 2, 3, 4], &proposal.header);
        let decision = Decision {
            certificate,
            batch: batch.clone(),
        };
        assert_eq!(
            fixture.node(1).receive(2, &Wire::Decision(decision)),
            ["decided s1 transfer", "execute s1 (1)"]
        );
    }
}

#[test]
fn certificates_with_too_few_repeated_unsorted_or_unknown_signers_are_refused() {
    let fixture = Fixture::strong();
    let proposal = fixture.proposal(1);
    let refusal = |signers: &[u16], change: &dyn Fn(&mut Decision)| {
        let certificate = fixture.certificate(Phase::Commit, signers, &proposal.header);
        let batch = Some(proposal.batch.to_raw());
        let mut decision = Decision { certificate, batch };
        change(&mut decision);
        let refused = fixture.node(1).try_receive(2, &Wire::Decision(decision));
        refused.expect_err("no decision")
    };
    let as_it_is = |_: &mut Decision| {};
    assert_eq!(refusal(&[0, 2, 3], &as_it_is), Misbehaviour::NoQuorum);
    assert_eq!(refusal(&[0, 2, 3, 3], &as_it_is), Misbehaviour::NoQuorum);
    assert_eq!(refusal(&[0, 3, 2, 4], &as_it_is), Misbehaviour::NoQuorum);
    let stranger = |decision: &mut Decision| {
        let last = decision.certificate.signers.0.last_mut();
        last.unwrap().0 = consensus::ReplicaId(5);
    };
    assert_eq!(refusal(&[0, 2, 3, 4], &stranger), Misbehaviour::Unknown);
    let forged = |decision: &mut Decision| {
        let last = decision.certificate.signers.0.last_mut();
        last.unwrap().1.0[0] ^= 1;
    };
    assert_eq!(refusal(&[0, 2, 3, 4], &forged), Misbehaviour::BadSignature);
    // Signatures of one phase are no certificate of the other.
    let relabelled = |decision: &mut Decision| decision.certificate.phase = Phase::Prepare;
    assert_eq!(
        refusal(&[0, 2, 3, 4], &relabelled),
        Misbehaviour::BadSignature
    );
    let other_epoch = |decision: &mut Decision| decision.certificate.epoch.0 = 1;
    assert_eq!(
        refusal(&[0, 2, 3, 4], &other_epoch),
        Misbehaviour::BadSignature
    );
}

#[test]
fn a_decision_with_another_batch_or_with_none_is_refused() {
    let fixture = Fixture::strong();
    let proposal = fixture.proposal(1);
    let certificate = fixture.certificate(Phase::Commit, &[0, 2, 3, 4], &proposal.header);
    for batch in [Some(fixture.other_proposal(1).batch.to_raw()), None] {
        let certificate = certificate.clone();
        let decision = Decision { certificate, batch };
        let refused = fixture.node(1).try_receive(2, &Wire::Decision(decision));
        let why = "the body is not what was decided".to_owned();
        assert_eq!(refused, Err(Misbehaviour::Malformed(why)));
    }
}

#[test]
fn without_a_fast_path_prepares_are_no_decision() {
    let fixture = Fixture::new(5, 1, FastQuorum::Off);
    let proposal = fixture.proposal(1);
    let certificate = fixture.certificate(Phase::Prepare, &[0, 1, 2, 3, 4], &proposal.header);
    let batch = Some(proposal.batch.to_raw());
    let wire = Wire::Decision(Decision { certificate, batch });
    let refused = fixture.node(1).try_receive(2, &wire);
    assert_eq!(refused, Err(Misbehaviour::NoQuorum));
}

#[test]
fn fewer_prepares_than_q_f_are_no_decision_even_if_they_are_q() {
    let fixture = Fixture::conservative();
    let proposal = fixture.proposal(1);
    let certificate = fixture.certificate(Phase::Prepare, &[0, 2, 3, 4], &proposal.header);
    let batch = Some(proposal.batch.to_raw());
    let wire = Wire::Decision(Decision { certificate, batch });
    let refused = fixture.node(1).try_receive(2, &wire);
    assert_eq!(refused, Err(Misbehaviour::NoQuorum));
}

#[test]
fn the_null_batch_executes_as_nothing() {
    let fixture = Fixture::strong();
    let header = fixture.header(0, 1, consensus::batch::null_digest());
    let certificate = fixture.certificate(Phase::Commit, &[0, 2, 3, 4], &header);
    let batch = None;
    let wire = Wire::Decision(Decision { certificate, batch });
    assert_eq!(
        fixture.node(1).receive(2, &wire),
        ["decided s1 transfer", "execute s1 (0)"]
    );
}

#[test]
fn votes_and_claims_in_anothers_name_or_of_another_epoch_are_refused() {
    let fixture = Fixture::strong();
    let header = fixture.proposal(1).header;
    let (vote, commit) = (fixture.prepare(2, &header), fixture.commit(2, &header));
    let claim = fixture.checkpoint(2, 4, Digest([1; 32]));
    for wire in [
        Wire::Prepare(vote),
        Wire::Commit(commit),
        Wire::Checkpoint(claim),
    ] {
        let refused = fixture.node(1).try_receive(3, &wire);
        assert_eq!(refused, Err(Misbehaviour::Impersonation));
    }
    let (mut vote, mut commit, mut claim, mut header) = (vote, commit, claim, header);
    vote.epoch.0 = 1;
    commit.epoch.0 = 1;
    claim.epoch.0 = 1;
    header.epoch.0 = 1;
    let mut node = fixture.node(1);
    for wire in [
        Wire::Prepare(vote),
        Wire::Commit(commit),
        Wire::Checkpoint(claim),
        Wire::PrePrepare(header, None),
    ] {
        // The epoch is signed.
        assert_eq!(node.try_receive(2, &wire), Err(Misbehaviour::BadSignature));
    }
    let mut checks = Vec::new();
    let stranger = consensus::ReplicaId(5);
    let examined = consensus::pbft::Pbft::examine(
        &fixture.keyring,
        stranger,
        Wire::Prepare(vote),
        &mut checks,
    );
    assert_eq!(examined, Err(Misbehaviour::Unknown));
}
