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
mod record_log;
mod schema;
mod set_aside;
mod state_store;
mod verification;

use crypto::Digest;

use super::{Durability, Identity, Storage, StorageError};
pub use directory::{DATA, Home};
use record_log::SqliteLog;
pub use set_aside::{SET_ASIDE_MAX, set_aside};
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
    let fresh = || {
        crypto::files::fresh()
            .map(Digest)
            .map_err(|error| StorageError::Io {
                file: home.path().to_owned(),
                what: error.to_string(),
            })
    };
    let mut log = SqliteLog::open(home, identity, options, fresh)?;
    let lineage = log.lineage();
    let mut state = SqliteState::open(home, identity, options, || Ok(lineage))?;
    if state.lineage() != lineage {
        return Err(StorageError::Damaged {
            file: state.file(),
            what: "it was not created together with its log.db".to_owned(),
        });
    }

    // The log counts an incarnation first, and is truncated last: it can never be behind the state.
    let (log_incarnation, state_incarnation) = (log.incarnation(), state.incarnation());
    if log_incarnation < state_incarnation {
        return Err(StorageError::Damaged {
            file: log.file(),
            what: format!(
                "it was opened {log_incarnation} times but its state.db {state_incarnation} times"
            ),
        });
    }
    let (truncated_below, durable_seq) = (log.truncated_below(), state.held_seq());
    if truncated_below > durable_seq {
        return Err(StorageError::Damaged {
            file: state.file(),
            what: format!(
                "it holds the state at sequence number {durable_seq}, but the record log relies on \
                 the one at {truncated_below}"
            ),
        });
    }

    let incarnation = log_incarnation + 1;
    let clean_stop = log_incarnation == 0
        || (log.clean_stop() && state.clean_stop() && log_incarnation == state_incarnation);
    log.begin(incarnation)?;
    state.begin(incarnation)?;
    Ok(Storage {
        log: Box::new(log),
        state: Box::new(state),
        incarnation,
        clean_stop,
    })
}
