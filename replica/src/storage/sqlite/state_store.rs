//! The state at the last checkpoint: `state.db`.
//!
//! One transaction moves it from one checkpoint to the next: it brings the whole session table, the
//! certificate and the last of the changed keys; the others are there before and begin to count then
//! (`entries`). Sessions and metadata are covered by a digest; the entries by the
//! state digest, which the caller recomputes (its cost is that of the whole state, once a start).
//!
//! A store without a checkpoint is different: there is nothing to lose in it. The first state, which
//! may be all that a cluster holds, is written in parts with a rest after each, because one
//! transaction of hundreds of megabytes would keep every other file on the disk waiting for its
//! fsync. Until the last part has brought the checkpoint the rows count for nothing.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crypto::{Digest, Hasher};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Options;
use super::anchor::Anchor;
use super::database::{Database, check_owner, connect, is_empty, pages, sql_error};
use super::directory::Home;
use super::entries::{self, InOrder, Latest, Pieces};
use super::schema::STATE;
use crate::storage::{
    Basis, Change, Durability, EachEntry, Identity, LoadedState, Pressure, StateDelta, StateStore,
    Stats, StorageError,
};

/// Rows of the first state, or rows that are merged, in one transaction: with values of 1 KiB about a
/// megabyte.
const PART_ROWS: usize = 1024;
/// Appended changes in one transaction, if there are several pieces.
const STEP_BYTES: usize = 256 << 10;
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
        self.database.begin(incarnation)?;
        // What a crash has left of a checkpoint would be taken for a part of the next one.
        let left = entries::any_after(self.database.connection(), self.generation);
        if !self.readable(left)? {
            return Ok(());
        }
        let generation = self.generation;
        self.step(|transaction| {
            entries::forget_after(transaction, generation)?;
            Ok(1)
        })
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

/// The three ways to a new checkpoint. Each ends with the transaction that has `complete` in it, which
/// returns the pages that it has written, and returns the bytes of keys and entries.
impl SqliteState {
    /// The first state. There is nothing to lose in the parts that are there before the last one.
    fn write_first(
        &mut self,
        changes: &[Change],
        complete: impl Fn(&Connection) -> rusqlite::Result<u64>,
    ) -> Result<u64, StorageError> {
        let mut bytes = 0;
        let mut rest = Rest::default();
        let mut whole = InOrder::of(changes);
        let parts = changes.len().div_ceil(PART_ROWS).max(1);
        for nth in 1..=parts {
            let began = Instant::now();
            self.database.commit(|transaction| {
                if nth == 1 {
                    // What an earlier attempt has left.
                    entries::clear(transaction)?;
                }
                let part = whole.by_ref().take(PART_ROWS);
                let mut written = entries::write(transaction, part, &mut |_| {})?;
                bytes += written.bytes;
                if nth == parts {
                    written.pages += complete(transaction)?;
                }
                Ok(written.pages)
            })?;
            if nth < parts {
                self.database.tidy(Pressure::Idle)?;
                rest.after(began.elapsed());
            }
        }
        Ok(bytes)
    }

    /// A whole state in place of another one: all at once, or the one that is there would be lost.
    fn replace(
        &mut self,
        changes: &[Change],
        pause: &mut dyn FnMut(f64),
        complete: impl Fn(&Connection) -> rusqlite::Result<u64>,
    ) -> Result<u64, StorageError> {
        let mut bytes = 0;
        let mut pause = |done| pause(done as f64 / changes.len() as f64);
        self.database.commit(|transaction| {
            entries::clear(transaction)?;
            let whole = InOrder::of(changes);
            let written = entries::write(transaction, whole, &mut pause)?;
            bytes = written.bytes;
            Ok(written.pages + complete(transaction)?)
        })?;
        Ok(bytes)
    }

