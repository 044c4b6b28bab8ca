//! Reads beside the log (docs/protocol.md R14): what completes one, and what becomes of the others.

use super::*;
use crate::read::{Grade, READ_NUMBERS, Read};

fn quorum_reads() -> Limits {
    Limits {
        quorum_reads: true,
        ..Limits::default()
    }
}

impl World {
    fn readers() -> Self {
        Self::with_limits(quorum_reads())
    }

    fn read(&mut self, grade: Grade) -> (u64, Vec<Action>) {
        let ops = ByteList::from_iter([b"op"]);
        let nonce = self.session.read(&ops, grade, self.now, &mut self.out);
        (nonce.unwrap(), self.drain())
    }

    /// Replica `from`, at slot `seq`, answers with this body and version.
    fn answer(&mut self, from: u16, nonce: u64, body: ResultBody, version: u64) -> Vec<Action> {
        let versions = vec![SeqNo(version)];
        self.reply(from, nonce, version + 7, Outcome::Read { body, versions })
    }
}

fn body(text: &str) -> ResultBody {
    ResultBody::Full(ByteList::from_iter([text]))
}

fn digest(text: &str) -> ResultBody {
    ResultBody::Hash(body(text).digest())
}

#[track_caller]
fn read_completed(actions: &[Action]) -> (&Completed, ReadPath) {
    match actions {
        [Action::ReadCompleted { completed, path }] => (completed, *path),
        other => panic!("expected one read, found {other:?}"),
    }
}

/// The number of the one request that is sent.
#[track_caller]
fn ordered(actions: &[Action]) -> u64 {
    match numbers(actions)[..] {
        [number] => number,
        _ => panic!("expected one request, found {actions:?}"),
    }
}

#[test]
fn a_read_is_signed_and_goes_to_all() {
    let mut world = World::readers();
    let (nonce, actions) = world.read(Grade::Quorum);
    let [Action::SendRead { to: To::All, raw }] = &actions[..] else {
        panic!("{actions:?}")
    };
    let read = Read::parse(raw.clone(), &quorum_reads()).unwrap();
    assert_eq!((read.id.number, read.id.is_read()), (nonce, true));
    let keyring = crate::Keyring::new(Arc::clone(&world.session.cluster));
    let check = read.check(&keyring).unwrap();
    assert!(keyring.scheme().verify(&check));
    // A READ is no REQUEST, and the other way round.
    assert!(
        Read::parse(raw.clone(), &Limits::default()).is_err(),
        "they are off"
    );
    world.submit().unwrap();
    let sent = world.drain();
    let [Action::Send { raw, .. }] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert!(Read::parse(raw.clone(), &quorum_reads()).is_err());
}

#[test]
fn n_minus_f_answers_that_match_and_one_body_complete_a_read() {
    let mut world = World::readers();
    let (nonce, _) = world.read(Grade::Quorum);
    for id in [4, 3, 2] {
        assert_eq!(world.answer(id, nonce, digest("v"), 3), []);
    }
    let actions = world.answer(1, nonce, body("v"), 3);
    let (done, path) = read_completed(&actions);
    assert_eq!((done.number, &done.outcome), (nonce, &full("v")));
    assert_eq!((path, done.matching.len()), (ReadPath::Quorum, 4));
    assert_eq!(world.session.counters().quorum_reads, 1);
    assert_eq!(world.answer(0, nonce, body("v"), 3), [], "it is over");
}

#[test]
fn without_a_body_there_is_no_result_and_the_body_must_be_that_of_the_others() {
    let mut world = World::readers();
    let (nonce, _) = world.read(Grade::Quorum);
    for id in [4, 3, 2, 1] {
        assert_eq!(world.answer(id, nonce, digest("v"), 3), []);
    }
    // The last one sends another body: nobody is left who could send the right one.
    ordered(&world.answer(0, nonce, body("w"), 3));
}

#[test]
fn equal_results_of_different_versions_do_not_match() {
    let mut world = World::readers();
    let (nonce, _) = world.read(Grade::Quorum);
    assert_eq!(world.answer(4, nonce, body("v"), 3), []);
    assert_eq!(world.answer(3, nonce, body("v"), 3), []);
    assert_eq!(world.answer(2, nonce, body("v"), 5), []);
    // Three and one: four can no longer match, with whatever the last one says.
    ordered(&world.answer(1, nonce, body("v"), 5));
}

#[test]
fn one_liar_cannot_keep_a_read_from_its_result_nor_give_it_another() {
    let mut world = World::readers();
    let (nonce, _) = world.read(Grade::Quorum);
    for _ in 0..9 {
        assert_eq!(world.answer(0, nonce, body("lie"), 3), []);
    }
    for id in [1, 2, 3] {
        assert_eq!(world.answer(id, nonce, body("v"), 3), []);
        assert_eq!(
            world.answer(id, nonce, body("v"), 3),
            [],
            "each counts once"
        );
    }
    let actions = world.answer(4, nonce, body("v"), 3);
    assert_eq!(read_completed(&actions).0.outcome, full("v"));
    assert_eq!(
        world.session.counters().contradictions,
        0,
        "it may be behind"
    );
}

