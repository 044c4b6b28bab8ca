//! What a replica must not forget, and where it is kept.
//!
//! ```text
//!            groups of records                   state deltas
//!  driver ──────────────────────▶ log thread   ───────────────▶ state thread     (writer.rs)
//!                                     │                              │
//!                                 RecordLog                      StateStore
//!                          votes, bodies, promises      application state at a checkpoint,
//!                          since the last truncation    session table, certificate
//! ```
//!
//! A replica may send a vote only after the record of it is durable (docs/protocol.md R12), so the
//! record log sits on the path of every request; a checkpoint moves far more bytes and is in no
//! hurry. Hence two stores, each with a file and a thread of its own: votes never queue behind a
//! checkpoint. What ties them together is one rule, kept by [`Writer`]: the log is truncated only
//! up to a checkpoint whose state is durable.
//!
//! Storage knows nothing of the protocol: records, entries, sessions and metadata are opaque bytes.
//! There are two adapters, [`sqlite`] and [`memory`], and one contract test-suite for both.

mod change;
mod error;
pub mod memory;
mod pacing;
pub mod sqlite;
mod state_queue;
mod writer;

use std::fmt;

use bytes::Bytes;

pub use change::{Change, Encodable};
pub use error::StorageError;
pub use writer::{Durable, Writer, WriterStats, WriterStopped};

/// One record as the protocol encoded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The sequence number it belongs to; it is discarded when the log is truncated at or above
    /// that number. `0`: bound to none ("unbound", such as the current view); no truncation
    /// discards it.
    pub seq: u64,
    /// What it is, chosen by the caller. A record supersedes the earlier one of the same sequence
    /// number and kind: however many views vote in a slot, one vote of it is kept.
    pub kind: u8,
    /// The encoded record.
    pub bytes: Bytes,
}

/// One group of writes to the record log: durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Appended in this order.
    pub records: Vec<StoredRecord>,
    /// Discards every record with `0 < seq <=` this, in this group and before it, and for ever
    /// (a later record below it is dropped). Never moves back; a lower value is ignored.
    pub truncate_below: Option<u64>,
}

/// How the state at one checkpoint differs from the state at the one before it.
#[derive(Clone, Debug)]
pub struct StateDelta {
    /// Sequence number of the checkpoint.
    pub seq: u64,
    /// Digest of the state after the delta; kept, never interpreted. The caller recomputes it from
    /// the loaded entries to find damaged ones.
    pub digest: [u8; 32],
    /// What the changes apply to.
    pub basis: Basis,
    /// Changed keys.
    pub changes: Vec<Change>,
    /// The whole session table.
    pub sessions: Bytes,
    /// Certificate, configuration and whatever else belongs to this checkpoint.
    pub meta: Bytes,
}

/// What a [`StateDelta`] starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The state already stored; the delta must have a higher sequence number.
    Stored,
    /// Nothing: the delta is a whole state (state transfer) and replaces what is stored.
    Empty,
}

/// The record log as it was when it was last written to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedLog {
    /// The latest record of every sequence number and kind that was not discarded. In the order in
    /// which they were appended, but that one which is still current may stand later than that.
    pub records: Vec<StoredRecord>,
    /// Highest truncation so far; 0 if there was none.
    pub truncated_below: u64,
}

/// What the last durable checkpoint consists of beside its entries, which are shown one by one:
/// together they may be the larger part of what a replica can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedState {
    /// Sequence number of the checkpoint.
    pub seq: u64,
    /// Digest given with the last delta. The caller must check the entries against it.
    pub digest: [u8; 32],
    /// The session table.
    pub sessions: Bytes,
    /// What was given as `meta` with the last delta.
    pub meta: Bytes,
}

/// Takes in the entries of a state, one after the other: a key and its encoded entry.
pub type EachEntry<'a> = &'a mut dyn FnMut(&[u8], &[u8]);

