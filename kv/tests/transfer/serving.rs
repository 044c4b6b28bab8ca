//! The side that serves: what, at which rate, and for how long.

use std::time::Duration;

use consensus::SeqNo;
use consensus::state_machine::PartId;
use consensus::transfer::message::{PartRef, PartRequest, StateMessage};

use crate::cluster::{K, World, put};

fn whole_bucket(bucket: u128) -> PartRequest {
    let part = PartId {
        path: bucket << 118,
        bits: 10,
    };
    PartRequest {
        part: PartRef::Machine(part),
        outline: false,
    }
}

/// Bytes of parts that replica 0 has sent.
fn served(world: &World) -> usize {
    let sent = world.sent.get(&0).into_iter().flatten();
    let bytes = sent.map(|message| match message {
        StateMessage::Parts { parts, .. } => parts.iter().map(|part| part.len()).sum(),
        _ => 0,
    });
    bytes.sum()
}

#[test]
fn a_state_that_is_not_there_is_answered_with_those_that_are() {
    let mut world = World::new();
    for _ in 0..4 * K {
        world.execute(vec![put(1, 20, 1)]);
    }
    let seq = SeqNo(K);
    world.hand_in(1, 0, StateMessage::FetchManifest { seq });
    let parts = vec![whole_bucket(0)];
    let request = 7;
    world.hand_in(
        1,
        0,
        StateMessage::FetchParts {
            seq,
            request,
            parts,
        },
    );
    let servable = vec![SeqNo(4 * K), SeqNo(3 * K)];
    let answer = StateMessage::Unavailable { seq, servable };
    assert_eq!(world.sent[&0], [answer.clone(), answer]);
}

#[test]
fn only_the_two_newest_stable_states_are_kept_and_those_above_them() {
    let mut world = World::new();
    for _ in 0..5 * K {
        world.execute(vec![put(1, 20, 1)]);
    }
    let (executor, transfer) = (&mut world.executors[0], &mut world.transfers[0]);
    for seq in 5 * K + 1..=7 * K {
        executor.execute(SeqNo(seq), None);
        if seq.is_multiple_of(K) {
            transfer.checkpoint(world.now, executor);
        }
    }
    let frozen: Vec<u64> = executor.frozen().map(|seq| seq.0 / K).collect();
    assert_eq!(frozen, [4, 5, 6, 7], "6 and 7 are not stable yet");
    transfer.stable(world.now, SeqNo(6 * K), executor);
    let frozen: Vec<u64> = executor.frozen().map(|seq| seq.0 / K).collect();
    assert_eq!(frozen, [5, 6, 7]);
}

#[test]
fn a_pin_ends_with_the_silence_of_its_requester() {
    let mut world = World::holding(10, 20);
    let seq = world.target().seq;
    world.hand_in(1, 0, StateMessage::FetchManifest { seq });
    let frozen_after = |world: &mut World, time| {
        world.run(time);
        for _ in 0..3 * K {
            world.execute(vec![put(1, 20, 1)]);
        }
        world.executors[0].frozen().collect::<Vec<_>>()
    };
    assert!(frozen_after(&mut world, Duration::from_secs(4)).contains(&seq));
    world.hand_in(1, 0, StateMessage::FetchManifest { seq });
    assert!(frozen_after(&mut world, Duration::from_secs(4)).contains(&seq));
    assert!(!frozen_after(&mut world, Duration::from_secs(6)).contains(&seq));
}

#[test]
fn a_requester_pins_one_state_and_not_for_ever() {
    let mut world = World::holding(10, 20);
    let first = world.target().seq;
    world.hand_in(1, 0, StateMessage::FetchManifest { seq: first });
    let go_on = |world: &mut World| {
        for _ in 0..3 * K {
            world.execute(vec![put(1, 20, 1)]);
        }
    };
    go_on(&mut world);
    let second = world.target().seq;
    world.hand_in(1, 0, StateMessage::FetchManifest { seq: second });
    go_on(&mut world);
    let frozen: Vec<SeqNo> = world.executors[0].frozen().collect();
    assert!(frozen.contains(&second) && !frozen.contains(&first));
    for _ in 0..40 {
        world.run(Duration::from_secs(4));
        world.hand_in(1, 0, StateMessage::FetchManifest { seq: second });
    }
    go_on(&mut world);
    assert!(!world.executors[0].frozen().any(|seq| seq == second));
}

#[test]
fn each_requester_is_served_at_a_bounded_rate_and_from_a_bounded_queue() {
    let mut world = World::holding(2000, 2000);
    let seq = world.target().seq;
    let parts: Vec<_> = (0..256).map(whole_bucket).collect();
    let ask = |request| StateMessage::FetchParts {
        seq,
        request,
        parts: parts.clone(),
    };
    for request in 0..100 {
        world.hand_in(1, 0, ask(request));
    }
    let at_once = served(&world);
    assert!(
        at_once <= (192 << 10) + (256 << 10),
        "{at_once} bytes at once"
    );
    world.run(Duration::from_secs(2));
    let answers = world.sent[&0].len();
    assert!(
        (8..=11).contains(&answers),
        "{answers} of 100: the rest was dropped"
    );
    // Who asks all the time is given 7.5 MiB in a second at first, and 40 MiB later.
    let mut in_a_second = || {
        let before = served(&world);
        for request in 0..1000 {
            world.hand_in(1, 0, ask(request));
            world.run(Duration::from_millis(1));
        }
        (served(&world) - before) >> 10
    };
    let first = in_a_second();
    assert!((6 << 10..=8 << 10).contains(&first), "{first} KiB");
    for _ in 0..6 {
        in_a_second();
    }
    let later = in_a_second();
    assert!((30 << 10..=41 << 10).contains(&later), "{later} KiB");
    // Another one is served all the same.
    world.hand_in(2, 0, ask(1));
    let last = world.sent[&0].last().unwrap();
    assert!(matches!(last, StateMessage::Parts { request: 1, .. }));
}
