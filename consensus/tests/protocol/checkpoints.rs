//! R9: checkpoints, the low watermark, and what is forgotten below it.

use consensus::pbft::message::Wire;
use consensus::pbft::record::Record;
use consensus::{Misbehaviour, Protocol as _, SeqNo, Timer};
use crypto::Digest;

use crate::catching_up::status;
use crate::fixture::{Fixture, state_at};
use crate::net::long;
use crate::node::Node;
use crate::voting::decide;

const NOTHING: [&str; 0] = [];

fn claim(
    fixture: &Fixture,
    node: &mut Node,
    replica: u16,
    seq: u64,
    digest: Digest,
) -> Vec<String> {
    let claim = Wire::Checkpoint(fixture.checkpoint(replica, seq, digest));
    node.receive(replica, &claim)
}

/// Replica 1, at K = 4 slots executed.
fn at_checkpoint(fixture: &Fixture) -> Node {
    let mut node = fixture.node(1);
    let lines = decide(fixture, &mut node, 1..=4);
    let last = lines.iter().rfind(|line| line.starts_with("execute"));
    assert_eq!(last.unwrap(), "execute s4 (1) checkpoint");
    node
}

#[test]
fn a_checkpoint_is_claimed_when_the_state_is_durable_not_when_it_is_executed() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    assert!(!node.sent.iter().any(|wire| wire.name() == "checkpoint"));
    assert_eq!(
        node.state_saved(4, state_at(4)),
        ["send CHECKPOINT s4 to all"]
    );
}

#[test]
fn q_equal_claims_make_it_stable_and_the_watermark_moves() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    node.state_saved(4, state_at(4));
    for replica in [0, 2] {
        assert_eq!(claim(&fixture, &mut node, replica, 4, state_at(4)), NOTHING);
    }
    assert_eq!(
        claim(&fixture, &mut node, 3, 4, state_at(4)),
        ["stable s4", "persist stable s4", "truncate s4"]
    );
    assert_eq!(node.core.stable(), SeqNo(4));
    assert_eq!(claim(&fixture, &mut node, 4, 4, state_at(4)), NOTHING);
}

#[test]
fn the_stable_certificate_that_is_kept_convinces_others() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    node.state_saved(4, state_at(4));
    for replica in [0, 2, 3] {
        claim(&fixture, &mut node, replica, 4, state_at(4));
    }
    let Some(consensus::pbft::record::Record::Stable(certificate)) = node.records.last() else {
        panic!("the certificate was persisted");
    };
    let mut other = at_checkpoint(&fixture);
    other.state_saved(4, state_at(4));
    assert_eq!(
        other.receive(1, &Wire::Stable(certificate.clone())),
        ["stable s4", "persist stable s4", "truncate s4"]
    );
}

#[test]
fn repeated_claims_of_one_replica_count_once() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    node.state_saved(4, state_at(4));
    for _ in 0..4 {
        for replica in [0, 2] {
            assert_eq!(claim(&fixture, &mut node, replica, 4, state_at(4)), NOTHING);
        }
    }
}

#[test]
fn conflicting_claims_of_one_replica_are_reported_and_the_first_stands() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    node.state_saved(4, state_at(4));
    claim(&fixture, &mut node, 0, 4, Digest([9; 32]));
    assert_eq!(
        claim(&fixture, &mut node, 0, 4, state_at(4)),
        ["dropped r0: unexpected message: two checkpoints for one sequence number"]
    );
    assert_eq!(claim(&fixture, &mut node, 2, 4, state_at(4)), NOTHING);
    assert_eq!(claim(&fixture, &mut node, 3, 4, state_at(4)), NOTHING);
    assert_eq!(
        claim(&fixture, &mut node, 4, 4, state_at(4))[0],
        "stable s4"
    );
}

#[test]
fn claims_for_other_slots_than_checkpoints_or_far_ahead_are_ignored() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    for seq in [3, 5, 20, u64::MAX - 3] {
        for replica in [0, 2, 3, 4] {
            let lines = claim(&fixture, &mut node, replica, seq, state_at(seq));
            assert_eq!(lines, NOTHING, "slot {seq}");
        }
    }
}

#[test]
fn a_certified_state_that_differs_from_the_own_one_halts() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    node.state_saved(4, Digest([9; 32]));
    let certificate = Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, state_at(4)));
    let lines = node.receive(2, &certificate);
    assert!(
        lines[0].starts_with("halt: state after slot 4 has digest 0909"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 1);
}

#[test]
fn a_certificate_ahead_of_the_own_execution_is_kept_until_the_state_is_there() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let certificate = Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, state_at(4)));
    assert_eq!(node.receive(2, &certificate), NOTHING, "a little late");
    assert_eq!(node.core.stable(), SeqNo(0), "nothing is discarded");
    decide(&fixture, &mut node, 1..=4);
    assert_eq!(
        node.state_saved(4, state_at(4)),
        [
            "send CHECKPOINT s4 to all",
            "stable s4",
            "persist stable s4",
            "truncate s4",
        ]
    );
}

