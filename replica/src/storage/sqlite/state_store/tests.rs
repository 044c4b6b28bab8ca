#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use bytes::Bytes;
use tempfile::TempDir;

use super::entries::{SHARDS, merged_by, shard_of_key};
use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A state store in a directory of its own.
struct Place {
    state: SqliteState,
    directory: TempDir,
}

impl Place {
    /// With a first state, which is written in another way than what follows.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut place = Place {
            state: open(&directory, 1),
            directory,
        };
        place.state.apply(&delta(1, Vec::new())).unwrap();
        place
    }

    /// Ends as a crash does, and begins again.
    fn crash(self) -> Self {
        let Place { state, directory } = self;
        let incarnation = state.incarnation() + 1;
        drop(state);
        Place {
            state: open(&directory, incarnation),
            directory,
        }
    }

    fn held(&mut self) -> Model {
        let mut held = Model::new();
        let mut each = |key: &[u8], entry: &[u8]| {
            let before = held.insert(key.to_vec(), entry.to_vec());
            assert_eq!(before, None, "shown twice");
        };
        self.state.load(&mut each).unwrap();
        held
    }

    /// The checkpoint of this generation in the store and in the model; what the pauses were told.
    fn step(&mut self, model: &mut Model, generation: u64, changes: Vec<Change>) -> Vec<f64> {
        let mut shares = Vec::new();
        let mut pause = |share| shares.push(share);
        for change in &changes {
            match change.entry() {
                Some(entry) => model.insert(change.key().to_vec(), entry.to_vec()),
                None => model.remove(change.key().as_ref()),
            };
        }
        let next = delta(generation, changes);
        self.state.apply_slowly(&next, &mut pause).unwrap();
        assert_eq!(self.state.generation, generation);
        shares
    }

    fn count(&self, what: &str) -> u64 {
        let count = format!("SELECT count(*) FROM {what}");
        let connection = self.state.database.connection();
        let count = connection.query_row(&count, [], |row| row.get::<_, i64>(0));
        count.unwrap().unsigned_abs()
    }
}

fn open(directory: &TempDir, incarnation: u64) -> SqliteState {
    let home = Home::lock(directory.path()).unwrap();
    let identity = Identity {
        cluster: [7; 32],
        replica: 3,
    };
    let options = Options {
        durability: Durability::Off,
        database_bytes_max: None,
    };
    let lineage = || Ok(Digest([1; 32]));
    let mut state = SqliteState::open(&home, identity, options, lineage).unwrap();
    state.begin(incarnation).unwrap();
    state
}

fn delta(generation: u64, changes: Vec<Change>) -> StateDelta {
    StateDelta {
        seq: generation,
        digest: [0; 32],
        basis: Basis::Stored,
        changes,
        sessions: Bytes::from("sessions"),
        meta: Bytes::from("meta"),
    }
}

fn change(key: &str, entry: Option<Vec<u8>>) -> Change {
    Change::encoded(Bytes::from(key.to_owned()), entry.map(Bytes::from))
}

/// `count` keys, each with a value of that many bytes in which the generation is the first.
fn all_of(count: usize, generation: u64, bytes: usize) -> Vec<Change> {
    let keys = (0..count).map(|n| format!("key {n}"));
    let value = vec![u8::try_from(generation).unwrap(); bytes];
    keys.map(|key| change(&key, Some(value.clone()))).collect()
}

#[test]
fn whatever_is_merged_when_the_state_is_that_of_the_last_checkpoint() {
    let (mut place, mut model) = (Place::new(), Model::new());
    for generation in 2..=60u64 {
        let changes = (0..30).map(|n| {
            let key = (n * n * generation + n) % 97;
            let entry = format!("value {generation} {n}").into_bytes();
            let gone = (key + generation).is_multiple_of(3);
            // Some keys change twice: the later change is what counts.
            change(&format!("key {key}"), (!gone).then_some(entry))
        });
        place.step(&mut model, generation, changes.collect());
        assert_eq!(place.held(), model, "checkpoint {generation}");
        if generation % 7 == 0 {
            place = place.crash();
            assert_eq!(place.held(), model, "checkpoint {generation}, once more");
        }
    }
}

#[test]
fn a_checkpoint_writes_the_rows_of_one_shard_and_appends_what_has_changed() {
    let (mut place, mut model) = (Place::new(), Model::new());
    let of_shard = |shard| {
        let keys = (0..800).map(|n| format!("key {n}"));
        keys.filter(|key| shard_of_key(key.as_bytes()) == shard)
            .count() as u64
    };
    for generation in 2..=30 {
        place.step(&mut model, generation, all_of(800, generation, 100));
        // Merged is what was there before.
        let before = generation - 1;
        let new = format!("state WHERE substr(entry, 1, 1) = x'{before:02x}'");
        let merged = if before == 1 {
            0
        } else {
            of_shard(merged_by(generation))
        };
        assert_eq!(place.count(&new), merged, "checkpoint {generation}");
        // One piece a shard and checkpoint: of one shard one, of the next two, and so on.
        let age = |shard| (generation + SHARDS - shard) % SHARDS + 1;
        let waiting: u64 = (0..SHARDS).map(|shard| age(shard).min(before)).sum();
        assert_eq!(place.count("changes"), waiting, "checkpoint {generation}");
    }
    for generation in 31..31 + SHARDS {
        place.step(&mut model, generation, Vec::new());
    }
    assert_eq!(place.count("changes"), 0, "everything is in its rows");
    assert_eq!(place.count("state"), 800);
    assert_eq!(place.held(), model);
}

