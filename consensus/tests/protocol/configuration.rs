//! R16: the configuration as replicated state. What RENEW does to it, and who may have it done.

use std::sync::Arc;

use bytes::Bytes;
use consensus::configuration::{Denied, RENEW_PAUSE_CHECKPOINTS};
use consensus::{
    Batch, ClientId, Configuration, Epoch, Executor, FastQuorum, Limits, Lookup, Nonce, Outcome,
    Policy, Renew, ReplicaId, Request, SeqNo,
};
use proptest::prelude::*;

use crate::fixture::{Fixture, small_limits};

/// K of these tests.
const K: u64 = 4;
/// Slots between two RENEWs of one replica.
const PAUSE: u64 = RENEW_PAUSE_CHECKPOINTS * K;

fn genesis() -> Configuration {
    Configuration::genesis(&Fixture::strong().cluster)
}

fn renew(incarnation: u64, nonce: u8) -> Renew {
    Renew {
        incarnation,
        nonce: Nonce([nonce; 16]),
    }
}

/// Executes slots up to `upto` without RENEWs.
fn pass(configuration: &mut Configuration, upto: u64) {
    configuration.begin(SeqNo(upto));
}

#[test]
fn an_epoch_ends_at_the_first_multiple_of_k_at_or_above_its_renew() {
    for (executed, end) in [(1, 4), (3, 4), (4, 4), (5, 8), (8, 8)] {
        let mut configuration = genesis();
        let done = configuration.execute_renew(SeqNo(executed), ReplicaId(1), &renew(1, 9));
        assert_eq!(done, Ok(()));
        assert_eq!(configuration.closing(), Some(SeqNo(end)), "{executed}");
        pass(&mut configuration, end);
        assert_eq!(
            configuration.epoch(),
            Epoch(0),
            "B belongs to the old epoch"
        );
        pass(&mut configuration, end + 1);
        assert_eq!(configuration.epoch(), Epoch(1));
        assert_eq!(configuration.base(), SeqNo(end));
        assert_eq!(configuration.closing(), None);
    }
}

#[test]
fn several_renews_before_the_boundary_share_it() {
    let mut configuration = genesis();
    for (seq, replica) in [(1, 0), (2, 3), (4, 2)] {
        let done = configuration.execute_renew(SeqNo(seq), ReplicaId(replica), &renew(1, 9));
        assert_eq!(done, Ok(()));
        assert_eq!(configuration.closing(), Some(SeqNo(4)));
    }
    pass(&mut configuration, 5);
    assert_eq!(configuration.epoch(), Epoch(1));
    for replica in [0, 3, 2] {
        assert!(configuration.renewed(ReplicaId(replica), Nonce([9; 16])));
    }
}

#[test]
fn an_old_renew_of_an_earlier_life_does_not_renew() {
    let mut configuration = genesis();
    let (me, earlier, now) = (ReplicaId(1), renew(1, 1), renew(1, 2));
    assert_eq!(configuration.execute_renew(SeqNo(2), me, &earlier), Ok(()));
    pass(&mut configuration, 5);
    assert!(configuration.renewed(me, earlier.nonce));
    assert!(!configuration.renewed(me, now.nonce));
    let denied = configuration.execute_renew(SeqNo(PAUSE + 4), me, &now);
    assert_eq!(denied, Err(Denied::Incarnation { next: 2 }));
    assert!(!configuration.renewed(me, now.nonce));
}

#[test]
fn a_renew_gives_the_vote_back_only_in_the_epoch_after_it() {
    let mut configuration = genesis();
    let me = ReplicaId(1);
    assert_eq!(
        configuration.execute_renew(SeqNo(2), me, &renew(1, 1)),
        Ok(())
    );
    pass(&mut configuration, 4);
    assert!(!configuration.renewed(me, Nonce([1; 16])));
    pass(&mut configuration, 5);
    assert!(configuration.renewed(me, Nonce([1; 16])));
}

#[test]
fn nobody_has_the_nonce_of_a_replica_that_was_never_renewed() {
    let configuration = genesis();
    assert!(!configuration.renewed(ReplicaId(1), Nonce::default()));
}

#[test]
fn at_most_one_renew_in_16_k_slots() {
    let mut configuration = genesis();
    let me = ReplicaId(1);
    assert_eq!(
        configuration.execute_renew(SeqNo(3), me, &renew(1, 1)),
        Ok(())
    );
    let first = SeqNo(3 + PAUSE);
    let early = configuration.execute_renew(SeqNo(2 + PAUSE), me, &renew(2, 2));
    assert_eq!(early, Err(Denied::TooSoon { first }));
    assert_eq!(configuration.renewal(me).unwrap().incarnation, 1);
    let other = configuration.execute_renew(SeqNo(4), ReplicaId(2), &renew(1, 1));
    assert_eq!(other, Ok(()), "each replica has a count of its own");
    assert_eq!(configuration.execute_renew(first, me, &renew(2, 2)), Ok(()));
}

