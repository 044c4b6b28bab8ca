//! Which replies complete a request, and what becomes of the others.

use super::*;

#[test]
fn a_request_goes_to_the_primary_and_f_plus_1_equal_replies_complete_it() {
    let mut world = World::new();
    assert_eq!(world.send(), To::One(ReplicaId(0)));
    assert_eq!(world.reply(3, 1, 9, full("v")), []);
    let actions = world.reply(1, 1, 9, full("v"));
    let done = completed(&actions);
    assert_eq!((done.seq, &done.outcome), (SeqNo(9), &full("v")));
    assert_eq!(done.matching, [ReplicaId(3), ReplicaId(1)]);
    assert_eq!(
        (done.retransmissions, world.session.next_deadline()),
        (0, None)
    );
}

#[test]
fn one_replica_alone_completes_nothing_however_often_it_answers() {
    let mut world = World::new();
    world.send();
    for _ in 0..10 {
        assert_eq!(world.reply(4, 1, 9, full("lie")), []);
    }
}

#[test]
fn a_lying_replica_is_outvoted_and_recorded() {
    let mut world = World::new();
    world.send();
    assert_eq!(world.reply(4, 1, 9, full("lie")), []);
    assert_eq!(world.reply(1, 1, 9, full("truth")), []);
    let actions = world.reply(2, 1, 9, full("truth"));
    let [Action::Contradicted(found), Action::Completed(done)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(done.outcome, full("truth"));
    let lie = Answer {
        replica: ReplicaId(4),
        seq: SeqNo(9),
        outcome: hash("lie"),
    };
    assert_eq!((&found.said, &found.accepted), (&lie, &hash("truth")));
    assert_eq!(done.differing, [lie]);
}

#[test]
fn what_is_no_claim_about_the_execution_contradicts_nothing() {
    for soft in [busy(20), Outcome::OutOfWindow] {
        let mut world = World::new();
        world.send();
        assert_eq!(world.reply(3, 1, 0, soft), []);
        world.reply(1, 1, 9, full("truth"));
        let actions = world.reply(2, 1, 9, full("truth"));
        assert_eq!(completed(&actions).differing, []);
        assert_eq!(world.session.counters().contradictions, 0);
    }
}

#[test]
fn equal_results_at_different_sequence_numbers_do_not_match() {
    let mut world = World::new();
    world.send();
    assert_eq!(world.reply(1, 1, 9, full("v")), []);
    assert_eq!(world.reply(2, 1, 10, full("v")), []);
    let actions = world.reply(3, 1, 10, full("v"));
    let [Action::Contradicted(_), Action::Completed(done)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((done.seq, done.matching.len()), (SeqNo(10), 2));
}

#[test]
fn hashes_and_one_body_complete_a_request_but_hashes_alone_do_not() {
    let mut world = World::new();
    world.send();
    for id in [1, 2, 3] {
        assert_eq!(world.reply(id, 1, 9, hash("v")), []);
    }
    assert_eq!(world.reply(4, 1, 9, full("other body")), []);
    let actions = world.reply(0, 1, 9, full("v"));
    assert_eq!(
        actions.iter().find_map(|action| match action {
            Action::Completed(done) => Some(done.outcome.clone()),
            _ => None,
        }),
        Some(full("v"))
    );
}

#[test]
fn when_all_have_answered_and_no_two_alike_all_are_asked_again_early() {
    let mut world = World::new();
    world.send();
    for id in 0..5 {
        assert_eq!(world.reply(id, 1, 9 + u64::from(id), hash("v")), []);
    }
    assert!(world.session.next_deadline().unwrap() < Instant(0) + T_CLI / 2);
    assert_eq!(sent(&world.fire()), [To::All]);
    // Replicas 0 and 3 agree now.
    let actions = world.reply(3, 1, 9, full("v"));
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Completed(_)))
    );
}

#[test]
fn with_quorum_reads_a_write_needs_2f_plus_1_replies() {
    let mut world = World::with_limits(Limits {
        quorum_reads: true,
        ..Limits::default()
    });
    world.send();
    assert_eq!(world.reply(1, 1, 9, full("v")), []);
    assert_eq!(world.reply(2, 1, 9, full("v")), []);
    completed(&world.reply(3, 1, 9, full("v")));
}

#[test]
fn a_reply_on_another_replicas_channel_is_refused() {
    let mut world = World::new();
    world.send();
    world.reply(1, 1, 9, full("v"));
    let id = RequestId {
        client: SESSION.client,
        session: SESSION.session,
        number: 1,
    };
    let reply = Reply {
        term: Term::default(),
        replica: ReplicaId(2),
        id,
        seq: SeqNo(9),
        outcome: full("v"),
    };
    world
        .session
        .on_reply(ReplicaId(1), reply.clone(), world.now, &mut world.out);
    let other_session = Reply {
        id: RequestId { session: 76, ..id },
        ..reply
    };
    world
        .session
        .on_reply(ReplicaId(2), other_session, world.now, &mut world.out);
    assert_eq!(world.drain(), []);
    assert_eq!(world.session.counters().refused, 2);
}

#[test]
fn late_duplicates_are_ignored_and_late_contradictions_recorded() {
    let mut world = World::new();
    world.send();
    world.complete(1);
    assert_eq!(world.reply(3, 1, 1, full("done")), []);
    assert_eq!(world.reply(4, 1, 1, hash("done")), []);
    assert_eq!(world.reply(0, 1, 0, Outcome::AlreadyAcked), []);
    let actions = world.reply(0, 1, 1, full("lie"));
    assert!(
        matches!(actions.as_slice(), [Action::Contradicted(_)]),
        "{actions:?}"
    );
    // Nothing is known any more of what lies far back, nor of what was never asked.
    assert_eq!(world.reply(0, 0, 1, full("lie")), []);
    assert_eq!(world.reply(0, 2, 1, full("lie")), []);
}