#[test]
fn more_than_is_merged_at_a_time_is_merged_in_order() {
    let (mut place, mut model) = (Place::new(), Model::new());
    let keys = (0..).map(|n| format!("key {n}"));
    let keys: Vec<String> = keys
        .filter(|key| shard_of_key(key.as_bytes()) == 3)
        .take(40)
        .collect();
    let mut counts = Vec::new();
    let mut shares = Vec::new();
    for generation in 2..=19 {
        // Two mebibytes, of which four times as much are merged at a time.
        let value = vec![generation as u8; (2 << 20) / keys.len()];
        let changes = keys.iter().map(|key| change(key, Some(value.clone())));
        shares = place.step(&mut model, generation, changes.collect());
        assert!(place.held() == model, "checkpoint {generation}");
        counts.push(place.count("changes"));
    }
    // Merged by checkpoints 3, 11 and 19, which leave what they have appended.
    assert_eq!((counts[9], counts[17]), (counts[1], counts[1]));
    assert_eq!((counts[8], counts[16]), (8 * counts[1], 8 * counts[1]));
    assert!(counts[1] > 4, "several pieces");
    assert!(
        shares.iter().filter(|share| **share < 0.5).count() >= 2,
        "{shares:?}"
    );
}

#[test]
fn a_large_checkpoint_comes_in_many_steps_and_says_how_far_it_is() {
    let (mut place, mut model) = (Place::new(), Model::new());
    for generation in 2..=2 * SHARDS {
        let before = place.state.stats().commits;
        let changes = all_of(12_000, generation, 300);
        let shares = place.step(&mut model, generation, changes);
        assert_eq!(
            shares.len() as u64,
            place.state.stats().commits - before - 1
        );
        assert!(shares.len() > 12, "{shares:?}");
        assert!(shares.is_sorted_by(|a, b| a < b), "{shares:?}");
        assert!(shares.iter().all(|share| (0.0..1.0).contains(share)));
        assert!(shares.last() > Some(&0.9), "{shares:?}");
        assert!(generation == 2 || shares.first() < Some(&0.5), "{shares:?}");
    }
}

#[test]
fn the_write_ahead_log_of_a_large_checkpoint_is_copied_on_the_way() {
    let (mut place, mut model) = (Place::new(), Model::new());
    let bytes = 1 << 10;
    for generation in 2..=3 {
        place.step(&mut model, generation, all_of(20_000, generation, bytes));
    }
    let log = place.directory.path().join("data/state.db-wal");
    let length = std::fs::metadata(log).unwrap().len();
    let changed = 20_000 * bytes as u64;
    assert!(length < changed / 2, "{length} bytes for {changed}");
}

#[test]
fn a_small_checkpoint_is_one_transaction() {
    let (mut place, mut model) = (Place::new(), Model::new());
    for generation in 2..=2 * SHARDS {
        let before = place.state.stats().commits;
        let shares = place.step(&mut model, generation, all_of(200, generation, 100));
        assert_eq!(place.state.stats().commits, before + 1);
        assert_eq!(shares, [0.0; 0]);
    }
}

#[test]
fn a_checkpoint_that_did_not_come_to_its_end_counts_for_nothing() {
    let (mut place, mut model) = (Place::new(), Model::new());
    for generation in 2..=SHARDS + 4 {
        place.step(&mut model, generation, all_of(12_000, generation, 100));
        let steps: &[u32] = if generation % 4 == 0 { &[1, 3, 6] } else { &[] };
        for &steps in steps {
            let mut left = steps;
            let crash = std::panic::AssertUnwindSafe(|| {
                let other = all_of(12_000, 99, 100);
                let mut pause = |_| {
                    left -= 1;
                    assert!(left > 0, "the crash");
                };
                let next = delta(generation + 1, other);
                place.state.apply_slowly(&next, &mut pause).unwrap();
            });
            std::panic::catch_unwind(crash).unwrap_err();
            // The first step only merges.
            let later = format!("changes WHERE generation > {generation}");
            assert_eq!(place.count(&later) > 0, steps > 1);
            assert!(
                place.held() == model,
                "checkpoint {generation}, {steps} steps of the next"
            );
            place = place.crash();
            assert!(
                place.held() == model,
                "checkpoint {generation}, after the crash"
            );
            assert_eq!(place.count(&later), 0);
        }
    }
}

#[test]
fn a_whole_state_replaces_all_that_waits() {
    let (mut place, mut model) = (Place::new(), Model::new());
    for generation in 2..=4 {
        place.step(&mut model, generation, all_of(30, generation, 10));
    }
    let whole = StateDelta {
        basis: Basis::Empty,
        ..delta(5, vec![change("key", Some(vec![1]))])
    };
    place.state.apply(&whole).unwrap();
    assert_eq!(place.held(), Model::from([(b"key".to_vec(), vec![1])]));
    assert_eq!((place.count("changes"), place.count("state")), (0, 1));
}

#[test]
fn a_piece_that_is_none_is_damage() {
    for bad in [&b""[..], &[1], &[0; 9], &[255; 40]] {
        let mut place = Place::new();
        let insert = "INSERT INTO changes (generation, shard, piece) VALUES (1, 2, ?1)";
        place
            .state
            .database
            .connection()
            .execute(insert, [bad])
            .unwrap();
        let loaded = place.state.load(&mut |_, _| {});
        let merged = place.state.apply(&delta(2, Vec::new()));
        for failed in [loaded.map(|_| ()), merged] {
            let Err(StorageError::Damaged { what, .. }) = failed else {
                panic!("{failed:?}");
            };
            assert!(
                what.contains("encoding") || what.contains("trailing"),
                "{what}"
            );
        }
        let again = place.state.apply(&delta(3, Vec::new()));
        assert!(
            matches!(again, Err(StorageError::Poisoned { .. })),
            "{again:?}"
        );
    }
}