#[test]
fn a_renew_of_a_stranger_is_denied() {
    let denied = genesis().execute_renew(SeqNo(1), ReplicaId(5), &renew(1, 1));
    assert_eq!(denied, Err(Denied::Unknown));
}

#[test]
fn the_digest_covers_the_cluster_and_everything_agreed_on() {
    let base = genesis();
    let mut closing = genesis();
    closing
        .execute_renew(SeqNo(2), ReplicaId(1), &renew(1, 1))
        .unwrap();
    let mut other_nonce = genesis();
    other_nonce
        .execute_renew(SeqNo(2), ReplicaId(1), &renew(1, 2))
        .unwrap();
    let mut rolled = closing.clone();
    pass(&mut rolled, 5);
    let other = Fixture::with(6, 1, FastQuorum::Strong, small_limits(), Policy::default());
    let other = Configuration::genesis(&other.cluster);
    let all = [base, closing, other_nonce, rolled, other];
    for (at, one) in all.iter().enumerate() {
        for another in &all[at + 1..] {
            assert_ne!(one.digest(), another.digest());
        }
    }
}

#[test]
fn bytes_that_no_run_leads_to_are_no_configuration() {
    let fixture = Fixture::strong();
    let bytes = genesis().to_bytes();
    assert!(Configuration::from_bytes(&fixture.cluster, &bytes).is_ok());
    let other = Fixture::with(6, 1, FastQuorum::Strong, small_limits(), Policy::default());
    assert!(Configuration::from_bytes(&other.cluster, &bytes).is_err());
    let limits = Limits {
        checkpoint_interval: 3,
        ..small_limits()
    };
    let odd = Fixture::with(5, 1, FastQuorum::Strong, limits, Policy::default());
    let mut closing = genesis();
    closing
        .execute_renew(SeqNo(2), ReplicaId(1), &renew(1, 1))
        .unwrap();
    let closing = closing.to_bytes();
    assert!(Configuration::from_bytes(&odd.cluster, &closing).is_err());
    // The epoch is the first number: one without a base that it began behind.
    let mut no_base = bytes.clone();
    no_base[0] = 1;
    assert!(Configuration::from_bytes(&fixture.cluster, &no_base).is_err());
    assert!(Configuration::from_bytes(&fixture.cluster, &bytes[1..]).is_err());
}

#[test]
fn a_renew_is_signed_by_its_replica_and_by_nobody_else() {
    let fixture = Fixture::strong();
    let request = fixture.renew(1, 1, 7);
    let verify = |request: &Request| {
        let check = request.check(&fixture.keyring)?;
        Some(fixture.keyring.scheme().verify(&check))
    };
    assert_eq!(verify(&request), Some(true));
    let mut raw = request.raw().to_vec();
    raw[..4].copy_from_slice(&ClientId::of_service(ReplicaId(2)).0.to_le_bytes());
    let stolen = Request::parse(Bytes::from(raw), fixture.cluster.limits()).unwrap();
    assert_eq!(verify(&stolen), Some(false), "by replica 1 in 2's name");
    assert_eq!(verify(&fixture.renew(4, 1, 7)), Some(true));
    let stranger = Fixture::with(6, 1, FastQuorum::Strong, small_limits(), Policy::default());
    assert_eq!(verify(&stranger.renew(5, 1, 7)), None, "no such replica");
}

#[test]
fn a_service_may_ask_for_nothing_but_its_renewal() {
    let fixture = Fixture::strong();
    let raw = fixture.renew(1, 1, 7).raw().to_vec();
    let parse = |raw: Vec<u8>| Request::parse(Bytes::from(raw), fixture.cluster.limits());
    let unsound = [
        // Session, number, atomicity and operation: at their places in the layout of R4.
        (4, 2u8),
        (12, 2),
        (28, 1),
        (35, 2),
    ];
    for (at, byte) in unsound {
        let mut raw = raw.clone();
        raw[at] = byte;
        let request = parse(raw).expect("well-formed as a request");
        assert!(request.check(&fixture.keyring).is_none(), "byte {at}");
    }
    let request = parse(raw).unwrap();
    assert!(request.check(&fixture.keyring).is_some());
}

/// A step of a history: which replica asks, whether for the right incarnation, and how many
/// slots later.
fn steps() -> impl Strategy<Value = Vec<(u16, bool, u64)>> {
    proptest::collection::vec((0..5u16, any::<bool>(), 1..40u64), 1..40)
}

