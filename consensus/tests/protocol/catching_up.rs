//! R10.7 and R13: STATUS makes lossy links reliable in effect, and brings laggards up to date.

use consensus::SeqNo;
use consensus::pbft::message::{Mode, Status, Wire};
use consensus::{FastQuorum, Misbehaviour, Timer, View};
use crypto::codec::Blob;

use crate::fixture::{Fixture, SESSION, ms, small_limits, state_at};
use crate::net::{Net, long};
use crate::node::Node;
use crate::voting::{decide, decide_each, decided_large};

const NOTHING: [&str; 0] = [];

/// STATUS of a replica that has executed `last_executed` slots and nothing beyond.
pub(crate) fn status(stable: u64, last_executed: u64) -> Wire {
    Wire::Status(Status {
        epoch: consensus::Epoch(0),
        view: View(0),
        mode: Mode::Normal,
        stable: SeqNo(stable),
        last_executed: SeqNo(last_executed),
        undecided: Blob::from(vec![0xff]),
    })
}

fn own_status(node: &mut Node) -> Status {
    node.fire(Timer::Status);
    match node.sent.iter().rfind(|wire| wire.name() == "status") {
        Some(Wire::Status(status)) => status.clone(),
        _ => panic!("a STATUS was sent"),
    }
}

#[test]
fn status_says_view_watermark_execution_and_which_slots_are_undecided() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let fresh = own_status(&mut node);
    assert_eq!(fresh.undecided.to_vec(), [0b1111_1111]);
    decide(&fixture, &mut node, 1..=2);
    decide(&fixture, &mut node, 5..=5);
    let later = own_status(&mut node);
    assert_eq!(later.undecided.to_vec(), [0b1110_1100]);
    assert_eq!((later.stable, later.last_executed), (SeqNo(0), SeqNo(2)));
}

#[test]
fn a_started_replica_tells_everybody_where_it_stands() {
    let fixture = Fixture::strong();
    assert_eq!(
        fixture.node(1).step(consensus::Event::Started),
        [
            "set Status 50ms",
            "entered v0",
            "send STATUS to all",
            "set Heartbeat 250ms"
        ]
    );
}

#[test]
fn a_stuck_peer_is_sent_decisions_and_one_that_moves_is_not() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    decide(&fixture, &mut node, 1..=3);
    assert_eq!(
        node.receive(0, &status(0, 1)),
        NOTHING,
        "it was at 0 before"
    );
    assert_eq!(
        node.receive(0, &status(0, 1)),
        NOTHING,
        "what it lacks is probably under way"
    );
    assert_eq!(
        node.hear_stuck(0, &status(0, 1)),
        [
            "send DECISION s2 to r0",
            "send DECISION s3 to r0",
            "retransmitted 2 to r0",
        ]
    );
    assert_eq!(node.receive(0, &status(0, 3)), NOTHING);
    assert_eq!(
        node.hear_stuck(0, &status(0, 3)),
        NOTHING,
        "it has everything"
    );
}

#[test]
fn an_idle_hour_does_not_make_the_next_wait_a_long_one() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    decide(&fixture, &mut node, 1..=1);
    node.receive(0, &status(0, 1));
    for _ in 0..20 {
        assert_eq!(node.hear_stuck(0, &status(0, 1)), NOTHING);
    }
    decide(&fixture, &mut node, 2..=2);
    node.wait(consensus::Policy::default().retransmit_interval);
    assert_eq!(
        node.receive(0, &status(0, 1)),
        ["send DECISION s2 to r0", "retransmitted 1 to r0"]
    );
}

