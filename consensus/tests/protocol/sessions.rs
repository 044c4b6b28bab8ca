//! R6 and R9: the executor and its session table. Every request executes at most once, and its
//! reply is kept until the client has it.

use std::sync::Arc;

use consensus::session::SessionTable;
use consensus::{
    Batch, ByteList, ClientId, Executed, Executor, FastQuorum, Lookup, Outcome, Policy, Request,
    RequestId, ResultBody, SeqNo, StateMachine,
};
use crypto::{Digest, Hasher};

use crate::fixture::{Fixture, small_limits};

/// Remembers every operation with its slot; the result is their number.
#[derive(Clone, Default)]
struct Journal {
    applied: Vec<(SeqNo, Vec<u8>)>,
    /// How many bytes each result might have had.
    room: Vec<usize>,
}

impl StateMachine for Journal {
    type Change = (SeqNo, Vec<u8>);

    fn apply(&mut self, seq: SeqNo, op: &[u8], room: usize) -> Vec<u8> {
        self.room.push(room);
        self.applied.push((seq, op.to_vec()));
        vec![u8::try_from(self.applied.len()).expect("few operations")]
    }

    fn apply_atomic(
        &mut self,
        seq: SeqNo,
        ops: &mut dyn Iterator<Item = &[u8]>,
        room: usize,
    ) -> Vec<Vec<u8>> {
        ops.map(|op| self.apply(seq, op, room)).collect()
    }

    fn root(&mut self) -> Digest {
        let mut hasher = Hasher::new("journal");
        for (seq, op) in &self.applied {
            hasher.u64(seq.0).part(op);
        }
        hasher.finish()
    }

    fn take_changes(&mut self) -> Vec<Self::Change> {
        Vec::new()
    }
}

/// An executor that counts its own slots. W = 8.
struct World {
    fixture: Fixture,
    executor: Executor<Journal>,
}

impl World {
    fn new() -> Self {
        let fixture = Fixture::strong();
        let executor = Executor::new(Arc::clone(&fixture.cluster), Journal::default());
        World { fixture, executor }
    }

    fn execute(&mut self, requests: &[Request]) -> Vec<Executed> {
        let seq = self.executor.last_executed().next();
        let batch = Batch::new(requests.to_vec());
        self.executor.execute(seq, Some(&batch))
    }

    /// Executes one request of client 0 in a batch of its own.
    fn one(&mut self, session: u64, number: u64, ack: u64) -> Executed {
        let request = self.fixture.request_of(0, session, number, ack, &[b"op"]);
        self.execute(&[request]).remove(0)
    }

    fn lookup(&self, session: u64, number: u64) -> Lookup {
        let request = self.fixture.request_of(0, session, number, 0, &[b"op"]);
        self.executor.lookup(&request)
    }

    fn applied(&self) -> usize {
        self.executor.machine().applied.len()
    }
}

/// The outcome of a request with one result.
fn result(byte: u8) -> Outcome {
    let results = ByteList::from_iter([[byte]]);
    Outcome::Executed(ResultBody::Full(results))
}

#[test]
fn every_operation_of_a_request_has_its_own_result_in_order() {
    let mut world = World::new();
    let request = world.fixture.request_of(0, 1, 1, 0, &[b"a", b"b", b"c"]);
    let executed = world.execute(&[request]).remove(0);
    let results = ByteList::from_iter([[1], [2], [3]]);
    let outcome = Outcome::Executed(ResultBody::Full(results));
    assert_eq!(executed.outcome, outcome);
    assert_eq!((executed.seq, executed.fresh), (SeqNo(1), true));
}

#[test]
fn a_duplicate_in_a_later_batch_changes_nothing_and_returns_the_stored_reply() {
    let mut world = World::new();
    let first = world.one(1, 1, 0);
    world.one(1, 2, 0);
    let again = world.one(1, 1, 0);
    assert_eq!((again.seq, &again.outcome), (first.seq, &first.outcome));
    assert!(!again.fresh);
    assert_eq!(world.applied(), 2);
    assert_eq!(world.lookup(1, 1), Lookup::Done(SeqNo(1), result(1)));
}

