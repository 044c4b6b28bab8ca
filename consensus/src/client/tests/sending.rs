//! To whom a request is sent and when, the window, and giving up.

use super::*;

#[test]
fn without_a_result_the_same_bytes_go_to_all_at_doubling_intervals() {
    let mut world = World::new();
    world.submit().unwrap();
    let first = world.drain();
    let mut waits = Vec::new();
    for _ in 0..3 {
        let before = world.now;
        let again = world.fire();
        waits.push(world.now.since(before));
        let [Action::Send { to: To::All, raw }] = again.as_slice() else {
            panic!("{again:?}")
        };
        assert!(matches!(first.as_slice(), [Action::Send { raw: same, .. }] if same == raw));
    }
    for (wait, least) in waits.iter().zip([T_CLI, T_CLI * 2, T_CLI * 4]) {
        assert!((least..=least + least / 4).contains(wait), "{wait:?}");
    }
    assert_eq!(world.session.counters().retransmissions, 3);
}

#[test]
fn the_primary_changes_only_when_f_plus_1_replicas_report_a_view_and_then_gets_everything() {
    let mut world = World::new();
    world.send();
    world.send();
    world
        .session
        .on_hint(ReplicaId(4), term(0, 400), world.now, &mut world.out);
    assert_eq!(world.reply_in_view(4, 1, 3, full("v"), 500), []);
    assert_eq!(world.session.primary(), ReplicaId(0));
    world
        .session
        .on_hint(ReplicaId(2), term(0, 1), world.now, &mut world.out);
    assert_eq!(sent(&world.drain()), [To::One(ReplicaId(1)); 2]);
    assert_eq!(world.session.term(), term(0, 1));
    assert_eq!(world.send(), To::One(ReplicaId(1)));
}

#[test]
fn a_new_epoch_begins_with_its_own_first_primary_whatever_view_the_old_one_was_in() {
    let mut world = World::new();
    world.send();
    for (from, epoch, view) in [(1, 0, 7), (2, 0, 7), (3, 2, 0), (4, 2, 1)] {
        let hint = term(epoch, view);
        world
            .session
            .on_hint(ReplicaId(from), hint, world.now, &mut world.out);
    }
    assert_eq!(world.session.term(), term(2, 0));
    assert_eq!(world.session.primary(), ReplicaId(2), "(2 + 0) mod 5");
}

fn term(epoch: u64, view: u64) -> Term {
    Term {
        epoch: Epoch(epoch),
        view: View(view),
    }
}

#[test]
fn losing_the_primarys_channel_sends_everything_to_all_at_once() {
    let mut world = World::new();
    world.send();
    world
        .session
        .on_disconnected(ReplicaId(3), world.now, &mut world.out);
    assert_eq!(world.drain(), []);
    world
        .session
        .on_disconnected(ReplicaId(0), world.now, &mut world.out);
    assert_eq!(sent(&world.drain()), [To::All]);
    assert_eq!(world.send(), To::All);
    world
        .session
        .on_connected(ReplicaId(0), world.now, &mut world.out);
    assert_eq!(sent(&world.drain()), [To::One(ReplicaId(0)); 2]);
}

#[test]
fn a_busy_primary_is_given_growing_pauses_but_not_for_ever() {
    let mut world = World::new();
    world.send();
    let mut waits = Vec::new();
    for _ in 0..pace::BUSY_PATIENCE {
        assert_eq!(world.reply(0, 1, 0, busy(20)), []);
        // A second "busy" to the same sending does not postpone it further.
        let due = world.session.next_deadline();
        world.now = world.now + Duration::from_millis(5);
        assert_eq!(world.reply(0, 1, 0, busy(20)), []);
        assert_eq!(world.session.next_deadline(), due);
        let before = world.now;
        assert_eq!(sent(&world.fire()), [To::One(ReplicaId(0))]);
        waits.push(world.now.since(before));
    }
    assert!(waits.is_sorted() && waits[0] < T_CLI / 20, "{waits:?}");
    world.reply(0, 1, 0, busy(20));
    assert_eq!(sent(&world.fire()), [To::All]);
    world.reply(1, 1, 5, full("v"));
    let actions = world.reply(2, 1, 5, full("v"));
    assert_eq!(completed(&actions).busy, 2 * pace::BUSY_PATIENCE + 1);
}

