//! What may go wrong with a replica's disk: `[[fault]] kind = "disk"`, the family D of the attacks.
//!
//! Two sorts. Some strike a **running** replica: its storage fails, fills up, slows down or takes no writes (a wrapper around the
//! record log and the state store, `crate::disk`). Others strike its **files**: the replica is killed, what it left is cut, flipped,
//! exchanged or lost, and it is started again; what it then makes of that is the point.

use std::time::Duration;

use serde::Serialize;

use super::units;

/// What a disk does. Each says in run.json what became of the replica ([`Outcome`](crate::record::DiskOutcome)).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "attack", rename_all = "kebab-case")]
pub enum DiskAttack {
    /// D1: one sync fails, the write is lost, and the next one would succeed.
    FsyncError {
        /// Whose write.
        store: Store,
    },
    /// D2: from `at` on syncs return and write nothing; at `cut_at` the power is cut, and all since `at` is gone.
    FsyncLies {
        /// What is gone.
        files: Extent,
        /// When the process is killed and started again.
        #[serde(with = "units::duration_text")]
        cut_at: Duration,
    },
    /// D3: killed in the middle of a write: the end of a file is cut at a sector, or holds zeros from there on.
    TornWrite {
        /// Which file.
        file: DataFile,
    },
    /// D4: bits of a file flip while the replica is down.
    BitFlip {
        /// Which file.
        file: DataFile,
        /// How many, at places drawn from the seed.
        flips: u32,
    },
    /// D5: no write finds room, until there is room again.
    DiskFull,
    /// D6: the files are gone.
    Wiped {
        /// Which.
        files: Extent,
    },
    /// D7: a copy made at `at` is put back at `cut_at`.
    StaleRestore {
        /// What is replaced.
        files: Extent,
        /// When the process is killed, its files are replaced, and it is started again.
        #[serde(with = "units::duration_text")]
        cut_at: Duration,
    },
    /// D8: every sync takes this long, until it is over.
    SlowDisk {
        /// A sync.
        #[serde(with = "units::duration_text")]
        delay: Duration,
    },
    /// D9: the data of another replica lies where its own should be.
    Swapped {
        /// Whose data.
        from: u32,
    },
    /// D10: the file system takes no writes.
    ReadOnly,
    /// D10: files say that they were changed long ago, or will be in the future.
    FileTimes,
}

/// Which of a replica's two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// The record log: votes.
    Log,
    /// The state at the last checkpoint.
    State,
}

/// How much of a replica's directory is struck. Its key and the cluster's file stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// The data directory. What the replica keeps beside it, to notice such a loss, stays.
    Data,
    /// The databases within it without their write-ahead logs.
    Databases,
    /// All that the replica ever wrote: nothing within tells that it is old.
    Everything,
}

/// One of a replica's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataFile {
    /// The record log's database.
    Log,
    /// Its write-ahead log.
    LogWal,
    /// The state's database.
    State,
    /// Its write-ahead log.
    StateWal,
    /// How far the record log had come at least.
    LogAnchor,
    /// The replica's secret key.
    Key,
    /// One of the databases and their write-ahead logs, drawn from the seed.
    Any,
}

impl DiskAttack {
    /// The words of all attacks.
    pub const NAMES: [&'static str; 11] = [
        "fsync-error",
        "fsync-lies",
        "torn-write",
        "bit-flip",
        "disk-full",
        "wiped",
        "stale-restore",
        "slow-disk",
        "swapped",
        "read-only",
        "file-times",
    ];

    /// Its word in scenarios and run.json.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FsyncError { .. } => "fsync-error",
            Self::FsyncLies { .. } => "fsync-lies",
            Self::TornWrite { .. } => "torn-write",
            Self::BitFlip { .. } => "bit-flip",
            Self::DiskFull => "disk-full",
            Self::Wiped { .. } => "wiped",
            Self::StaleRestore { .. } => "stale-restore",
            Self::SlowDisk { .. } => "slow-disk",
            Self::Swapped { .. } => "swapped",
            Self::ReadOnly => "read-only",
            Self::FileTimes => "file-times",
        }
    }

    /// Whether it strikes the storage of a running replica, not its files.
    pub const fn is_live(&self) -> bool {
        matches!(
            self,
            Self::FsyncError { .. } | Self::DiskFull | Self::SlowDisk { .. } | Self::ReadOnly
        )
    }

    /// Whether a replica refuses to start with what it finds, and needs somebody who puts it right.
    pub const fn is_refused(&self) -> bool {
        matches!(
            self,
            Self::Swapped { .. }
                | Self::BitFlip {
                    file: DataFile::Key,
                    ..
                }
        )
    }

    /// When what a disk pretended to hold is gone; only some attacks have such a time.
    pub const fn cut_at(&self) -> Option<Duration> {
        match self {
            Self::FsyncLies { cut_at, .. } | Self::StaleRestore { cut_at, .. } => Some(*cut_at),
            _ => None,
        }
    }

    /// Whether promises of the replica may be gone without its noticing, so that nothing it says afterwards can be held against
    /// correct code: it counts among the f.
    pub const fn forgets_unnoticed(&self) -> bool {
        matches!(
            self,
            Self::FsyncLies {
                files: Extent::Everything,
                ..
            } | Self::StaleRestore {
                files: Extent::Everything,
                ..
            }
        )
    }
}
