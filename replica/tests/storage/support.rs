//! Short ways to say what the tests store.

use std::path::Path;

use bytes::Bytes;
use replica::storage::{
    Basis, Change, Durability, Group, Identity, LoadedState, StateDelta, Storage, StorageError,
    StoredRecord,
    sqlite::{self, Home},
};

pub(crate) const US: Identity = Identity {
    cluster: [7; 32],
    replica: 3,
};

pub(crate) const OPTIONS: sqlite::Options = sqlite::Options {
    durability: Durability::Full,
    database_bytes_max: None,
};

pub(crate) fn open(directory: &Path) -> Result<Storage, StorageError> {
    open_as(directory, US, OPTIONS)
}

pub(crate) fn open_as(
    directory: &Path,
    identity: Identity,
    options: sqlite::Options,
) -> Result<Storage, StorageError> {
    sqlite::open(&Home::lock(directory)?, identity, options)
}

pub(crate) fn record(seq: u64, kind: u8, text: &str) -> StoredRecord {
    StoredRecord {
        seq,
        kind,
        bytes: Bytes::from(text.to_owned()),
    }
}

pub(crate) fn group(records: &[StoredRecord]) -> Group {
    Group {
        records: records.to_vec(),
        truncate_below: None,
    }
}

pub(crate) fn truncation(below: u64) -> Group {
    Group {
        records: Vec::new(),
        truncate_below: Some(below),
    }
}

/// A state with its entries.
pub(crate) type Whole = (LoadedState, Vec<(Bytes, Bytes)>);

/// The state that is stored, if there is one; its entries ascending.
pub(crate) fn state_in(storage: &mut Storage) -> Result<Option<Whole>, StorageError> {
    let mut entries = Vec::new();
    let loaded = storage.state.load(&mut |key, entry| {
        entries.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(entry)));
    })?;
    entries.sort();
    Ok(loaded.map(|loaded| (loaded, entries)))
}

pub(crate) fn delta(seq: u64, changes: &[(&str, Option<&str>)]) -> StateDelta {
    let bytes = |text: &str| Bytes::from(text.to_owned());
    StateDelta {
        seq,
        digest: [u8::try_from(seq % 251).unwrap(); 32],
        basis: Basis::Stored,
        changes: changes
            .iter()
            .map(|(key, entry)| Change::encoded(bytes(key), entry.map(bytes)))
            .collect(),
        sessions: bytes(&format!("sessions at {seq}")),
        meta: bytes(&format!("certificate of {seq}")),
    }
}
