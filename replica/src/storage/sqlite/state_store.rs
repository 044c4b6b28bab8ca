//! The state at the last checkpoint: `state.db`.
//!
//! One transaction moves it from one checkpoint to the next: the changed keys, the whole session
//! table and the certificate. Sessions and metadata are covered by a digest; the entries by the
//! state digest, which the caller recomputes (its cost is that of the whole state, once a start).
//!
//! A store without a checkpoint is different: there is nothing to lose in it. The first state, which
//! may be all that a cluster holds, is written in parts with a rest after each, because one
//! transaction of hundreds of megabytes would keep every other file on the disk waiting for its
//! fsync. Until the last part has brought the checkpoint the rows count for nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crypto::{Digest, Hasher};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Options;
use super::anchor::Anchor;
use super::database::{Database, check_owner, connect, is_empty, pages, sql_error};
use super::directory::Home;
use super::schema::STATE;
use crate::storage::{
    Basis, Change, Durability, EachEntry, Identity, LoadedState, Pressure, StateDelta, StateStore,
    Stats, StorageError,
};

/// Rows of the first state in one transaction: with values of 1 KiB about a megabyte.
const PART_ROWS: usize = 1024;
/// Rows after which a checkpoint may rest: about a millisecond's work.
const ROWS_AT_A_TIME: usize = 128;
/// All the rests of one state together are no longer than this.
const REST_MAX: Duration = Duration::from_secs(3);

/// The open state store.
pub(super) struct SqliteState {
    database: Database,
    /// Checkpoints stored so far; what the anchor counts.
    generation: u64,
    seq: u64,
}

struct Checkpoint {
    generation: u64,
    seq: u64,
    digest: [u8; 32],
    sessions: Vec<u8>,
    meta: Vec<u8>,
}

impl SqliteState {
    /// Opens or creates `state.db` and verifies it, but for the entries, without changing it.
    pub(super) fn open(
        home: &Home,
        identity: Identity,
        options: Options,
        lineage: impl FnOnce() -> Result<Digest, StorageError>,
    ) -> Result<Self, StorageError> {
        let database = Database::open(home, &STATE, identity, options, lineage)?;
        let checkpoint = read_checkpoint(&database)?;
        let (generation, seq) = checkpoint.map_or((0, 0), |found| (found.generation, found.seq));
        Ok(SqliteState {
            database,
            generation,
            seq,
        })
    }

    /// Starts the incarnation; from here on it may be written.
    pub(super) fn begin(&mut self, incarnation: u64) -> Result<(), StorageError> {
        self.database.begin(incarnation)
    }

    pub(super) fn lineage(&self) -> Digest {
        self.database.owner().lineage
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.database.owner().incarnation
    }

    pub(super) fn clean_stop(&self) -> bool {
        self.database.owner().clean_stop
    }

    pub(super) fn held_seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn file(&self) -> PathBuf {
        self.database.file().to_owned()
    }
}