#[test]
fn decisions_that_are_sent_convince_their_receiver() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    decide(&fixture, &mut node, 1..=2);
    node.hear_stuck(0, &status(0, 0));
    let decisions: Vec<Wire> = node
        .sent
        .iter()
        .filter(|wire| wire.name() == "decision")
        .cloned()
        .collect();
    let mut stuck = fixture.node(2);
    for (decision, seq) in decisions.iter().zip(1..) {
        assert_eq!(
            stuck.receive(1, decision),
            [
                format!("decided s{seq} transfer"),
                format!("execute s{seq} (1)")
            ]
        );
    }
    assert_eq!(decisions.len(), 2);
    // What came as a certificate can be passed on as one.
    stuck.hear_stuck(1, &status(0, 0));
    assert_eq!(
        stuck
            .sent
            .iter()
            .filter(|wire| wire.name() == "decision")
            .count(),
        2
    );
}

#[test]
fn an_undecided_slots_durable_votes_are_sent_again_and_the_proposal_by_the_primary() {
    let fixture = Fixture::strong();
    let proposal = fixture.proposal(1).wire();
    let mut backup = fixture.node(1);
    backup.receive(0, &proposal);
    assert_eq!(
        backup.hear_stuck(2, &status(0, 0)),
        NOTHING,
        "a vote that is not durable is no promise yet"
    );
    backup.persisted();
    assert_eq!(
        backup.hear_stuck(2, &status(0, 0)),
        ["send PREPARE s1 to r2", "retransmitted 1 to r2"]
    );
    let mut primary = fixture.node(0);
    primary.request([fixture.request(0, 1)]);
    primary.persisted();
    assert_eq!(
        primary.hear_stuck(2, &status(0, 0)),
        [
            "send PRE-PREPARE s1 to r2",
            "send PREPARE s1 to r2",
            "retransmitted 2 to r2",
        ]
    );
}

#[test]
fn commits_are_sent_again_when_they_are_durable() {
    let fixture = Fixture::new(5, 1, FastQuorum::Off);
    let mut node = fixture.node(1);
    let proposal = fixture.proposal(1);
    node.receive(0, &proposal.wire());
    node.persisted();
    for voter in [0, 2, 3] {
        node.receive(
            voter,
            &Wire::Prepare(fixture.prepare(voter, &proposal.header)),
        );
    }
    let prepare_only = ["send PREPARE s1 to r4", "retransmitted 1 to r4"];
    assert_eq!(node.hear_stuck(4, &status(0, 0)), prepare_only);
    node.persisted();
    assert_eq!(
        node.hear_stuck(4, &status(0, 0)),
        [
            "send PREPARE s1 to r4",
            "send COMMIT s1 to r4",
            "retransmitted 2 to r4",
        ]
    );
}

#[test]
fn a_peer_below_the_watermark_is_sent_the_certificate_and_archived_decisions() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    decide(&fixture, &mut node, 1..=4);
    node.state_saved(4, state_at(4));
    node.receive(
        2,
        &Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, state_at(4))),
    );
    let lines = node.hear_stuck(0, &status(0, 0));
    assert_eq!(lines[0], "send STABLE s4 to r0");
    let decisions: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("DECISION"))
        .collect();
    assert_eq!(decisions.len(), 4, "{lines:?}");
}

#[test]
fn of_decisions_that_are_stable_everywhere_few_are_kept() {
    let (fixture, mut node) = decided_large(8);
    node.state_saved(8, state_at(8));
    let stable = fixture.stable(&[0, 2, 3, 4], 8, state_at(8));
    node.receive(2, &Wire::Stable(stable));
    for replica in [0, 2, 3] {
        node.receive(replica, &status(8, 8));
    }
    assert_eq!(node.core.census().decisions, 8, "replica 4 may lack them");
    // It has executed them, and would begin below them all the same if it were started again.
    node.receive(4, &status(4, 8));
    assert_eq!(node.core.census().decisions, 4);
    // What is left is for one that loses its disk.
    node.receive(4, &status(8, 8));
    assert_eq!(node.core.census().decisions, 4);
}

