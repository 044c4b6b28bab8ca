//! Storage in a directory of SQLite files.
//!
//! ```text
//! DIR/LOCK                             held while a replica has the directory open
//! DIR/log.anchor  DIR/state.anchor     how far each database has come at least
//! DIR/data/log.db    log.db-wal        the record log
//! DIR/data/state.db  state.db-wal      the state at the last checkpoint
//! ```
//!
//! SQLite alone would make a replica forget silently: after a flipped bit in the write-ahead log, or
//! after a copy of `log.db` without its `-wal`, it opens an older content without an error. So the
//! records are hash-chained, everything else carries a digest, and a small anchor beside the data
//! says which databases they were and how far they had come at least. Data that does not add up is
//! refused before anything in it is changed.
//!
//! Who finds such data and goes on without it calls [`set_aside`]; what [`salvage`] still finds of the
//! state may serve as the start of a state transfer.
//!
//! Not covered: all of DIR, anchors included, replaced by an older copy of itself. Nothing inside can
//! tell.

mod anchor;
mod chain;
mod database;
mod directory;
mod entries;
mod record_log;
mod schema;
mod set_aside;
mod state_store;
mod verification;

use crypto::Digest;

use super::{Durability, Identity, Storage, StorageError};
pub use directory::{DATA, Home};
use record_log::SqliteLog;
pub use set_aside::{SET_ASIDE_MAX, aside, set_aside};
use state_store::SqliteState;
pub use state_store::salvage;

/// How to open a directory.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether commits reach the disk before they are reported.
    pub durability: Durability,
    /// Upper bound for each of the two database files, without write-ahead log, in bytes;
    /// reaching it is [`StorageError::Full`]. `None`: the disk is the limit.
    pub database_bytes_max: Option<u64>,
}

/// Opens the storage of `identity` in its directory, creating what is missing, and verifies the
/// record log. The entries of the state are for the caller to verify, by its own digest.
///
/// # Errors
/// If the files cannot be used, are another's, or do not add up. Existing ones are as before.
pub fn open(home: &Home, identity: Identity, options: Options) -> Result<Storage, StorageError> {
    let mut stores = Stores::open(home, identity, options)?;
    let incarnation = stores.log.incarnation() + 1;
    let clean_stop = stores.clean_stop();
    stores.log.begin(incarnation)?;
    stores.state.begin(incarnation)?;
    Ok(Storage {
        log: Box::new(stores.log),
        state: Box::new(stores.state),
        incarnation,
        clean_stop,
    })
}

/// Opens existing storage for reading: nothing is created, and nothing is written unless the caller
/// does. `incarnation` is that of the last opening. `None` if there is no storage.
///
/// # Errors
/// As [`open`].
pub fn look(home: &Home, identity: Identity) -> Result<Option<Storage>, StorageError> {
    let data = home.data();
    let kinds = [&schema::LOG, &schema::STATE];
    let missing = kinds
        .map(|kind| kind.file(&data))
        .into_iter()
        .find(|file| !file.exists());
    if let Some(file) = missing {
        let traces = kinds
            .iter()
            .any(|kind| kind.file(&data).exists() || kind.anchor(home.path()).exists());
        return match traces {
            true => Err(StorageError::Damaged {
                file,
                what: "it is missing".to_owned(),
            }),
            false => Ok(None),
        };
    }
    let options = Options {
        durability: Durability::Full,
        database_bytes_max: None,
    };
    let stores = Stores::open(home, identity, options)?;
    Ok(Some(Storage {
        incarnation: stores.log.incarnation(),
        clean_stop: stores.clean_stop(),
        log: Box::new(stores.log),
        state: Box::new(stores.state),
    }))
}

/// Both stores, found to belong together.
struct Stores {
    log: SqliteLog,
    state: SqliteState,
}

impl Stores {
    fn open(home: &Home, identity: Identity, options: Options) -> Result<Self, StorageError> {
        let fresh = || {
            crypto::files::fresh()
                .map(Digest)
                .map_err(|error| StorageError::Io {
                    file: home.path().to_owned(),
                    what: error.to_string(),
                })
        };
        let log = SqliteLog::open(home, identity, options, fresh)?;
        let lineage = log.lineage();
        let state = SqliteState::open(home, identity, options, || Ok(lineage))?;
        let damaged = |file, what| Err(StorageError::Damaged { file, what });
        if state.lineage() != lineage {
            let what = "it was not created together with its log.db".to_owned();
            return damaged(state.file(), what);
        }
        // The log counts an incarnation first, and is truncated last: it can never be behind the state.
        let (log_incarnation, state_incarnation) = (log.incarnation(), state.incarnation());
        if log_incarnation < state_incarnation {
            let what = format!(
                "it was opened {log_incarnation} times but its state.db {state_incarnation} times"
            );
            return damaged(log.file(), what);
        }
        let (truncated_below, durable_seq) = (log.truncated_below(), state.held_seq());
        if truncated_below > durable_seq {
            let what = format!(
                "it holds the state at sequence number {durable_seq}, but the record log relies on \
                 the one at {truncated_below}"
            );
            return damaged(state.file(), what);
        }
        Ok(Stores { log, state })
    }

    /// Whether the last run closed both; true if there was none.
    fn clean_stop(&self) -> bool {
        let incarnation = self.log.incarnation();
        let closed = self.log.clean_stop() && self.state.clean_stop();
        incarnation == 0 || (closed && incarnation == self.state.incarnation())
    }
}
