//! R9 and R13: when a replica asks for a state, and how it goes on behind it. K = 4, L = 8.

use consensus::pbft::certificate::Phase;
use consensus::pbft::message::{Decision, Wire};
use consensus::transfer::message::StateMessage;
use consensus::{Configuration, Event, Misbehaviour, SeqNo, Timer};
use crypto::Digest;

use crate::fixture::{Fixture, ms, state_at};
use crate::node::Node;
use crate::voting::decide;

const NOTHING: [&str; 0] = [];

fn stable(fixture: &Fixture, seq: u64) -> Wire {
    Wire::Stable(fixture.stable(&[0, 2, 3, 4], seq, state_at(seq)))
}

fn install(fixture: &Fixture, node: &mut Node, seq: u64, digest: Digest) -> Vec<String> {
    node.step(Event::StateInstalled {
        seq: SeqNo(seq),
        digest,
        configuration: Configuration::genesis(&fixture.cluster),
    })
}

/// Replica 1 has been told of slot 12, which is further than decisions reach.
fn fetching(fixture: &Fixture) -> Node {
    let mut node = fixture.node(1);
    node.receive(2, &stable(fixture, 12));
    node
}

fn decision(fixture: &Fixture, seq: u64) -> Wire {
    let proposal = fixture.proposal(seq);
    let certificate = fixture.certificate(Phase::Prepare, &[0, 2, 3, 4], &proposal.header);
    Wire::Decision(Decision {
        certificate,
        batch: Some(proposal.batch.to_raw()),
    })
}

#[test]
fn a_replica_within_reach_of_decisions_waits_for_them() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    assert_eq!(node.receive(2, &stable(&fixture, 8)), NOTHING);
    assert_eq!(
        node.receive(3, &decision(&fixture, 1)).last().unwrap(),
        "execute s1 (1)"
    );
}

#[test]
fn a_replica_beyond_the_reach_of_decisions_asks_for_the_state() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let asks = ["behind s12", "fetch state s12"];
    assert_eq!(node.receive(2, &stable(&fixture, 12)), asks);
    assert_eq!(node.receive(3, &stable(&fixture, 12)), NOTHING, "once");
    let asks = ["behind s16", "fetch state s16"];
    assert_eq!(node.receive(2, &stable(&fixture, 16)), asks, "a newer one");
    assert_eq!(node.receive(3, &stable(&fixture, 12)), NOTHING);
}

/// Lets T_status pass this often, 50 ms each, and says after how many the state was asked for.
fn status_timers(node: &mut Node, times: u32) -> Vec<u32> {
    let asked = |node: &mut Node, at: &u32| {
        node.wait(ms(50));
        let lines = node.fire(Timer::Status);
        *at > 0 && lines.contains(&"fetch state s8".to_owned())
    };
    (1..=times).filter(|at| asked(node, at)).collect()
}

#[test]
fn decisions_that_do_not_come_are_given_up_after_ten_retransmissions() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    status_timers(&mut node, 10);
    node.receive(2, &stable(&fixture, 8));
    // T_rtx is 100 ms; then twice as long, until something moves.
    assert_eq!(status_timers(&mut node, 62), [20, 60]);
}

#[test]
fn a_replica_that_moves_does_not_ask_for_a_state() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    status_timers(&mut node, 1);
    node.receive(2, &stable(&fixture, 8));
    for seq in 1..=7 {
        assert_eq!(status_timers(&mut node, 15), NOTHING_ASKED, "slot {seq}");
        node.receive(2, &decision(&fixture, seq));
    }
}

const NOTHING_ASKED: [u32; 0] = [];

#[test]
fn behind_an_installed_state_the_replica_goes_on_as_if_it_had_executed_it() {
    let fixture = Fixture::strong();
    let mut node = fetching(&fixture);
    assert_eq!(
        install(&fixture, &mut node, 12, state_at(12)),
        [
            "stable s12",
            "persist stable s12",
            "truncate s12",
            "send STATUS to all"
        ]
    );
    assert_eq!(node.core.stable(), SeqNo(12));
    assert_eq!(node.core.last_executed(), SeqNo(12));
    let lines = decide(&fixture, &mut node, 13..=13);
    assert_eq!(lines.last().unwrap(), "execute s13 (1)");
}

#[test]
fn slots_of_the_installed_state_are_not_executed_whoever_decides_them_later() {
    let fixture = Fixture::strong();
    let mut node = fetching(&fixture);
    install(&fixture, &mut node, 12, state_at(12));
    for seq in 1..=12 {
        assert_eq!(node.receive(3, &decision(&fixture, seq)), NOTHING, "{seq}");
    }
    let proposal = fixture.proposal(12).wire();
    assert_eq!(node.receive(0, &proposal), NOTHING);
}