impl StateStore for SqliteState {
    fn apply_slowly(
        &mut self,
        delta: &StateDelta,
        pause: &mut dyn FnMut(f64),
    ) -> Result<(), StorageError> {
        self.database.check()?;
        if delta.basis == Basis::Stored && delta.seq <= self.seq {
            return Err(StorageError::OutOfOrder {
                seq: delta.seq,
                held: self.seq,
            });
        }
        let generation = self.generation + 1;
        let check_digest = checkpoint_digest(
            generation,
            delta.seq,
            &delta.digest,
            &delta.sessions,
            &delta.meta,
        );
        let mut parts = Parts::of(&delta.changes, self.generation == 0);
        let mut bytes = 0;
        let mut rest = Rest::default();
        loop {
            let part = parts.next();
            let first = delta.basis == Basis::Empty || self.generation == 0;
            let began = Instant::now();
            self.database.commit(|transaction| {
                if first && part.is_first {
                    // Those of an earlier attempt, too.
                    transaction.execute("DELETE FROM state", [])?;
                }
                // Parts have rests of their own.
                let mut pause = |share| {
                    if part.is_whole() {
                        pause(share);
                    }
                };
                let mut written = write_entries(transaction, part.changes, &mut pause)?;
                if part.is_last {
                    transaction.execute(
                        "INSERT OR REPLACE INTO checkpoint
                             (one, generation, seq, digest, sessions, meta, check_digest)
                         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
                        params![
                            generation.cast_signed(),
                            delta.seq.cast_signed(),
                            delta.digest,
                            delta.sessions.as_ref(),
                            delta.meta.as_ref(),
                            check_digest.0,
                        ],
                    )?;
                    written += (delta.sessions.len() + delta.meta.len()) as u64;
                }
                bytes += written;
                // A changed key may rewrite a page of its own.
                Ok(pages(0, written) + part.changes.len() as u64)
            })?;
            if part.is_last {
                break;
            }
            self.database.tidy(Pressure::Idle)?;
            rest.after(began.elapsed());
        }
        self.generation = generation;
        self.seq = delta.seq;
        self.database.advance(Anchor {
            position: generation,
            head: check_digest,
            ..Anchor::default()
        })?;
        let stats = self.database.stats();
        stats.bytes_written += bytes;
        stats.items_written += delta.changes.len() as u64;
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), StorageError> {
        // Nobody waits for this store, and the next checkpoint is far off.
        self.database.tidy(Pressure::Idle)
    }

    fn load(&mut self, each: EachEntry<'_>) -> Result<Option<LoadedState>, StorageError> {
        self.database.check()?;
        let Some(checkpoint) = read_checkpoint(&self.database)? else {
            return Ok(None);
        };
        read_entries(self.database.connection(), each)
            .map_err(|error| self.database.read_error(&error))?;
        Ok(Some(checkpoint.into()))
    }

    fn durable_seq(&self) -> u64 {
        self.seq
    }

    fn stats(&self) -> Stats {
        self.database.read_stats()
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        self.database.close()
    }
}

/// The changes in pieces that are committed one by one; all of them in one if that matters.
struct Parts<'c> {
    left: &'c [Change],
    apart: bool,
    is_first: bool,
}

struct Part<'c> {
    changes: &'c [Change],
    is_first: bool,
    is_last: bool,
}

impl Part<'_> {
    fn is_whole(&self) -> bool {
        self.is_first && self.is_last
    }
}

impl<'c> Parts<'c> {
    fn of(changes: &'c [Change], apart: bool) -> Self {
        Parts {
            left: changes,
            apart,
            is_first: true,
        }
    }

    fn next(&mut self) -> Part<'c> {
        let most = if self.apart { PART_ROWS } else { usize::MAX };
        let (changes, left) = self.left.split_at(self.left.len().min(most));
        self.left = left;
        Part {
            changes,
            is_first: std::mem::take(&mut self.is_first),
            is_last: left.is_empty(),
        }
    }
}

/// As long as writing took, but not for ever: a large state must get here some time.
#[derive(Default)]
struct Rest {
    rested: Duration,
}

impl Rest {
    fn after(&mut self, worked: Duration) {
        let rest = worked.min(REST_MAX.saturating_sub(self.rested));
        self.rested += rest;
        std::thread::sleep(rest);
    }
}

/// Writes the changes; returns the bytes of their keys and entries.
fn write_entries(
    transaction: &Connection,
    changes: &[Change],
    pause: &mut dyn FnMut(f64),
) -> rusqlite::Result<u64> {
    let mut put = transaction.prepare(
        "INSERT INTO state (key, entry) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET entry = excluded.entry",
    )?;
    let mut delete = transaction.prepare("DELETE FROM state WHERE key = ?1")?;
    let mut bytes = 0;
    for (done, change) in changes.iter().enumerate() {
        if done > 0 && done % ROWS_AT_A_TIME == 0 {
            pause(done as f64 / changes.len() as f64);
        }
        // Encoded one at a time: all of them could be a copy of the whole state.
        let (key, entry) = (change.key(), change.entry());
        bytes += (key.len() + entry.as_ref().map_or(0, Bytes::len)) as u64;
        match entry {
            Some(entry) => put.execute(params![key.as_ref(), entry.as_ref()])?,
            None => delete.execute([key.as_ref()])?,
        };
    }
    Ok(bytes)
}

