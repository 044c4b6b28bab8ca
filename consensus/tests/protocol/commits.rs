//! R8: when COMMITs are sent. The policy costs or saves messages; it never decides anything.

use std::time::Duration;

use consensus::pbft::message::Wire;
use consensus::pbft::record::Record;
use consensus::{CommitMode, FastQuorum, Policy, Timer};

use crate::fixture::{Fixture, ms, state_at};
use crate::node::Node;

const NOTHING: [&str; 0] = [];
const COMMIT_S1: [&str; 2] = ["persist prepared s1", "send COMMIT s1 to all once durable"];

/// Hands replica 1 the proposal of `seq`, its own durable vote, and the PREPAREs of `voters`.
fn prepares(fixture: &Fixture, node: &mut Node, seq: u64, voters: &[u16]) -> Vec<String> {
    let proposal = fixture.proposal(seq);
    node.receive(0, &proposal.wire());
    let mut lines = node.persisted();
    for voter in voters {
        let vote = Wire::Prepare(fixture.prepare(*voter, &proposal.header));
        lines.extend(node.receive(*voter, &vote));
    }
    lines
}

fn commit(fixture: &Fixture, node: &mut Node, seq: u64, voter: u16) -> Vec<String> {
    let vote = Wire::Commit(fixture.commit(voter, &fixture.proposal(seq).header));
    node.receive(voter, &vote)
}

#[test]
fn with_q_f_equal_to_q_no_commit_is_ever_sent_in_any_mode() {
    for commit_mode in [CommitMode::Adaptive, CommitMode::Eager] {
        let policy = Policy {
            commit_mode,
            ..Policy::default()
        };
        let fixture = Fixture::with_policy(FastQuorum::Strong, policy);
        let mut node = fixture.node(1);
        assert_eq!(
            prepares(&fixture, &mut node, 1, &[0, 2, 3]),
            ["decided s1 fast", "execute s1 (1)"]
        );
        assert_eq!(commit(&fixture, &mut node, 1, 4), NOTHING);
        node.wait(ms(1000));
        assert_eq!(node.fire(Timer::Fast), ["cancel Fast"]);
    }
}

#[test]
fn commits_are_counted_even_where_they_are_never_sent() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    for voter in [0, 2, 3] {
        assert_eq!(commit(&fixture, &mut node, 1, voter), NOTHING);
    }
    assert_eq!(commit(&fixture, &mut node, 1, 4), ["decided s1 slow"]);
}

#[test]
fn with_the_fast_path_off_a_prepared_slot_commits_at_once() {
    let fixture = Fixture::new(5, 1, FastQuorum::Off);
    let mut node = fixture.node(1);
    assert_eq!(prepares(&fixture, &mut node, 1, &[0, 2, 3]), COMMIT_S1);
    assert_eq!(
        prepares(&fixture, &mut node, 1, &[4]),
        NOTHING,
        "five PREPAREs decide nothing"
    );
    for voter in [0, 2] {
        assert_eq!(commit(&fixture, &mut node, 1, voter), NOTHING);
    }
    assert_eq!(
        commit(&fixture, &mut node, 1, 3),
        ["decided s1 slow", "execute s1 (1)"],
        "the own COMMIT is durable and counts"
    );
}

#[test]
fn the_own_commit_counts_only_when_the_certificate_is_durable() {
    let fixture = Fixture::new(5, 1, FastQuorum::Off);
    let mut node = fixture.node(1);
    prepares(&fixture, &mut node, 1, &[0, 2, 3]);
    for voter in [0, 2, 3] {
        // The certificate is not durable: three COMMITs of others are not four.
        let vote = Wire::Commit(fixture.commit(voter, &fixture.proposal(1).header));
        assert_eq!(node.receive(voter, &vote), NOTHING);
    }
    assert_eq!(node.persisted(), ["decided s1 slow", "execute s1 (1)"]);
}

#[test]
fn the_persisted_certificate_is_q_prepares_of_distinct_replicas_for_the_slot() {
    let fixture = Fixture::new(5, 1, FastQuorum::Off);
    let mut node = fixture.node(1);
    prepares(&fixture, &mut node, 1, &[0, 2, 3]);
    let Some(Record::Prepared(certificate)) = node.records.last() else {
        panic!("the certificate was persisted");
    };
    assert_eq!(certificate.statement, fixture.proposal(1).header.statement);
    let mut checks = Vec::new();
    certificate
        .prepared_checks(&fixture.keyring, &mut checks)
        .expect("a prepared certificate");
    assert_eq!(checks.len(), 4);
    assert!(fixture.keyring.scheme().verify_batch(&checks));
}