#[test]
fn a_primary_that_pretends_to_be_busy_keeps_a_request_from_the_others_for_two_waits() {
    let mut world = World::new();
    world.send();
    let began = world.now;
    loop {
        world.reply(0, 1, 0, busy(400));
        if sent(&world.fire()) == [To::All] {
            break;
        }
    }
    let waited = world.now.since(began);
    assert!(
        waited > T_CLI * pace::BUSY_WAITS && waited < T_CLI * 4,
        "{waited:?}"
    );
}

#[test]
fn of_requests_that_were_refused_together_about_as_many_come_again_as_were_taken() {
    let window = 16;
    let mut world = World::with_limits(Limits {
        client_window: window,
        ..Limits::default()
    });
    for _ in 0..window {
        assert_eq!(world.send(), To::One(ReplicaId(0)));
    }
    world.now = world.now + Duration::from_millis(1);
    for number in 9..=window {
        assert_eq!(world.reply(0, number, 0, busy(20)), [], "nothing at once");
    }
    let refused = world.now;
    for number in 1..=6 {
        assert_eq!(world.complete_and_go_on(number), [], "a pause");
    }
    // Two are under way of the eight that were taken; six results are room for two more.
    assert_eq!(numbers(&world.fire()), (9..=16).collect::<Vec<_>>());
    let pause = world.now.since(refused);
    assert!(
        pause >= Duration::from_millis(20) && pause < T_CLI / 20,
        "one pause for all: {pause:?}"
    );
    assert_eq!(world.session.counters().retransmissions, 8);
    // A result is room for one more, and now and then for another.
    for _ in 17..=20 {
        world.submit().unwrap();
    }
    assert_eq!(world.drain(), [], "ten are under way");
    assert_eq!(numbers(&world.complete_and_go_on(7)), [17, 18]);
    assert_eq!(numbers(&world.complete_and_go_on(8)), [19]);
}

#[test]
fn while_requests_wait_a_new_one_waits_behind_them() {
    let window = 4;
    let mut world = World::with_limits(Limits {
        client_window: window,
        ..Limits::default()
    });
    for _ in 0..window {
        world.send();
    }
    world.complete(1);
    world.now = world.now + Duration::from_millis(1);
    for number in 2..=4 {
        world.reply(0, number, 0, busy(20));
    }
    assert_eq!(world.submit(), Ok(5));
    assert_eq!(world.drain(), [], "it waits for its turn");
    assert_eq!(world.session.outstanding(), 4);
    assert_eq!(numbers(&world.fire()), [2, 3], "two of three");
    assert_eq!(numbers(&world.complete_and_go_on(2)), [4, 5]);
    let retransmissions = world.session.counters().retransmissions;
    assert_eq!(retransmissions, 3, "number 5 was sent for the first time");
}

#[test]
fn a_new_primary_gets_what_is_under_way_and_then_what_waits() {
    let mut world = World::new();
    for _ in 0..4 {
        world.send();
    }
    world.now = world.now + Duration::from_millis(1);
    world.reply(0, 1, 0, busy(500));
    world
        .session
        .on_hint(ReplicaId(2), term(0, 1), world.now, &mut world.out);
    world
        .session
        .on_hint(ReplicaId(3), term(0, 1), world.now, &mut world.out);
    let actions = world.drain();
    assert_eq!(sent(&actions), [To::One(ReplicaId(1)); 3]);
    assert_eq!(numbers(&actions), [2, 3, 4], "three may be under way");
    assert_eq!(numbers(&world.complete_and_go_on(2)), [1]);
}

#[test]
fn a_busy_backup_is_only_counted() {
    let mut world = World::new();
    world.send();
    let due = world.session.next_deadline();
    assert_eq!(world.reply(2, 1, 0, busy(20)), []);
    assert_eq!(world.session.next_deadline(), due);
    assert_eq!(world.session.counters().busy, 1);
}

#[test]
fn a_request_acknowledges_every_number_up_to_the_first_without_a_reply() {
    let mut world = World::new();
    for _ in 0..4 {
        world.send();
    }
    let ack_of_next = |world: &mut World| {
        world.submit().unwrap();
        let actions = world.drain();
        let [Action::Send { raw, .. }] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        Request::parse(raw.clone(), &Limits::default()).unwrap().ack
    };
    world.complete(3);
    assert_eq!(ack_of_next(&mut world), 0);
    world.complete(1);
    assert_eq!(ack_of_next(&mut world), 1);
    world.complete(2);
    assert_eq!(ack_of_next(&mut world), 3);
}

