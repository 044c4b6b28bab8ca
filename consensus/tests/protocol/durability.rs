//! R12: what a restart must not take back.

use consensus::pbft::message::{Header, Wire};
use consensus::pbft::record::Record;
use consensus::{Configuration, FastQuorum, Protocol, SeqNo};

use crate::fixture::{Fixture, state_at};
use crate::net::{Net, long};
use crate::node::Node;

const NOTHING: [&str; 0] = [];

/// The same replica, started from what `before` had made durable.
fn restarted(fixture: &Fixture, before: &Node) -> Node {
    let mut node = fixture.node(before.core.id().0);
    for record in &before.records {
        let bytes = crypto::encode(record);
        let record: Record = crypto::decode(&bytes).expect("own records decode");
        node.core.restore(record);
    }
    node
}

fn prepare(fixture: &Fixture, node: &mut Node, voter: u16, header: &Header) -> Vec<String> {
    node.receive(voter, &Wire::Prepare(fixture.prepare(voter, header)))
}

#[test]
fn a_restored_vote_is_never_contradicted() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(1);
    before.receive(0, &fixture.proposal(1).wire());
    let mut node = restarted(&fixture, &before);
    assert_eq!(node.receive(0, &fixture.proposal(1).wire()), NOTHING);
    let lines = node.receive(0, &fixture.other_proposal(1).wire());
    assert_eq!(lines[0], "equivocation r0 s1");
    assert_eq!(node.records.len(), 1, "the view and no second vote");
}

#[test]
fn a_restored_vote_counts_and_its_body_is_there() {
    let fixture = Fixture::strong();
    let proposal = fixture.proposal(1);
    let mut before = fixture.node(1);
    before.receive(0, &proposal.wire());
    let mut node = restarted(&fixture, &before);
    prepare(&fixture, &mut node, 0, &proposal.header);
    prepare(&fixture, &mut node, 2, &proposal.header);
    assert_eq!(
        prepare(&fixture, &mut node, 3, &proposal.header),
        ["decided s1 fast", "execute s1 (1)"]
    );
}

#[test]
fn a_vote_that_was_not_durable_may_be_cast_differently_after_a_crash() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(1);
    before.receive(0, &fixture.proposal(1).wire());
    before.records.clear();
    let mut node = restarted(&fixture, &before);
    assert_eq!(
        node.receive(0, &fixture.other_proposal(1).wire()),
        ["persist vote s1", "send PREPARE s1 to all once durable"]
    );
}

#[test]
fn a_restored_vote_is_sent_again_with_the_same_signature() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(1);
    before.receive(0, &fixture.proposal(1).wire());
    let mut node = restarted(&fixture, &before);
    let status = Wire::Status(consensus::pbft::message::Status {
        epoch: consensus::Epoch(0),
        view: consensus::View(0),
        mode: consensus::pbft::message::Mode::Normal,
        stable: SeqNo(0),
        last_executed: SeqNo(0),
        undecided: vec![0xff].into(),
    });
    node.hear_stuck(2, &status);
    assert_eq!(before.sent, node.sent);
}

#[test]
fn persisting_up_to_a_ticket_counts_the_votes_up_to_it_and_no_later_ones() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    for seq in [1, 2] {
        let proposal = fixture.proposal(seq);
        node.receive(0, &proposal.wire());
        for voter in [0, 2, 3] {
            prepare(&fixture, &mut node, voter, &proposal.header);
        }
    }
    let first = consensus::Event::Persisted(consensus::Ticket(1));
    assert_eq!(node.step(first), ["decided s1 fast", "execute s1 (1)"]);
    assert_eq!(node.persisted(), ["decided s2 fast", "execute s2 (1)"]);
}

#[test]
fn a_fenced_primary_never_proposes_in_its_view_but_votes_and_answers_on() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(0);
    before.request([fixture.request(0, 1)]);
    let mut node = restarted(&fixture, &before);
    node.core.fence();
    assert_eq!(node.request([fixture.request(0, 2)]), ["set Request 250ms"]);
    node.wait(long());
    assert_eq!(node.fire(consensus::Timer::Batch), NOTHING);
    let header = fixture.proposal(1).header;
    for voter in [1, 2] {
        prepare(&fixture, &mut node, voter, &header);
    }
    let lines = prepare(&fixture, &mut node, 3, &header);
    assert_eq!(lines, ["decided s1 fast", "execute s1 (1)"]);
}

