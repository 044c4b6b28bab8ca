//! What replication asks of the state machine: any bytes have an answer, the same operations
//! have the same effect, nothing is left of what is rolled back, and durable changes are enough
//! to begin again.

use crate::common::{delete, op, put, rebuilt, run, run_atomic, run_slots, slots};
use consensus::{SeqNo, StateMachine};
use crypto::codec::EXPANSION;
use kv::{Change, Compare, Entry, Op, OpResult, RESULT_BYTES_MAX, SimpleOp, SimpleResult, Store};
use proptest::collection::vec;
use proptest::prelude::*;

/// A durable copy, as a table of rows would keep it.
#[derive(Default)]
struct Durable {
    rows: std::collections::BTreeMap<Vec<u8>, Change>,
    last_delete: Option<Change>,
}

impl Durable {
    fn write(&mut self, changes: Vec<Change>) {
        for change in changes {
            match &change {
                Change::Set(record) => self.rows.insert(record.key().to_vec(), change),
                Change::Removed { key } => self.rows.remove(&key[..]),
                Change::LastDelete(_) => self.last_delete.replace(change),
            };
        }
    }

    fn load(&self) -> Store {
        Store::from_changes(self.rows.values().chain(&self.last_delete).cloned())
    }
}

#[test]
fn elements_of_lists_claim_no_more_memory_than_the_codec_allows() {
    // Shortest encodings: a tag, and a length for each byte string.
    assert!(size_of::<SimpleOp>() <= EXPANSION * (4 + 4));
    assert!(size_of::<Compare>() <= EXPANSION * (4 + 4));
    assert!(size_of::<SimpleResult>() <= EXPANSION * 4);
    assert!(size_of::<Entry>() <= EXPANSION * (4 + 4 + 12));
}

#[test]
fn changes_are_reported_once_and_only_if_kept() {
    let mut store = Store::new();
    run(&mut store, 1, &put("a", "1"));
    run(&mut store, 1, &put("a", "2"));
    run(&mut store, 1, &put("b", "1"));
    run(&mut store, 1, &delete("b"));
    run_atomic(&mut store, 2, &[put("c", "1"), delete("absent")]);
    store.root();
    let changes = store.take_changes();
    // In no order that anybody may count on, but in the same one at every replica.
    let b = crate::common::blob("b");
    let expected = [
        Change::Removed { key: b },
        Change::Set(store.get(b"a").unwrap().into()),
        Change::LastDelete(SeqNo(1)),
    ];
    assert_eq!(changes, expected);
    assert_eq!(store.take_changes(), []);
    let mut restored = Store::from_changes(changes);
    assert_eq!(restored.take_changes(), [], "what is restored is saved");
}