#[test]
fn outstanding_requests_execute_in_whatever_order_the_log_has_them() {
    let mut world = World::new();
    for number in [3, 1, 2] {
        assert!(world.one(1, number, 0).fresh);
    }
    assert_eq!(world.applied(), 3);
    assert_eq!(world.executor.sessions().replies(), 3);
}

#[test]
fn an_acknowledged_reply_is_forgotten_and_its_request_never_executes_again() {
    let mut world = World::new();
    world.one(1, 1, 0);
    world.one(1, 2, 0);
    world.one(1, 3, 2);
    assert_eq!(world.executor.sessions().replies(), 1);
    let again = world.one(1, 2, 0);
    assert_eq!((again.outcome, again.fresh), (Outcome::AlreadyAcked, false));
    assert_eq!(world.lookup(1, 1), Lookup::Refused(Outcome::AlreadyAcked));
    assert_eq!(world.applied(), 3);
}

#[test]
fn an_acknowledgement_also_bars_numbers_that_never_came() {
    let mut world = World::new();
    world.one(1, 5, 4);
    assert_eq!(world.one(1, 3, 0).outcome, Outcome::AlreadyAcked);
}

#[test]
fn acknowledgements_never_go_back() {
    let mut world = World::new();
    world.one(1, 5, 4);
    world.one(1, 6, 0);
    assert_eq!(world.lookup(1, 4), Lookup::Refused(Outcome::AlreadyAcked));
    assert_eq!(world.lookup(1, 5), Lookup::Done(SeqNo(1), result(1)));
}

#[test]
fn a_client_has_at_most_w_requests_above_what_it_acknowledged() {
    let mut world = World::new();
    assert_eq!(world.one(1, 9, 0).outcome, Outcome::OutOfWindow);
    assert!(world.one(1, 8, 0).fresh, "W = 8");
    assert!(world.one(1, 1, 0).fresh);
    assert!(world.one(1, 2, 1).fresh, "acknowledges 1");
    assert!(world.one(1, 9, 0).fresh, "the window moved");
    assert_eq!(world.one(1, 10, 0).outcome, Outcome::OutOfWindow);
    assert_eq!(world.applied(), 4);
}

#[test]
fn a_requests_own_acknowledgement_moves_the_window_for_itself() {
    // Else W requests signed before any reply came would be the session's last.
    let mut world = World::new();
    for number in 1..=8 {
        assert!(world.one(1, number, 0).fresh);
    }
    assert_eq!(world.one(1, 9, 0).outcome, Outcome::OutOfWindow);
    assert!(world.one(1, 9, 8).fresh);
    assert_eq!(world.executor.sessions().replies(), 1);
    assert!(world.one(1, 20, 12).fresh);
    assert_eq!(world.one(1, 21, 12).outcome, Outcome::OutOfWindow);
}

#[test]
fn the_results_of_one_request_share_one_budget() {
    let mut world = World::new();
    let most = world.fixture.cluster.limits().result_bytes_max as usize;
    let request = world.fixture.request_of(0, 1, 1, 0, &[b"a", b"b", b"c"]);
    world.execute(&[request]);
    assert_eq!(world.executor.machine().room, [most, most - 1, most - 2]);
}

#[test]
fn replies_held_are_bounded_by_w_whatever_a_client_does() {
    let mut world = World::new();
    for number in (1..=40).rev().chain(1..=40) {
        world.one(1, number, 0);
        assert!(world.executor.sessions().replies() <= 8);
    }
}