/// The log of records since the last truncation.
///
/// After any error of [`append`](RecordLog::append) or [`tidy`](RecordLog::tidy) it is unknown what
/// the disk holds: every later call fails with [`StorageError::Poisoned`], and nothing is retried.
pub trait RecordLog: Send {
    /// Writes one group. When it returns, the group is durable (as far as the durability mode goes).
    fn append(&mut self, group: &Group) -> Result<(), StorageError>;
    /// Reads everything and verifies it.
    fn load(&mut self) -> Result<LoadedLog, StorageError>;
    /// Housekeeping that is due, apart from the appends so that no vote waits for it needlessly.
    fn tidy(&mut self, pressure: Pressure) -> Result<(), StorageError>;
    /// Counters since the log was opened.
    fn stats(&self) -> Stats;
    /// Leaves the mark of a clean stop. Dropping a log instead is as good as a crash.
    fn close(self: Box<Self>) -> Result<(), StorageError>;
}

/// The state at the last checkpoint. Poisoned by errors like [`RecordLog`].
pub trait StateStore: Send {
    /// Moves on to the next checkpoint: all of the delta is durable on return, or none.
    fn apply(&mut self, delta: &StateDelta) -> Result<(), StorageError> {
        self.apply_slowly(delta, &mut |_| {})
    }
    /// As [`StateStore::apply`]. While it works it calls `pause` now and then with the share of the work that is done,
    /// 0 to 1 and growing: whoever is in no hurry waits in there.
    fn apply_slowly(
        &mut self,
        delta: &StateDelta,
        pause: &mut dyn FnMut(f64),
    ) -> Result<(), StorageError>;
    /// Housekeeping that is due.
    fn tidy(&mut self) -> Result<(), StorageError>;
    /// Reads the whole state, and shows `each` its entries, in no particular order; `None` if no checkpoint
    /// was ever stored.
    fn load(&mut self, each: EachEntry<'_>) -> Result<Option<LoadedState>, StorageError>;
    /// Sequence number of the checkpoint held durably; 0 if there is none.
    fn durable_seq(&self) -> u64;
    /// Counters since the store was opened.
    fn stats(&self) -> Stats;
    /// Leaves the mark of a clean stop. Dropping a store instead is as good as a crash.
    fn close(self: Box<Self>) -> Result<(), StorageError>;
}

/// Both stores of one replica, and what their files told when they were opened.
pub struct Storage {
    /// Records since the last truncation.
    pub log: Box<dyn RecordLog>,
    /// State at the last checkpoint.
    pub state: Box<dyn StateStore>,
    /// How many times this storage has been opened, this time included: 1 if it is new.
    pub incarnation: u64,
    /// Whether the run before ended by closing both stores; true for new storage. After an unclean
    /// stop with [`Durability::Off`] promises may be forgotten (docs/protocol.md R12).
    pub clean_stop: bool,
}

/// Whose storage this is. Storage of another replica or another cluster is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Cluster id.
    pub cluster: [u8; 32],
    /// Replica id.
    pub replica: u32,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {} of cluster ", self.replica)?;
        // Eight hexadecimal digits tell clusters apart for a reader.
        for byte in self.cluster.iter().take(4) {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a finished write means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut: one fsync for every group.
    Full,
    /// It survives the end of the process only. A benchmark mode.
    Off,
}

/// Whether others wait for the thread that is asked to tidy up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// Nothing is queued: a good moment.
    Idle,
    /// Groups are waiting: only what a bound demands.
    Busy,
}

/// Counters of one store since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Groups or deltas made durable.
    pub commits: u64,
    /// Requests to the operating system to bring a file to disk.
    pub fsyncs: u64,
    /// Payload bytes handed over by the caller (not what the file format adds).
    pub bytes_written: u64,
    /// Records, or changed keys, written.
    pub items_written: u64,
    /// Times that the write-ahead log was copied into its database.
    pub wal_checkpoints: u64,
}