#[test]
fn a_key_saved_before_is_reported_again_when_it_changes_after_a_root() {
    let mut store = Store::new();
    run(&mut store, 1, &put("a", "1"));
    store.take_changes();
    run(&mut store, 2, &put("a", "2"));
    store.root();
    run(&mut store, 3, &put("a", "3"));
    let latest = Change::Set(store.get(b"a").unwrap().into());
    assert_eq!(store.take_changes(), [latest]);
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..200)) {
        let mut store = Store::new();
        let result = OpResult::decode(&store.apply(SeqNo(1), &bytes, RESULT_BYTES_MAX)).unwrap();
        match Op::decode(&bytes) {
            Ok(op) => prop_assert_eq!(op.encode(), bytes),
            Err(error) => {
                prop_assert_eq!(result, OpResult::from(error));
                prop_assert!(store.is_empty());
            }
        }
    }

    /// Nearly right bytes reach deeper than arbitrary ones.
    #[test]
    fn damaged_operations_are_answered(
        op in op(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut store = Store::new();
        let whole = op.encode();
        let mut damaged = whole.clone();
        damaged[place.index(whole.len())] = byte;
        let longer = [&whole[..], &[0]].concat();
        for bytes in [&damaged[..], &whole[..cut.index(whole.len())], &longer] {
            let result = OpResult::decode(&store.apply(SeqNo(1), bytes, RESULT_BYTES_MAX)).unwrap();
            match Op::decode(bytes) {
                Ok(op) => prop_assert_eq!(op.encode(), bytes),
                Err(error) => prop_assert_eq!(result, OpResult::from(error)),
            }
        }
        prop_assert_eq!(OpResult::decode(&store.apply(SeqNo(1), &longer, RESULT_BYTES_MAX)).unwrap(), OpResult::Malformed);
    }

    #[test]
    fn operations_and_results_read_back_as_written(slots in slots()) {
        for op in slots.iter().flat_map(|(_, ops)| ops) {
            prop_assert_eq!(&Op::decode(&op.encode()).unwrap(), op);
        }
        for result in run_slots(&mut Store::new(), 1, &slots) {
            let bytes = result.encode();
            prop_assert_eq!(&OpResult::decode(&bytes).unwrap(), &result);
            prop_assert!(OpResult::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn replicas_agree_however_often_they_take_the_root(slots in slots()) {
        let (mut often, mut once) = (Store::new(), Store::new());
        let mut results = Vec::new();
        for (seq, slot) in (1..).zip(&slots) {
            results.extend(run_slots(&mut often, seq, std::slice::from_ref(slot)));
            often.root();
        }
        prop_assert_eq!(results, run_slots(&mut once, 1, &slots));
        prop_assert_eq!(often.root(), once.root());
        prop_assert_eq!(often.take_changes(), once.take_changes());
    }

    #[test]
    fn an_atomic_request_leaves_all_or_nothing(
        before in slots(),
        rooted in any::<bool>(),
        ops in vec(op(), 0..6),
        after in slots(),
    ) {
        let mut plain = Store::new();
        run_slots(&mut plain, 1, &before);
        if rooted {
            plain.root();
        }
        let mut atomic = plain.clone();
        let results = run_atomic(&mut atomic, 100, &ops);
        prop_assert_eq!(results.len(), ops.len());
        if results.iter().all(OpResult::succeeded) {
            let one_by_one: Vec<_> = ops.iter().map(|op| run(&mut plain, 100, op)).collect();
            prop_assert_eq!(results, one_by_one);
        } else {
            let rolled_back = results.iter().filter(|r| **r == OpResult::RolledBack);
            prop_assert_eq!(rolled_back.count() + 1, results.len());
        }
        // The same slot goes on: not even the next version differs.
        let slot = after.first().map_or(&[][..], |(_, ops)| ops);
        for op in slot {
            prop_assert_eq!(run(&mut atomic, 100, op), run(&mut plain, 100, op));
        }
        prop_assert_eq!(atomic.clone().take_changes(), plain.clone().take_changes());
        prop_assert_eq!(atomic.root(), plain.root());
        prop_assert_eq!(atomic.root(), rebuilt(&plain).root());
        run_slots(&mut atomic, 101, &after);
        run_slots(&mut plain, 101, &after);
        prop_assert_eq!(atomic.root(), plain.root());
        prop_assert_eq!(atomic.take_changes(), plain.take_changes());
    }

    #[test]
    fn a_store_begins_again_from_its_changes(slots in slots(), every in 1..5_usize) {
        let mut store = Store::new();
        let mut durable = Durable::default();
        let mut restarted = Store::new();
        for (seq, part) in (1..).step_by(every).zip(slots.chunks(every)) {
            // A replica that restarts at every checkpoint answers as one that never does.
            let results = run_slots(&mut store, seq, part);
            prop_assert_eq!(run_slots(&mut restarted, seq, part), results);
            durable.write(store.take_changes());
            restarted = durable.load();
            prop_assert_eq!(restarted.root(), store.root());
            prop_assert_eq!(restarted.last_delete(), store.last_delete());
            prop_assert!(restarted.iter().eq(store.iter()));
        }
    }
}
