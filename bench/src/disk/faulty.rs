//! Storage that does as it is told: it fails once, has no room, takes no writes or is slow; else it is the honest one.
//!
//! A write that fails is not passed on: what it held is lost, as it is from a page cache whose pages were marked clean after the
//! error. The next one would succeed, so a replica that tried again would acknowledge what is gone.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use replica::storage::{
    EachEntry, Group, LoadedLog, LoadedState, Pressure, RecordLog, StateDelta, StateStore, Stats,
    Storage, StorageError,
};
use serde::{Deserialize, Serialize};

/// How a disk is. Travels as JSON on a replica's standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It works.
    #[default]
    Well,
    /// The next sync of this store fails.
    FailsOnce(Failing),
    /// There is no room.
    Full,
    /// Every sync takes this much longer, in milliseconds.
    Slow(u64),
    /// It takes no writes.
    ReadOnly,
}

/// Which store a failure is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failing {
    /// The record log.
    Log,
    /// The state store.
    State,
}

/// The disk of one replica, shared by its two stores and by whoever changes its condition.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Condition>>);

impl Disk {
    /// From now on it is like this.
    pub fn set(&self, condition: Condition) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = condition;
    }

    /// Both stores of a replica on this disk.
    #[must_use]
    pub fn under(&self, storage: Storage) -> Storage {
        Storage {
            log: Box::new(FaultyLog {
                inner: storage.log,
                disk: self.clone(),
            }),
            state: Box::new(FaultyState {
                inner: storage.state,
                disk: self.clone(),
            }),
            ..storage
        }
    }

    /// What a write of this store meets.
    ///
    /// # Errors
    /// If the write fails.
    fn write(&self, store: Failing) -> Result<(), StorageError> {
        let file = || {
            PathBuf::from(match store {
                Failing::Log => "log.db",
                Failing::State => "state.db",
            })
        };
        let slow = {
            let mut condition = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match *condition {
                Condition::FailsOnce(failing) if failing == store => {
                    *condition = Condition::Well;
                    return Err(StorageError::Io {
                        file: file(),
                        what: "fsync failed (EIO, injected)".to_owned(),
                    });
                }
                Condition::Well | Condition::FailsOnce(_) => return Ok(()),
                Condition::Full => return Err(StorageError::Full { file: file() }),
                Condition::ReadOnly => {
                    return Err(StorageError::Unwritable {
                        path: file(),
                        reason: io::Error::new(
                            io::ErrorKind::ReadOnlyFilesystem,
                            "read-only file system (EROFS, injected)",
                        ),
                    });
                }
                Condition::Slow(millis) => Duration::from_millis(millis),
            }
        };
        std::thread::sleep(slow);
        Ok(())
    }
}

struct FaultyLog {
    inner: Box<dyn RecordLog>,
    disk: Disk,
}

impl RecordLog for FaultyLog {
    fn append(&mut self, group: &Group) -> Result<(), StorageError> {
        self.disk.write(Failing::Log)?;
        self.inner.append(group)
    }

    fn load(&mut self) -> Result<LoadedLog, StorageError> {
        self.inner.load()
    }

    fn tidy(&mut self, pressure: Pressure) -> Result<(), StorageError> {
        self.inner.tidy(pressure)
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        self.disk.write(Failing::Log)?;
        self.inner.close()
    }
}

struct FaultyState {
    inner: Box<dyn StateStore>,
    disk: Disk,
}

impl StateStore for FaultyState {
    fn apply_slowly(
        &mut self,
        delta: &StateDelta,
        pause: &mut dyn FnMut(f64),
    ) -> Result<(), StorageError> {
        self.disk.write(Failing::State)?;
        self.inner.apply_slowly(delta, pause)
    }

    fn tidy(&mut self) -> Result<(), StorageError> {
        self.inner.tidy()
    }

    fn load(&mut self, each: EachEntry<'_>) -> Result<Option<LoadedState>, StorageError> {
        self.inner.load(each)
    }

    fn durable_seq(&self) -> u64 {
        self.inner.durable_seq()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        self.disk.write(Failing::State)?;
        self.inner.close()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Instant;

    use bytes::Bytes;
    use replica::storage::StoredRecord;
    use replica::storage::memory::MemoryDisk;

    use super::*;

    fn group(seq: u64) -> Group {
        let record = StoredRecord {
            seq,
            kind: 1,
            bytes: Bytes::from_static(b"vote"),
        };
        Group {
            records: vec![record],
            truncate_below: None,
        }
    }

    fn held(disk: &MemoryDisk) -> Vec<u64> {
        let records = disk.open().log.load().unwrap().records;
        records.iter().map(|record| record.seq).collect()
    }

    #[test]
    fn a_failed_sync_loses_its_write_and_the_next_one_succeeds() {
        let (disk, place) = (Disk::default(), MemoryDisk::new());
        let mut storage = disk.under(place.open());
        storage.log.append(&group(1)).unwrap();
        disk.set(Condition::FailsOnce(Failing::State));
        storage.log.append(&group(2)).unwrap();
        disk.set(Condition::FailsOnce(Failing::Log));
        let error = storage.log.append(&group(3)).unwrap_err();
        assert!(matches!(error, StorageError::Io { .. }), "{error}");
        storage.log.append(&group(4)).unwrap();
        storage.log.close().unwrap();
        storage.state.close().unwrap();
        assert_eq!(held(&place), [1, 2, 4]);
    }

    #[test]
    fn a_full_and_a_read_only_disk_take_nothing_and_say_which_they_are() {
        let (disk, place) = (Disk::default(), MemoryDisk::new());
        let mut storage = disk.under(place.open());
        disk.set(Condition::Full);
        let full = storage.log.append(&group(1)).unwrap_err();
        assert!(full.to_string().contains("no space left"), "{full}");
        disk.set(Condition::ReadOnly);
        let read_only = storage.log.append(&group(2)).unwrap_err();
        assert!(read_only.to_string().contains("read-only"), "{read_only}");
        disk.set(Condition::Well);
        storage.log.append(&group(3)).unwrap();
        storage.log.close().unwrap();
        storage.state.close().unwrap();
        assert_eq!(held(&place), [3]);
    }

    #[test]
    fn a_slow_disk_writes_everything_late() {
        let (disk, place) = (Disk::default(), MemoryDisk::new());
        let mut storage = disk.under(place.open());
        disk.set(Condition::Slow(30));
        let began = Instant::now();
        storage.log.append(&group(1)).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(30));
        disk.set(Condition::Well);
        storage.log.close().unwrap();
        storage.state.close().unwrap();
        assert_eq!(held(&place), [1]);
    }

    #[test]
    fn a_condition_is_a_word_on_the_wire() {
        let line = serde_json::to_string(&Condition::FailsOnce(Failing::Log)).unwrap();
        assert_eq!(line, r#"{"fails-once":"log"}"#);
        let slow: Condition = serde_json::from_str(r#"{"slow":500}"#).unwrap();
        assert_eq!(slow, Condition::Slow(500));
    }
}
