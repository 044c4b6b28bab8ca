//! The body of a large result: one replica owes it, and the others have it too (R6). Replica
//! (seq + number) mod 5 owes it; replicas 1 and 2 answer first in all of these.

use super::*;

/// More than one replica would send in full.
fn large() -> String {
    "v".repeat(5000)
}

impl World {
    /// Sends the next request; 1 and 2 answer with the digest. The request's number, and the actions.
    fn send_and_hear_digests(&mut self, seq: u64) -> (u64, Vec<Action>) {
        let number = self.submit().unwrap();
        self.drain();
        let mut actions = self.reply(1, number, seq, hash(&large()));
        actions.extend(self.reply(2, number, seq, hash(&large())));
        (number, actions)
    }

    fn disconnect(&mut self, replica: u16) {
        let now = self.now;
        self.session
            .on_disconnected(ReplicaId(replica), now, &mut self.out);
        self.drain();
    }
}

#[test]
fn a_body_that_comes_a_moment_later_is_not_asked_for() {
    let mut world = World::new();
    let (number, actions) = world.send_and_hear_digests(3);
    assert_eq!((number, actions.as_slice()), (1, [].as_slice()));
    completed(&world.reply(4, 1, 3, full(&large())));
    assert_eq!(world.session.counters().bodies_asked, 0);
    assert_eq!(world.session.next_deadline(), None);
}

#[test]
fn a_body_that_does_not_come_is_asked_of_one_that_has_it_and_not_of_all() {
    let mut world = World::new();
    assert_eq!(world.send_and_hear_digests(3).1, []);
    let asked = sent(&world.fire());
    assert!(world.now < Instant(0) + T_CLI / 16, "at {:?}", world.now);
    let [To::One(ReplicaId(asked @ (1 | 2)))] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    completed(&world.reply(*asked, 1, 3, full(&large())));
    let counters = world.session.counters();
    assert_eq!((counters.bodies_asked, counters.retransmissions), (1, 0));
}

#[test]
fn who_does_not_send_the_body_that_it_was_asked_for_is_not_asked_again_but_the_next_is() {
    let mut world = World::new();
    world.send_and_hear_digests(3);
    let mut asked = sent(&world.fire());
    asked.extend(sent(&world.fire()));
    asked.sort_by_key(|to| match to {
        To::One(id) => id.0,
        To::All => u16::MAX,
    });
    assert_eq!(asked, [To::One(ReplicaId(1)), To::One(ReplicaId(2))]);
    assert_eq!(sent(&world.fire()), [To::All], "and at last all");
}

#[test]
fn a_body_that_an_absent_replica_owes_is_asked_for_at_once() {
    let mut world = World::new();
    world.disconnect(4);
    let (_, actions) = world.send_and_hear_digests(3);
    assert!(
        matches!(sent(&actions).as_slice(), [To::One(ReplicaId(1 | 2))]),
        "{actions:?}"
    );
}

#[test]
fn who_was_late_once_is_not_waited_for_until_it_is_in_time_again() {
    let mut world = World::new();
    // Number 1 at 3: replica 4 owes the body and does not send it.
    world.send_and_hear_digests(3);
    let [To::One(ReplicaId(asked))] = sent(&world.fire())[..] else {
        panic!("one is asked")
    };
    completed(&world.reply(asked, 1, 3, full(&large())));
    // Number 2 at 7: again, and now nobody waits for it; but it is in time.
    let (_, actions) = world.send_and_hear_digests(7);
    assert!(matches!(sent(&actions).as_slice(), [To::One(_)]));
    completed(&world.reply(4, 2, 7, full(&large())));
    // Number 3 at 11: it is waited for.
    assert_eq!(world.send_and_hear_digests(11).1, []);
    completed(&world.reply(4, 3, 11, full(&large())));
}

#[test]
fn a_small_body_does_not_show_that_large_ones_come_in_time() {
    let mut world = World::new();
    world.send_and_hear_digests(3);
    let [To::One(ReplicaId(asked))] = sent(&world.fire())[..] else {
        panic!("one is asked")
    };
    completed(&world.reply(asked, 1, 3, full(&large())));
    world.send();
    world.reply(4, 2, 7, full("small"));
    completed(&world.reply(1, 2, 7, full("small")));
    let (_, actions) = world.send_and_hear_digests(11);
    assert!(matches!(sent(&actions).as_slice(), [To::One(_)]));
}

#[test]
fn a_body_of_another_result_than_the_accepted_one_completes_nothing() {
    let mut world = World::new();
    world.send_and_hear_digests(3);
    world.fire();
    let lie = world.reply(1, 1, 3, full(&"w".repeat(5000)));
    assert!(
        lie.iter()
            .all(|action| !matches!(action, Action::Completed(_)))
    );
}
