//! R12 across views: what a restart must not take back once views have changed.

use consensus::pbft::message::{Mode, Wire};
use consensus::pbft::record::Record;
use consensus::{Batch, CommitMode, Event, FastQuorum, Policy, Protocol, SeqNo, Timer, View};

use crate::fixture::{Fixture, ms, state_at};
use crate::net::{Net, long};
use crate::node::Node;
use crate::signing_views::{sent_report, status_in, voted};

const NOTHING: [&str; 0] = [];

/// The same replica, started from what `before` had made durable.
fn restarted(fixture: &Fixture, before: &Node) -> Node {
    let mut node = fixture.node(before.core.id().0);
    // Unbound records come first (see `Protocol::restore`), the newest of their kind.
    let views = before.records.iter().rev();
    let view = views.clone().find(|record| record.kind() == 4);
    let bound = before.records.iter().filter(|record| record.kind() < 3);
    for record in view.into_iter().chain(bound) {
        let bytes = crypto::encode(record);
        let record: Record = crypto::decode(&bytes).expect("own records decode");
        node.core.restore(record);
    }
    node
}

#[test]
fn a_primary_restarted_after_a_clean_stop_leaves_no_gap_below_votes_of_older_views() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(1);
    // Only this replica saw the proposal, so the new view assigns nothing to its slot.
    before.receive(0, &fixture.proposal(6).wire());
    for replica in [2, 3, 4] {
        before.receive(replica, &fixture.leaves(replica, 1));
    }
    assert_eq!(
        (before.core.view(), before.core.mode()),
        (View(1), Mode::Normal)
    );
    let mut node = restarted(&fixture, &before);
    node.step(Event::Started);
    let lines = node.request([fixture.request(0, 1)]);
    assert_eq!(lines[0], "proposed s1 (1)");
}

/// Slot 1 was proposed in view 0 and is proposed again in view 1, behind it everything is free.
fn opens_with_slot_1(fixture: &Fixture) -> Wire {
    let proposal = fixture.proposal(1);
    let report = |replica| fixture.report(replica, 1, vec![voted(&proposal.header)]);
    let reports = [0, 1, 3, 4].map(report);
    let digests = [proposal.batch.digest()];
    Wire::NewView(fixture.sign_new_view(&fixture.new_view(&reports, Vec::new(), 1, &digests)))
}

fn in_view_1(fixture: &Fixture, seq: u64, batch: &Batch) -> Wire {
    Wire::PrePrepare(fixture.header(1, seq, batch.digest()), Some(batch.to_raw()))
}

#[test]
fn a_replica_restarted_in_an_open_view_knows_what_it_began_with() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(2);
    let opening = opens_with_slot_1(&fixture);
    before.receive(1, &opening);
    let mut node = restarted(&fixture, &before);
    node.step(Event::Started);
    assert_eq!(
        (node.core.view(), node.core.mode()),
        (View(1), Mode::Normal)
    );
    // Whoever lacks it gets it from here.
    node.hear_stuck(4, &status_in(0, Mode::Normal));
    assert!(node.sent.contains(&opening));
    // Its slot is not free, the next one is.
    let lines = node.receive(1, &in_view_1(&fixture, 2, &fixture.proposal(2).batch));
    assert_eq!(lines[0], "persist vote s2");
    let lines = node.receive(1, &in_view_1(&fixture, 1, &fixture.other_proposal(1).batch));
    assert_eq!(lines[0], "equivocation r1 s1");
}

#[test]
fn votes_that_a_restart_cut_off_are_cast_afterwards_and_those_that_were_cast_are_not() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(2);
    before.receive(0, &fixture.proposal(1).wire());
    before.receive(1, &opens_with_slot_1(&fixture));
    // View and vote in it were made durable in this order, and the disk got so far:
    let view = before.records.iter().position(|record| record.kind() == 4);
    let all = before.records.clone();
    for (durable, votes) in [(view.unwrap() + 1, 1), (all.len(), 0)] {
        before.records = all[..durable].to_vec();
        let mut node = restarted(&fixture, &before);
        let lines = node.step(Event::Started);
        let cast = lines.iter().filter(|line| line.starts_with("persist vote"));
        assert_eq!(cast.count(), votes, "{durable} records: {lines:?}");
    }
}

