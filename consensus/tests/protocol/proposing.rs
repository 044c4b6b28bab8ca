//! R7.1: when and what the primary proposes.

use std::collections::BTreeSet;

use consensus::pbft::certificate::Phase;
use consensus::pbft::message::{Decision, Wire};
use consensus::{FastQuorum, Policy, RawBatch, Request, Timer};

use crate::fixture::{Fixture, ms};
use crate::node::Node;
use crate::signing_views::voted;

/// The PREPAREs of all backups for what the primary proposed at `seq`: with q_F = q it is decided.
fn decide(fixture: &Fixture, primary: &mut Node, seq: u64) -> Vec<String> {
    let header = header_of(primary, seq);
    let mut lines = Vec::new();
    for backup in 1..5 {
        let vote = Wire::Prepare(fixture.prepare(backup, &header));
        lines.extend(primary.receive(backup, &vote));
    }
    lines
}

fn header_of(primary: &Node, seq: u64) -> consensus::pbft::message::Header {
    let proposed = primary.sent.iter().find_map(|wire| match wire {
        Wire::PrePrepare(header, _) if header.statement.seq.0 == seq => Some(*header),
        _ => None,
    });
    proposed.expect("the slot was proposed")
}

/// Slots and batch sizes of the proposals among these lines.
fn proposed(lines: &[String]) -> Vec<&str> {
    let of = |line: &&String| line.starts_with("proposed");
    lines.iter().filter(of).map(String::as_str).collect()
}

#[test]
fn an_idle_primary_proposes_at_once_and_its_own_vote_waits_for_the_disk() {
    let fixture = Fixture::strong();
    let mut primary = fixture.node(0);
    assert_eq!(
        primary.request([fixture.request(0, 1)]),
        [
            "proposed s1 (1)",
            "send PRE-PREPARE s1 to all",
            "persist vote s1",
            "send PREPARE s1 to all once durable",
            "set Request 250ms",
        ]
    );
}

#[test]
fn a_request_waits_t_batch_for_company_while_something_is_undecided() {
    let fixture = Fixture::strong();
    let mut primary = fixture.node(0);
    primary.request([fixture.request(0, 1)]);
    assert_eq!(primary.request([fixture.request(0, 2)]), ["set Batch 1ms"]);
    primary.now = primary.now + std::time::Duration::from_micros(400);
    assert_eq!(
        primary.request([fixture.request(1, 1)]),
        ["set Batch 600µs"],
        "T_batch runs from the oldest request"
    );
    primary.wait(ms(1));
    assert_eq!(proposed(&primary.fire(Timer::Batch)), ["proposed s2 (2)"]);
}

#[test]
fn where_slots_wait_in_line_fewer_than_are_undecided_wait_for_company_as_long() {
    let fixture = Fixture::strong();
    let mut primary = fixture.node(0);
    for (seq, took) in [(1, 2), (2, 30), (3, 30)] {
        primary.request([fixture.request(0, seq)]);
        primary.wait(ms(took));
        decide(&fixture, &mut primary, seq);
    }
    let two = (4..=5).map(|number| fixture.request(0, number));
    assert_eq!(proposed(&primary.request(two)), ["proposed s4 (2)"]);
    assert_eq!(primary.request([fixture.request(1, 1)]), ["set Batch 28ms"]);
    let as_many = primary.request([fixture.request(2, 1)]);
    assert_eq!(as_many, ["set Batch 1ms"]);
    primary.wait(ms(1));
    assert_eq!(proposed(&primary.fire(Timer::Batch)), ["proposed s5 (2)"]);
}

#[test]
fn how_slots_waited_in_line_under_another_primary_says_nothing() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    for (seq, took) in [(1, 2), (2, 30), (3, 30)] {
        node.receive(0, &fixture.proposal(seq).wire());
        node.wait(ms(took));
        crate::voting::decide(&fixture, &mut node, seq..=seq);
    }
    let records: Vec<_> = (1..=3)
        .map(|seq| voted(&fixture.proposal(seq).header))
        .collect();
    for replica in [2, 3, 4] {
        let report = fixture.report(replica, 1, records.clone());
        node.receive(replica, &Wire::ViewChange(fixture.sign_report(&report)));
    }
    let two = (4..=5).map(|number| fixture.request(0, number));
    assert_eq!(proposed(&node.request(two)), ["proposed s4 (2)"]);
    assert_eq!(node.request([fixture.request(1, 1)]), ["set Batch 1ms"]);
}