#[test]
fn the_window_is_bounded_and_no_number_is_beyond_what_replicas_accept() {
    let window = 8;
    let mut world = World::with_limits(Limits {
        client_window: window,
        ..Limits::default()
    });
    let mut sessions = crate::session::SessionTable::new(window);
    let (mut first_open, mut full_seen) = (1, 0);
    for _ in 0..100 {
        while let Ok(number) = world.submit() {
            let raw = match world.drain().remove(0) {
                Action::Send { raw, .. } => raw,
                other => panic!("{other:?}"),
            };
            let request = Request::parse(raw, &Limits::default()).unwrap();
            sessions.enter(&request.id);
            assert_eq!(
                sessions.lookup(&request.id, request.ack),
                crate::session::Lookup::New,
                "{number}"
            );
            sessions.complete(&request.id, request.ack, SeqNo(number), full("done"));
        }
        full_seen += 1;
        assert!(matches!(world.submit(), Err(SubmitError::WindowFull(_))));
        assert!(world.session.outstanding() <= window as usize);
        world.complete(first_open);
        first_open += 1;
    }
    assert_eq!(full_seen, 100);
}

#[test]
fn a_time_out_says_what_each_replica_answered_and_the_request_goes_on() {
    let mut world = World::new();
    world
        .session
        .on_disconnected(ReplicaId(4), world.now, &mut world.out);
    world.send();
    world.reply(0, 1, 0, busy(1000));
    world.reply(1, 1, 9, full("v"));
    world.reply(2, 1, 0, Outcome::OutOfWindow);
    let timed_out = loop {
        let actions = world.fire();
        if let Some(Action::TimedOut(timed_out)) = actions
            .iter()
            .find(|action| matches!(action, Action::TimedOut(_)))
        {
            break timed_out.clone();
        }
    };
    let text = timed_out.to_string();
    for part in [
        "replica 0 answered busy",
        "replica 1 answered executed at 9",
        "replica 2 answered out of window",
        "replica 3 did not answer",
        "replica 4 is not connected",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(sent(&world.fire()), [To::All]);
    // The caller was told once; the number is acknowledged all the same when replies come.
    assert_eq!(world.reply(3, 1, 9, full("v")), []);
    assert_eq!(
        (world.session.outstanding(), world.session.next_deadline()),
        (0, None)
    );
}

#[test]
fn operations_over_a_limit_are_the_callers_fault() {
    let mut world = World::new();
    let limits = Limits::default();
    let mut submit = |ops: ByteList| {
        world
            .session
            .submit(&ops, false, Instant(0), &mut world.out)
    };
    let long = vec![0u8; limits.op_bytes_max as usize + 1];
    assert!(matches!(
        submit(ByteList::default()),
        Err(SubmitError::OpCount { count: 0, .. })
    ));
    assert!(matches!(
        submit(ByteList::from_iter([long])),
        Err(SubmitError::OpTooLarge { .. })
    ));
    let many = std::iter::repeat_n(vec![0u8; limits.op_bytes_max as usize], 17);
    assert!(matches!(
        submit(many.collect()),
        Err(SubmitError::RequestTooLarge { .. })
    ));
}

#[test]
fn a_cluster_that_is_slow_is_not_asked_again_sooner_than_it_usually_answers() {
    let mut world = World::new();
    // Results take 0.9 T_cli: in time, but not by much.
    let usual = T_CLI.mul_f64(0.9);
    for number in 1..=40 {
        world.send();
        world.now = world.now + usual;
        world.complete(number);
    }
    world.send();
    let sent_at = world.now;
    world.fire();
    assert!(world.now.since(sent_at) > usual * 2);
}

#[test]
fn about_every_quarter_of_a_second_one_request_goes_to_all() {
    let mut world = World::new();
    let mut samples = Vec::new();
    for step in 0..200u64 {
        world.now = Instant(step * 10_000_000);
        if world.send() == To::All {
            samples.push(step * 10);
        }
    }
    assert!((5..=16).contains(&samples.len()), "{samples:?}");
    let gaps: std::collections::BTreeSet<u64> =
        samples.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() > 2, "nobody can tell which: {gaps:?}");
}

#[test]
fn one_of_many_clients_sends_samples_in_its_turns_and_none_between_them() {
    // A request in a tenth of a second, for ten minutes: 2,400 quarters of a second.
    let mut world = World::among(64);
    let mut samples = Vec::new();
    for number in 1..=6_000u64 {
        world.now = Instant(number * 100_000_000);
        if world.send() == To::All {
            samples.push(number);
        }
        world.complete(number);
    }
    assert!((60..900).contains(&samples.len()), "{}", samples.len());
    let longest = samples.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(
        longest > Some(40),
        "it rests for a turn of four seconds at least: {longest:?}"
    );
}
