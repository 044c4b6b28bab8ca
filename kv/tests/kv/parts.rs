//! The state as it was, while execution goes on, and on its way to another replica (R9, R13).

use std::collections::BTreeMap;

use crate::common::{delete, put, rebuilt, run, run_atomic, run_slots, slots};
use consensus::state_machine::{Part, PartId, WrongPart};
use consensus::{SeqNo, StateMachine, Transferable};
use crypto::Digest;
use kv::{Change, Entry, Record, Store, Version};
use proptest::collection::vec;
use proptest::prelude::*;

/// Everything that a store holds.
fn held(store: &Store) -> (SeqNo, Vec<Entry>) {
    (store.last_delete(), store.iter().collect())
}

/// Fetches the state that `source` has frozen under `seq` into `target`, as a replica does: only
/// what differs, through outlines where it holds something already. Returns the parts fetched.
fn fetch(source: &mut Store, seq: u64, target: &mut Store, room: usize) -> usize {
    let manifest = source.manifest(SeqNo(seq)).expect("it is frozen");
    let (root, mut ahead) = Store::read_manifest(&manifest).expect("a manifest");
    let mut contents = Vec::new();
    let mut fetched = 0;
    while let Some((part, digest)) = ahead.pop() {
        if target.holds(part, &digest) {
            continue;
        }
        let outline = target.is_worth_comparing(part);
        let bytes = source.part(SeqNo(seq), part, outline, room);
        let bytes = bytes.expect("the manifest names it");
        fetched += 1;
        match Store::check_part(part, &digest, &bytes).expect("the source is honest") {
            Part::Outline(below) => ahead.extend(below),
            Part::Content(content) => contents.push((part, content)),
        }
    }
    target.install(&manifest, contents);
    assert_eq!(target.root(), root);
    fetched
}

/// A store that holds what `source` has frozen under `seq`.
fn copy(source: &mut Store, seq: u64) -> Store {
    let mut target = Store::new();
    fetch(source, seq, &mut target, usize::MAX);
    target
}