#[test]
fn what_waits_is_proposed_at_once_when_the_last_undecided_slot_is_decided() {
    let fixture = Fixture::strong();
    let mut primary = fixture.node(0);
    primary.request([fixture.request(0, 1)]);
    primary.request([fixture.request(0, 2)]);
    let lines = decide(&fixture, &mut primary, 1);
    assert_eq!(proposed(&lines), ["proposed s2 (1)"]);
}

#[test]
fn a_full_batch_is_closed_at_once_and_the_rest_waits() {
    let fixture = Fixture::strong();
    let mut primary = fixture.node(0);
    primary.request([fixture.request(0, 1)]);
    let burst = (2..=10).map(|number| fixture.request(0, number));
    let lines = primary.request(burst);
    assert_eq!(proposed(&lines), ["proposed s2 (4)", "proposed s3 (4)"]);
    assert_eq!(lines.last().unwrap(), "set Batch 1ms");
    assert_eq!(primary.core.pending(), 10);
}

#[test]
fn at_most_inflight_max_proposals_are_undecided() {
    let policy = Policy {
        inflight_max: 3,
        ..Policy::default()
    };
    let fixture = Fixture::with_policy(FastQuorum::Strong, policy);
    let mut primary = fixture.node(0);
    let burst = (1..=24).map(|number| fixture.request(0, number));
    let lines = primary.request(burst);
    assert_eq!(proposed(&lines).len(), 3, "pipelined, but no more");
    assert_eq!(
        proposed(&decide(&fixture, &mut primary, 2)),
        ["proposed s4 (4)"],
        "a decided slot makes room, also out of order"
    );
}

#[test]
fn nothing_is_proposed_beyond_the_window_until_it_moves() {
    let fixture = Fixture::strong();
    let mut primary = fixture.node(0);
    let burst = (1..=40).map(|number| fixture.request(0, number));
    assert_eq!(proposed(&primary.request(burst)).len(), 8, "L = 8");
    assert_eq!(decide_all(&fixture, &mut primary, 1..=8), 0);
    let state = crate::fixture::state_at(4);
    primary.state_saved(4, state);
    for backup in 1..3 {
        let claim = Wire::Checkpoint(fixture.checkpoint(backup, 4, state));
        primary.receive(backup, &claim);
    }
    let last = Wire::Checkpoint(fixture.checkpoint(3, 4, state));
    let lines = primary.receive(3, &last);
    assert_eq!(proposed(&lines), ["proposed s9 (4)", "proposed s10 (4)"]);
}

/// Decides these slots and counts the proposals that it led to.
fn decide_all(
    fixture: &Fixture,
    primary: &mut Node,
    slots: std::ops::RangeInclusive<u64>,
) -> usize {
    slots
        .map(|seq| proposed(&decide(fixture, primary, seq)).len())
        .sum()
}

#[test]
fn a_slot_is_never_proposed_twice_and_a_request_in_flight_is_not_proposed_again() {
    let fixture = Fixture::strong();
    let mut primary = fixture.node(0);
    let burst = || (1..=6).map(|number| fixture.request(0, number));
    primary.request(burst());
    primary.request(burst());
    primary.wait(ms(5));
    primary.fire(Timer::Batch);
    primary.fire(Timer::Batch);
    let mut slots = Vec::new();
    let mut requests = BTreeSet::new();
    for wire in &primary.sent {
        if let Wire::PrePrepare(header, Some(body)) = wire {
            slots.push(header.statement.seq.0);
            for raw in body.iter() {
                assert!(requests.insert(raw), "proposed in two batches");
            }
        }
    }
    assert_eq!(slots, [1, 2]);
    assert_eq!(requests.len(), 6);
}

#[test]
fn an_executed_request_that_comes_again_may_be_ordered_again() {
    // The session table answers it (R6); the pool must not hold it for ever.
    let fixture = Fixture::strong();
    let mut primary = fixture.node(0);
    primary.request([fixture.request(0, 1)]);
    decide(&fixture, &mut primary, 1);
    assert_eq!(primary.core.pending(), 0);
    let lines = primary.request([fixture.request(0, 1)]);
    assert_eq!(proposed(&lines), ["proposed s2 (1)"]);
}

#[test]
fn backups_never_propose_but_forward_clients_requests_to_the_primary() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(2);
    assert_eq!(
        backup.request([fixture.request(0, 1)]),
        ["set Request 250ms"]
    );
    assert_eq!(
        backup.request([fixture.request(0, 1)]),
        ["send FORWARD to r0"],
        "a client that asks again is heard again"
    );
    assert_eq!(backup.core.pending(), 1);
    backup.wait(ms(5));
    assert_eq!(backup.fire(Timer::Batch), Vec::<String>::new());
}

