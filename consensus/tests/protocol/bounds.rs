//! Everything that others can make a replica hold has an end (M1-M7). Each row floods one thing: what is held after twice the flood is what
//! was held after the first half of it, and within its bound.

use consensus::Protocol as _;
use consensus::pbft::Pbft;
use consensus::pbft::census::Census;
use consensus::pbft::message::{MisbehaviourProof, Mode, Status, Wire};
use consensus::{Epoch, FastQuorum, Limits, Policy, SeqNo, View};
use crypto::codec::Blob;
use crypto::{Digest, Kind};

use crate::fixture::{Fixture, small_limits, statement};
use crate::voting::{decide, decided_large};

/// Messages of one half of a flood. The bounds are far below.
const HALF: u64 = 2_000;

/// L of these tests.
const WINDOW: usize = 8;
/// n of these tests.
const N: usize = 5;

fn digest(number: u64) -> Digest {
    Digest::of("flood", &number.to_le_bytes())
}

/// What is held after each half of a flood by replica 4 that `message` makes.
fn halves(fixture: &Fixture, message: impl Fn(u64) -> Wire) -> [Census; 2] {
    let mut node = fixture.node(1);
    let mut half = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            // Refused or not: what counts is what it leaves behind.
            let _ = node.try_receive(4, &message(number));
        }
        node.core.census()
    };
    [half(0..HALF), half(HALF..2 * HALF)]
}

fn settled([first, second]: [Census; 2], what: &str) -> Census {
    assert_eq!(first, second, "{what} goes on to grow");
    second
}

#[test]
fn votes_for_ever_new_slots_views_and_digests_are_bounded_by_the_window() {
    let fixture = Fixture::strong();
    let header = |number: u64| {
        let mut header = fixture.header(0, 1, digest(number));
        header.statement = statement(number % 97, 1 + number % 61, digest(number));
        header
    };
    for (what, held) in [
        (
            "PREPAREs",
            halves(&fixture, |number| {
                Wire::Prepare(fixture.prepare(4, &header(number)))
            }),
        ),
        (
            "COMMITs",
            halves(&fixture, |number| {
                Wire::Commit(fixture.commit(4, &header(number)))
            }),
        ),
    ] {
        let held = settled(held, what);
        assert!(held.votes > 0, "{what}: some are kept");
        assert!(held.slots <= 2 * WINDOW, "{what}: {held:?}");
        // Of one kind, of one replica, of two views.
        assert!(held.votes <= 2 * WINDOW * 2, "{what}: {held:?}");
    }
}

#[test]
fn proposals_leave_few_bodies_in_few_slots() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    // The primary itself, with a different batch each time.
    let mut flood = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            let request = fixture.request((number % 4) as u32, 1 + number / 4);
            let proposal = fixture.proposal_of(1 + number % 40, vec![request]);
            let _ = node.try_receive(0, &proposal.wire());
        }
        node.core.census()
    };
    let held = [flood(0..400), flood(400..800)];
    assert!(
        held[1].bodies > 0 && held[1].bodies <= 2 * WINDOW * 4,
        "{held:?}"
    );
    assert_eq!(held[0].bodies, held[1].bodies);
}

#[test]
fn claims_of_checkpoints_are_one_a_replica_and_checkpoint() {
    let fixture = Fixture::strong();
    let held = settled(
        halves(&fixture, |number| {
            Wire::Checkpoint(fixture.checkpoint(4, 4 * (1 + number % 1_000), digest(number)))
        }),
        "CHECKPOINTs",
    );
    assert!(held.claims > 0 && held.claims <= 2 * WINDOW / 4, "{held:?}");
}

#[test]
fn a_replica_has_one_report_however_many_views_it_leaves() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    for view in 1..200 {
        let report = fixture.report(4, view, Vec::new());
        let _ = node.try_receive(4, &Wire::ViewChange(fixture.sign_report(&report)));
    }
    assert_eq!(node.core.census().reports, 1);
}

#[test]
fn one_proof_of_each_culprit_is_kept_whatever_it_signed() {
    let fixture = Fixture::strong();
    let held = settled(
        halves(&fixture, |number| {
            let header = |which: u64| {
                let mut header = fixture.header(4, 1 + number % 8, digest(2 * number + which));
                header.signature = fixture.sign(4, Kind::PrePrepare, &header.statement.body());
                header
            };
            Wire::Evidence(MisbehaviourProof::DoublePrePrepare(header(0), header(1)))
        }),
        "proofs",
    );
    assert_eq!(held.proofs, 1);
}