#[test]
fn eager_commits_beside_the_fast_path_and_either_rule_may_win() {
    let policy = Policy {
        commit_mode: CommitMode::Eager,
        ..Policy::default()
    };
    let fixture = Fixture::with_policy(FastQuorum::Conservative, policy);
    let mut node = fixture.node(1);
    assert_eq!(prepares(&fixture, &mut node, 1, &[0, 2, 3]), COMMIT_S1);
    assert_eq!(
        prepares(&fixture, &mut node, 1, &[4]),
        ["decided s1 fast", "execute s1 (1)"]
    );
    prepares(&fixture, &mut node, 2, &[0, 2, 3]);
    node.persisted();
    commit(&fixture, &mut node, 2, 0);
    commit(&fixture, &mut node, 2, 2);
    assert_eq!(
        commit(&fixture, &mut node, 2, 3),
        ["decided s2 slow", "execute s2 (1)"]
    );
}

#[test]
fn adaptive_waits_t_fast_and_falls_back_naming_who_is_missing() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(1);
    assert_eq!(
        prepares(&fixture, &mut node, 1, &[0, 2, 3]),
        ["set Fast 20ms"]
    );
    node.wait(ms(19));
    assert_eq!(node.fire(Timer::Fast), ["set Fast 1ms"], "too early");
    node.wait(ms(1));
    assert_eq!(
        node.fire(Timer::Fast),
        [
            "fell back s1 missing [r4]",
            "persist prepared s1",
            "send COMMIT s1 to all once durable",
            "cancel Fast",
        ]
    );
    node.wait(ms(20));
    assert_eq!(node.fire(Timer::Fast), ["cancel Fast"], "once per slot");
}

#[test]
fn adaptive_sends_nothing_when_the_fast_quorum_comes_in_time() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(1);
    assert_eq!(
        prepares(&fixture, &mut node, 1, &[0, 2, 3, 4]),
        ["set Fast 20ms", "decided s1 fast", "execute s1 (1)"]
    );
    node.wait(ms(20));
    assert_eq!(node.fire(Timer::Fast), ["cancel Fast"]);
}

/// The answer to replica `to`, which has sent its COMMIT.
fn answer_s1(to: u16) -> [String; 1] {
    [format!("send COMMIT s1 to r{to} once durable")]
}

#[test]
fn who_sends_a_commit_is_answered_at_once_and_alone() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(1);
    prepares(&fixture, &mut node, 1, &[0, 2, 3]);
    let lines = commit(&fixture, &mut node, 1, 2);
    assert_eq!(lines[..1], ["persist prepared s1"]);
    assert_eq!(lines[1..], answer_s1(2));
    assert_eq!(commit(&fixture, &mut node, 1, 3), answer_s1(3));
    assert_eq!(commit(&fixture, &mut node, 1, 3), NOTHING, "once each");
}

#[test]
fn who_has_answered_some_waits_on_and_falls_back_like_the_others() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(1);
    prepares(&fixture, &mut node, 1, &[0, 2, 3]);
    commit(&fixture, &mut node, 1, 2);
    node.wait(ms(20));
    assert_eq!(
        node.fire(Timer::Fast),
        [
            "fell back s1 missing [r4]",
            "send COMMIT s1 to all once durable",
            "cancel Fast",
        ],
        "the certificate is on its way already"
    );
    assert_eq!(
        commit(&fixture, &mut node, 1, 3),
        NOTHING,
        "it has gone to all"
    );
}

#[test]
fn a_commit_that_came_before_the_slot_was_prepared_is_answered_when_it_is() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(1);
    assert_eq!(commit(&fixture, &mut node, 1, 2), NOTHING);
    let lines = prepares(&fixture, &mut node, 1, &[0, 2, 3]);
    assert_eq!(lines[..1], ["persist prepared s1"]);
    assert_eq!(lines[1..2], answer_s1(2));
    assert_eq!(lines[2..], ["set Fast 20ms"]);
}

#[test]
fn a_commit_for_another_batch_is_not_answered() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(1);
    prepares(&fixture, &mut node, 1, &[0, 2, 3]);
    let other = Wire::Commit(fixture.commit(2, &fixture.other_proposal(1).header));
    assert_eq!(node.receive(2, &other), NOTHING);
}

#[test]
fn commits_are_answered_also_after_a_fast_decision() {
    // Else a replica to which a liar withheld its vote could not finish.
    let fixture = Fixture::conservative();
    let mut node = fixture.node(1);
    prepares(&fixture, &mut node, 1, &[0, 2, 3, 4]);
    let lines = commit(&fixture, &mut node, 1, 4);
    assert_eq!(lines[..1], ["persist prepared s1"]);
    assert_eq!(lines[1..], answer_s1(4));
    assert_eq!(
        commit(&fixture, &mut node, 1, 4),
        NOTHING,
        "at most one each"
    );
}