/// M6: every client asks for far more than W, in ever new sessions, and acknowledges nothing until the end.
#[test]
fn the_replies_of_many_clients_are_w_each_until_they_are_acknowledged() {
    const CLIENTS: u32 = 20_000;
    let mut table = SessionTable::new(8);
    let ask = |table: &mut SessionTable, client, session, number, ack| {
        let client = ClientId(client);
        let id = RequestId {
            client,
            session,
            number,
        };
        if table.lookup(&id, ack) == Lookup::New {
            table.enter(&id);
            let outcome = Outcome::Busy { retry_after_ms: 1 };
            table.complete(&id, ack, SeqNo(number), outcome);
        }
    };
    for client in 0..CLIENTS {
        for session in 1..=2 {
            (1..=12).for_each(|number| ask(&mut table, client, session, number, 0));
        }
        if client % 1_000 == 0 {
            assert_eq!(table.replies(), 8 * (client as usize + 1));
        }
    }
    assert_eq!(table.replies(), 8 * CLIENTS as usize);
    for client in 0..CLIENTS {
        ask(&mut table, client, 2, 9, 8);
    }
    assert_eq!(table.replies(), CLIENTS as usize, "the new one each");
}

/// M3: identities that nobody has founded, a new one with each request.
#[test]
fn however_many_strangers_there_are_none_leaves_a_trace() {
    let mut world = World::new();
    let mut raw = world.fixture.request(0, 1).raw().to_vec();
    let limits = world.fixture.cluster.limits().clone();
    for hundred in 0..500u32 {
        let strangers: Vec<Request> = (0..100)
            .map(|one| {
                raw[..4].copy_from_slice(&(1_000 + 100 * hundred + one).to_le_bytes());
                Request::parse(raw.clone().into(), &limits).unwrap()
            })
            .collect();
        let denied = |done: &Executed| done.outcome == Outcome::Denied;
        assert!(world.execute(&strangers).iter().all(denied));
    }
    assert_eq!(world.applied(), 0);
    let (table, empty) = (world.executor.sessions(), SessionTable::new(8));
    assert_eq!(table.to_bytes(), empty.to_bytes());
}

#[test]
fn a_new_session_ends_the_old_one_for_good() {
    let mut world = World::new();
    world.one(1, 1, 0);
    assert!(world.one(7, 1, 0).fresh, "numbers begin anew");
    for number in [1, 2] {
        let old = world.one(1, number, 0);
        assert_eq!(old.outcome, Outcome::StaleSession(7));
    }
    let stale = Lookup::Refused(Outcome::StaleSession(7));
    assert_eq!(world.lookup(6, 5), stale);
    assert_eq!(world.applied(), 2);
    assert_eq!(world.executor.sessions().replies(), 1);
}

#[test]
fn a_lookup_changes_nothing_even_for_a_new_session() {
    let mut world = World::new();
    world.one(1, 1, 0);
    let root = world.executor.state_digest();
    assert_eq!(world.lookup(9, 1), Lookup::New);
    assert_eq!(world.lookup(9, 9), Lookup::Refused(Outcome::OutOfWindow));
    assert_eq!(world.executor.state_digest(), root);
    assert_eq!(world.lookup(1, 1), Lookup::Done(SeqNo(1), result(1)));
}

#[test]
fn clients_do_not_touch_each_others_sessions() {
    let mut world = World::new();
    world.one(5, 1, 0);
    let other = world.fixture.request_of(1, 1, 1, 0, &[b"op"]);
    assert!(world.execute(&[other]).remove(0).fresh);
    assert_eq!(world.lookup(5, 1), Lookup::Done(SeqNo(1), result(1)));
}

#[test]
fn a_client_outside_the_configuration_is_denied_and_leaves_no_trace() {
    let mut world = World::new();
    let fixture = &world.fixture;
    let mut raw = fixture.request(0, 1).raw().to_vec();
    raw[0] = 99;
    let stranger = Request::parse(raw.into(), fixture.cluster.limits()).unwrap();
    let outcome = world.execute(&[stranger]).remove(0).outcome;
    assert_eq!(outcome, Outcome::Denied);
    assert_eq!(world.applied(), 0);
    assert_eq!(
        world.executor.sessions().to_bytes(),
        SessionTable::new(8).to_bytes()
    );
}

