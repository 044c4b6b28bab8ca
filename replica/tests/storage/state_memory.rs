//! A whole state on its way to disk is not held a second time, nor written many times.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use replica::storage::{
    Basis, Change, Durability, Encodable, StateDelta, Storage, StorageError, sqlite,
};
use tempfile::TempDir;

use crate::support::{OPTIONS, US, delta, open, open_as, state_in};

/// Encoded entries: how many are in memory, how many were at a time, how many were ever made.
#[derive(Default)]
struct Ledger {
    held: AtomicUsize,
    held_max: AtomicUsize,
    made: AtomicUsize,
}

/// An entry that says when it is dropped.
struct Counted {
    bytes: Vec<u8>,
    ledger: Arc<Ledger>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.ledger.held.fetch_sub(1, SeqCst);
    }
}

/// A key of the application whose entry is encoded on demand.
struct Row {
    number: u64,
    ledger: Arc<Ledger>,
}

impl Encodable for Row {
    fn key(&self) -> Bytes {
        Bytes::copy_from_slice(&self.number.to_be_bytes())
    }

    fn entry(&self) -> Option<Bytes> {
        let ledger = Arc::clone(&self.ledger);
        ledger.made.fetch_add(1, SeqCst);
        let held = ledger.held.fetch_add(1, SeqCst) + 1;
        ledger.held_max.fetch_max(held, SeqCst);
        let bytes = vec![b'v'; 1024];
        Some(Bytes::from_owner(Counted { bytes, ledger }))
    }
}

const ROWS: u64 = 500;

fn whole_state(seq: u64, ledger: &Arc<Ledger>) -> StateDelta {
    let row = |number| Row {
        number,
        ledger: Arc::clone(ledger),
    };
    StateDelta {
        changes: (0..ROWS).map(|number| Change::new(row(number))).collect(),
        ..delta(seq, &[])
    }
}

#[test]
fn a_whole_state_is_encoded_entry_by_entry() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path()).unwrap();
    let ledger = Arc::<Ledger>::default();
    storage.state.apply(&whole_state(64, &ledger)).unwrap();
    assert_eq!(ledger.made.load(SeqCst) as u64, ROWS);
    assert_eq!(ledger.held_max.load(SeqCst), 1);
    let (_, entries) = state_in(&mut storage).unwrap().unwrap();
    assert_eq!(entries.len() as u64, ROWS);
}

/// For tests that are about bytes, not about what survives.
fn unsynced(directory: &TempDir) -> Storage {
    let options = sqlite::Options {
        durability: Durability::Off,
        ..OPTIONS
    };
    open_as(directory.path(), US, options).unwrap()
}

#[test]
fn a_whole_state_of_large_values_is_written_about_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = unsynced(&directory);
    // With something to lose it goes to disk in one transaction.
    storage.state.apply(&delta(32, &[])).unwrap();
    // Twice what the page cache holds, in the order of a hash.
    const ENTRIES: u32 = 16 << 10;
    let change = |number: u32| {
        let key = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
        Change::encoded(
            Bytes::copy_from_slice(&key),
            Some(Bytes::from(vec![b'v'; 1024])),
        )
    };
    let whole = StateDelta {
        basis: Basis::Empty,
        changes: (0..ENTRIES).map(change).collect(),
        ..delta(64, &[])
    };
    storage.state.apply(&whole).unwrap();
    let log = directory.path().join("data/state.db-wal");
    let written = std::fs::metadata(&log).unwrap().len();
    let entries = u64::from(ENTRIES) * 1024;
    assert!(
        (entries..entries * 3 / 2).contains(&written),
        "{written} bytes for {entries}"
    );
}