#[test]
fn t_fast_follows_twice_the_measured_gap_within_its_bounds() {
    let fixture = Fixture::conservative();
    let gap = |gap: Duration| {
        let mut node = fixture.node(1);
        prepares(&fixture, &mut node, 1, &[0, 2, 3]);
        node.wait(gap);
        prepares(&fixture, &mut node, 1, &[4]);
        let lines = prepares(&fixture, &mut node, 2, &[0, 2, 3]);
        lines.last().cloned().expect("a timer was set")
    };
    assert_eq!(gap(ms(3)), "set Fast 6ms");
    assert_eq!(gap(Duration::from_micros(1)), "set Fast 500µs");
    assert_eq!(gap(ms(15)), "set Fast 20ms");
}

#[test]
fn t_fast_may_take_as_long_as_a_round_of_votes_where_that_is_longer_than_its_bound() {
    let fixture = wide(FastQuorum::Conservative);
    let timers = |round: u64, gap: u64| -> Vec<String> {
        let mut node = fixture.node(1);
        let of_slot = |seq| {
            let lines = slot(&fixture, &mut node, seq, round, gap);
            assert!(lines.contains(&format!("decided s{seq} fast")), "{lines:?}");
            lines.into_iter().find(|line| line.starts_with("set Fast"))
        };
        (1..=3)
            .map(of_slot)
            .map(Option::unwrap_or_default)
            .collect()
    };
    // Nothing is known of the gap yet: as patient as may be.
    assert_eq!(
        timers(50, 22),
        ["set Fast 50ms", "set Fast 44ms", "set Fast 44ms"]
    );
    // Who votes later and later gains one round, which is what COMMITs would have taken.
    assert_eq!(timers(50, 40), ["set Fast 50ms"; 3]);
    assert_eq!(timers(10, 15), ["set Fast 20ms"; 3]);
}

/// A window wide enough for long runs of slots without a checkpoint.
fn wide(fast: FastQuorum) -> Fixture {
    let limits = consensus::Limits {
        checkpoint_interval: 256,
        log_window: 512,
        ..consensus::Limits::default()
    };
    Fixture::with(5, 1, fast, limits, Policy::default())
}

#[test]
fn eight_expiries_in_sixteen_slots_make_it_eager_and_64_timely_slots_patient_again() {
    let fixture = wide(FastQuorum::Conservative);
    let mut node = fixture.node(1);
    for seq in 1..=8 {
        prepares(&fixture, &mut node, seq, &[0, 2, 3]);
        node.wait(ms(20));
        let lines = node.fire(Timer::Fast);
        let eager = lines.contains(&"eager commits true".to_owned());
        assert_eq!(eager, seq == 8, "slot {seq}: {lines:?}");
    }
    let eager = "send COMMIT s9 to all once durable".to_owned();
    assert!(prepares(&fixture, &mut node, 9, &[0, 2, 3]).contains(&eager));
    // Votes are observed in both states.
    prepares(&fixture, &mut node, 9, &[4]);
    for seq in 10..=72 {
        let lines = prepares(&fixture, &mut node, seq, &[0, 2, 3, 4]);
        let patient = lines.contains(&"eager commits false".to_owned());
        assert_eq!(patient, seq == 72, "slot {seq}: {lines:?}");
    }
    let lines = prepares(&fixture, &mut node, 73, &[0, 2, 3]);
    assert!(lines.iter().any(|line| line.starts_with("set Fast")));
}

#[test]
fn a_late_fast_quorum_starts_the_64_anew() {
    let fixture = wide(FastQuorum::Conservative);
    let mut node = fixture.node(1);
    for seq in 1..=8 {
        prepares(&fixture, &mut node, seq, &[0, 2, 3]);
        node.wait(ms(20));
        node.fire(Timer::Fast);
    }
    for seq in 9..=120 {
        let mut lines = prepares(&fixture, &mut node, seq, &[0, 2, 3]);
        if seq == 70 {
            node.wait(ms(21));
        }
        lines.extend(prepares(&fixture, &mut node, seq, &[4]));
        assert!(!lines.contains(&"eager commits false".to_owned()));
    }
}

#[test]
fn rare_expiries_leave_it_patient() {
    let fixture = wide(FastQuorum::Conservative);
    let mut node = fixture.node(1);
    for seq in 1..=60 {
        let timely = seq % 3 != 0;
        prepares(&fixture, &mut node, seq, &[0, 2, 3]);
        if timely {
            prepares(&fixture, &mut node, seq, &[4]);
        } else {
            node.wait(ms(20));
            let lines = node.fire(Timer::Fast);
            assert!(lines[0].starts_with("fell back"), "{lines:?}");
            assert!(!lines.contains(&"eager commits true".to_owned()));
        }
    }
}