#[test]
fn the_log_stops_at_the_window_when_no_checkpoint_becomes_stable() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    for seq in 1..=64 {
        let proposal = fixture.proposal(seq);
        let _ = node.try_receive(0, &proposal.wire());
        for replica in [2, 3, 4] {
            let vote = Wire::Prepare(fixture.prepare(replica, &proposal.header));
            let _ = node.try_receive(replica, &vote);
        }
        node.persisted();
        node.executed(seq.min(WINDOW as u64));
    }
    let held = node.core.census();
    assert!(held.slots <= 2 * WINDOW, "{held:?}");
    assert!(held.votes <= 2 * WINDOW * N * 2, "{held:?}");
    assert_eq!(
        held.decisions, 0,
        "nothing is stable, so nothing is archived"
    );
}

#[test]
fn of_what_is_executed_only_the_bytes_are_kept() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    decide(&fixture, &mut node, 1..=4);
    for seq in 5..=6 {
        node.receive(0, &fixture.proposal(seq).wire());
    }
    let held = node.core.census();
    assert_eq!((held.bodies, held.parsed), (6, 2), "{held:?}");
    // Whoever lacks one still gets it.
    let proposal = fixture.proposal(4);
    let fetch = Wire::FetchBatch(SeqNo(4), proposal.header.statement.digest);
    let sent = node.receive(3, &fetch).join("\n");
    assert!(sent.contains("PRE-PREPARE s4 to r3"), "{sent}");
}

#[test]
fn requests_beyond_the_pool_are_turned_away_and_not_kept() {
    let policy = Policy {
        pending_requests_max: 32,
        ..Policy::default()
    };
    let limits = Limits {
        client_window: 1_000,
        ..small_limits()
    };
    let fixture = Fixture::with(5, 1, FastQuorum::Strong, limits, policy);
    let mut node = fixture.node(1);
    let mut most = 0;
    for number in 1..=200 {
        for client in 0..4 {
            node.request([fixture.request(client, number)]);
            most = most.max(node.core.census().requests);
        }
    }
    assert_eq!(most, 32);
}

#[test]
fn status_fetches_the_same_decisions_again_only_within_an_allowance() {
    let (_, mut node) = decided_large(4);
    let before = node.sent.len();
    // A liar that says for ever, and as fast as it can, that it lacks what it was sent.
    for _ in 0..200 {
        for executed in [4, 0] {
            node.receive(4, &status(executed));
            node.receive(4, &Wire::FetchDecisions(SeqNo(1), SeqNo(4)));
        }
    }
    let sent = node.sent[before..]
        .iter()
        .filter(|wire| matches!(wire, Wire::Decision(_)))
        .count();
    // Nearly 1 MiB each, 32 MiB at once, and 4 that were new.
    assert!((10..=40).contains(&sent), "{sent}");
}

#[test]
fn a_batch_is_fetched_again_only_within_an_allowance() {
    let (_, mut node) = decided_large(1);
    let mut decisions = node.sent.iter().rev();
    let digest = decisions.find_map(|wire| match wire {
        Wire::Prepare(vote) => Some(vote.statement.digest),
        _ => None,
    });
    let fetch = Wire::FetchBatch(SeqNo(1), digest.expect("it was voted for"));
    let sent = (0..200).filter(|_| !node.receive(4, &fetch).is_empty());
    let sent = sent.count();
    assert!((10..=34).contains(&sent), "nearly 1 MiB each of 32: {sent}");
}

#[test]
fn beyond_its_horizon_a_replica_has_no_use_for_proposals_and_votes() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let horizon = node.core.horizon().unwrap();
    // h = 0.
    assert_eq!(horizon.seq, SeqNo(2 * WINDOW as u64));
    for (seq, beyond) in [
        (1, false),
        (horizon.seq.0, false),
        (horizon.seq.0 + 1, true),
    ] {
        let proposal = fixture.proposal(seq);
        for (from, wire) in [
            (0, proposal.wire()),
            (2, Wire::Prepare(fixture.prepare(2, &proposal.header))),
            (2, Wire::Commit(fixture.commit(2, &proposal.header))),
        ] {
            assert_eq!(Pbft::is_beyond(&wire, horizon), beyond, "{seq}");
            let before = node.core.census();
            let done = node.receive(from, &wire);
            if beyond {
                assert!(done.is_empty(), "{done:?}");
                assert_eq!(node.core.census(), before, "{seq}");
            }
        }
    }
    // What another epoch says shows that there is one.
    let header = fixture.in_epoch(1).header(0, 1_000, digest(1));
    let elsewhere = Wire::Commit(fixture.in_epoch(1).commit(2, &header));
    assert!(!Pbft::is_beyond(&elsewhere, horizon));
    assert!(!Pbft::is_beyond(&status(1_000), horizon));
}

fn status(executed: u64) -> Wire {
    Wire::Status(Status {
        epoch: Epoch(0),
        view: View(0),
        mode: Mode::Normal,
        stable: SeqNo(0),
        last_executed: SeqNo(executed),
        undecided: Blob::from(vec![0]),
    })
}