#[test]
fn a_backup_passes_a_request_on_once_the_primary_had_its_time() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(2);
    let forwards = |lines: Vec<String>| lines.iter().any(|line| line == "send FORWARD to r0");
    backup.request([fixture.request(0, 1)]);
    backup.wait(ms(50));
    assert!(!forwards(backup.fire(Timer::Status)), "it may be a sample");
    backup.wait(ms(50));
    assert!(forwards(backup.fire(Timer::Status)), "an eighth of T_req");
    backup.wait(ms(50));
    assert!(!forwards(backup.fire(Timer::Status)), "once");
    // What was executed meanwhile is not passed on.
    let mut backup = fixture.node(2);
    backup.request([fixture.request(0, 1)]);
    crate::voting::decide(&fixture, &mut backup, 1..=1);
    backup.wait(ms(100));
    assert!(!forwards(backup.fire(Timer::Status)));
}

#[test]
fn a_forwarded_request_is_proposed_and_not_forwarded_further() {
    let fixture = Fixture::strong();
    let forward = Wire::Forward(vec![blob(&fixture, 0, 1)]);
    let lines = fixture.node(0).receive(3, &forward);
    assert_eq!(proposed(&lines), ["proposed s1 (1)"]);
    let lines = fixture.node(1).receive(3, &forward);
    assert_eq!(lines, ["set Request 250ms"], "no loops among backups");
}

#[test]
fn forged_requests_in_a_forward_are_left_out_and_the_good_ones_stay() {
    let fixture = Fixture::strong();
    let forged = fixture.forged_request(1, 1).raw().clone();
    let forward = Wire::Forward(vec![crypto::codec::Blob(forged), blob(&fixture, 0, 1)]);
    let mut primary = fixture.node(0);
    assert_eq!(proposed(&primary.receive(3, &forward)), ["proposed s1 (1)"]);
}

fn blob(fixture: &Fixture, client: u32, number: u64) -> crypto::codec::Blob {
    crypto::codec::Blob(fixture.request(client, number).raw().clone())
}