#[test]
fn a_checkpoint_of_a_quarter_of_the_keys_writes_less_than_the_file_is_long() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = unsynced(&directory);
    const ENTRIES: u32 = 20_000;
    let change = |number: u32| {
        let entry = Bytes::from(vec![b'v'; 128]);
        Change::encoded(Bytes::from(format!("key {number}")), Some(entry))
    };
    let checkpoint = |seq: u64, numbers: &mut dyn Iterator<Item = u32>| StateDelta {
        changes: numbers.map(change).collect(),
        ..delta(seq, &[])
    };
    let all = checkpoint(1, &mut (0..ENTRIES));
    storage.state.apply(&all).unwrap();
    storage.state.tidy().unwrap();
    let file = directory.path().join("data/state.db");
    let file = std::fs::metadata(file).unwrap().len();
    assert!(file > u64::from(ENTRIES) * 128);
    let before = written_by_this_thread();
    let checkpoints = 24;
    for seq in 0..checkpoints {
        // All over the state, others each time.
        let mut numbers = (0..ENTRIES / 4).map(|n| (n * 4 + seq * 7919) % ENTRIES);
        let some = checkpoint(u64::from(seq) + 2, &mut numbers);
        storage.state.apply(&some).unwrap();
        storage.state.tidy().unwrap();
    }
    // Everything twice: to the write-ahead log, and from there to the database.
    let written = (written_by_this_thread() - before) / u64::from(checkpoints);
    assert!(written < file, "{written} of {file} bytes");
    assert!(written > u64::from(ENTRIES) / 4 * 128 * 2, "{written}");
}

/// Bytes that this thread has written to files.
fn written_by_this_thread() -> u64 {
    let counters = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let written = counters
        .lines()
        .find_map(|line| line.strip_prefix("wchar: "));
    written.unwrap().parse().unwrap()
}

/// Rows of 1 KiB, more than go to disk in one part.
fn large(seq: u64) -> StateDelta {
    let ledger = Arc::<Ledger>::default();
    let row = |number| Row {
        number,
        ledger: Arc::clone(&ledger),
    };
    StateDelta {
        basis: Basis::Empty,
        changes: (0..3000).map(|number| Change::new(row(number))).collect(),
        ..delta(seq, &[])
    }
}

#[test]
fn a_first_state_that_came_in_parts_is_there_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path()).unwrap();
    storage.state.apply(&large(64)).unwrap();
    assert!(
        storage.state.stats().commits > 2,
        "one transaction would hold up the disk"
    );
    drop(storage);
    let mut storage = open(directory.path()).unwrap();
    let (held, entries) = state_in(&mut storage).unwrap().unwrap();
    assert_eq!((held.seq, entries.len()), (64, 3000));
    // There is something to lose now.
    let before = storage.state.stats().commits;
    storage.state.apply(&large(128)).unwrap();
    assert_eq!(storage.state.stats().commits, before + 1);
}

#[test]
fn a_checkpoint_that_is_written_slowly_says_how_far_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path()).unwrap();
    let mut shares = |seq| {
        let mut shares = Vec::new();
        let mut pause = |share| shares.push(share);
        let state = &mut storage.state;
        state.apply_slowly(&large(seq), &mut pause).unwrap();
        shares
    };
    assert_eq!(shares(64), [0.0; 0], "the first has rests of its own");
    let shares = shares(128);
    assert!(shares.len() > 10, "{shares:?}");
    assert!(shares.is_sorted_by(|a, b| a < b), "{shares:?}");
    assert!(shares.iter().all(|share| (0.0..1.0).contains(share)));
    assert_eq!(state_in(&mut storage).unwrap().unwrap().1.len(), 3000);
}

#[test]
fn a_first_state_that_did_not_come_to_its_end_counts_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let small = sqlite::Options {
        database_bytes_max: Some(2 << 20),
        ..OPTIONS
    };
    let mut storage = open_as(directory.path(), US, small).unwrap();
    let error = storage.state.apply(&large(64)).unwrap_err();
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    assert_eq!(storage.state.stats().commits, 1, "a part was written");
    drop(storage);
    let mut storage = open(directory.path()).unwrap();
    assert_eq!(state_in(&mut storage).unwrap(), None);
    // Whatever comes next begins with nothing, be it a whole state or the first changes.
    storage
        .state
        .apply(&delta(64, &[("key", Some("v"))]))
        .unwrap();
    let (held, entries) = state_in(&mut storage).unwrap().unwrap();
    assert_eq!((held.seq, entries.len()), (64, 1));
}
