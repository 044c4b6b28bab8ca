//! Storage in memory: for tests, simulations and replicas that need not survive.
//!
//! A [`MemoryDisk`] outlives the stores opened on it, as a disk outlives a process: dropping the
//! stores and opening again is a crash and a restart. Bounded like the SQLite adapter: the log by
//! truncation, the state by what the application holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{
    Basis, EachEntry, Group, LoadedLog, LoadedState, Pressure, RecordLog, StateDelta, StateStore,
    Stats, Storage, StorageError, StoredRecord,
};

/// The contents of an imaginary disk; clones share it.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    incarnation: u64,
    log: LogContents,
    state: StateContents,
}

#[derive(Default)]
struct LogContents {
    /// Everything live, by position.
    records: BTreeMap<u64, StoredRecord>,
    /// Position of the record of each sequence number and kind.
    current: BTreeMap<(u64, u8), u64>,
    position: u64,
    truncated_below: u64,
    clean_stop: bool,
}

#[derive(Default)]
struct StateContents {
    checkpoint: Option<Checkpoint>,
    entries: BTreeMap<Bytes, Bytes>,
    clean_stop: bool,
}

struct Checkpoint {
    seq: u64,
    digest: [u8; 32],
    sessions: Bytes,
    meta: Bytes,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens both stores and counts one more incarnation. Unlike a directory, a memory disk does
    /// not notice being opened twice at a time.
    pub fn open(&self) -> Storage {
        let mut contents = self.contents();
        let clean_stop =
            contents.incarnation == 0 || (contents.log.clean_stop && contents.state.clean_stop);
        contents.incarnation += 1;
        contents.log.clean_stop = false;
        contents.state.clean_stop = false;
        Storage {
            log: Box::new(MemoryLog {
                disk: self.clone(),
                stats: Stats::default(),
            }),
            state: Box::new(MemoryState {
                disk: self.clone(),
                stats: Stats::default(),
            }),
            incarnation: contents.incarnation,
            clean_stop,
        }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // Every change below is complete before anything in it could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MemoryLog {
    disk: MemoryDisk,
    stats: Stats,
}

impl RecordLog for MemoryLog {
    fn append(&mut self, group: &Group) -> Result<(), StorageError> {
        let mut contents = self.disk.contents();
        let log = &mut contents.log;
        let below = group.truncate_below.unwrap_or(0).max(log.truncated_below);
        let live = |record: &StoredRecord| record.seq == 0 || record.seq > below;
        for record in group.records.iter().filter(|record| live(record)) {
            self.stats.bytes_written += record.bytes.len() as u64;
            self.stats.items_written += 1;
            log.position += 1;
            log.records.insert(log.position, record.clone());
            let name = (record.seq, record.kind);
            if let Some(superseded) = log.current.insert(name, log.position) {
                log.records.remove(&superseded);
            }
        }
        if below > log.truncated_below {
            log.records.retain(|_, record| live(record));
            log.current.retain(|(seq, _), _| *seq == 0 || *seq > below);
            log.truncated_below = below;
        }
        self.stats.commits += 1;
        Ok(())
    }

    fn load(&mut self) -> Result<LoadedLog, StorageError> {
        let contents = self.disk.contents();
        let log = &contents.log;
        Ok(LoadedLog {
            records: log.records.values().cloned().collect(),
            truncated_below: log.truncated_below,
        })
    }

    fn tidy(&mut self, _pressure: Pressure) -> Result<(), StorageError> {
        Ok(())
    }

    fn stats(&self) -> Stats {
        self.stats
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        self.disk.contents().log.clean_stop = true;
        Ok(())
    }
}

struct MemoryState {
    disk: MemoryDisk,
    stats: Stats,
}

impl StateStore for MemoryState {
    fn apply_slowly(
        &mut self,
        delta: &StateDelta,
        _pause: &mut dyn FnMut(f64),
    ) -> Result<(), StorageError> {
        let held = self.durable_seq();
        if delta.basis == Basis::Stored && delta.seq <= held {
            return Err(StorageError::OutOfOrder {
                seq: delta.seq,
                held,
            });
        }
        let mut contents = self.disk.contents();
        let state = &mut contents.state;
        if delta.basis == Basis::Empty {
            state.entries.clear();
        }
        let mut bytes = delta.sessions.len() + delta.meta.len();
        for change in &delta.changes {
            let (key, entry) = (change.key(), change.entry());
            bytes += key.len() + entry.as_ref().map_or(0, Bytes::len);
            match entry {
                Some(entry) => state.entries.insert(key, entry),
                None => state.entries.remove(&key),
            };
        }
        state.checkpoint = Some(Checkpoint {
            seq: delta.seq,
            digest: delta.digest,
            sessions: delta.sessions.clone(),
            meta: delta.meta.clone(),
        });
        self.stats.commits += 1;
        self.stats.items_written += delta.changes.len() as u64;
        self.stats.bytes_written += bytes as u64;
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn load(&mut self, each: EachEntry<'_>) -> Result<Option<LoadedState>, StorageError> {
        let contents = self.disk.contents();
        let state = &contents.state;
        for (key, entry) in &state.entries {
            each(key, entry);
        }
        Ok(state.checkpoint.as_ref().map(|checkpoint| LoadedState {
            seq: checkpoint.seq,
            digest: checkpoint.digest,
            sessions: checkpoint.sessions.clone(),
            meta: checkpoint.meta.clone(),
        }))
    }

    fn durable_seq(&self) -> u64 {
        let contents = self.disk.contents();
        let state = &contents.state;
        state.checkpoint.as_ref().map_or(0, |held| held.seq)
    }

    fn stats(&self) -> Stats {
        self.stats
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        self.disk.contents().state.clean_stop = true;
        Ok(())
    }
}