#[test]
fn a_decision_can_be_shown_when_votes_of_later_views_have_replaced_those_that_made_it() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    decide(&fixture, &mut node, 1..=1);
    let digest = fixture.proposal(1).batch.digest();
    // Two views are kept of each replica. In new views everybody votes for the slot again.
    for view in [1, 2] {
        let header = fixture.header(view, 1, digest);
        for voter in [0, 2, 3, 4] {
            node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &header)));
        }
    }
    node.hear_stuck(0, &status(0, 0));
    let shown = node.sent.iter().rfind(|wire| wire.name() == "decision");
    assert_eq!(
        fixture.node(2).receive(1, shown.expect("it is shown")),
        ["decided s1 transfer", "execute s1 (1)"]
    );
}

#[test]
fn a_fetched_body_is_answered_with_its_proposal() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let proposal = fixture.proposal(1);
    node.receive(0, &proposal.wire());
    let fetch = |digest| Wire::FetchBatch(SeqNo(1), digest);
    let ours = fetch(proposal.batch.digest());
    assert_eq!(node.receive(2, &ours), ["send PRE-PREPARE s1 to r2"]);
    let unknown = fetch(fixture.other_proposal(1).batch.digest());
    assert_eq!(node.receive(2, &unknown), NOTHING);
}

#[test]
fn decisions_are_fetched_by_short_ranges() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    decide(&fixture, &mut node, 1..=3);
    let fetch = |first, last| Wire::FetchDecisions(SeqNo(first), SeqNo(last));
    assert_eq!(
        node.receive(2, &fetch(2, 17)),
        ["send DECISION s2 to r2", "send DECISION s3 to r2"]
    );
    for (first, last) in [(1, 17), (3, 2), (0, u64::MAX)] {
        let refused = node.try_receive(2, &fetch(first, last));
        assert!(matches!(refused, Err(Misbehaviour::Malformed(_))));
    }
    assert_eq!(node.receive(2, &fetch(u64::MAX - 1, u64::MAX)), NOTHING);
}

#[test]
fn no_status_can_bring_a_replica_down() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    decide(&fixture, &mut node, 1..=2);
    node.receive(0, &fixture.proposal(3).wire());
    node.persisted();
    let ends = [0, 1, 2, 8, u64::MAX - 1, u64::MAX];
    for stable in ends {
        for last_executed in ends {
            for _ in 0..2 {
                node.receive(4, &status(stable, last_executed));
            }
        }
    }
}

#[test]
fn a_status_with_a_bitmap_longer_than_the_window_is_refused() {
    let fixture = Fixture::strong();
    let Wire::Status(mut long_status) = status(0, 0) else {
        unreachable!("it was made as one")
    };
    long_status.undecided = Blob::from(vec![0; 2]);
    let refused = fixture
        .node(1)
        .try_receive(2, &Wire::Status(long_status.clone()));
    assert!(matches!(refused, Err(Misbehaviour::Malformed(_))));
    long_status.undecided = Blob::default();
    long_status.epoch.0 = 1;
    let later = fixture.node(1).receive(2, &Wire::Status(long_status));
    assert_eq!(later, NOTHING, "of a later epoch");
}

#[test]
fn lost_proposals_votes_and_bodies_are_made_good() {
    for lost in ["pre-prepare", "prepare", "forward"] {
        let fixture = Fixture::strong();
        let mut net = Net::new(&fixture, &[]);
        // Everything of this kind is lost for a while, but not for so long that the view changes.
        net.loses = Box::new(move |_, _, wire| wire.name() == lost);
        net.request(0, fixture.request(0, 1));
        net.request(1, fixture.request(1, 1));
        net.run(long() / 10);
        net.loses = Box::new(|_, _, _| false);
        net.request(1, fixture.request(1, 1));
        net.run(long());
        for id in 0..5 {
            assert!(net.executed(id, 2), "r{id} after the loss of {lost}");
        }
    }
}

#[test]
fn a_replica_that_was_cut_off_catches_up_below_the_watermark_of_the_others() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.loses = Box::new(|_, to, _| to == 3);
    for number in 1..=6 {
        net.request(0, fixture.request(0, number));
        net.run(long() / 10);
    }
    assert_eq!(net.core(0).stable(), SeqNo(4));
    assert!(!net.executed(3, 1));
    net.loses = Box::new(|_, _, _| false);
    net.run(long());
    assert!(net.executed(3, 6));
    assert_eq!(net.core(3).stable(), SeqNo(4));
    assert_eq!(net.halts, Vec::<String>::new());
}