proptest! {
    #[test]
    fn whatever_is_asked_for_epochs_and_incarnations_grow_one_by_one_and_bytes_come_back(
        steps in steps(),
    ) {
        let fixture = Fixture::strong();
        let mut configuration = genesis();
        let mut seq = 0;
        let mut last: Vec<Option<u64>> = vec![None; 5];
        for (replica, right, later) in steps {
            let id = ReplicaId(replica);
            for _ in 0..later {
                seq += 1;
                let before = configuration.clone();
                configuration.begin(SeqNo(seq));
                let grown = configuration.epoch().0 - before.epoch().0;
                prop_assert!(grown <= 1);
                if grown == 1 {
                    prop_assert_eq!(before.closing(), Some(SeqNo(seq - 1)));
                    prop_assert!((seq - 1).is_multiple_of(K));
                }
            }
            let stored = configuration.renewal(id).unwrap().incarnation;
            let asked = renew(stored + u64::from(right), 1);
            let before = configuration.clone();
            let done = configuration.execute_renew(SeqNo(seq), id, &asked);
            let paused = last[usize::from(replica)].is_none_or(|last| seq >= last + PAUSE);
            prop_assert_eq!(done.is_ok(), right && paused);
            match done {
                Ok(()) => {
                    last[usize::from(replica)] = Some(seq);
                    let end = configuration.closing().unwrap().0;
                    prop_assert!(end.is_multiple_of(K) && seq <= end && end < seq + K);
                    prop_assert_eq!(configuration.renewal(id).unwrap().incarnation, stored + 1);
                }
                Err(_) => prop_assert_eq!(&configuration, &before),
            }
            let bytes = configuration.to_bytes();
            let anew = Configuration::from_bytes(&fixture.cluster, &bytes).unwrap();
            prop_assert_eq!(&anew, &configuration);
            prop_assert_eq!(anew.digest(), configuration.digest());
        }
    }

    /// The core runs the configuration beside the executor: over the same batches it must come to
    /// the same.
    #[test]
    fn the_executor_and_whoever_runs_the_batches_beside_it_agree(
        batches in proptest::collection::vec(proptest::collection::vec((0..5u16, 0..3u64, 0..3u8), 0..3), 1..30),
    ) {
        let fixture = Fixture::strong();
        let mut executor = Executor::new(Arc::clone(&fixture.cluster), Nothing);
        let mut beside = genesis();
        for (seq, renews) in (1..).zip(batches) {
            let requests: Vec<Request> = renews
                .into_iter()
                .map(|(replica, incarnation, nonce)| fixture.renew(replica, incarnation, nonce))
                .collect();
            let batch = (!requests.is_empty()).then(|| Batch::new(requests));
            executor.execute(SeqNo(seq), batch.as_ref());
            beside.execute(SeqNo(seq), batch.as_ref());
            prop_assert_eq!(executor.configuration(), &beside);
        }
    }
}

#[test]
fn a_renew_that_would_be_denied_is_refused_before_it_is_ordered() {
    let fixture = Fixture::strong();
    let mut executor = Executor::new(Arc::clone(&fixture.cluster), Nothing);
    assert_eq!(executor.lookup(&fixture.renew(1, 1, 7)), Lookup::New);
    let denied = Lookup::Refused(Outcome::Denied);
    assert_eq!(executor.lookup(&fixture.renew(1, 2, 7)), denied);
    executor.execute(SeqNo(1), Some(&Batch::new(vec![fixture.renew(1, 1, 7)])));
    assert_eq!(executor.lookup(&fixture.renew(1, 1, 7)), denied);
    assert_eq!(executor.lookup(&fixture.renew(1, 2, 7)), denied, "too soon");
    for seq in 2..=PAUSE {
        executor.execute(SeqNo(seq), None);
    }
    assert_eq!(executor.lookup(&fixture.renew(1, 2, 7)), Lookup::New);
}

/// A state machine without a state.
struct Nothing;

impl consensus::StateMachine for Nothing {
    type Change = ();

    fn apply(&mut self, _: SeqNo, _: &[u8], _: usize) -> Vec<u8> {
        Vec::new()
    }

    fn apply_atomic(
        &mut self,
        _: SeqNo,
        ops: &mut dyn Iterator<Item = &[u8]>,
        _: usize,
    ) -> Vec<Vec<u8>> {
        ops.map(|_| Vec::new()).collect()
    }

    fn root(&mut self) -> crypto::Digest {
        crypto::Digest::default()
    }

    fn take_changes(&mut self) -> Vec<()> {
        Vec::new()
    }
}
