//! The record log: `log.db`.
//!
//! Bound records are rows of a hash chain: `chain = H(chain before ‖ row ‖ seq ‖ kind ‖ bytes)`, so
//! a changed, missing or exchanged row shows, and the last chain value stands for the whole log.
//!
//! Truncation notes the sequence number in `base`, and from then on the records up to it are not shown.
//! Their rows go a few with each commit, from the front only, and the start of the chain (also in
//! `base`) moves along in the same transaction. So the cost is that of the rows removed, and no
//! commit bears much of it. Small rows wait until there are some pages of them: one that goes alone costs three pages. Sequence numbers are not quite ascending in the log: deleting stops at the
//! first row that is still needed.
//!
//! While no checkpoint becomes stable nothing is truncated, but every view may vote anew in every slot
//! of the window. A later record of a slot supersedes the earlier one, and a row that is superseded
//! goes like a discarded one. When such rows take much room and a current one is in front of them, that
//! one is written again at the end of the chain. So the rows take no more than twice what the current
//! records take, and a constant, however many views pass.
//!
//! Unbound records (the current view, a certificate) may have to outlive any number of truncations.
//! They live in a table of their own, one for each kind, under one digest in `base`. Keeping them in
//! the chain would mean to write them anew at each truncation, and a NEW-VIEW can have megabytes.
//! Both tables draw on one count of positions, which restores the order of all records.

use std::path::PathBuf;

use bytes::Bytes;
use crypto::Digest;
use rusqlite::{Connection, Statement, params};

use super::Options;
use super::chain::{Contents, Row, link, promise_digest, promises_digest};
use super::database::{Database, pages};
use super::directory::Home;
use super::schema::LOG;
use super::verification::verify;
use crate::storage::{
    Group, Identity, LoadedLog, Pressure, RecordLog, Stats, StorageError, StoredRecord,
};

const INSERT_ROW: &str =
    "INSERT INTO log (id, seq, kind, bytes, chain) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Useless rows that a commit deletes for each record that it appends. More than one, so that
/// deleting keeps up; not all at once, because a row of 64 KiB is 17 pages to free: 64 of them
/// would hold up the votes of one commit for milliseconds.
const DELETED_PER_APPENDED: u64 = 2;
/// And at least this many.
const DELETED_MIN: u64 = 4;
/// So many are deleted at once if they are small, and in the commits before none: to delete one row is to write three pages, and
/// to delete its neighbours is to write the same ones.
const DELETED_TOGETHER: u64 = 64;
/// Rows that take so much together are not small.
const DELETED_TOGETHER_BYTES: u64 = 64 << 10;
/// A commit moves records of about as many bytes as this times what it appends, or of these bytes.
const MOVED_PER_APPENDED: u64 = 4;
const MOVED_BYTES: u64 = 64 << 10;

/// The open record log.
pub(super) struct SqliteLog {
    database: Database,
    contents: Contents,
}

impl SqliteLog {
    /// Opens or creates `log.db` and verifies all of it, without changing it.
    pub(super) fn open(
        home: &Home,
        identity: Identity,
        options: Options,
        lineage: impl FnOnce() -> Result<Digest, StorageError>,
    ) -> Result<Self, StorageError> {
        let database = Database::open(home, &LOG, identity, options, lineage)?;
        let contents = verify(&database, |_, _| ())?;
        Ok(SqliteLog { database, contents })
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

    pub(super) fn truncated_below(&self) -> u64 {
        self.contents.base.truncated_below
    }

    pub(super) fn file(&self) -> PathBuf {
        self.database.file().to_owned()
    }
}

impl RecordLog for SqliteLog {
    fn append(&mut self, group: &Group) -> Result<(), StorageError> {
        self.database.check()?;
        let below = self.contents.base.truncated_below;
        let below = group.truncate_below.unwrap_or(0).max(below);
        let live = |record: &&StoredRecord| record.seq == 0 || record.seq > below;
        let records = || group.records.iter().filter(live);
        let bytes = records().map(|record| record.bytes.len() as u64).sum();
        let count = records().count() as u64;

        let contents = &mut self.contents;
        // What is moved on is bounded by what is appended, and it is rare.
        let written = bytes
            + if contents.is_loose() {
                bytes * MOVED_PER_APPENDED + MOVED_BYTES
            } else {
                0
            };
        self.database.commit(|transaction| {
            let mut insert = transaction.prepare_cached(INSERT_ROW)?;
            let mut base_changed = false;
            for record in records() {
                contents.position += 1;
                if record.seq == 0 {
                    contents.promise(transaction, record)?;
                    base_changed = true;
                } else {
                    contents.append(&mut insert, record)?;
                }
            }
            if below > contents.base.truncated_below {
                contents.discard(below);
                base_changed = true;
            }
            base_changed |= contents.reclaim(transaction, &mut insert, count, bytes)?;
            if base_changed {
                contents.position += 1;
                contents.base.position = contents.position;
                contents.write_base(transaction)?;
            }
            Ok(pages(count, written))
        })?;
        self.database.advance(self.contents.anchor())?;
        let stats = self.database.stats();
        stats.bytes_written += bytes;
        stats.items_written += count;
        Ok(())
    }

