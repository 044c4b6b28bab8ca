//! R10.2: what a replica says when it leaves a view, and what it does no more.

use std::time::Duration;

use consensus::pbft::certificate::Phase;
use consensus::pbft::message::{Mode, SlotRecord, ViewChange, Wire};
use consensus::pbft::record::Record;
use consensus::{CommitMode, Event, FastQuorum, Policy, Protocol, SeqNo, Timer, View};

use crate::fixture::{Fixture, ms, state_at};
use crate::node::Node;
use crate::signing_views::{sent_report, voted};

const NOTHING: [&str; 0] = [];

/// q_F = 5 and q = 4, and whoever is prepared sends its COMMIT at once.
fn eager() -> Fixture {
    let policy = Policy {
        commit_mode: CommitMode::Eager,
        ..Policy::default()
    };
    Fixture::with_policy(FastQuorum::Conservative, policy)
}

fn silence(node: &mut Node) {
    node.step(Event::Started);
    node.wait(ms(250));
    node.fire(Timer::Heartbeat);
    assert_eq!(node.core.mode(), Mode::ViewChange);
}

/// `slot: vote view, prepared view`, as far as the report says.
fn summary(report: &ViewChange) -> Vec<String> {
    let line = |record: &SlotRecord| {
        let vote = record.vote.map(|vote| format!(" voted in {:?}", vote.view));
        let prepared = record.prepared.as_ref();
        let prepared = prepared.map(|held| format!(" prepared in {:?}", held.statement.view));
        let (vote, prepared) = (vote.unwrap_or_default(), prepared.unwrap_or_default());
        format!("{:?}{vote}{prepared}", record.seq)
    };
    report.records.iter().map(line).collect()
}

#[test]
fn a_report_says_every_vote_and_every_prepared_certificate_decided_or_not() {
    let fixture = eager();
    let mut node = fixture.node(2);
    crate::voting::decide(&fixture, &mut node, 1..=1);
    node.receive(0, &fixture.proposal(2).wire());
    // Slot 4 was prepared by others: this replica never saw its batch.
    let header = fixture.proposal(4).header;
    for voter in [0, 1, 3, 4] {
        node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &header)));
    }
    silence(&mut node);
    let (wire, report) = sent_report(&node);
    assert_eq!(
        summary(&report),
        [
            "s1 voted in v0 prepared in v0",
            "s2 voted in v0",
            "s4 prepared in v0",
        ]
    );
    assert_eq!((report.new_view, report.stable), (View(1), None));
    // And everybody takes it.
    fixture.node(1).receive(2, &wire);
}

#[test]
fn a_report_carries_the_primarys_signatures_and_q_votes() {
    let fixture = eager();
    let mut node = fixture.node(2);
    crate::voting::decide(&fixture, &mut node, 1..=1);
    silence(&mut node);
    let header = fixture.proposal(1).header;
    let (_, report) = sent_report(&node);
    assert_eq!(
        report.records,
        [fixture.prepared(&header, &[0, 1, 2, 3])],
        "the first four of five voters"
    );
}

#[test]
fn a_report_starts_at_the_stable_checkpoint_and_shows_its_certificate() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    crate::voting::decide(&fixture, &mut node, 1..=5);
    node.state_saved(4, state_at(4));
    let stable = fixture.stable(&[0, 1, 3, 4], 4, state_at(4));
    node.receive(3, &Wire::Stable(stable.clone()));
    silence(&mut node);
    let (_, report) = sent_report(&node);
    assert_eq!(report.stable, Some(stable));
    assert_eq!(summary(&report), ["s5 voted in v0 prepared in v0"]);
}

#[test]
fn the_latest_vote_is_reported_whatever_its_view_and_null_is_a_vote() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    for seq in [1, 3, 5] {
        node.receive(0, &fixture.proposal(seq).wire());
    }
    // The others lead into view 1 with what they had voted for in slot 3.
    let header = fixture.proposal(3).header;
    let reports: Vec<_> = [0, 1, 3, 4]
        .map(|replica| fixture.report(replica, 1, vec![voted(&header)]))
        .into();
    let null = consensus::batch::null_digest();
    let digests = [null, null, header.statement.digest];
    let new_view = fixture.new_view(&reports, Vec::new(), 1, &digests);
    node.receive(1, &Wire::NewView(fixture.sign_new_view(&new_view)));
    assert_eq!(node.core.view(), View(1));
    silence(&mut node);
    let (_, report) = sent_report(&node);
    assert_eq!(
        summary(&report),
        [
            "s1 voted in v1",
            "s2 voted in v1",
            "s3 voted in v1",
            "s5 voted in v0",
        ]
    );
    let digest_of = |at: usize| report.records[at].vote.map(|vote| vote.digest);
    assert_eq!(digest_of(0), Some(null));
    assert_eq!(digest_of(3), Some(fixture.proposal(5).batch.digest()));
}

#[test]
fn view_and_report_are_durable_before_the_report_leaves() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.receive(0, &fixture.proposal(1).wire());
    silence(&mut node);
    let (wire, _) = sent_report(&node);
    let Some(Record::View {
        view,
        mode,
        view_change: Some(stored),
        new_view: None,
        ..
    }) = node.records.last()
    else {
        panic!("the view was the last record: {:?}", node.records);
    };
    assert_eq!((*view, *mode), (View(1), Mode::ViewChange));
    assert_eq!(Wire::ViewChange(stored.clone()), wire);
    // The vote that it speaks of is older.
    assert_eq!(node.records[0].seq(), SeqNo(1));
}