fn number(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

/// `keys` keys, written in slot 1.
fn holding(keys: u64) -> Store {
    let mut store = Store::new();
    for n in 0..keys {
        run(&mut store, 1, &put(number(n), [1; 16]));
    }
    store.root();
    store
}

#[test]
fn a_frozen_state_is_what_it_was_whatever_is_done_to_its_keys() {
    let mut store = Store::new();
    for key in ["kept", "changed", "deleted", "recreated", "twice"] {
        run(&mut store, 1, &put(key, "before"));
    }
    run(&mut store, 2, &delete("absent"));
    store.freeze(SeqNo(2));
    let before = held(&store);
    run(&mut store, 3, &put("changed", "after"));
    run(&mut store, 3, &delete("deleted"));
    run(&mut store, 4, &delete("recreated"));
    run(&mut store, 4, &put("recreated", "after"));
    run(&mut store, 5, &put("created", "after"));
    run(&mut store, 5, &put("twice", "first"));
    store.root();
    run(&mut store, 6, &put("twice", "second"));
    run_atomic(
        &mut store,
        7,
        &[put("kept", "not really"), put("", "fails")],
    );
    assert_eq!(held(&copy(&mut store, 2)), before);
    assert_ne!(held(&store), before);
}

#[test]
fn frozen_states_take_memory_for_what_was_changed_and_give_it_back() {
    let mut store = holding(1000);
    store.freeze(SeqNo(1));
    store.freeze(SeqNo(2));
    assert_eq!(store.frozen_bytes(), 0);
    for n in 0..10 {
        run(&mut store, 3, &put(number(n), [2; 100]));
        run(&mut store, 4, &put(number(n), [3; 100]));
    }
    store.root();
    let few = store.frozen_bytes();
    assert!(few > 0 && few < 10 * 300, "{few} bytes for ten keys");
    store.freeze(SeqNo(4));
    for n in 0..10 {
        run(&mut store, 5, &put(number(n), [4; 100]));
    }
    store.root();
    assert!(store.frozen_bytes() > few);
    // What the newer ones kept for it the oldest one keeps itself.
    store.thaw(SeqNo(2));
    store.thaw(SeqNo(4));
    assert_eq!(held(&copy(&mut store, 1)), held(&holding(1000)));
    assert_eq!(store.frozen_bytes(), few);
    store.thaw(SeqNo(1));
    assert_eq!(store.frozen_bytes(), 0);
    assert_eq!(store.manifest(SeqNo(1)), None);
    let bucket = PartId { path: 0, bits: 10 };
    assert_eq!(store.part(SeqNo(1), bucket, false, 1000), None);
}

#[test]
fn what_is_here_already_is_not_fetched() {
    let mut source = holding(50_000);
    source.freeze(SeqNo(1));
    let mut target = source.clone();
    assert_eq!(fetch(&mut source, 1, &mut target, usize::MAX), 0);
    run(&mut source, 2, &put(number(7), "changed"));
    source.freeze(SeqNo(2));
    // A bucket holds fifty keys: its outline, and one leaf of it.
    assert_eq!(fetch(&mut source, 2, &mut target, usize::MAX), 2);
    assert_eq!(held(&target), held(&source));
    // A new replica has nothing to compare.
    assert_eq!(fetch(&mut source, 2, &mut Store::new(), usize::MAX), 1024);
}

/// The content that every digest stands for, in one bucket with many keys.
fn crowded() -> (Store, PartId, Digest) {
    // The first ten bits of the hash choose the bucket.
    let in_first = |n: &u64| {
        let hash = Digest::of("kv-key", &number(*n)).0;
        hash[0] == 0 && hash[1] < 64
    };
    let mut store = Store::new();
    for n in (0..).filter(in_first).take(40) {
        run(&mut store, 1, &put(number(n), [1; 60]));
    }
    store.freeze(SeqNo(1));
    let manifest = store.manifest(SeqNo(1)).unwrap();
    let (_, parts) = Store::read_manifest(&manifest).unwrap();
    (store, parts[0].0, parts[0].1)
}

#[test]
fn a_bucket_that_is_too_large_for_one_message_travels_as_smaller_parts() {
    let (mut store, part, digest) = crowded();
    let mut piece = |outline, room| store.part(SeqNo(1), part, outline, room).unwrap();
    let (whole, pieces) = (piece(false, 10_000), piece(false, 1000));
    assert!(whole.len() > 40 * 68 && pieces.len() < 700);
    assert_eq!(pieces, piece(true, 10_000), "an outline is as good");
    let Ok(Part::Outline(below)) = Store::check_part(part, &digest, &pieces) else {
        panic!("an outline");
    };
    assert_eq!(below.len(), 16);
    for (part, digest) in below {
        assert_eq!(part.bits, 14);
        // A leaf has no outline: it comes whole.
        let leaf = store.part(SeqNo(1), part, true, 0).unwrap();
        let checked = Store::check_part(part, &digest, &leaf);
        assert!(matches!(checked, Ok(Part::Content(_))));
    }
    let mut target = Store::new();
    let fetched = fetch(&mut store, 1, &mut target, 100);
    assert!(
        (3..=17).contains(&fetched),
        "{fetched}: the bucket and its children"
    );
    assert_eq!(held(&target), held(&store));
}

#[test]
fn the_largest_values_travel_too() {
    let mut store = Store::new();
    for n in 0..40 {
        run(
            &mut store,
            1,
            &put(number(n), vec![n as u8; kv::VALUE_BYTES_MAX]),
        );
    }
    store.freeze(SeqNo(1));
    assert_eq!(held(&copy(&mut store, 1)), held(&store));
}

fn refused(part: PartId, digest: &Digest, bytes: &[u8]) -> bool {
    matches!(Store::check_part(part, digest, bytes), Err(WrongPart))
}

#[test]
fn every_changed_byte_of_a_part_is_noticed() {
    let (mut store, part, digest) = crowded();
    for outline in [false, true] {
        let good = store.part(SeqNo(1), part, outline, 100_000).unwrap();
        assert!(!refused(part, &digest, &good));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(refused(part, &digest, &bad), "byte {at}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(refused(part, &digest, &longer));
        assert!(refused(part, &digest, &good[..good.len() - 1]));
        let other = PartId {
            path: 1 << 118,
            bits: 10,
        };
        assert!(outline || refused(other, &digest, &good), "another place");
        assert!(refused(part, &Digest([7; 32]), &good));
    }
}

#[test]
fn what_no_operation_could_have_stored_is_refused_whatever_its_digest() {
    let most = (kv::KEY_BYTES_MAX, kv::VALUE_BYTES_MAX);
    let sizes = [(most.0, most.1), (most.0 + 1, 1), (1, most.1 + 1)];
    for (size, good) in sizes.into_iter().zip([true, false, false]) {
        let mut store = Store::new();
        let record = Record::new(&vec![b'k'; size.0], &vec![b'v'; size.1], Version::default());
        store.restore(Change::Set(record));
        store.freeze(SeqNo(1));
        let manifest = store.manifest(SeqNo(1)).unwrap();
        let (_, parts) = Store::read_manifest(&manifest).unwrap();
        let refused = parts.into_iter().filter(|(part, digest)| {
            let bytes = store.part(SeqNo(1), *part, false, usize::MAX).unwrap();
            refused(*part, digest, &bytes)
        });
        assert_eq!(refused.count() == 0, good, "{size:?}");
    }
}

#[test]
fn parts_that_no_tree_has_are_refused_and_not_served() {
    let (mut store, part, digest) = crowded();
    let good = store.part(SeqNo(1), part, false, 100_000).unwrap();
    for (path, bits) in [
        (0, 9),
        (0, 11),
        (0, 0),
        (0, 128),
        (0, 255),
        (1, 10),
        (u128::MAX, 126),
    ] {
        let odd = PartId { path, bits };
        assert!(refused(odd, &digest, &good), "{odd:?}");
        assert_eq!(store.part(SeqNo(1), odd, false, 1000), None, "{odd:?}");
        assert!(!store.holds(odd, &Digest::default()), "{odd:?}");
    }
    // A part below what is there is empty, and says so.
    let deep = PartId { path: 0, bits: 126 };
    let empty = store.part(SeqNo(1), deep, false, 1000).unwrap();
    assert!(!refused(deep, &Digest::default(), &empty));
}

#[test]
fn what_is_no_manifest_is_refused() {
    let (store, ..) = crowded();
    let good = store.manifest(SeqNo(1)).unwrap();
    let root = Store::read_manifest(&good).unwrap().0;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let read = Store::read_manifest(&bad);
        assert!(read.is_none_or(|(found, _)| found != root), "byte {at}");
    }
    assert!(Store::read_manifest(&good[..good.len() - 32]).is_none());
    assert!(Store::read_manifest(&[]).is_none());
}

/// What to do after some slots: freeze, thaw one of those frozen, compute the root, or nothing.
#[derive(Clone, Debug)]
enum Then {
    Freeze,
    Thaw(prop::sample::Index),
    Root,
    Nothing,
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        3 => Just(Then::Freeze),
        1 => any::<prop::sample::Index>().prop_map(Then::Thaw),
        1 => Just(Then::Root),
        1 => Just(Then::Nothing),
    ]
}