#[test]
fn a_replica_says_once_that_it_lacks_more_than_the_others_still_hold() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    // They keep a window of 8 slots below their watermark.
    let within = Wire::Stable(fixture.stable(&[0, 2, 3, 4], 8, state_at(8)));
    assert_eq!(node.receive(2, &within), NOTHING);
    let beyond = Wire::Stable(fixture.stable(&[0, 2, 3, 4], 12, state_at(12)));
    assert_eq!(node.receive(2, &beyond), ["behind s12", "fetch state s12"]);
    assert_eq!(node.receive(3, &beyond), NOTHING, "said once");
}

#[test]
fn a_kept_certificate_is_compared_with_the_own_state_as_well() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let certificate = Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, state_at(4)));
    node.receive(2, &certificate);
    decide(&fixture, &mut node, 1..=4);
    let lines = node.state_saved(4, Digest([9; 32]));
    assert!(lines.last().unwrap().starts_with("halt"), "{lines:?}");
}

#[test]
fn certificates_of_stable_checkpoints_need_q_distinct_signers() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    for signers in [&[0, 2, 3][..], &[0, 2, 2, 3], &[3, 2, 1, 0], &[]] {
        let certificate = Wire::Stable(fixture.stable(signers, 4, state_at(4)));
        let refused = node.try_receive(2, &certificate);
        assert_eq!(refused, Err(Misbehaviour::NoQuorum), "{signers:?}");
    }
    let mut moved = fixture.stable(&[0, 2, 3, 4], 4, state_at(4));
    moved.seq = SeqNo(8);
    let refused = node.try_receive(2, &Wire::Stable(moved));
    assert_eq!(refused, Err(Misbehaviour::BadSignature));
    let mut other_epoch = fixture.stable(&[0, 2, 3, 4], 4, state_at(4));
    other_epoch.epoch.0 = 1;
    // The epoch is signed.
    let refused = node.try_receive(2, &Wire::Stable(other_epoch));
    assert_eq!(refused, Err(Misbehaviour::BadSignature));
}

#[test]
fn below_the_watermark_votes_and_proposals_are_forgotten_for_good() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    node.state_saved(4, state_at(4));
    node.receive(
        2,
        &Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, state_at(4))),
    );
    let old = fixture.other_proposal(4);
    assert_eq!(node.receive(0, &old.wire()), NOTHING);
    let vote = Wire::Prepare(fixture.prepare(2, &old.header));
    assert_eq!(node.receive(2, &vote), NOTHING);
    assert_eq!(node.state_saved(4, state_at(4)), NOTHING);
}

#[test]
fn a_later_checkpoint_may_become_stable_first() {
    let fixture = Fixture::strong();
    let mut node = at_checkpoint(&fixture);
    node.state_saved(4, state_at(4));
    decide(&fixture, &mut node, 5..=8);
    node.state_saved(8, state_at(8));
    let later = Wire::Stable(fixture.stable(&[0, 2, 3, 4], 8, state_at(8)));
    assert_eq!(
        node.receive(2, &later),
        ["stable s8", "persist stable s8", "truncate s8"]
    );
    let earlier = Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, state_at(4)));
    assert_eq!(node.receive(2, &earlier), NOTHING, "h never goes back");
}

#[test]
fn a_stuck_replica_fetches_a_state_for_which_f_plus_1_vouch_and_completes_its_quorum() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let claim = |from: u16| Wire::Checkpoint(fixture.checkpoint(from, 8, state_at(8)));
    let lie = Wire::Checkpoint(fixture.checkpoint(0, 8, state_at(4)));
    node.receive(0, &lie);
    node.receive(2, &claim(2));
    node.fire(Timer::Status);
    node.wait(long());
    let asks = |lines: Vec<String>| lines.iter().any(|line| line.starts_with("fetch state"));
    assert!(!asks(node.fire(Timer::Status)), "one voucher may be lying");
    node.receive(3, &claim(3));
    node.fire(Timer::Status);
    assert!(
        !asks(node.fire(Timer::Status)),
        "decisions may be under way"
    );
    node.wait(long());
    let lines = node.fire(Timer::Status);
    assert!(lines.contains(&"fetch state s8".to_owned()), "{lines:?}");
    node.receive(4, &claim(4));
    let lines = node.state_installed(8, state_at(8));
    let last = ["stable s8", "persist stable s8", "truncate s8"];
    assert!(
        last.iter().all(|line| lines.contains(&(*line).to_owned())),
        "{lines:?}"
    );
    assert_eq!(node.core.stable(), SeqNo(8));
}

