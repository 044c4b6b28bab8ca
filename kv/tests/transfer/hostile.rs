//! Liars, the slow and the silent (ATTACKS BB9, BB15): they cost time, and little of it.

use std::time::Duration;

use consensus::transfer::message::StateMessage;
use consensus::{Outcome, ResultBody};
use crypto::codec::Blob;

use crate::cluster::{Fate, LAGGARD, World, put};

/// Without any fault this state is there after this long.
const FAULT_FREE: Duration = Duration::from_millis(60);
/// What a source may take before it is given up.
const PATIENCE: Duration = Duration::from_millis(400);

/// A transfer of 2000 keys to an empty replica, and how long it took.
fn fetch_with(tamper: impl FnMut(u16, &mut StateMessage) -> Fate + 'static) -> (World, Duration) {
    let mut world = World::holding(2000, 20);
    world.tamper = Box::new(tamper);
    world.begin();
    let took = world.run_until_installed();
    world.assert_equal();
    (world, took)
}

#[test]
fn a_source_of_bad_parts_is_named_and_asked_no_more() {
    let (world, took) = fetch_with(|from, message| {
        if let StateMessage::Parts { parts, .. } = message
            && from == 1
        {
            let mut bytes = parts[0].0.to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            parts[0] = Blob::from(bytes);
        }
        Fate::Arrives
    });
    assert_eq!(world.accused(), [1]);
    assert!(took < FAULT_FREE, "{took:?}");
    let asked = world.sent[&1].len();
    assert!(
        asked <= 4,
        "its manifest and what was asked for at once: {asked}"
    );
}

#[test]
fn parts_in_the_wrong_order_are_bad_parts() {
    let (world, _) = fetch_with(|from, message| {
        if let StateMessage::Parts { parts, .. } = message
            && from == 2
            && parts.len() > 1
        {
            parts.reverse();
        }
        Fate::Arrives
    });
    assert_eq!(world.accused(), [2]);
}

#[test]
fn a_source_that_sends_more_than_was_asked_for_is_a_liar() {
    let (world, _) = fetch_with(|from, message| {
        if let StateMessage::Parts { parts, .. } = message
            && from == 3
        {
            let last = parts.last().unwrap().clone();
            parts.resize(256, last);
        }
        Fate::Arrives
    });
    assert_eq!(world.accused(), [3]);
}

#[test]
fn answers_beyond_the_bounds_are_refused_before_anything_is_done_with_them() {
    let world = World::new();
    let parts = vec![Blob::from(vec![0; 1 << 20]); 9];
    let request = 1;
    let seq = consensus::SeqNo(4);
    for endless in [
        StateMessage::Parts {
            seq,
            request,
            parts,
        },
        StateMessage::Parts {
            seq,
            request,
            parts: vec![Blob::default(); 257],
        },
        StateMessage::Parts {
            seq,
            request,
            parts: vec![],
        },
        StateMessage::FetchParts {
            seq,
            request,
            parts: vec![],
        },
        StateMessage::Unavailable {
            seq,
            servable: vec![seq; 17],
        },
    ] {
        assert!(endless.check(&world.cluster).is_err(), "{endless}");
    }
}

#[test]
fn a_manifest_of_another_state_is_a_lie() {
    let (world, took) = fetch_with(|from, message| {
        if let StateMessage::Manifest { manifest, .. } = message
            && from == 0
        {
            manifest.sessions.clear();
        }
        Fate::Arrives
    });
    assert_eq!(world.accused(), [0]);
    assert!(took < FAULT_FREE, "{took:?}");
}

#[test]
fn every_field_of_a_manifest_is_certified() {
    for field in 0..3 {
        let (world, _) = fetch_with(move |from, message| {
            if let StateMessage::Manifest { manifest, .. } = message
                && from == 0
            {
                let blob = match field {
                    0 => &mut manifest.machine,
                    1 => &mut manifest.configuration,
                    _ => {
                        manifest.sessions[0].1.0[0] ^= 1;
                        return Fate::Arrives;
                    }
                };
                let mut bytes = blob.to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                *blob = Blob::from(bytes);
            }
            Fate::Arrives
        });
        assert_eq!(world.accused(), [0], "field {field}");
    }
}

#[test]
fn results_cannot_be_withheld_behind_their_own_digest() {
    // In a digest a result looks like its hash; whoever had only that could not answer clients.
    let (world, _) = fetch_with(|from, message| {
        if let StateMessage::Parts { parts, .. } = message
            && from == 1
        {
            for part in parts {
                if let Ok(Outcome::Executed(body)) = crypto::decode::<Outcome>(part) {
                    let hash = Outcome::Executed(ResultBody::Hash(body.digest()));
                    *part = Blob::from(crypto::encode(&hash));
                }
            }
        }
        // Only the liar has the replies in time.
        match (from, message) {
            (0 | 2 | 3, StateMessage::Parts { .. }) => Fate::Late(Duration::from_millis(30)),
            _ => Fate::Arrives,
        }
    });
    assert_eq!(world.accused(), [1]);
}