    fn load(&mut self) -> Result<LoadedLog, StorageError> {
        self.database.check()?;
        let mut records = Vec::new();
        let contents = verify(&self.database, |position, record| {
            records.push((position, record));
        })?;
        let truncated_below = contents.base.truncated_below;
        records.retain(|(position, record)| contents.is_current(*position, record));
        records.sort_by_key(|(position, _)| *position);
        Ok(LoadedLog {
            records: records.into_iter().map(|(_, record)| record).collect(),
            truncated_below,
        })
    }

    fn tidy(&mut self, pressure: Pressure) -> Result<(), StorageError> {
        self.database.tidy(pressure)
    }

    fn stats(&self) -> Stats {
        self.database.read_stats()
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        self.database.close()
    }
}

impl Contents {
    fn append(
        &mut self,
        insert: &mut Statement<'_>,
        record: &StoredRecord,
    ) -> rusqlite::Result<()> {
        let row = self.position;
        let chain = link(&self.head().1, row, record);
        insert.execute(params![
            row.cast_signed(),
            record.seq.cast_signed(),
            record.kind,
            record.bytes.as_ref(),
            chain.0,
        ])?;
        self.push(Row::of(row, record, chain));
        Ok(())
    }

    fn promise(&mut self, db: &Connection, record: &StoredRecord) -> rusqlite::Result<()> {
        let mut put = db.prepare_cached(
            "INSERT OR REPLACE INTO promises (kind, position, bytes) VALUES (?1, ?2, ?3)",
        )?;
        put.execute(params![
            record.kind,
            self.position.cast_signed(),
            record.bytes.as_ref(),
        ])?;
        let digest = promise_digest(self.position, record);
        self.promises.insert(record.kind, digest);
        Ok(())
    }

    /// Makes room from the front after `appended` records of `bytes` in sum were added; says whether
    /// there was any to be made.
    fn reclaim(
        &mut self,
        db: &Connection,
        insert: &mut Statement<'_>,
        appended: u64,
        bytes: u64,
    ) -> rusqlite::Result<bool> {
        let before = self.base.row;
        let mut movable = (bytes * MOVED_PER_APPENDED).max(MOVED_BYTES);
        let from_before = self.deletable;
        self.deletable += DELETED_MIN + DELETED_PER_APPENDED * appended;
        if self.may_delete_later() {
            return Ok(false);
        }
        let mut deleted = 0;
        for left in (1..=std::mem::take(&mut self.deletable)).rev() {
            let Some((row, cost)) = self.rows.front().map(|front| (front.row, front.cost)) else {
                break;
            };
            if left <= from_before && deleted + cost > DELETED_TOGETHER_BYTES {
                self.deletable = left;
                break;
            }
            if self.pop_useless() {
                deleted += cost;
                continue;
            }
            if !self.is_loose() || movable == 0 {
                break;
            }
            movable = movable.saturating_sub(cost);
            let record = read_row(db, row)?;
            self.position += 1;
            self.append(insert, &record)?;
            self.pop_front();
        }
        if self.base.row == before {
            return Ok(false);
        }
        let last = self.base.row.cast_signed();
        db.prepare_cached("DELETE FROM log WHERE id <= ?1")?
            .execute([last])?;
        Ok(true)
    }