#[test]
fn a_restarted_replica_takes_a_certificate_below_its_saved_state() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let configuration = consensus::Configuration::genesis(&fixture.cluster);
    node.core
        .restore_state(SeqNo(8), state_at(8), configuration);
    let certificate = fixture.stable(&[0, 2, 3, 4], 4, state_at(4));
    assert_eq!(
        node.receive(2, &Wire::Stable(certificate)),
        ["stable s4", "persist stable s4", "truncate s4"]
    );
    assert_eq!(node.core.last_executed(), SeqNo(8));
    let certificate = fixture.stable(&[0, 2, 3, 4], 8, state_at(8));
    assert_eq!(node.receive(2, &Wire::Stable(certificate))[0], "stable s8");
}

/// Up again after a power cut with the state of 8, which was saved with what is known of the one of 4.
fn restored_at_8(fixture: &Fixture) -> Node {
    let mut node = fixture.node(1);
    let configuration = consensus::Configuration::genesis(&fixture.cluster);
    node.core
        .restore_state(SeqNo(8), state_at(8), configuration);
    node.core.restore_checkpoints(&[(SeqNo(4), state_at(4))]);
    node
}

#[test]
fn after_a_restart_the_checkpoints_before_the_saved_state_are_still_claimed() {
    let fixture = Fixture::strong();
    let claim = |from| Wire::Checkpoint(fixture.checkpoint(from, 4, state_at(4)));
    let mut node = restored_at_8(&fixture);
    node.receive(2, &claim(2));
    node.receive(3, &claim(3));
    assert_eq!(
        node.receive(4, &claim(4))[0],
        "stable s4",
        "its own is the fourth"
    );
}

#[test]
fn who_lags_behind_is_sent_every_checkpoint_above_its_watermark_after_a_restart_too() {
    let fixture = Fixture::strong();
    let mut node = restored_at_8(&fixture);
    let status = status(0, 0);
    node.receive(2, &status);
    node.wait(long());
    let lines = node.receive(2, &status);
    for claim in ["CHECKPOINT s4", "CHECKPOINT s8"] {
        assert!(lines.iter().any(|line| line.contains(claim)), "{lines:?}");
    }
}

#[test]
fn what_the_disk_says_of_checkpoints_that_are_stable_by_now_is_not_claimed() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    node.core.restore(Record::Stable(fixture.stable(
        &[0, 2, 3, 4],
        4,
        state_at(4),
    )));
    let configuration = consensus::Configuration::genesis(&fixture.cluster);
    node.core
        .restore_state(SeqNo(8), state_at(8), configuration);
    node.core.restore_checkpoints(&[(SeqNo(4), state_at(4))]);
    let status = status(0, 0);
    node.receive(2, &status);
    node.wait(long());
    let lines = node.receive(2, &status);
    assert!(
        !lines.iter().any(|line| line.contains("CHECKPOINT s4")),
        "{lines:?}"
    );
}

#[test]
fn who_is_far_behind_a_state_that_nobody_holds_any_more_fetches_a_newer_one() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let (stable, newest) = (40, 48);
    let claim = |from: u16, seq| Wire::Checkpoint(fixture.checkpoint(from, seq, state_at(seq)));
    node.receive(2, &claim(2, newest));
    node.receive(
        0,
        &Wire::Stable(fixture.stable(&[0, 2, 3, 4], stable, state_at(stable))),
    );
    node.receive(3, &claim(3, newest));
    let asks = |node: &mut Node, seq: u64| {
        node.wait(long());
        let lines = node.fire(Timer::Status);
        lines.contains(&format!("fetch state s{seq}"))
    };
    node.fire(Timer::Status);
    assert!(
        !asks(&mut node, newest),
        "the claim before the certificate was out of reach"
    );
    node.receive(2, &claim(2, newest));
    assert!(asks(&mut node, newest));
    let lines = node.state_installed(newest, state_at(newest));
    assert!(lines.contains(&"stable s40".to_owned()), "{lines:?}");
    assert_eq!(node.core.last_executed(), SeqNo(newest));
}

#[test]
fn claims_far_ahead_are_kept_for_one_window_above_one_certificate_only() {
    let fixture = Fixture::strong();
    let window = fixture.cluster.limits().log_window;
    let mut node = fixture.node(1);
    let claim = |seq| Wire::Checkpoint(fixture.checkpoint(2, seq, state_at(seq)));
    let mut held = |stable: u64| {
        node.receive(
            0,
            &Wire::Stable(fixture.stable(&[0, 2, 3, 4], stable, state_at(stable))),
        );
        for seq in (stable - window..stable + 2 * window).step_by(4) {
            node.receive(2, &claim(seq));
        }
        node.core.census().claims as u64
    };
    assert_eq!(held(80), window / 4);
    assert_eq!(
        held(400),
        window / 4,
        "those above the older one are forgotten"
    );
}
