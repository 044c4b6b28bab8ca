//! Storage errors, each with whose fault it is, the place and the remedy.

use std::io;
use std::path::PathBuf;

use super::Identity;

/// Why storage cannot be opened, read or written. None of them is a peer's fault.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Configuration: the directory cannot be created or written.
    #[error(
        "cannot write to the data directory: {path}: {reason}; choose a directory which this user may create and write"
    )]
    Unwritable {
        /// The path that failed.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// Configuration: another process (or another replica in this one) has the directory open.
    #[error(
        "the data directory {directory} is in use by {holder}; stop that replica or give this one a directory of its own"
    )]
    AlreadyInUse {
        /// The directory.
        directory: PathBuf,
        /// What the lock file says of its holder.
        holder: String,
    },
    /// Configuration: the directory belongs to another replica or cluster.
    #[error(
        "{file} belongs to {found}, not to {expected}; point each replica at its own data directory"
    )]
    Foreign {
        /// The file that says so.
        file: PathBuf,
        /// Whose it is.
        found: Identity,
        /// Who opened it.
        expected: Identity,
    },
    /// Configuration: written by a version with another file format.
    #[error(
        "{file} has format version {found}, this binary reads version {expected}; use the binary that wrote it"
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// Version found in it.
        found: i64,
        /// The one version that this binary reads.
        expected: i64,
    },
    /// Disk: what is stored is not what was written, or is older than what was written.
    ///
    /// A replica that voted from such storage could contradict its own votes.
    #[error("{file} is damaged or out of date: {what}")]
    Damaged {
        /// The file in which it showed.
        file: PathBuf,
        /// What does not fit, with the row where there is one.
        what: String,
    },
    /// Disk: no space, or the configured size limit is reached.
    #[error(
        "no space left for {file}; free space on its disk or raise the size limit, then restart the replica"
    )]
    Full {
        /// The file that could not grow.
        file: PathBuf,
    },
    /// Disk: reading, writing or syncing failed.
    #[error(
        "input/output error on {file}: {what}; check the disk and the system log before restarting the replica"
    )]
    Io {
        /// The file.
        file: PathBuf,
        /// What SQLite or the operating system said.
        what: String,
    },
    /// Disk: an earlier write failed, and nothing may be written after it.
    #[error("{file} takes no more writes because an earlier one failed; restart the replica")]
    Poisoned {
        /// The file.
        file: PathBuf,
    },
    /// Caller: a delta to the stored state must have a higher sequence number.
    #[error(
        "state at sequence number {seq} does not follow the stored state at {held}; this is a bug in the replica"
    )]
    OutOfOrder {
        /// Sequence number of the refused delta.
        seq: u64,
        /// Sequence number of the stored state.
        held: u64,
    },
    /// This crate: a storage thread panicked.
    #[error(
        "the {thread} thread panicked; nothing written since can be relied on; this is a bug in the replica"
    )]
    Panicked {
        /// Name of the thread.
        thread: &'static str,
    },
}
