//! The driver against a protocol that does what the test tells it.

#![allow(clippy::unwrap_used)]

mod phases;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use consensus::protocol::When;
use consensus::report::Path;
use consensus::transfer::message::{Manifest, StateMessage};
use consensus::{
    Batch, Configuration, Epoch, Executor, Instant, Outcome, ReplicaId, Report, SeqNo, Ticket,
    Timer, View,
};
use crypto::{Digest, Verified};

use self::stage::{CARRIED, CARRIER, CERTIFICATE, Command, Done, Stage, Sum, stage};
use super::{Burst, Stop};

#[test]
fn a_durable_message_waits_for_every_record_before_it_and_now_messages_for_none() {
    use Command::{Persist, Send};
    let mut stage = stage(vec![
        vec![],
        vec![Persist(10), Send(1, When::Durable), Send(2, When::Now)],
        vec![Persist(11), Send(3, When::Durable), Send(4, When::Now)],
    ]);
    let done = stage.receive(&[0, 0]).unwrap();
    assert_eq!(
        done,
        [
            Done::Persisted {
                records: vec![10, 11],
                last: 2
            },
            Done::Sent(vec![2, 4])
        ],
        "one group for the whole burst; only what promises nothing leaves"
    );
    assert_eq!(stage.durable(1), [Done::Sent(vec![1])]);
    assert_eq!(stage.durable(2), [Done::Sent(vec![3])]);
    let seen = stage.seen.borrow();
    assert_eq!(seen[3..], ["persisted 1", "persisted 2"]);
}

#[test]
fn a_durable_message_behind_no_open_record_leaves_at_once() {
    use Command::{Persist, Send};
    let mut stage = stage(vec![
        vec![Send(1, When::Durable)],
        vec![Persist(10)],
        vec![Send(2, When::Durable)],
    ]);
    assert_eq!(stage.log.take(), [Done::Sent(vec![1])]);
    stage.receive(&[0]).unwrap();
    stage.durable(1);
    assert_eq!(stage.receive(&[0]).unwrap(), [Done::Sent(vec![2])]);
}

#[test]
fn what_others_wait_for_leaves_before_batches_are_executed_and_results_come_back() {
    use Command::{Decided, Execute, Persist, Send};
    let mut stage = stage(vec![vec![]]);
    let batch = Arc::new(Batch::new(vec![stage.request(1)]));
    *stage.driver.protocol.script.borrow_mut() = vec![vec![
        Decided(1, Path::Fast),
        Execute(1, Some(batch), false),
        Execute(2, None, true),
        Persist(10),
        Send(5, When::Now),
    ]];
    let done = stage.receive(&[0]).unwrap();
    let [
        Done::Persisted { .. },
        Done::Sent(sent),
        Done::Saved(2),
        Done::Replied(replies),
    ] = done.as_slice()
    else {
        panic!("unexpected order: {done:?}");
    };
    assert_eq!(*sent, [5]);
    assert!(matches!(replies.as_slice(), [(id, Outcome::Executed(_))] if id.number == 1));
    assert_eq!(stage.seen.borrow()[2..], ["executed 1", "executed 2"]);

    let burst = Burst {
        saved: Some(SeqNo(2)),
        ..Burst::default()
    };
    stage.turn(burst).unwrap();
    assert_eq!(stage.seen.borrow().last().unwrap(), "saved 2");
    let excerpt = stage.observer.excerpt(SeqNo(1), 10);
    let paths: Vec<_> = excerpt
        .slots
        .iter()
        .map(|slot| (slot.path, slot.ops))
        .collect();
    assert_eq!(paths, [(Path::Fast, 1), (Path::Transfer, 0)]);
    assert_eq!(excerpt.checkpoints.len(), 1);
}

#[test]
fn a_state_goes_to_disk_with_the_checkpoints_before_it() {
    use Command::Execute;
    let mut stage = stage(vec![vec![]]);
    *stage.driver.protocol.script.borrow_mut() = vec![vec![
        Execute(1, None, true),
        Execute(2, None, false),
        Execute(3, None, true),
    ]];
    let done = stage.receive(&[0]).unwrap();
    let saved = [
        Done::Saved(1),
        Done::Saved(3),
        Done::SavedEarlier(vec![SeqNo(1)]),
    ];
    assert_eq!(done[..3], saved);
}