#[test]
fn a_read_without_enough_answers_is_ordered_once_after_its_time() {
    let mut world = World::readers();
    let (nonce, _) = world.read(Grade::Quorum);
    for id in [4, 3, 2] {
        world.answer(id, nonce, body("v"), 3);
    }
    let number = ordered(&world.fire());
    assert!(world.now <= Instant(0) + Pace::default().read_timeout);
    assert_eq!(world.answer(1, nonce, body("v"), 3), [], "too late");
    for id in [1, 2] {
        assert_eq!(world.reply(id, number, 9, full("w")), []);
    }
    // Quorum reads are on: the ordered read needs 2f + 1 replies, too.
    let actions = world.reply(3, number, 9, full("w"));
    let (done, path) = read_completed(&actions);
    assert_eq!((done.number, done.seq), (nonce, SeqNo(9)));
    assert_eq!(path, ReadPath::Ordered { number });
    assert_eq!(world.session.next_deadline(), None, "nothing is left to do");
    assert_eq!(world.session.counters().read_fallbacks, 1);
}

#[test]
fn refusals_and_lost_channels_count_as_answers_that_match_nothing() {
    let mut world = World::readers();
    let (nonce, _) = world.read(Grade::Quorum);
    assert_eq!(world.reply(0, nonce, 0, busy(5)), []);
    ordered(&world.reply(1, nonce, 0, busy(5)));

    let mut world = World::readers();
    world.read(Grade::Quorum);
    let (now, out) = (world.now, &mut world.out);
    world.session.on_disconnected(ReplicaId(1), now, out);
    assert_eq!(*out, []);
    world.session.on_disconnected(ReplicaId(2), now, out);
    ordered(&world.drain());

    let mut world = World::unconnected(quorum_reads(), 1);
    let (_, actions) = world.read(Grade::Quorum);
    ordered(&actions);
}

#[test]
fn a_failed_read_waits_for_room_in_the_window() {
    let mut world = World::with_limits(Limits {
        client_window: 1,
        ..quorum_reads()
    });
    let (nonce, _) = world.read(Grade::Quorum);
    world.send();
    world.reply(0, nonce, 0, busy(5));
    assert_eq!(world.reply(1, nonce, 0, busy(5)), [], "no room");
    let ops = ByteList::from_iter([b"op"]);
    let refused = world
        .session
        .read(&ops, Grade::Quorum, world.now, &mut world.out);
    assert_eq!(refused, Err(SubmitError::WindowFull(1)));
    for id in [0, 1] {
        world.reply(id, 1, 9, full("done"));
    }
    let actions = world.reply(2, 1, 9, full("done"));
    assert_eq!(
        numbers(&actions),
        [2],
        "with the first result there is room"
    );
}

#[test]
fn a_read_that_never_gets_anywhere_times_out_in_its_own_name() {
    let mut world = World::readers();
    let (nonce, _) = world.read(Grade::Quorum);
    let timed_out =
        std::iter::repeat_with(|| world.fire())
            .flatten()
            .find_map(|action| match action {
                Action::TimedOut(timed_out) => Some(timed_out),
                _ => None,
            });
    assert_eq!(
        timed_out.map(|it| (it.number, it.sent_at)),
        Some((nonce, Instant(0)))
    );
}

#[test]
fn a_stale_read_asks_one_replica_after_the_other_and_believes_it() {
    let mut world = World::new();
    let mut asked = Vec::new();
    for _ in 0..5 {
        let (nonce, actions) = world.read(Grade::Stale);
        let [
            Action::SendRead {
                to: To::One(one), ..
            },
        ] = actions[..]
        else {
            panic!("{actions:?}")
        };
        let other = (one.0 + 1) % 5;
        assert_eq!(
            world.answer(other, nonce, body("lie"), 3),
            [],
            "nobody asked it"
        );
        let actions = world.answer(one.0, nonce, body("v"), 3);
        assert_eq!(read_completed(&actions).1, ReadPath::Stale);
        asked.push(one.0);
    }
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2, 3, 4]);
}

#[test]
fn where_quorum_reads_are_off_the_refusal_names_the_setting() {
    let mut world = World::new();
    let ops = ByteList::from_iter([b"op"]);
    let refused = world
        .session
        .read(&ops, Grade::Quorum, world.now, &mut world.out);
    let Err(error) = refused else {
        panic!("they are off")
    };
    assert!(error.to_string().contains("`quorum_reads`"), "{error}");
    assert_eq!(world.drain(), []);
}

#[test]
fn numbers_of_reads_are_never_those_of_requests() {
    let mut world = World::readers();
    world.submit().unwrap();
    let (nonce, _) = world.read(Grade::Quorum);
    assert_eq!(nonce, READ_NUMBERS | 1);
    // A replica that answers a read as if it were the request completes nothing.
    for id in 0..5 {
        let actions = world.reply(id, nonce, 9, full("v"));
        assert_eq!(
            actions
                .iter()
                .filter(|it| matches!(it, Action::Completed(_)))
                .count(),
            0
        );
    }
}