/// A slot whose PREPAREs come `round` after the proposal, that of replica 4 `gap` after the others'.
fn slot(fixture: &Fixture, node: &mut Node, seq: u64, round: u64, gap: u64) -> Vec<String> {
    prepares(fixture, node, seq, &[]);
    node.wait(ms(round));
    let mut lines = prepares(fixture, node, seq, &[0, 2, 3]);
    node.wait(ms(gap));
    lines.extend(prepares(fixture, node, seq, &[4]));
    lines
}

#[test]
fn a_voter_that_is_always_just_in_time_makes_it_eager_for_as_long_as_it_goes_on() {
    let fixture = wide(FastQuorum::Conservative);
    let mut node = fixture.node(1);
    for seq in 1..=8 {
        let lines = slot(&fixture, &mut node, seq, 1, 15);
        assert!(lines.contains(&"set Fast 20ms".to_owned()), "{lines:?}");
        assert!(lines.contains(&format!("decided s{seq} fast")), "in time");
        let eager = lines.contains(&"eager commits true".to_owned());
        assert_eq!(eager, seq == 8, "slot {seq}: {lines:?}");
    }
    let turns = |node: &mut Node, slots: std::ops::RangeInclusive<u64>, gap: u64| -> Vec<u64> {
        slots
            .filter(|seq| {
                let lines = slot(&fixture, node, *seq, 1, gap);
                lines.iter().any(|line| line.starts_with("eager commits"))
            })
            .collect()
    };
    assert_eq!(turns(&mut node, 9..=100, 15), [], "it goes on");
    // The average of the gaps needs some slots to forget: 15 ms · (7/8)^15 is 2 ms, two rounds.
    assert_eq!(turns(&mut node, 101..=140, 0), [116], "it has stopped");
}

#[test]
fn a_vote_within_two_rounds_is_worth_waiting_for() {
    let fixture = wide(FastQuorum::Conservative);
    let mut node = fixture.node(1);
    for seq in 1..=60 {
        let lines = slot(&fixture, &mut node, seq, 8, 15);
        assert!(!lines.iter().any(|line| line.starts_with("eager")));
    }
}

#[test]
fn half_a_millisecond_is_worth_waiting_for_however_fast_the_others_are() {
    let fixture = wide(FastQuorum::Conservative);
    let mut node = fixture.node(1);
    for seq in 1..=30 {
        prepares(&fixture, &mut node, seq, &[0, 2, 3]);
        node.wait(Duration::from_micros(400));
        let lines = prepares(&fixture, &mut node, seq, &[4]);
        assert!(lines.contains(&format!("decided s{seq} fast")));
        assert!(!lines.contains(&"eager commits true".to_owned()));
    }
}

#[test]
fn who_sends_commits_at_once_by_its_settings_turns_neither_eager_nor_patient() {
    let policy = Policy {
        commit_mode: CommitMode::Eager,
        ..Policy::default()
    };
    let limits = wide(FastQuorum::Conservative).cluster.limits().clone();
    let fixture = Fixture::with(5, 1, FastQuorum::Conservative, limits, policy);
    let mut node = fixture.node(1);
    for seq in 1..=100 {
        let lines = slot(&fixture, &mut node, seq, 1, 15);
        assert!(!lines.iter().any(|line| line.starts_with("eager commits")));
    }
}

/// Slot 10 is beyond h + L = 8 here, but not for those who have a stable checkpoint at 4.
#[test]
fn a_slot_above_the_window_is_committed_only_when_the_window_reaches_it() {
    let policy = Policy {
        commit_mode: CommitMode::Eager,
        ..Policy::default()
    };
    let fixture = Fixture::with_policy(FastQuorum::Conservative, policy);
    let mut node = fixture.node(1);
    crate::voting::decide(&fixture, &mut node, 1..=4);
    let header = fixture.proposal(10).header;
    // A VIEW-CHANGE reports slots up to h + L only: this COMMIT could not be answered for.
    for voter in [0, 2, 3, 4] {
        let vote = Wire::Prepare(fixture.prepare(voter, &header));
        assert_eq!(node.receive(voter, &vote), NOTHING, "the vote of r{voter}");
    }
    assert_eq!(commit(&fixture, &mut node, 10, 0), NOTHING);
    node.state_saved(4, state_at(4));
    let stable = Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, state_at(4)));
    assert_eq!(
        node.receive(2, &stable),
        [
            "stable s4",
            "persist stable s4",
            "truncate s4",
            "persist prepared s10",
            "send COMMIT s10 to all once durable"
        ]
    );
}