#[test]
fn a_slot_that_was_executed_before_a_restart_is_voted_for_again_with_a_body_from_others() {
    let fixture = Fixture::strong();
    // It had slot 1 as a DECISION only and never voted; then the state behind it was saved.
    let mut node = fixture.node(2);
    let configuration = consensus::Configuration::genesis(&fixture.cluster);
    node.core
        .restore_state(SeqNo(4), state_at(4), configuration);
    node.step(Event::Started);
    node.receive(1, &opens_with_slot_1(&fixture));
    node.sent.clear();
    node.status_after_waiting();
    node.status_after_waiting();
    let digest = fixture.proposal(1).batch.digest();
    assert!(node.sent.contains(&Wire::FetchBatch(SeqNo(1), digest)));
    let body = Wire::Batch(fixture.proposal(1).batch.to_raw());
    assert_eq!(node.receive(3, &body)[0], "persist vote s1");
    // Nothing is missing any more.
    node.sent.clear();
    node.status_after_waiting();
    node.status_after_waiting();
    assert!(!node.sent.iter().any(|wire| wire.name() == "fetch-batch"));
}

#[test]
fn a_replica_votes_once_for_a_slot_of_a_view_however_often_it_is_restarted() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.receive(1, &fixture.opens_empty(1));
    node.receive(1, &in_view_1(&fixture, 1, &fixture.proposal(1).batch));
    for _ in 0..3 {
        let before = node;
        node = restarted(&fixture, &before);
        node.records = before.records;
        node.step(Event::Started);
        let other = in_view_1(&fixture, 1, &fixture.other_proposal(1).batch);
        let Wire::PrePrepare(header, body) = other else {
            unreachable!("it is one");
        };
        // As an answer to a fetch, from another replica.
        let lines = node.receive(3, &Wire::PrePrepare(header, body));
        assert_eq!(lines[0], "equivocation r1 s1");
        let votes = node.records.iter().filter(|record| record.kind() == 1);
        assert_eq!(votes.count(), 1);
    }
}

#[test]
fn the_report_after_a_restart_says_everything_that_was_promised_before() {
    let policy = Policy {
        commit_mode: CommitMode::Eager,
        ..Policy::default()
    };
    let fixture = Fixture::with_policy(FastQuorum::Conservative, policy);
    let mut before = fixture.node(2);
    let header = fixture.proposal(1).header;
    before.receive(0, &fixture.proposal(1).wire());
    for voter in [0, 1, 3, 4] {
        before.receive(voter, &Wire::Prepare(fixture.prepare(voter, &header)));
    }
    assert_eq!(before.sent.last().unwrap().name(), "commit");
    before.receive(1, &opens_with_slot_1(&fixture));
    let mut node = restarted(&fixture, &before);
    for node in [&mut before, &mut node] {
        node.step(Event::Started);
        node.wait(ms(250));
        node.fire(Timer::Heartbeat);
    }
    let (wire, report) = sent_report(&node);
    assert_eq!(wire, sent_report(&before).0);
    let vote = report.records[0].vote.unwrap();
    assert_eq!(vote.view, View(1), "the latest");
    let prepared = report.records[0].prepared.as_ref().unwrap();
    assert_eq!(prepared.statement, header.statement);
}

#[test]
fn a_replica_restarted_while_the_view_changes_votes_in_no_older_one() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(2);
    before.step(Event::Started);
    before.wait(ms(250));
    before.fire(Timer::Heartbeat);
    let mut node = restarted(&fixture, &before);
    node.step(Event::Started);
    assert_eq!(node.receive(0, &fixture.proposal(1).wire()), NOTHING);
    assert_eq!(node.core.mode(), Mode::ViewChange);
    // It counts on, and enters the view when it opens.
    node.receive(1, &opens_with_slot_1(&fixture));
    assert_eq!(
        (node.core.view(), node.core.mode()),
        (View(1), Mode::Normal)
    );
}

#[test]
fn a_primary_restarted_while_its_view_changes_opens_it() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(1);
    before.step(Event::Started);
    before.wait(ms(250));
    before.fire(Timer::Heartbeat);
    let mut node = restarted(&fixture, &before);
    // Nothing of this view can have left: its opening was not durable.
    node.core.fence();
    node.step(Event::Started);
    node.request([fixture.request(0, 1)]);
    for replica in [2, 3, 4] {
        node.receive(replica, &fixture.leaves(replica, 1));
    }
    let names: Vec<&str> = node.sent.iter().map(Wire::name).collect();
    assert!(
        names.ends_with(&["new-view", "pre-prepare", "prepare"]),
        "{names:?}"
    );
}

#[test]
fn a_primary_that_may_have_proposed_without_a_trace_leaves_its_view_and_leads_a_later_one() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(1);
    before.receive(2, &fixture.opens_empty(1));
    let mut node = restarted(&fixture, &before);
    node.core.fence();
    let lines = node.step(Event::Started);
    assert!(
        lines.contains(&"leave for v2: restart".to_owned()),
        "{lines:?}"
    );
    node.request([fixture.request(0, 1)]);
    assert!(node.sent.iter().all(|wire| wire.name() != "pre-prepare"));
    // The fence is about that view only.
    for replica in [2, 3, 4] {
        node.receive(replica, &fixture.leaves(replica, 6));
    }
    let proposed = node.sent.iter().filter(|wire| wire.name() == "pre-prepare");
    assert_eq!(proposed.count(), 1);
}