#[test]
fn an_executed_request_that_comes_again_is_answered_and_not_ordered_again() {
    let mut stage = stage(vec![vec![]]);
    let request = stage.request(1);
    let batch = Arc::new(Batch::new(vec![request.clone()]));
    *stage.driver.protocol.script.borrow_mut() =
        vec![vec![Command::Execute(1, Some(batch), false)]];
    let first = stage.receive(&[0]).unwrap();
    let requests = vec![Verified::own(request), Verified::own(stage.request(2))];
    let again = stage
        .turn(Burst {
            requests,
            ..Burst::default()
        })
        .unwrap();
    let (Done::Replied(first), Done::Replied(again)) = (&first[0], &again[0]) else {
        panic!("two rounds of replies: {first:?}, {again:?}");
    };
    assert_eq!(first, again, "the stored reply");
    assert_eq!(
        stage.seen.borrow().last().unwrap(),
        "requested 1",
        "only the new one is ordered"
    );
}

#[test]
fn more_of_a_client_that_was_turned_away_gets_through_when_its_requests_find_room() {
    let mut stage = stage(vec![]);
    let request = stage.request(1);
    let (client, now) = (request.id.client, std::time::Instant::now());
    let observer = Arc::clone(&stage.observer);
    let overload = &observer.overload;
    let passed = || (0..100).filter(|_| !overload.holds(client, now)).count();
    overload.turned_away(client, now - Duration::from_millis(500));
    assert_eq!(passed(), 32);
    let requests = vec![Verified::own(request)];
    let burst = Burst {
        requests,
        ..Burst::default()
    };
    stage.turn(burst).unwrap();
    assert_eq!(passed(), 64);
}

#[test]
fn a_peer_cannot_have_executed_requests_ordered_again() {
    let mut stage = stage(vec![vec![]]);
    let old = stage.request(1);
    let batch = Arc::new(Batch::new(vec![old.clone()]));
    *stage.driver.protocol.script.borrow_mut() =
        vec![vec![Command::Execute(1, Some(batch), false)]];
    stage.receive(&[0]).unwrap();
    let seen = stage.seen.borrow().len();

    CARRIED.set(vec![old.clone()]);
    assert_eq!(stage.receive(&[CARRIER]).unwrap(), [], "nobody is answered");
    assert_eq!(stage.seen.borrow().len(), seen, "nor is anything ordered");

    CARRIED.set(vec![old, stage.request(2)]);
    stage.receive(&[CARRIER]).unwrap();
    assert_eq!(stage.seen.borrow().last().unwrap(), "r1 forwarded 1");
}

#[test]
fn a_halted_protocol_stops_the_driver_and_nothing_of_that_turn_is_sent() {
    use Command::{Halt, Send};
    let mut stage = stage(vec![vec![], vec![Send(1, When::Now)], vec![Halt]]);
    let stop = stage.receive(&[0, 0]).unwrap_err();
    assert_eq!(stop, Stop::Halted("two decisions".to_owned()));
    assert!(stage.log.take().is_empty());
}

#[test]
fn a_failed_disk_stops_the_driver_before_anything_else_happens() {
    let mut stage = stage(vec![vec![], vec![Command::Send(1, When::Now)]]);
    let burst = Burst {
        messages: vec![(ReplicaId(1), Verified::own(0))],
        durable: Some(Ticket(1)),
        disk_failed: Some("no space".to_owned()),
        ..Burst::default()
    };
    assert_eq!(
        stage.turn(burst).unwrap_err(),
        Stop::Disk("no space".to_owned())
    );
    assert_eq!(*stage.seen.borrow(), ["started"]);
}

#[test]
fn before_the_primary_counts_as_silent_the_protocol_hears_what_came_in() {
    let mut stage = stage(vec![vec![Command::SetTimer(Timer::Heartbeat, 10)]]);
    stage.observer.arrived(ReplicaId(3));
    stage.turn(Burst::default()).unwrap();
    assert_eq!(
        *stage.seen.borrow(),
        ["started", "arrived r3", "timer Heartbeat"]
    );
}

#[test]
fn timers_fire_when_they_are_due_and_say_when_to_come_back() {
    let mut stage = stage(vec![vec![
        Command::SetTimer(Timer::Status, 10),
        Command::SetTimer(Timer::Fast, 50),
    ]]);
    assert_eq!(stage.driver.deadline(), Some(Instant(10)));
    stage.turn(Burst::default()).unwrap();
    assert_eq!(*stage.seen.borrow(), ["started", "timer Status"]);
    assert_eq!(stage.driver.deadline(), Some(Instant(50)));
}

#[test]
fn a_stop_is_obeyed_after_the_turn_in_which_it_came() {
    let mut stage = stage(vec![vec![], vec![Command::Persist(10)]]);
    let burst = Burst {
        messages: vec![(ReplicaId(1), Verified::own(0))],
        stop: true,
        ..Burst::default()
    };
    assert_eq!(stage.turn(burst).unwrap_err(), Stop::Asked);
    assert_eq!(
        stage.log.take(),
        [Done::Persisted {
            records: vec![10],
            last: 1
        }]
    );
}