#[test]
fn sources_that_never_answer_are_done_without() {
    let (world, took) = fetch_with(|from, _| {
        if matches!(from, 1 | 3) {
            Fate::Lost
        } else {
            Fate::Arrives
        }
    });
    assert!(took < FAULT_FREE, "{took:?}: whoever is ready is enough");
    assert_eq!(world.done().1, 2);
}

#[test]
fn a_source_that_stalls_in_the_middle_costs_one_wait() {
    let mut answers = 0;
    let (world, took) = fetch_with(move |from, message| {
        if from == 1 && matches!(message, StateMessage::Parts { .. }) {
            answers += 1;
            if answers > 1 {
                return Fate::Lost;
            }
        }
        Fate::Arrives
    });
    assert!(took < FAULT_FREE + PATIENCE, "{took:?}");
    assert!(world.accused().is_empty(), "slowness proves nothing");
}

#[test]
fn a_source_that_answers_at_the_last_moment_costs_one_wait_too() {
    let (_, took) = fetch_with(|from, message| {
        if from == 1 && matches!(message, StateMessage::Parts { .. }) {
            return Fate::Late(PATIENCE - Duration::from_millis(10));
        }
        Fate::Arrives
    });
    assert!(took < FAULT_FREE + PATIENCE, "{took:?}");
}

#[test]
fn a_source_that_drips_gets_little_to_do() {
    let (_, took) = fetch_with(|from, message| {
        if let StateMessage::Parts { parts, .. } = message
            && from == 1
        {
            parts.truncate(1);
            return Fate::Late(Duration::from_millis(300));
        }
        Fate::Arrives
    });
    assert!(took < FAULT_FREE + PATIENCE, "{took:?}");
}

#[test]
fn one_correct_source_among_liars_is_enough() {
    let (world, took) = fetch_with(|from, message| {
        if let StateMessage::Parts { parts, .. } = message
            && from < 3
        {
            parts[0] = Blob::from(vec![0; 100]);
        }
        Fate::Arrives
    });
    let mut accused = world.accused();
    accused.sort_unstable();
    assert_eq!(accused, [0, 1, 2]);
    assert!(took < FAULT_FREE * 4, "{took:?}");
}

#[test]
fn when_everybody_was_given_up_everybody_is_asked_again() {
    let mut world = World::holding(200, 20);
    world.tamper = Box::new(|_, _| Fate::Lost);
    world.begin();
    world.run(Duration::from_secs(5));
    assert!(world.installed.is_empty());
    let asked = world.sent[&LAGGARD].len();
    assert!((8..30).contains(&asked), "{asked} requests in five seconds");
    world.tamper = Box::new(|_, _| Fate::Arrives);
    let took = world.run_until_installed();
    assert!(took < Duration::from_secs(7), "{took:?}");
    world.assert_equal();
}

#[test]
fn lost_messages_delay_a_transfer_and_do_not_end_it() {
    let mut state = 1_u64;
    let (world, took) = fetch_with(move |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        if state >> 62 == 0 {
            Fate::Lost
        } else {
            Fate::Arrives
        }
    });
    assert!(
        took < Duration::from_secs(15),
        "{took:?} with a quarter lost"
    );
    assert!(world.accused().is_empty());
}

#[test]
fn a_liar_who_alone_has_an_old_state_cannot_keep_a_replica_from_the_new_one() {
    let mut world = World::holding(2000, 20);
    // The correct sources forget the state before they are asked; the liar sends a part a turn.
    world.tamper = Box::new(|from, message| match message {
        StateMessage::FetchManifest { .. } => Fate::Late(Duration::from_millis(50)),
        StateMessage::Parts { parts, .. } if from == 3 => {
            parts.truncate(1);
            Fate::Late(Duration::from_millis(350))
        }
        _ => Fate::Arrives,
    });
    let old = world.begin();
    world.up = vec![0, 1, 2];
    for n in 0..20 {
        world.execute(vec![put(n, 20, 2)]);
    }
    // The liar's manifest is there; nobody else has one.
    world.run(Duration::from_millis(70));
    assert!(
        world.sent[&3]
            .iter()
            .any(|sent| matches!(sent, StateMessage::Manifest { .. }))
    );
    let new = world.begin();
    assert!(new.seq > old.seq);
    let took = world.run_until_installed();
    assert_eq!(world.installed[0].0, new.seq);
    assert!(took < Duration::from_secs(2), "{took:?}");
}