#[test]
fn the_null_batch_moves_the_log_and_nothing_else() {
    let mut world = World::new();
    assert_eq!(world.executor.execute(SeqNo(1), None), []);
    assert_eq!(world.executor.last_executed(), SeqNo(1));
    assert_eq!(world.applied(), 0);
}

#[test]
#[should_panic(expected = "batches execute in sequence order")]
fn a_gap_in_the_log_is_refused() {
    World::new().executor.execute(SeqNo(2), None);
}

/// A table with several clients, sessions, replies and acknowledgements.
fn busy_world() -> World {
    let mut world = World::new();
    for number in 1..=6 {
        for client in 0..4 {
            let ack = number / 2;
            let session = u64::from(client) + 1;
            let request = world
                .fixture
                .request_of(client, session, number, ack, &[b"op", b"more"]);
            world.execute(&[request]);
        }
    }
    world
}

#[test]
fn a_restored_table_answers_and_digests_like_the_one_it_was_saved_from() {
    let mut world = busy_world();
    let bytes = world.executor.sessions().to_bytes();
    let table = SessionTable::from_bytes(8, &bytes).expect("own bytes");
    assert_eq!(table.to_bytes(), bytes);
    let mut restored = Executor::restored(
        Arc::clone(&world.fixture.cluster),
        world.executor.machine().clone(),
        table,
        world.executor.configuration().clone(),
        world.executor.last_executed(),
    );
    assert_eq!(restored.state_digest(), world.executor.state_digest());
    for client in 0..4 {
        for number in 1..=9 {
            let session = u64::from(client) + 1;
            let request = world
                .fixture
                .request_of(client, session, number, 0, &[b"x"]);
            let expected = world.executor.lookup(&request);
            assert_eq!(restored.lookup(&request), expected);
        }
    }
}

#[test]
fn damaged_tables_are_refused() {
    let bytes = busy_world().executor.sessions().to_bytes();
    assert!(
        SessionTable::from_bytes(2, &bytes).is_err(),
        "over the window"
    );
    assert!(SessionTable::from_bytes(8, &bytes[1..]).is_err());
    let mut trailing = bytes.clone();
    trailing.push(0);
    assert!(SessionTable::from_bytes(8, &trailing).is_err());
    let mut same_client_twice = bytes.clone();
    // count u64, then client u32: the first client becomes the second one.
    same_client_twice[8] = 1;
    assert!(SessionTable::from_bytes(8, &same_client_twice).is_err());
}

#[test]
fn no_byte_of_a_saved_table_can_change_unnoticed_by_its_root() {
    let mut world = busy_world();
    let bytes = world.executor.sessions().to_bytes();
    let mut table = SessionTable::from_bytes(8, &bytes).unwrap();
    let root = table.root();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        if let Ok(mut other) = SessionTable::from_bytes(8, &changed) {
            assert_ne!(other.root(), root, "byte {at}");
        }
    }
    let _ = world.executor.state_digest();
}

#[test]
fn the_incremental_root_is_the_root_of_a_table_read_anew() {
    let mut world = World::new();
    let steps = [
        (1, 1, 0),
        (1, 2, 1),
        (3, 1, 0),
        (1, 3, 0),
        (3, 1, 0),
        (3, 9, 0),
        (3, 2, 1),
    ];
    for (session, number, ack) in steps {
        world.one(session, number, ack);
        let bytes = world.executor.sessions().to_bytes();
        let anew = SessionTable::from_bytes(8, &bytes).unwrap();
        let restored = |sessions| {
            Executor::restored(
                Arc::clone(&world.fixture.cluster),
                world.executor.machine().clone(),
                sessions,
                world.executor.configuration().clone(),
                world.executor.last_executed(),
            )
            .state_digest()
        };
        let expected = restored(anew);
        assert_eq!(world.executor.state_digest(), expected);
    }
}