#[test]
fn clients_are_told_of_every_change_of_epoch_or_view_and_of_nothing_else() {
    let reports = [
        Report::EnteredView(View(0)),
        Report::EnteredView(View(2)),
        Report::EpochEntered(Epoch(1)),
        Report::EnteredView(View(0)),
        Report::EnteredView(View(0)),
    ];
    let stage = stage(vec![reports.map(Command::Report).into()]);
    let hints: Vec<_> = stage
        .log
        .0
        .borrow()
        .iter()
        .filter_map(|done| match done {
            Done::Hinted(term) => Some((term.epoch.0, term.view.0)),
            _ => None,
        })
        .collect();
    assert_eq!(hints, [(0, 2), (1, 0)]);
    assert_eq!(stage.observer.status().epoch, 1);
    assert_eq!(stage.observer.status().view, 0);
    assert_eq!(stage.observer.status().primary, 1, "(1 + 0) mod 5");
}

/// The state after slot 3 with this total, and the digest of it.
fn state_at_three(stage: &Stage, total: u64) -> (Manifest, Digest) {
    let mut executor = Executor::new(Arc::clone(&stage.cluster), Sum::default());
    for seq in 1..=2 {
        executor.execute(SeqNo(seq), None);
    }
    executor.machine_mut().total = total;
    executor.execute(SeqNo(3), None);
    let manifest = Manifest {
        machine: total.to_le_bytes().to_vec().into(),
        sessions: Vec::new(),
        configuration: Configuration::genesis(&stage.cluster).to_bytes().into(),
    };
    (manifest, executor.state_digest())
}

#[test]
fn a_fetched_state_is_saved_before_the_protocol_hears_of_it_and_its_slots_are_not_executed() {
    use Command::{Execute, FetchState, State};
    let mut stage = stage(vec![]);
    let (manifest, digest) = state_at_three(&stage, 40);
    let batch = Arc::new(Batch::new(vec![stage.request(2)]));
    let seq = SeqNo(3);
    stage.driver.protocol.script.borrow_mut().extend([
        vec![Execute(1, None, false), FetchState(3, digest)],
        vec![
            Execute(2, None, false),
            State(1, StateMessage::Manifest { seq, manifest }),
        ],
        vec![
            Execute(3, Some(Arc::clone(&batch)), false),
            Execute(4, Some(batch), false),
        ],
    ]);
    let done = stage.receive(&[0]).unwrap();
    assert_eq!(done, [Done::Sent(vec![100; 4])], "everybody is asked");
    let together = [Done::Certified(CERTIFICATE), Done::Saved(3)];
    assert_eq!(stage.receive(&[0]).unwrap(), together);
    let done = stage.receive(&[0]).unwrap();
    let [Done::Replied(replies)] = done.as_slice() else {
        panic!("{done:?}");
    };
    assert_eq!(replies.len(), 1, "slot 3 is in the state, slot 4 is not");
    assert_eq!(stage.driver.executor.machine().total, 42);
    let saved = Burst {
        saved: Some(seq),
        ..Burst::default()
    };
    stage.turn(saved).unwrap();
    let seen = stage.seen.borrow();
    let heard: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(
        heard
            .iter()
            .filter(|name| !name.starts_with("received"))
            .collect::<Vec<_>>(),
        [
            &"started",
            &"executed 1",
            &"executed 2",
            &"executed 3",
            &"executed 4",
            &"installed 3"
        ]
    );
    assert_eq!(stage.observer.status().consensus.state_transfers, 1);
}

/// Its execution comes at the end of the turn, and the protocol has forgotten it by then: it would
/// wait for it for ever, and give up a primary that knows better.
#[test]
fn a_request_that_the_turn_executes_is_not_waited_for() {
    let mut stage = stage(vec![vec![]]);
    let [old, acked] = [2, 1].map(|number| stage.request(number));
    let batch = Arc::new(Batch::new(vec![stage.acking(3, 1), old.clone()]));
    *stage.driver.protocol.script.borrow_mut() =
        vec![vec![Command::Execute(1, Some(batch), false)]];
    let requests = vec![old, acked, stage.request(4)];
    let burst = Burst {
        messages: vec![(ReplicaId(1), Verified::own(0))],
        requests: requests.into_iter().map(Verified::own).collect(),
        ..Burst::default()
    };
    stage.turn(burst).unwrap();
    let seen = stage.seen.borrow();
    assert!(seen.contains(&"requested 1".to_owned()), "{seen:?}");
}
