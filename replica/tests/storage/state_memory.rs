//! A whole state on its way to disk is not held a second time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use replica::storage::{Change, Encodable, StateDelta};

use crate::support::{delta, open, state_in};

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