#[test]
fn a_backup_that_is_restarted_stays_in_its_view() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(2);
    before.receive(1, &fixture.opens_empty(1));
    let mut node = restarted(&fixture, &before);
    node.core.fence();
    let lines = node.step(Event::Started);
    assert_eq!(
        lines,
        [
            "set Status 50ms",
            "entered v1",
            "send STATUS to all",
            "set Heartbeat 250ms",
        ]
    );
}

#[test]
fn a_cluster_that_lost_power_in_the_middle_of_a_view_change_finishes_it() {
    for lost in ["view-change", "new-view", "prepare"] {
        let fixture = Fixture::strong();
        let mut net = Net::new(&fixture, &[]);
        net.settle();
        net.request(0, fixture.request(0, 1));
        net.run(ms(10));
        // Everything goes well until the primary is restarted; then this kind is lost.
        net.loses = Box::new(move |_, _, wire| wire.name() == lost);
        net.restart(0);
        net.request(1, fixture.request(1, 1));
        net.run(ms(20));
        for id in 0..5 {
            net.crash(id);
        }
        net.loses = Box::new(|_, _, _| true);
        net.run(ms(20));
        net.loses = Box::new(|_, _, _| false);
        for id in 0..5 {
            net.restart(id);
        }
        net.request(1, fixture.request(1, 1));
        net.run(long() * 2);
        for id in 0..5 {
            assert!(net.executed(id, 2), "r{id} after the loss of {lost}");
        }
        assert_eq!(net.halts, Vec::<String>::new());
    }
}

#[test]
fn the_batch_of_an_earlier_vote_outlives_a_vote_for_another_one_and_a_restart() {
    let fixture = Fixture::strong();
    let (first, second) = (fixture.proposal(1), fixture.other_proposal(1));
    let mut before = fixture.node(2);
    before.receive(0, &first.wire());
    let report = |replica| fixture.report(replica, 1, vec![voted(&second.header)]);
    let reports = [0, 1, 3, 4].map(report);
    let opens = fixture.new_view(&reports, Vec::new(), 1, &[second.batch.digest()]);
    before.receive(1, &Wire::NewView(fixture.sign_new_view(&opens)));
    before.receive(3, &Wire::Batch(second.batch.to_raw()));
    let bodies = |record: &&Record| matches!(record, Record::Bodies { .. });
    assert_eq!(before.records.iter().filter(bodies).count(), 1);
    let mut node = fixture.node(2);
    // What the log holds: of each kind the latest for the slot.
    let is_first_vote = |record: &Record| matches!(record, Record::Vote { statement, .. } if statement.digest == first.batch.digest());
    let (bound, unbound): (Vec<Record>, Vec<Record>) = before
        .records
        .iter()
        .filter(|record| !is_first_vote(record))
        .cloned()
        .partition(|record| record.seq() > SeqNo(0));
    for record in unbound.into_iter().chain(bound) {
        node.core.restore(record);
    }
    let lines = node.receive(4, &Wire::FetchBatch(SeqNo(1), first.batch.digest()));
    assert_eq!(lines, ["send BATCH to r4"]);
}

#[test]
fn a_new_primary_repeats_nothing_of_its_view_before_the_view_is_durable() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    for replica in [2, 3, 4] {
        node.receive(replica, &fixture.leaves(replica, 1));
    }
    node.request([fixture.request(0, 1)]);
    let proposed = node.sent.iter().find_map(|wire| match wire {
        Wire::PrePrepare(header, _) => Some(header.statement),
        _ => None,
    });
    let proposed = proposed.expect("the new primary proposes");
    let fetch = Wire::FetchBatch(proposed.seq, proposed.digest);
    // Its disk is slow: it would not know after a crash that it has opened view 1, and would open it
    // again with something else (R12).
    let mut promised = |durable: bool| {
        if durable {
            node.persisted();
        }
        node.sent.clear();
        node.hear_stuck(2, &status_in(0, Mode::Normal));
        node.hear_stuck(3, &status_in(1, Mode::Normal));
        node.receive(4, &fetch);
        let own = |name: &str| node.sent.iter().filter(|wire| wire.name() == name).count();
        (own("new-view"), own("pre-prepare"), own("batch"))
    };
    assert_eq!(promised(false), (0, 0, 1), "the body promises nothing");
    let (new_views, proposals, batches) = promised(true);
    assert!(new_views > 0 && proposals > 1 && batches == 0);
}