#[test]
fn what_was_decided_above_the_state_is_executed_at_once() {
    let fixture = Fixture::strong();
    let mut node = fetching(&fixture);
    for seq in 13..=14 {
        let lines = node.receive(3, &decision(&fixture, seq));
        assert!(lines.iter().all(|line| !line.starts_with("execute")));
    }
    let lines = install(&fixture, &mut node, 12, state_at(12));
    let executed = lines.iter().filter(|line| line.starts_with("execute"));
    assert_eq!(
        executed.collect::<Vec<_>>(),
        ["execute s13 (1)", "execute s14 (1)"]
    );
}

#[test]
fn a_state_that_is_old_when_it_is_there_is_followed_by_the_next() {
    let fixture = Fixture::strong();
    let mut node = fetching(&fixture);
    node.receive(2, &stable(&fixture, 24));
    let lines = install(&fixture, &mut node, 12, state_at(12));
    assert_eq!(lines[0], "stable s12");
    assert!(lines.contains(&"fetch state s24".to_owned()), "{lines:?}");
    let lines = install(&fixture, &mut node, 24, state_at(24));
    assert_eq!(lines[0], "stable s24");
    assert!(!lines.iter().any(|line| line.starts_with("fetch")));
}

#[test]
fn a_state_whose_certificate_was_forgotten_counts_like_any_saved_state() {
    let fixture = Fixture::strong();
    let mut node = fetching(&fixture);
    for later in 4..=12 {
        node.receive(2, &stable(&fixture, later * 4));
    }
    let lines = install(&fixture, &mut node, 12, state_at(12));
    assert_eq!(lines[0], "send CHECKPOINT s12 to all");
    assert_eq!(node.core.last_executed(), SeqNo(12));
    assert_eq!(node.core.stable(), SeqNo(0));
}

#[test]
fn an_installed_state_never_takes_a_replica_back() {
    let fixture = Fixture::strong();
    let mut node = fetching(&fixture);
    install(&fixture, &mut node, 12, state_at(12));
    let before = node.records.len();
    install(&fixture, &mut node, 8, state_at(8));
    assert_eq!(node.core.stable(), SeqNo(12));
    assert_eq!(node.core.last_executed(), SeqNo(12));
    assert_eq!(node.records.len(), before);
}

#[test]
fn pending_requests_are_forgotten_because_the_state_may_contain_them() {
    let fixture = Fixture::strong();
    let mut node = fetching(&fixture);
    node.request([fixture.request(0, 1), fixture.request(1, 1)]);
    assert_eq!(node.core.pending(), 2);
    install(&fixture, &mut node, 12, state_at(12));
    assert_eq!(node.core.pending(), 0);
    // A client that still waits sends again.
    node.request([fixture.request(0, 1)]);
    assert_eq!(node.core.pending(), 1);
}

#[test]
fn a_replica_that_restarts_on_an_installed_state_stands_where_it_stood() {
    let fixture = Fixture::strong();
    let mut node = fetching(&fixture);
    install(&fixture, &mut node, 12, state_at(12));
    let mut core = fixture.core(1);
    for record in &node.records {
        consensus::Protocol::restore(&mut core, record.clone());
    }
    let configuration = Configuration::genesis(&fixture.cluster);
    core.restore_state(SeqNo(12), state_at(12), configuration);
    assert_eq!(
        (core.stable(), core.last_executed()),
        (SeqNo(12), SeqNo(12))
    );
}

#[test]
fn a_replica_that_restarts_before_the_certificate_was_recorded_has_the_state_all_the_same() {
    let fixture = Fixture::strong();
    let mut core = fixture.core(1);
    let configuration = Configuration::genesis(&fixture.cluster);
    core.restore_state(SeqNo(12), state_at(12), configuration);
    let mut node = Node::new(core, fixture.keyring.clone());
    assert_eq!(node.core.last_executed(), SeqNo(12));
    let lines = node.receive(2, &stable(&fixture, 12));
    assert_eq!(lines[0], "stable s12", "{lines:?}");
}

#[test]
fn messages_of_the_transfer_pass_through_within_their_bounds() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let seq = SeqNo(12);
    let ask = Wire::State(StateMessage::FetchManifest { seq });
    assert_eq!(node.receive(2, &ask), ["state transfer with r2"]);
    let parts = Vec::new();
    let nothing = Wire::State(StateMessage::FetchParts {
        seq,
        request: 1,
        parts,
    });
    let refused = node.try_receive(2, &nothing);
    assert!(matches!(refused, Err(Misbehaviour::Malformed(_))));
}