#[test]
fn the_state_digest_covers_log_position_state_sessions_and_configuration() {
    let digest = |world: &mut World| world.executor.state_digest();
    let mut base = World::new();
    base.one(1, 1, 0);
    let mut later = World::new();
    later.one(1, 1, 0);
    later.executor.execute(SeqNo(2), None);
    let mut other_op = World::new();
    let request = other_op.fixture.request_of(0, 1, 1, 0, &[b"other"]);
    other_op.execute(&[request]);
    let mut other_session = World::new();
    other_session.one(2, 1, 0);
    let mut other_config = World::new();
    other_config.fixture =
        Fixture::with(6, 1, FastQuorum::Strong, small_limits(), Policy::default());
    other_config.executor = Executor::new(
        Arc::clone(&other_config.fixture.cluster),
        Journal::default(),
    );
    other_config.one(1, 1, 0);
    let mut renewed = World::new();
    let request = renewed.fixture.request_of(0, 1, 1, 0, &[b"op"]);
    let renew = renewed.fixture.renew(2, 1, 7);
    assert_eq!(
        renewed.execute(&[request, renew]).len(),
        1,
        "no answer to RENEW"
    );
    let first = digest(&mut base);
    for other in [
        &mut later,
        &mut other_op,
        &mut other_session,
        &mut other_config,
        &mut renewed,
    ] {
        assert_ne!(digest(other), first);
    }
    let mut same = World::new();
    same.one(1, 1, 0);
    assert_eq!(digest(&mut same), first);
}

#[test]
fn large_results_come_in_full_from_one_replica_and_every_replica_has_its_turn() {
    use consensus::reply::designated;
    let turns: Vec<u16> = (1..=6).map(|seq| designated(SeqNo(seq), 1, 5).0).collect();
    assert_eq!(turns, [2, 3, 4, 0, 1, 2]);
    assert!(designated(SeqNo(u64::MAX), u64::MAX, 5).0 < 5);
}

#[test]
fn an_answer_matches_whether_it_carries_its_results_or_their_digest() {
    let results = ByteList::from_iter([b"one", b"two"]);
    let full = ResultBody::Full(results);
    let hash = ResultBody::Hash(full.digest());
    let digest = |body: &ResultBody| Outcome::Executed(body.clone()).digest();
    assert_eq!(digest(&full), digest(&hash));
    let split_otherwise = ResultBody::Full(ByteList::from_iter([&b"onetw"[..], b"o"]));
    assert_ne!(digest(&full), digest(&split_otherwise));
}

#[test]
fn the_state_digest_is_that_of_r9() {
    let mut world = World::new();
    let renew = world.fixture.renew(2, 1, 7);
    world.execute(&[renew]);
    for number in 1..=4 {
        world.one(1, number, 0);
    }
    let executor = &mut world.executor;
    assert_eq!(executor.configuration().epoch().0, 1);
    let mut hasher = Hasher::new("state");
    hasher
        .u64(1)
        .u64(5)
        .update(executor.machine().clone().root().as_bytes())
        .update(executor.sessions().clone().root().as_bytes())
        .update(executor.configuration().digest().as_bytes());
    assert_eq!(executor.state_digest(), hasher.finish());
}

#[test]
fn digests_of_checkpoints_are_remembered_while_they_may_be_above_the_low_watermark() {
    let fixture = Fixture::strong();
    let limits = fixture.cluster.limits();
    let (interval, window) = (limits.checkpoint_interval, limits.log_window);
    let mut executor = Executor::new(Arc::clone(&fixture.cluster), Journal::default());
    let mut digests = Vec::new();
    for seq in 1..=2 * window {
        executor.execute(SeqNo(seq), None);
        if seq.is_multiple_of(interval) {
            digests.push((SeqNo(seq), executor.checkpoint()));
        }
    }
    digests.pop();
    let kept = digests.split_off(digests.len() - (window / interval - 1) as usize);
    assert_eq!(executor.earlier_checkpoints(), kept);
    executor.remember_checkpoints(&digests);
    assert_eq!(
        executor.earlier_checkpoints(),
        kept,
        "what is older is forgotten"
    );
}