#[test]
fn a_step_of_decisions_is_bounded_and_the_next_one_follows_a_part_of_it() {
    let limits = consensus::Limits {
        checkpoint_interval: 64,
        log_window: 128,
        client_window: 1024,
        ..small_limits()
    };
    let fixture = Fixture::with(
        5,
        1,
        FastQuorum::Strong,
        limits,
        consensus::Policy::default(),
    );
    let mut node = fixture.node(1);
    decide(&fixture, &mut node, 1..=80);
    let decisions = |lines: Vec<String>| -> Vec<String> {
        let sent = |line: &String| line.contains("DECISION");
        lines.into_iter().filter(sent).collect()
    };
    let step = decisions(node.hear_stuck(0, &status(0, 0)));
    assert_eq!((step.len(), &*step[63]), (64, "send DECISION s64 to r0"));
    let early = decisions(node.receive(0, &status(0, 15)));
    assert_eq!(early, NOTHING, "less than a part of it");
    let next = decisions(node.receive(0, &status(0, 16)));
    let ends = (next.len(), &*next[0], &*next[15]);
    assert_eq!(
        ends,
        (16, "send DECISION s65 to r0", "send DECISION s80 to r0"),
        "behind what is under way"
    );
    assert_eq!(decisions(node.receive(0, &status(0, 16))), NOTHING);
}

#[test]
fn a_step_of_decisions_with_large_batches_is_bounded_in_bytes() {
    let limits = consensus::Limits {
        checkpoint_interval: 64,
        log_window: 128,
        client_window: 1024,
        ..small_limits()
    };
    let policy = consensus::Policy::default();
    let fixture = Fixture::with(5, 1, FastQuorum::Strong, limits, policy);
    let mut node = fixture.node(1);
    let large = [b'v'; 60 << 10];
    let proposals = (1..=40).map(|seq| {
        let request = fixture.request_of(0, SESSION, seq, 0, &[&large[..]; 4]);
        fixture.proposal_of(seq, vec![request])
    });
    decide_each(&fixture, &mut node, proposals);
    let step = node.hear_stuck(0, &status(0, 0));
    let sent = step.iter().filter(|line| line.contains("DECISION")).count();
    // 240 KiB each, 4 MiB in all.
    assert_eq!(sent, 17);
}

/// A busy cluster with a log of 256 slots: STATUS comes so seldom that 16 slots for each are fewer than are decided.
/// Replica 3 misses the first `missed` slots; how far behind it is at the end of as many more.
fn behind_under_load(missed: u64, status_interval: std::time::Duration) -> u64 {
    let limits = consensus::Limits {
        checkpoint_interval: 64,
        log_window: 256,
        client_window: 1024,
        ..small_limits()
    };
    let policy = consensus::Policy {
        status_interval,
        heartbeat_timeout: 5 * status_interval,
        ..consensus::Policy::default()
    };
    let fixture = Fixture::with(5, 1, FastQuorum::Strong, limits, policy);
    let mut net = Net::new(&fixture, &[]);
    let between = ms(8);
    net.loses = Box::new(|from, to, _| to == 3 || from == 3);
    for number in 1..=missed {
        net.request(0, fixture.request(0, number));
        net.run(between);
    }
    net.loses = Box::new(|_, _, _| false);
    for number in missed + 1..=2 * missed {
        net.request(0, fixture.request(0, number));
        net.run(between);
    }
    let (there, here) = (net.core(0).last_executed(), net.core(3).last_executed());
    assert_eq!((net.core(3).view(), net.halts.len()), (View(0), 0));
    there.0 - here.0
}

#[test]
fn a_busy_cluster_is_caught_up_with_although_it_decides_faster_than_status_comes() {
    let behind = behind_under_load(100, ms(400));
    assert!(behind <= 2, "{behind} slots");
}
