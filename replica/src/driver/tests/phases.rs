//! Which phases the driver measures of which slots.

use std::sync::Arc;

use consensus::protocol::When;
use consensus::report::Path;
use consensus::{Batch, ReplicaId, Report, SeqNo};

use super::stage::{COMMIT, Command, Stage, VOTE, stage};
use crate::observer::phases::Phase;

fn counts(stage: &Stage) -> Vec<(&'static str, u64)> {
    let count = |phase: &Phase| stage.observer.phases.of(*phase).snapshot().len();
    let all = Phase::ALL.iter().map(|phase| (phase.name(), count(phase)));
    all.filter(|(_, count)| *count > 0).collect()
}

/// Plays one list of actions for each message received, all in one turn.
fn played(script: Vec<Vec<Command>>) -> Stage {
    let turns = script.len();
    let mut stage = stage([vec![vec![]], script].concat());
    stage.receive(&vec![0; turns]).unwrap();
    stage
}

fn vote(seq: u32) -> Command {
    Command::Send(VOTE + seq, When::Durable)
}

fn commit(seq: u32) -> Command {
    Command::Send(COMMIT + seq, When::Durable)
}

#[test]
fn a_slot_decided_fast_is_prepared_and_never_committed() {
    let stage = played(vec![
        vec![vote(1)],
        vec![Command::Decided(1, Path::Fast)],
        // Somebody lacks a vote: the COMMIT is for him, and nothing here waits for it.
        vec![commit(1)],
    ]);
    assert_eq!(counts(&stage), [("prepare", 1)]);
}

#[test]
fn a_slot_decided_slow_is_prepared_until_its_commit_and_committed_until_its_decision() {
    let stage = played(vec![
        vec![vote(1)],
        vec![commit(1)],
        vec![Command::Decided(1, Path::Slow)],
    ]);
    assert_eq!(counts(&stage), [("prepare", 1), ("commit", 1)]);
}

#[test]
fn a_slot_whose_fast_votes_came_behind_the_commit_is_prepared_once() {
    let stage = played(vec![
        vec![vote(1)],
        vec![commit(1)],
        vec![Command::Decided(1, Path::Fast)],
    ]);
    assert_eq!(counts(&stage), [("prepare", 1)]);
}

#[test]
fn a_vote_that_is_sent_again_is_one_vote() {
    let stage = played(vec![
        vec![vote(1)],
        vec![vote(1), vote(1)],
        vec![Command::Decided(1, Path::Fast)],
        vec![vote(1), Command::Decided(1, Path::Transfer)],
    ]);
    assert_eq!(counts(&stage), [("prepare", 1)]);
}

#[test]
fn a_slot_of_another_replicas_certificate_has_no_votes_to_wait_for() {
    let stage = played(vec![
        vec![vote(1)],
        vec![Command::Decided(1, Path::Transfer)],
    ]);
    assert_eq!(counts(&stage), []);
}

#[test]
fn executing_and_syncing_are_measured_by_slot_and_by_group() {
    let mut stage = stage(vec![vec![]]);
    let batch = Arc::new(Batch::new(vec![stage.request(1)]));
    *stage.driver.protocol.script.borrow_mut() = vec![vec![
        Command::Persist(1),
        Command::Persist(2),
        Command::Decided(1, Path::Fast),
        Command::Execute(1, Some(batch), false),
    ]];
    stage.receive(&[0]).unwrap();
    assert_eq!(counts(&stage), [("execute", 1)]);
    stage.durable(2);
    assert_eq!(counts(&stage), [("execute", 1), ("fsync", 1)]);
}

#[test]
fn whoever_was_missing_at_a_fallback_is_counted() {
    let fell_back = |missing: &[u16]| {
        Command::Report(Report::FellBack {
            seq: SeqNo(1),
            missing: missing.iter().copied().map(ReplicaId).collect(),
        })
    };
    let stage = played(vec![vec![fell_back(&[3])], vec![fell_back(&[0, 3])]]);
    let status = stage.observer.status();
    assert_eq!(status.consensus.fallbacks, 2);
    assert_eq!(status.consensus.own_vote_missing, 1);
    let missing: Vec<u64> = status.peers.iter().map(|peer| peer.missing_votes).collect();
    assert_eq!(missing, [0, 0, 2, 0], "replicas 1 to 4");
}
