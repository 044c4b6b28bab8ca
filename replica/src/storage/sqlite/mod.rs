//! Storage in a directory of SQLite files.
//!
//! ```text
//! DIR/LOCK                        held while a replica has the directory open
//! DIR/log.db    log.db-wal        the record log       log.anchor     how far the log has come
//! DIR/state.db  state.db-wal      state at the last    state.anchor   how far the state has come
//!                                 checkpoint
//! ```
//!
//! SQLite alone would make a replica forget silently: after a flipped bit in the write-ahead log, or
//! after a copy of `log.db` without its `-wal`, it opens an older content without an error. So the
//! records are hash-chained, everything else carries a digest, and a small anchor beside each
//! database says how far it had come at least. A directory that does not add up is refused before
//! anything in it is changed.
//!
//! Not covered: the whole directory replaced by an older copy of itself. Nothing inside can tell.

mod anchor;
mod chain;
mod database;
mod directory;
mod record_log;
mod schema;
mod state_store;
mod verification;

use std::path::Path;

use super::{Durability, Identity, Storage, StorageError};
use directory::Directory;
use record_log::SqliteLog;
use state_store::SqliteState;

/// How to open a directory.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether commits reach the disk before they are reported.
    pub durability: Durability,
    /// Upper bound for each of the two database files, without write-ahead log, in bytes;
    /// reaching it is [`StorageError::Full`]. `None`: the disk is the limit.
    pub database_bytes_max: Option<u64>,
}

/// Opens the storage of `identity` in `directory`, creating what is missing, and verifies the record
/// log. The entries of the state are for the caller to verify, by its own digest.
pub fn open(
    directory: &Path,
    identity: Identity,
    options: Options,
) -> Result<Storage, StorageError> {
    let directory = Directory::lock(directory)?;
    let mut log = SqliteLog::open(&directory, identity, options)?;
    let mut state = SqliteState::open(&directory, identity, options)?;

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