#[test]
fn forwards_are_split_so_that_each_fits_where_a_proposal_fits() {
    let limits = consensus::Limits {
        op_bytes_max: 1 << 20,
        ..crate::fixture::small_limits()
    };
    let policy = Policy::default();
    let fixture = Fixture::with(5, 1, FastQuorum::Strong, limits, policy);
    let op = vec![7; 1_000_000];
    let burst = (1..=30).map(|number| fixture.request_of(0, 1, number, 0, &[&op]));
    let mut backup = fixture.node(1);
    backup.request(burst.clone());
    // They come again, so the primary does not have them.
    backup.request(burst);
    let mut forwarded = 0;
    for wire in &backup.sent {
        let bytes = crypto::encode(wire);
        match crypto::decode::<Wire>(&bytes).expect("within the codec's bound") {
            Wire::Forward(requests) => {
                let bytes: usize = requests.iter().map(|raw| raw.0.len()).sum();
                assert!(bytes <= fixture.cluster.limits().batch_bytes_max as usize);
                forwarded += requests.len();
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(forwarded, 30);
}

#[test]
fn a_full_pool_answers_busy_and_keeps_what_it_has() {
    let policy = Policy {
        pending_requests_max: 3,
        ..Policy::default()
    };
    let fixture = Fixture::with_policy(FastQuorum::Strong, policy);
    let mut backup = fixture.node(1);
    let burst = (1..=4).map(|number| fixture.request(0, number));
    assert_eq!(backup.request(burst), ["busy c0#4", "set Request 250ms"]);
    assert_eq!(backup.core.pending(), 3);
    let lines = backup.request([fixture.request(0, 2)]);
    assert_eq!(
        lines,
        ["send FORWARD to r0"],
        "a known request is not refused"
    );
}

#[test]
fn one_client_cannot_fill_the_pool_nor_can_bytes() {
    let policy = Policy {
        pending_per_client_max: 2,
        pending_bytes_max: 5 * fixture_request_len(),
        ..Policy::default()
    };
    let fixture = Fixture::with_policy(FastQuorum::Strong, policy);
    let mut backup = fixture.node(1);
    let of_one = (1..=3).map(|number| fixture.request(0, number));
    assert_eq!(backup.request(of_one)[0], "busy c0#3");
    let of_others = [(1, 1), (1, 2), (2, 1), (2, 2)];
    let lines = backup.request(of_others.map(|(client, number)| fixture.request(client, number)));
    assert_eq!(lines[0], "busy c2#2", "five requests' bytes are the bound");
}

fn fixture_request_len() -> usize {
    Fixture::strong().request(0, 1).raw().len()
}

#[test]
fn what_can_never_execute_any_more_leaves_the_pool() {
    let fixture = Fixture::strong();
    let mut backup = fixture.node(1);
    let request = |session, number, ack| fixture.request_of(0, session, number, ack, &[b"op"]);
    backup.request([request(1, 1, 0), request(1, 2, 0), request(1, 4, 0)]);
    backup.request([request(2, 1, 0), fixture.request(1, 1)]);
    let mut execute = |seq, executed: Request| {
        let proposal = fixture.proposal_of(seq, vec![executed]);
        let certificate = fixture.certificate(Phase::Commit, &[0, 2, 3, 4], &proposal.header);
        let batch = Some(proposal.batch.to_raw());
        backup.receive(2, &Wire::Decision(Decision { certificate, batch }));
        backup.core.pending()
    };
    assert_eq!(execute(1, request(1, 3, 2)), 3, "acknowledged: 1 and 2");
    assert_eq!(execute(2, request(2, 2, 0)), 2, "of an earlier session: 4");
    assert_eq!(execute(3, request(2, 3, 2)), 1, "others' stay");
}

#[test]
fn a_busy_answer_goes_to_clients_only_never_for_what_a_peer_forwarded() {
    let policy = Policy {
        pending_requests_max: 1,
        inflight_max: 1,
        ..Policy::default()
    };
    let fixture = Fixture::with_policy(FastQuorum::Strong, policy);
    let mut primary = fixture.node(0);
    primary.request([fixture.request(0, 1)]);
    let forward = Wire::Forward(vec![blob(&fixture, 1, 1)]);
    assert_eq!(primary.receive(2, &forward), Vec::<String>::new());
}

/// BC2, BC4: f + 1 backups that wait in vain give a correct primary up.
#[test]
fn a_client_that_fills_its_share_cannot_have_the_primary_suspected() {
    let policy = Policy {
        pending_per_client_max: 2,
        inflight_max: 1,
        ..Policy::default()
    };
    let fixture = Fixture::with_policy(FastQuorum::Strong, policy);
    let mut primary = fixture.node(0);
    primary.request([fixture.request(0, 1)]);
    primary.request([fixture.request(0, 2)]);
    // The same client has asked the backups for something else.
    let lines = primary.receive(2, &Wire::Forward(vec![blob(&fixture, 0, 3)]));
    assert_eq!(lines, ["busy c0#2"]);
    assert_eq!(
        proposed(&decide(&fixture, &mut primary, 1)),
        ["proposed s2 (1)"]
    );
    let body = primary.sent.iter().rev().find_map(|wire| match wire {
        Wire::PrePrepare(_, Some(body)) => Some(body.clone()),
        _ => None,
    });
    let third = RawBatch::from_iter([blob(&fixture, 0, 3)]);
    assert_eq!(body, Some(third));
}

#[test]
fn a_client_that_floods_takes_room_from_itself() {
    let policy = Policy {
        pending_requests_max: 8,
        inflight_max: 1,
        ..Policy::default()
    };
    let fixture = Fixture::with_policy(FastQuorum::Strong, policy);
    let mut primary = fixture.node(0);
    primary.request((1..=9).map(|number| fixture.request(0, number)));
    let lines = primary.request([fixture.request(1, 1)]);
    // Four are in flight; of those that wait the newest gives way.
    assert_eq!(lines[0], "busy c0#8", "{lines:?}");
    assert_eq!(primary.core.pending(), 8);
}

#[test]
fn clients_are_served_in_turn_however_many_requests_one_of_them_has() {
    let fixture = Fixture::strong();
    let mut primary = fixture.node(0);
    primary.request([fixture.request(3, 1)]);
    let greedy = (1..=3).map(|number| fixture.request(0, number));
    let modest = [fixture.request(1, 1), fixture.request(2, 1)];
    primary.request(greedy.chain(modest));
    primary.wait(ms(1));
    primary.fire(Timer::Batch);
    let Some(Wire::PrePrepare(_, Some(body))) = primary
        .sent
        .iter()
        .rfind(|wire| matches!(wire, Wire::PrePrepare(..)))
    else {
        panic!("the batches were proposed");
    };
    // The first batch of four took c0, c1, c2, c0; the one left over is c0's third.
    assert_eq!(body.len(), 1);
    let first = primary.sent.iter().find_map(|wire| match wire {
        Wire::PrePrepare(header, Some(body)) if header.statement.seq.0 == 2 => Some(body.clone()),
        _ => None,
    });
    let clients: Vec<u8> = first.unwrap().iter().map(|raw| raw[0]).collect();
    assert_eq!(clients, [0, 1, 2, 0]);
}