    /// Rows at the front are few and small enough to wait until there are more of them to delete.
    fn may_delete_later(&self) -> bool {
        let small = |row: &Row| self.deletable * row.cost < DELETED_TOGETHER_BYTES;
        self.deletable < DELETED_TOGETHER && !self.is_loose() && self.useless().is_some_and(small)
    }

    fn write_base(&self, db: &Connection) -> rusqlite::Result<()> {
        let promises = promises_digest(&self.promises);
        let mut put = db.prepare_cached(
            "INSERT OR REPLACE INTO base
                 (one, row, chain, truncated_below, position, promises, digest)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        put.execute(params![
            self.base.row.cast_signed(),
            self.base.chain.0,
            self.base.truncated_below.cast_signed(),
            self.base.position.cast_signed(),
            promises.0,
            self.base.digest(&promises).0,
        ])?;
        Ok(())
    }
}

fn read_row(db: &Connection, row: u64) -> rusqlite::Result<StoredRecord> {
    let mut select = db.prepare_cached("SELECT seq, kind, bytes FROM log WHERE id = ?1")?;
    select.query_row([row.cast_signed()], |found| {
        Ok(StoredRecord {
            seq: found.get::<_, i64>(0)?.cast_unsigned(),
            kind: found.get(1)?,
            bytes: Bytes::from(found.get::<_, Vec<u8>>(2)?),
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::chain::Base;
    use super::*;

    /// A chain of 200 rows with `bytes` bytes each, of which the first 150 are discarded.
    fn discarded(bytes: usize) -> (Connection, Contents) {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE log (id INTEGER PRIMARY KEY, seq, kind, bytes, chain)")
            .unwrap();
        let mut contents = Contents::empty(Base::genesis(&Identity {
            cluster: [7; 32],
            replica: 0,
        }));
        for seq in 1..=200 {
            append(&db, &mut contents, seq, bytes);
        }
        contents.discard(150);
        (db, contents)
    }

    fn append(db: &Connection, contents: &mut Contents, seq: u64, bytes: usize) {
        let record = StoredRecord {
            seq,
            kind: 1,
            bytes: vec![0; bytes].into(),
        };
        contents.position += 1;
        let mut insert = db.prepare_cached(INSERT_ROW).unwrap();
        contents.append(&mut insert, &record).unwrap();
    }

    /// Rows that each of these commits of one record deleted.
    fn deleted(bytes: usize, commits: u64) -> Vec<usize> {
        let (db, mut contents) = discarded(bytes);
        let commit = |at| {
            let before = contents.rows.len();
            append(&db, &mut contents, 201 + at, bytes);
            let mut insert = db.prepare_cached(INSERT_ROW).unwrap();
            contents.reclaim(&db, &mut insert, 1, bytes as u64).unwrap();
            before + 1 - contents.rows.len()
        };
        let deleted = (0..commits).map(commit).collect();
        let rows = db.query_row("SELECT count(*) FROM log", [], |row| row.get::<_, i64>(0));
        assert_eq!(rows.unwrap(), contents.rows.len() as i64);
        deleted
    }

    #[test]
    fn small_rows_are_deleted_many_at_a_time_and_as_fast_as_before() {
        let deleted = deleted(300, 27);
        let commits_that_delete = deleted.iter().filter(|count| **count > 0).count();
        assert_eq!(deleted.iter().sum::<usize>(), 132, "{deleted:?}");
        assert_eq!(commits_that_delete, 2, "{deleted:?}");
    }

    #[test]
    fn large_rows_are_deleted_a_few_with_each_commit() {
        let deleted = deleted(20_000, 20);
        assert!(deleted.iter().all(|count| *count == 6), "{deleted:?}");
    }

    #[test]
    fn rows_in_between_are_deleted_a_few_more_at_a_time_and_never_very_many_bytes() {
        let deleted = deleted(5_000, 20);
        let most = deleted.iter().max().unwrap();
        assert!((7..=13).contains(most), "{deleted:?}");
        assert!(deleted.iter().sum::<usize>() >= 100, "{deleted:?}");
    }
}