    /// From one checkpoint to the next, in steps that are small and, but for the last one, change nothing that counts.
    fn advance(
        &mut self,
        generation: u64,
        changes: &[Change],
        pause: &mut dyn FnMut(f64),
        complete: impl Fn(&Connection) -> rusqlite::Result<u64>,
    ) -> Result<u64, StorageError> {
        let shard = entries::merged_by(generation);
        let groups = entries::groups(self.database.connection(), shard, self.generation);
        let mut groups = self.readable(groups)?;
        let count = groups.len() as f64;
        let mut merged = |nth: usize, share: f64| pause((nth as f64 + share) / count / 2.0);
        let last = groups.pop().unwrap_or_default();
        for (nth, ids) in groups.iter().enumerate() {
            let appended = self.pieces(ids)?;
            let latest = self.readable(entries::latest(&appended))?;
            let left = self.merge(&latest, &mut |share| merged(nth, share))?;
            self.step(|transaction| entries::merge(transaction, left))?;
            merged(nth + 1, 0.0);
        }
        let appended = self.pieces(&last)?;
        let latest = self.readable(entries::latest(&appended))?;
        let left = self.merge(&latest, &mut |share| merged(groups.len(), share))?;
        // What is left goes with what comes next: a small checkpoint is one transaction.
        let mut left = Some(left);
        let mut pieces = Pieces::of(changes).peekable();
        let (mut bytes, mut done) = (0, 0);
        loop {
            let (mut step, mut size) = (Vec::new(), 0);
            while let Some(piece) =
                pieces.next_if(|next| size == 0 || size + next.len() <= STEP_BYTES)
            {
                size += piece.len();
                step.push(piece);
            }
            let is_last = pieces.peek().is_none();
            self.step(|transaction| {
                let mut pages = 0;
                if let Some(left) = left.take() {
                    pages += entries::merge(transaction, left)?;
                    entries::forget(transaction, shard)?;
                }
                for piece in &step {
                    pages += entries::append(transaction, generation, piece)?;
                }
                if is_last {
                    pages += complete(transaction)?;
                }
                Ok(pages)
            })?;
            for piece in &step {
                bytes += piece.payload;
                done += piece.changes;
            }
            if is_last {
                return Ok(bytes);
            }
            pause(0.5 + done as f64 / changes.len() as f64 / 2.0);
        }
    }

    /// One small transaction, and the housekeeping that is due after it.
    fn step(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<u64>,
    ) -> Result<(), StorageError> {
        self.database.commit(|transaction| work(transaction))?;
        self.database.tidy(Pressure::Idle)
    }

    /// Merges appended changes but for a last part that is small; returns that.
    fn merge<'l, 'p>(
        &mut self,
        latest: &'l [Latest<'p>],
        pause: &mut dyn FnMut(f64),
    ) -> Result<&'l [Latest<'p>], StorageError> {
        let mut left = latest;
        while let Some((part, later)) = left.split_at_checked(PART_ROWS) {
            self.step(|transaction| entries::merge(transaction, part))?;
            left = later;
            if !left.is_empty() {
                pause(1.0 - left.len() as f64 / latest.len() as f64);
            }
        }
        Ok(left)
    }

    fn pieces(&mut self, ids: &[i64]) -> Result<Vec<Vec<u8>>, StorageError> {
        let read = entries::read_pieces(self.database.connection(), ids);
        self.readable(read)
    }

    /// What was read in order to write it elsewhere: a store that cannot is of no use any more.
    fn readable<T>(&mut self, read: rusqlite::Result<T>) -> Result<T, StorageError> {
        read.map_err(|error| {
            self.database.poison();
            self.database.read_error(&error)
        })
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
        let complete = |transaction: &Connection| {
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
            Ok(pages(0, (delta.sessions.len() + delta.meta.len()) as u64))
        };
        let bytes = if self.generation == 0 {
            self.write_first(&delta.changes, complete)?
        } else if delta.basis == Basis::Empty {
            self.replace(&delta.changes, pause, complete)?
        } else {
            self.advance(generation, &delta.changes, pause, complete)?
        };
        self.generation = generation;
        self.seq = delta.seq;
        self.database.advance(Anchor {
            position: generation,
            head: check_digest,
            ..Anchor::default()
        })?;
        let stats = self.database.stats();
        stats.bytes_written += bytes + (delta.sessions.len() + delta.meta.len()) as u64;
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
        entries::read(self.database.connection(), checkpoint.generation, each)
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
            entries::read(&db, checkpoint.generation, each).map_err(fail)?;
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