proptest! {
    // Every fetch goes through a thousand buckets.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn states_are_served_as_they_were_while_execution_goes_on(
        rounds in vec((slots(), then()), 1..8),
        room in 0..400_usize,
    ) {
        let mut store = Store::new();
        let mut frozen = BTreeMap::new();
        let mut seq = 0;
        for (slots, then) in rounds {
            run_slots(&mut store, seq + 1, &slots);
            seq += 1 + slots.len() as u64;
            match then {
                Then::Freeze => {
                    store.freeze(SeqNo(seq));
                    frozen.insert(seq, held(&store));
                }
                Then::Thaw(which) if !frozen.is_empty() => {
                    let seq = *which.get(&frozen.keys().copied().collect::<Vec<_>>());
                    store.thaw(SeqNo(seq));
                    frozen.remove(&seq);
                }
                Then::Thaw(_) | Then::Nothing => {}
                Then::Root => {
                    store.root();
                }
            }
            for (seq, then) in &frozen {
                let mut target = Store::new();
                fetch(&mut store, *seq, &mut target, room);
                prop_assert_eq!(&held(&target), then);
            }
        }
        let root = rebuilt(&store).root();
        prop_assert_eq!(store.root(), root, "serving changes nothing");
    }

    #[test]
    fn installing_over_any_state_gives_the_same_state_in_memory_and_on_disk(
        common in slots(), of_source in slots(), of_target in slots(), later in slots(),
        room in 0..400_usize,
    ) {
        let mut source = Store::new();
        run_slots(&mut source, 1, &common);
        let mut target = source.clone();
        let mut disk = target.take_changes();
        run_slots(&mut source, 50, &of_source);
        run_slots(&mut target, 50, &of_target);
        disk.extend(target.take_changes());
        source.freeze(SeqNo(100));
        fetch(&mut source, 100, &mut target, room);
        prop_assert_eq!(held(&target), held(&source));
        disk.extend(target.take_changes());
        prop_assert_eq!(held(&Store::from_changes(disk)), held(&source));
        prop_assert!(target.take_changes().is_empty(), "nothing is saved twice");
        // And both go on alike.
        let expected = run_slots(&mut source, 101, &later);
        prop_assert_eq!(run_slots(&mut target, 101, &later), expected);
        prop_assert_eq!(target.root(), source.root());
        let rest: Vec<Change> = source.take_changes();
        prop_assert!(rest.len() >= target.take_changes().len());
    }

    #[test]
    fn arbitrary_bytes_are_no_part(bytes in vec(any::<u8>(), 0..200)) {
        let bucket = PartId { path: 0, bits: 10 };
        prop_assert!(refused(bucket, &Digest([7; 32]), &bytes));
    }
}