/// Reads the checkpoint and compares it with the anchor.
fn read_checkpoint(database: &Database) -> Result<Option<Checkpoint>, StorageError> {
    let found = stored_checkpoint(database.connection(), database.file())?;
    let (generation, head) = match &found {
        Some(checkpoint) => (checkpoint.generation, checkpoint.check_digest()),
        None => (0, Digest::default()),
    };
    let expected = database.anchor();
    let same = generation == expected.position && head == expected.head;
    if generation < expected.position || (generation == expected.position && !same) {
        return Err(database.damaged(format!(
            "it holds checkpoint number {generation}, but its anchor has seen number {} with another content",
            expected.position
        )));
    }
    Ok(found)
}

/// Reads the checkpoint as it is stored.
fn stored_checkpoint(db: &Connection, file: &Path) -> Result<Option<Checkpoint>, StorageError> {
    let found = db
        .query_row(
            "SELECT generation, seq, digest, sessions, meta, check_digest FROM checkpoint",
            [],
            |row| {
                let checkpoint = Checkpoint {
                    generation: row.get::<_, i64>(0)?.cast_unsigned(),
                    seq: row.get::<_, i64>(1)?.cast_unsigned(),
                    digest: row.get(2)?,
                    sessions: row.get(3)?,
                    meta: row.get(4)?,
                };
                Ok((checkpoint, Digest(row.get(5)?)))
            },
        )
        .optional()
        .map_err(|error| sql_error(file, &error))?;
    match found {
        Some((checkpoint, digest)) if checkpoint.check_digest() != digest => {
            Err(StorageError::Damaged {
                file: file.to_owned(),
                what: "the row in table checkpoint does not match its digest".to_owned(),
            })
        }
        found => Ok(found.map(|(checkpoint, _)| checkpoint)),
    }
}

fn read_entries(db: &Connection, each: EachEntry<'_>) -> rusqlite::Result<()> {
    let mut entries = db.prepare("SELECT key, entry FROM state ORDER BY id")?;
    let mut rows = entries.query([])?;
    while let Some(row) = rows.next()? {
        each(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
    }
    Ok(())
}

/// What is still there of the state in a data directory that can no longer be trusted as a whole.
/// It may be older than the one that was there; the caller verifies the entries by their digest.
/// Changes nothing.
///
/// # Errors
/// If there is no database of this replica, or it cannot be read.
pub fn salvage(
    data: &Path,
    identity: Identity,
    each: EachEntry<'_>,
) -> Result<Option<LoadedState>, StorageError> {
    let file = STATE.file(data);
    if !file.exists() {
        return Ok(None);
    }
    let fail = |error| sql_error(&file, &error);
    let options = Options {
        durability: Durability::Full,
        database_bytes_max: None,
    };
    let db = connect(&file, options).map_err(fail)?;
    if is_empty(&db).map_err(fail)? {
        return Ok(None);
    }
    check_owner(&db, &file, &STATE, identity)?;
    match stored_checkpoint(&db, &file)? {
        None => Ok(None),
        Some(checkpoint) => {
            read_entries(&db, each).map_err(fail)?;
            Ok(Some(checkpoint.into()))
        }
    }
}

impl From<Checkpoint> for LoadedState {
    fn from(checkpoint: Checkpoint) -> Self {
        LoadedState {
            seq: checkpoint.seq,
            digest: checkpoint.digest,
            sessions: checkpoint.sessions.into(),
            meta: checkpoint.meta.into(),
        }
    }
}

impl Checkpoint {
    fn check_digest(&self) -> Digest {
        checkpoint_digest(
            self.generation,
            self.seq,
            &self.digest,
            &self.sessions,
            &self.meta,
        )
    }
}

fn checkpoint_digest(
    generation: u64,
    seq: u64,
    state: &[u8; 32],
    sessions: &[u8],
    meta: &[u8],
) -> Digest {
    let mut hasher = Hasher::new("storage/checkpoint");
    hasher
        .u64(generation)
        .u64(seq)
        .update(state)
        .part(sessions)
        .part(meta);
    hasher.finish()
}
