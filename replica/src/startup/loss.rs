//! How a replica can have lost what it promised.

use std::path::PathBuf;

use consensus::SeqNo;
use crypto::Digest;

use crate::storage::StorageError;

/// Why a replica does not know all that it has promised, and so has no vote (docs/protocol.md R12).
#[derive(Debug, thiserror::Error)]
pub(crate) enum Loss {
    /// No data, and no mark of a new replica.
    #[error(
        "{} holds no records although the replica has run before (it was removed or emptied, or the \
         last run used --storage memory)",
        .0.display()
    )]
    Missing(PathBuf),
    /// Records without the one that comes first.
    #[error("{} holds records but not the replica's role, which is the first of them", .0.display())]
    NoRole(PathBuf),
    /// Files that are missing, damaged, or older than they were.
    #[error(transparent)]
    Damaged(StorageError),
    /// An unclean stop without fsync.
    #[error(
        "the last run on {} used --durability off and did not stop cleanly, so promises may be lost",
        .0.display()
    )]
    Unsynced(PathBuf),
    /// The state on disk is not the one whose digest was stored with it.
    #[error(
        "{}: the state at checkpoint {seq} has digest {found}, but {stored} was stored with it",
        file.display()
    )]
    StateDigest {
        /// The database.
        file: PathBuf,
        /// The checkpoint.
        seq: SeqNo,
        /// As computed from the entries.
        found: Digest,
        /// As stored.
        stored: Digest,
    },
    /// The state on disk is not the one that a quorum has certified.
    #[error(
        "{}: the state at checkpoint {seq} has digest {stored}, but a quorum certified {certified}",
        file.display()
    )]
    StateUncertified {
        /// The database.
        file: PathBuf,
        /// The checkpoint.
        seq: SeqNo,
        /// As stored.
        stored: Digest,
        /// In the stable certificate.
        certified: Digest,
    },
    /// It was a learner when it stopped.
    #[error("it had lost its records before it was stopped, and was not renewed since")]
    NotRenewed,
}