#[test]
fn a_view_that_was_left_gets_no_vote_no_commit_and_no_prepared_certificate() {
    let fixture = eager();
    let mut node = fixture.node(2);
    let [first, second] = [1, 2].map(|seq| fixture.proposal(seq));
    node.receive(0, &first.wire());
    node.persisted();
    silence(&mut node);
    assert_eq!(node.receive(0, &second.wire()), NOTHING);
    for voter in [0, 1, 3] {
        let vote = Wire::Prepare(fixture.prepare(voter, &first.header));
        assert_eq!(node.receive(voter, &vote), NOTHING, "r{voter}");
    }
    let commit = Wire::Commit(fixture.commit(0, &first.header));
    assert_eq!(node.receive(0, &commit), NOTHING);
    assert_eq!(node.fire(Timer::Fast), ["cancel Fast"]);
    // The next report says what was promised in time.
    for replica in [3, 4] {
        node.receive(replica, &fixture.leaves(replica, 3));
    }
    let (_, report) = sent_report(&node);
    assert_eq!(report.new_view, View(3));
    assert_eq!(summary(&report), ["s1 voted in v0"]);
}

#[test]
fn a_slot_that_was_prepared_in_a_view_that_was_left_does_not_fall_back_to_commits() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(2);
    let proposal = fixture.proposal(1);
    node.receive(0, &proposal.wire());
    node.persisted();
    for voter in [0, 1, 3] {
        node.receive(
            voter,
            &Wire::Prepare(fixture.prepare(voter, &proposal.header)),
        );
    }
    // T_fast is 20 ms, and the primary resigns before that.
    node.wait(ms(10));
    node.receive(0, &fixture.leaves(0, 1));
    node.wait(ms(10));
    assert_eq!(node.fire(Timer::Fast), ["cancel Fast"]);
}

#[test]
fn certificates_of_a_view_that_was_left_still_decide() {
    let fixture = eager();
    let mut node = fixture.node(2);
    node.receive(0, &fixture.proposal(1).wire());
    node.persisted();
    silence(&mut node);
    let header = fixture.proposal(1).header;
    for voter in [0, 1, 3] {
        node.receive(voter, &Wire::Commit(fixture.commit(voter, &header)));
    }
    let lines = node.receive(4, &Wire::Commit(fixture.commit(4, &header)));
    assert_eq!(lines, ["decided s1 slow", "execute s1 (1)"]);
    let next = fixture.proposal(2);
    let certificate = fixture.certificate(Phase::Prepare, &[0, 1, 2, 3, 4], &next.header);
    let batch = Some(next.batch.to_raw());
    let decision = consensus::pbft::message::Decision { certificate, batch };
    let lines = node.receive(3, &Wire::Decision(decision));
    assert_eq!(lines, ["decided s2 transfer", "execute s2 (1)"]);
}

#[test]
fn a_vote_that_becomes_durable_after_its_view_was_left_is_in_the_report_and_counts() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let header = fixture.proposal(1).header;
    node.receive(0, &fixture.proposal(1).wire());
    for voter in [0, 1, 3] {
        node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &header)));
    }
    silence(&mut node);
    assert_eq!(summary(&sent_report(&node).1), ["s1 voted in v0"]);
    assert_eq!(node.persisted(), ["decided s1 fast", "execute s1 (1)"]);
}

#[test]
fn the_report_is_sent_again_every_t_rtx_byte_for_byte_whatever_has_come_in_since() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.receive(0, &fixture.proposal(1).wire());
    silence(&mut node);
    let (first, _) = sent_report(&node);
    // A report made now would say more of the checkpoint and less of slot 1.
    node.state_saved(4, state_at(4));
    node.receive(
        3,
        &Wire::Stable(fixture.stable(&[0, 1, 3, 4], 4, state_at(4))),
    );
    assert_eq!(node.core.stable(), SeqNo(4));
    node.sent.clear();
    // Less and less often, as receivers verify every copy.
    for millis in [200, 400, 800, 1600, 1600] {
        assert_eq!(
            node.fire(Timer::Retransmit),
            [
                "send VIEW-CHANGE to all once durable".to_owned(),
                format!("set Retransmit {:?}", Duration::from_millis(millis)),
            ]
        );
    }
    assert!(node.sent.iter().all(|again| *again == first));
    // Once the view is open it is not news any more.
    node.receive(1, &fixture.opens_empty(1));
    assert_eq!(node.fire(Timer::Retransmit), NOTHING);
}

#[test]
fn the_report_is_sent_again_byte_for_byte_after_a_restart() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(2);
    before.receive(0, &fixture.proposal(1).wire());
    silence(&mut before);
    let mut node = fixture.node(2);
    for record in before.records.iter().rev() {
        node.core.restore(record.clone());
    }
    let lines = node.step(Event::Started);
    assert_eq!(
        lines,
        [
            "set Status 50ms",
            "entered v1",
            "send STATUS to all",
            "send VIEW-CHANGE to all once durable",
            "set Retransmit 200ms",
        ]
    );
    assert_eq!(sent_report(&node).0, sent_report(&before).0);
}

#[test]
fn a_report_speaks_of_no_slot_beyond_the_window() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    // L = 8: proposals and votes are kept up to slot 16.
    for seq in [8, 9, 16] {
        let proposal = fixture.proposal(seq);
        node.receive(0, &proposal.wire());
        for voter in [0, 1, 3, 4] {
            node.receive(
                voter,
                &Wire::Prepare(fixture.prepare(voter, &proposal.header)),
            );
        }
    }
    silence(&mut node);
    let (wire, report) = sent_report(&node);
    assert_eq!(summary(&report), ["s8 voted in v0 prepared in v0"]);
    fixture.node(1).receive(2, &wire);
}