#[test]
fn a_primary_restarted_after_a_clean_stop_goes_on_behind_its_last_proposal() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(0);
    before.request([fixture.request(0, 1)]);
    let mut node = restarted(&fixture, &before);
    node.wait(long());
    node.request([fixture.request(0, 2)]);
    node.wait(long());
    let lines = node.fire(consensus::Timer::Batch);
    assert_eq!(lines[0], "proposed s2 (1)");
}

#[test]
fn the_watermark_and_its_certificate_survive() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(1);
    crate::voting::decide(&fixture, &mut before, 1..=4);
    before.state_saved(4, state_at(4));
    before.receive(
        2,
        &Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, state_at(4))),
    );
    let mut node = fixture.node(1);
    // Unbound records come first: the watermark is known before the slots.
    for record in before.records.iter().rev().take(1) {
        node.core.restore(record.clone());
    }
    let configuration = Configuration::genesis(&fixture.cluster);
    node.core
        .restore_state(SeqNo(4), state_at(4), configuration);
    assert_eq!(node.core.stable(), SeqNo(4));
    assert_eq!(node.core.last_executed(), SeqNo(4));
    let next = fixture.proposal(5);
    assert_eq!(node.receive(0, &next.wire())[0], "persist vote s5");
}

#[test]
fn votes_far_above_the_start_are_restored_behind_their_watermark() {
    let fixture = Fixture::strong();
    let vote = fixture.proposal(45);
    let records = [
        Record::Stable(fixture.stable(&[0, 2, 3, 4], 40, state_at(40))),
        Record::Vote {
            epoch: consensus::Epoch(0),
            statement: vote.header.statement,
            header_signature: vote.header.signature,
            batch: Some(vote.batch.to_raw()),
        },
    ];
    let mut node = fixture.node(1);
    for record in records {
        node.core.restore(record);
    }
    let lines = node.receive(0, &fixture.other_proposal(45).wire());
    assert_eq!(lines[0], "equivocation r0 s45");
    assert_eq!(node.records.len(), 1, "the view and no second vote");
}

#[test]
fn a_cluster_that_lost_power_decides_what_it_had_voted_for() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.loses = Box::new(|_, _, wire| wire.name() == "prepare");
    net.request(0, fixture.request(0, 1));
    net.run(long() / 20);
    restart_all(&mut net, 0..5);
    net.run(long());
    for id in 0..5 {
        assert!(net.executed(id, 1), "r{id}");
    }
}

#[test]
fn a_cluster_that_lost_power_between_prepared_and_committed_finishes() {
    for fast in [FastQuorum::Conservative, FastQuorum::Off] {
        let fixture = Fixture::new(5, 1, fast);
        let mut net = Net::new(&fixture, &[4]);
        net.loses = Box::new(|_, _, wire| wire.name() == "commit");
        net.request(0, fixture.request(0, 1));
        net.run(long() / 20);
        restart_all(&mut net, 0..4);
        net.run(long());
        for id in 0..4 {
            assert!(net.executed(id, 1), "r{id} with {fast:?}");
        }
    }
}

#[test]
fn a_cluster_that_lost_power_with_its_window_full_makes_its_checkpoint_stable() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[4]);
    net.loses = Box::new(|_, _, wire| wire.name() == "checkpoint");
    for number in 1..=8 {
        net.request(0, fixture.request(0, number));
        net.run(long() / 100);
    }
    assert!(net.executed(3, 8), "all of L = 8");
    restart_all(&mut net, 0..4);
    net.run(long());
    for id in 0..4 {
        assert_eq!(net.core(id).stable(), SeqNo(8), "r{id}");
    }
    net.request(0, fixture.request(0, 9));
    net.run(long());
    assert!(net.executed(0, 9));
}

fn restart_all(net: &mut Net<'_>, ids: std::ops::Range<u16>) {
    for id in ids.clone() {
        net.crash(id);
    }
    // What was under way is lost with the power.
    net.loses = Box::new(|_, _, _| true);
    net.run(long() / 100);
    net.loses = Box::new(|_, _, _| false);
    for id in ids {
        net.start(id);
    }
}
