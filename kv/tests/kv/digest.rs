//! The digest depends on the content alone, and costs what was changed.

use crate::common::{blob, delete, put, rebuilt, run, run_slots, slots, version};
use consensus::{SeqNo, StateMachine, Transferable};
use crypto::{Digest, Hasher};
use kv::{BUCKETS, Change, Entry, Op, Store};
use proptest::prelude::*;

/// `kv_root` written down a second time, from the rules and without any increment.
fn root_by_the_rules(store: &Store) -> Digest {
    let mut buckets = vec![Vec::new(); BUCKETS];
    for entry in store.iter() {
        let hash = Digest::of("kv-key", &entry.key).0;
        let path = u128::from_be_bytes(hash[..16].try_into().unwrap());
        let mut hasher = Hasher::new("kv-entry");
        hasher.part(&entry.key).u64(entry.version.seq.0);
        hasher.u64(entry.version.rank.into()).part(&entry.value);
        buckets[(path >> 118) as usize].push((path << 10, hasher.finish()));
    }
    let mut hasher = Hasher::new("kv-root");
    hasher.u64(store.last_delete().0);
    for bucket in buckets {
        hasher.update(node_by_the_rules(bucket).as_bytes());
    }
    hasher.finish()
}

fn node_by_the_rules(entries: Vec<(u128, Digest)>) -> Digest {
    if entries.is_empty() {
        return Digest::default();
    }
    if entries.len() <= 16 {
        let mut hasher = Hasher::new("kv-leaf");
        hasher.u64(entries.len() as u64);
        for (_, digest) in &entries {
            hasher.update(digest.as_bytes());
        }
        return hasher.finish();
    }
    let mut hasher = Hasher::new("kv-branch");
    for child in 0..16 {
        let of_child = entries.iter().filter(|(path, _)| path >> 124 == child);
        let of_child = of_child
            .map(|(path, digest)| (path << 4, *digest))
            .collect();
        hasher.update(node_by_the_rules(of_child).as_bytes());
    }
    hasher.finish()
}

fn number(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

fn holding(keys: u64) -> Store {
    let mut store = Store::new();
    for n in 0..keys {
        run(&mut store, 1, &put(number(n), [1; 16]));
    }
    store.root();
    store
}

#[test]
fn the_root_is_what_the_rules_say_for_few_and_many_keys() {
    let mut roots = Vec::new();
    for keys in [0, 1, 2, 1000, 40_000] {
        let mut store = holding(keys);
        assert_eq!(store.root(), root_by_the_rules(&store), "{keys} keys");
        roots.push(store.root());
    }
    roots.sort();
    roots.dedup();
    assert_eq!(roots.len(), 5);
}

#[test]
fn buckets_shrink_to_the_same_root_as_if_never_grown() {
    let mut store = holding(40_000);
    for n in 1000..40_000 {
        run(&mut store, 2, &delete(number(n)));
    }
    assert_eq!(store.root(), root_by_the_rules(&store));
    assert_eq!(store.root(), rebuilt(&store).root());
}

#[test]
fn every_part_of_the_state_is_in_the_root() {
    let root = |key: &str, value: &str, v: (u64, u32), last_delete: u64| {
        let entry = Entry {
            key: blob(key),
            value: blob(value),
            version: version(v.0, v.1),
        };
        let last_delete = Change::LastDelete(SeqNo(last_delete));
        Store::from_changes([Change::Set(entry.into()), last_delete]).root()
    };
    let mut roots = vec![
        Store::new().root(),
        root("key", "value", (5, 0), 0),
        root("kex", "value", (5, 0), 0),
        root("keyv", "alue", (5, 0), 0),
        root("key", "valuf", (5, 0), 0),
        root("key", "value", (6, 0), 0),
        root("key", "value", (5, 1), 0),
        root("key", "value", (5, 0), 4),
    ];
    roots.sort();
    roots.dedup();
    assert_eq!(roots.len(), 8);
}

#[test]
fn the_digest_costs_what_was_changed_and_not_what_is_held() {
    const CHANGED: u64 = 50;
    for (held, levels) in [(1000, 1), (10_000, 1), (100_000, 2)] {
        let mut store = holding(held);
        let before = store.digest_work();
        for n in 0..CHANGED {
            let key = number(n * (held / CHANGED));
            // A hot key is hashed once, however often it was written.
            run(&mut store, 2, &put(key, [2; 16]));
            run(&mut store, 2, &put(key, [3; 16]));
        }
        assert_eq!(store.digest_work(), before, "executing hashes nothing");
        store.root();
        let after = store.digest_work();
        assert_eq!(after.paths - before.paths, CHANGED);
        assert_eq!(after.entries - before.entries, CHANGED);
        assert_eq!(after.roots - before.roots, 1);
        let nodes = after.nodes - before.nodes;
        assert!(
            (CHANGED / 2..=levels * CHANGED).contains(&nodes),
            "{nodes} nodes hashed for {CHANGED} keys of {held}"
        );
        store.root();
        let again = store.digest_work();
        assert_eq!((again.entries, again.nodes), (after.entries, after.nodes));
    }
}

#[test]
fn much_of_a_large_checkpoint_is_hashed_ahead_of_it() {
    const CHANGED: u64 = 10_000;
    let mut store = holding(20_000);
    store.take_changes();
    let before = store.digest_work();
    for n in 0..CHANGED {
        run(&mut store, 2, &put(number(n), [2; 16]));
    }
    let ahead = store.digest_work().entries - before.entries;
    assert!(ahead > CHANGED / 2, "{ahead}");
    let waiting = CHANGED - ahead;
    store.root();
    let all = store.digest_work().entries - before.entries;
    assert_eq!(all, ahead + waiting, "each key once");
    // A hot key is not hashed whenever something is written.
    for n in 0..CHANGED {
        run(&mut store, 3, &put(number(n % 100), [3; 16]));
    }
    store.root();
    let hot = store.digest_work().entries - before.entries - all;
    assert_eq!(hot, 100);
}

#[test]
fn keys_that_change_by_chance_are_hashed_ahead_to_the_end() {
    // A quarter of the keys changes in each interval, some of them twice: by its end every fourth that is hashed was.
    const KEYS: u64 = 40_000;
    let mut store = holding(KEYS);
    store.take_changes();
    let mut chance = 1u64;
    for slot in 2..12 {
        for _ in 0..KEYS / 3 {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let key = number((chance >> 33) % KEYS);
            run(&mut store, slot, &put(key, [slot as u8; 16]));
        }
        let ahead = store.digest_work().entries;
        store.root();
        let waiting = store.digest_work().entries - ahead;
        assert!(waiting < 2_048, "{waiting} keys at checkpoint {slot}");
        store.take_changes();
    }
}

#[test]
fn what_may_be_rolled_back_is_not_hashed_ahead() {
    // Around the number of keys that are hashed together.
    for waiting in 2_040..2_050 {
        let mut store = holding(waiting - 1_000);
        store.take_changes();
        for n in 0..waiting {
            run(&mut store, 2, &put(number(n), [2; 16]));
        }
        let doomed = (0..20).map(|n| put(number(5_000 + n), [9; 16]));
        let doomed: Vec<Op> = doomed.chain([delete(number(99_999))]).collect();
        crate::common::run_atomic(&mut store, 3, &doomed);
        assert_eq!(store.root(), root_by_the_rules(&store), "{waiting}");
        assert_eq!(store.take_changes().len() as u64, waiting);
    }
}

#[test]
fn busy_keys_are_not_hashed_ahead_again_and_again() {
    const KEYS: u64 = 5_000;
    let mut store = holding(KEYS);
    store.take_changes();
    let mut hashed = |slot| {
        let before = store.digest_work().entries;
        for n in 0..30 * KEYS {
            run(&mut store, slot, &put(number(n % KEYS), [slot as u8; 16]));
        }
        store.root();
        store.take_changes();
        store.digest_work().entries - before
    };
    let counts: Vec<u64> = (2..14).map(&mut hashed).collect();
    let once = counts.iter().filter(|count| **count == KEYS).count();
    assert!(once >= 9, "{counts:?}");
    assert!(
        counts.iter().all(|count| *count < 3 * KEYS),
        "tried now and then, and given up soon: {counts:?}"
    );
    let tried = counts.iter().skip(1).any(|count| *count > KEYS);
    assert!(tried, "keys may be others by now: {counts:?}");
}

#[test]
fn what_is_hashed_ahead_and_changes_again_is_what_it_was_at_the_checkpoint() {
    let mut store = holding(10_000);
    store.take_changes();
    store.freeze(SeqNo(1));
    let manifest = store.manifest(SeqNo(1)).unwrap();
    let mut copy = rebuilt(&store);
    // Every key twice, far apart; some end absent, some come back, some are new.
    for round in 2..4 {
        for n in 0..9_000 {
            let key = number(n);
            match (round, n % 4) {
                (2, 1) | (3, 2) => run(&mut store, round, &delete(key)),
                _ => run(&mut store, round, &put(key, [round as u8; 16])),
            };
        }
        for n in 20_000..21_000 {
            run(&mut store, round, &put(number(n), [4; 16]));
        }
    }
    // What was rolled back leaves no trace.
    let doomed = [put(number(0), [9; 16]), delete(number(99_999))];
    crate::common::run_atomic(&mut store, 4, &doomed);
    assert_eq!(store.root(), root_by_the_rules(&store));
    let (_, parts) = Store::read_manifest(&manifest).unwrap();
    for (part, digest) in parts {
        let bytes = store.part(SeqNo(1), part, false, 1 << 20).unwrap();
        let checked = Store::check_part(part, &digest, &bytes);
        assert!(checked.is_ok(), "the frozen state stays");
    }
    let changes = store.take_changes();
    assert!(changes.len() <= 10_001, "each key once: {}", changes.len());
    for change in changes {
        copy.restore(change);
    }
    assert_eq!(copy.root(), store.root());
}

#[test]
fn buckets_are_a_partition_of_the_store_with_the_digests_of_the_root() {
    let mut store = holding(5000);
    let digests = store.bucket_digests();
    assert_eq!(digests.len(), BUCKETS);
    let mut all = Vec::new();
    for (bucket, digest) in digests.iter().enumerate() {
        let entries = store.bucket(bucket);
        assert!(entries.is_sorted_by(|a, b| a.key < b.key));
        // Alone in a store, the entries have the same bucket digest: a chunk can be checked.
        let mut alone = Store::from_changes(
            entries
                .iter()
                .cloned()
                .map(|entry| Change::Set(entry.into())),
        );
        assert_eq!(alone.bucket_digests()[bucket], *digest);
        all.extend(entries);
    }
    all.sort_by(|a, b| a.key.cmp(&b.key));
    assert!(all.into_iter().eq(store.iter()));
    assert_eq!(store.bucket(BUCKETS), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_root_is_the_same_whatever_the_order_of_arrival(
        writes in proptest::collection::btree_map(0..400_u64, 0..3_u8, 0..300),
        passing in proptest::collection::vec(400..800_u64, 0..300),
        seed in any::<u64>(),
    ) {
        // Each key is written in a slot of its own, so content does not depend on the order.
        let mut ops: Vec<(u64, Op)> = writes
            .iter()
            .map(|(n, value)| (1 + n, put(number(*n), [*value])))
            .collect();
        ops.extend(passing.iter().map(|n| (1 + n, put(number(*n), []))));
        let mut roots = Vec::new();
        for turn in 0..3_u64 {
            ops.sort_by_key(|(seq, _)| Digest::of("shuffle", &number(seq ^ (seed + turn))));
            let mut store = Store::new();
            for (position, (seq, op)) in (0_u64..).zip(&ops) {
                run(&mut store, *seq, op);
                if position % (20 + turn) == 0 {
                    store.root();
                }
            }
            for n in &passing {
                run(&mut store, 1000, &delete(number(*n)));
            }
            prop_assert_eq!(store.len(), writes.len());
            roots.push(store.root());
        }
        prop_assert_eq!(roots[0], roots[1]);
        prop_assert_eq!(roots[1], roots[2]);
    }

    #[test]
    fn the_incremental_root_is_the_root_from_scratch(slots in slots(), every in 1..5_usize) {
        let mut store = Store::new();
        for (seq, part) in (1..).step_by(every).zip(slots.chunks(every)) {
            run_slots(&mut store, seq, part);
            prop_assert_eq!(store.root(), rebuilt(&store).root());
        }
        prop_assert_eq!(store.root(), root_by_the_rules(&store));
    }
}
