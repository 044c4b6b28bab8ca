//! The record log: `log.db`.
//!
//! Bound records are rows of a hash chain: `chain = H(chain before ‖ row ‖ seq ‖ kind ‖ bytes)`, so
//! a changed, missing or exchanged row shows, and the last chain value stands for the whole log.
//!
//! Truncation notes the sequence number in `base`, and from then on the records up to it are not shown.
//! Their rows go a few with each commit, from the front only, and the start of the chain (also in
//! `base`) moves along in the same transaction. So the cost is that of the rows removed, and no
//! commit bears much of it. Sequence numbers are not quite ascending in the log: deleting stops at the
//! first row that is still needed. The rows that wait are bounded by the window of the protocol.
//!
//! Unbound records (the current view, a certificate) may have to outlive any number of truncations.
//! They live in a table of their own, one for each kind, under one digest in `base`. Keeping them in
//! the chain would mean to write them anew at each truncation, and a NEW-VIEW can have megabytes.
//! Both tables draw on one count of positions, which restores the order of all records.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use bytes::Bytes;
use crypto::{Digest, Hasher};
use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use super::Options;
use super::anchor::Anchor;
use super::database::{Database, pages};
use super::directory::Directory;
use super::schema::LOG;
use crate::storage::{
    Group, Identity, LoadedLog, Pressure, RecordLog, Stats, StorageError, StoredRecord,
};

const INSERT_ROW: &str =
    "INSERT INTO log (id, seq, kind, bytes, chain) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Discarded rows that a commit deletes for each record that it appends. More than one, so that
/// deleting keeps up; not all at once, because a row of 64 KiB is 17 pages to free: 64 of them
/// would hold up the votes of one commit for milliseconds.
const DELETED_PER_APPENDED: u64 = 2;
/// And at least this many.
const DELETED_MIN: u64 = 4;

/// The open record log.
pub(super) struct SqliteLog {
    database: Database,
    contents: Contents,
}

/// What must be known of the stored rows to go on writing.
struct Contents {
    base: Base,
    /// Rows in the table, ascending. As many as fit into the protocol's window.
    rows: VecDeque<Row>,
    /// Digest of the promise of each kind; at most 256.
    promises: BTreeMap<u8, Digest>,
    /// The last position given to a record.
    position: u64,
}

/// Where the chain starts, and what it does not cover.
#[derive(Clone, Copy)]
struct Base {
    /// The last row that was deleted, and its chain value.
    row: u64,
    chain: Digest,
    truncated_below: u64,
    /// Position of the last change of this row or of the promises: they have positions of their own,
    /// so that a log which lost one of them is behind its anchor.
    position: u64,
}

struct Row {
    row: u64,
    seq: u64,
    chain: Digest,
}

impl SqliteLog {
    /// Opens or creates `log.db` and verifies all of it, without changing it.
    pub(super) fn open(
        directory: &Directory,
        identity: Identity,
        options: Options,
    ) -> Result<Self, StorageError> {
        let database = Database::open(directory, &LOG, identity, options)?;
        let contents = verify(&database, |_, _| ())?;
        Ok(SqliteLog { database, contents })
    }

    /// Starts the incarnation; from here on it may be written.
    pub(super) fn begin(&mut self, incarnation: u64) -> Result<(), StorageError> {
        self.database.begin(incarnation)
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
        self.database.commit(pages(count, bytes), |transaction| {
            // Once a group: about 10 microseconds against the fsync's hundreds.
            let mut insert = transaction.prepare(INSERT_ROW)?;
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
                contents.base.truncated_below = below;
                base_changed = true;
            }
            base_changed |= contents.delete_discarded(transaction, count)?;
            if base_changed {
                contents.position += 1;
                contents.base.position = contents.position;
                contents.write_base(transaction)?;
            }
            Ok(())
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
        records.retain(|(_, record)| record.seq == 0 || record.seq > truncated_below);
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
    /// The last row of the chain and its value.
    fn head(&self) -> (u64, Digest) {
        match self.rows.back() {
            Some(last) => (last.row, last.chain),
            None => (self.base.row, self.base.chain),
        }
    }

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
        self.rows.push_back(Row {
            row,
            seq: record.seq,
            chain,
        });
        Ok(())
    }

    fn promise(&mut self, db: &Connection, record: &StoredRecord) -> rusqlite::Result<()> {
        db.execute(
            "INSERT OR REPLACE INTO promises (kind, position, bytes) VALUES (?1, ?2, ?3)",
            params![
                record.kind,
                self.position.cast_signed(),
                record.bytes.as_ref(),
            ],
        )?;
        let digest = promise_digest(self.position, record);
        self.promises.insert(record.kind, digest);
        Ok(())
    }

    /// Deletes discarded rows from the front, after `appended` records were added; says whether
    /// there were any.
    fn delete_discarded(&mut self, db: &Connection, appended: u64) -> rusqlite::Result<bool> {
        let below = self.base.truncated_below;
        let before = self.base.row;
        for _ in 0..DELETED_MIN + DELETED_PER_APPENDED * appended {
            let Some(row) = self.rows.pop_front_if(|row| row.seq <= below) else {
                break;
            };
            self.base.row = row.row;
            self.base.chain = row.chain;
        }
        if self.base.row == before {
            return Ok(false);
        }
        let last = self.base.row.cast_signed();
        db.execute("DELETE FROM log WHERE id <= ?1", [last])?;
        Ok(true)
    }

    fn write_base(&self, db: &Connection) -> rusqlite::Result<()> {
        let promises = promises_digest(&self.promises);
        db.execute(
            "INSERT OR REPLACE INTO base
                 (one, row, chain, truncated_below, position, promises, digest)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                self.base.row.cast_signed(),
                self.base.chain.0,
                self.base.truncated_below.cast_signed(),
                self.base.position.cast_signed(),
                promises.0,
                self.base.digest(&promises).0,
            ],
        )?;
        Ok(())
    }

    fn anchor(&self) -> Anchor {
        let (row, head) = self.head();
        Anchor {
            incarnation: 0, // the database knows it
            position: self.position,
            row,
            head,
            rest: self.base.digest(&promises_digest(&self.promises)),
        }
    }
}

/// Reads everything in `log.db`, hands each record with its position to `visit` (promises first) and
/// says what is there, or what does not add up.
fn verify(
    database: &Database,
    mut visit: impl FnMut(u64, StoredRecord),
) -> Result<Contents, StorageError> {
    let fail = |error| database.read_error(&error);
    let db = database.connection();
    let (base, promises_expected) = read_base(database)?;
    let mut contents = Contents {
        base,
        rows: VecDeque::new(),
        promises: BTreeMap::new(),
        position: base.position,
    };

    let mut promises = db
        .prepare("SELECT kind, position, bytes FROM promises")
        .map_err(fail)?;
    let mut found = promises.query([]).map_err(fail)?;
    while let Some(row) = found.next().map_err(fail)? {
        let read = || -> rusqlite::Result<_> {
            let record = StoredRecord {
                seq: 0,
                kind: row.get(0)?,
                bytes: Bytes::from(row.get::<_, Vec<u8>>(2)?),
            };
            Ok((row.get::<_, i64>(1)?.cast_unsigned(), record))
        };
        let (position, record) = read().map_err(fail)?;
        let digest = promise_digest(position, &record);
        contents.promises.insert(record.kind, digest);
        visit(position, record);
    }
    if promises_digest(&contents.promises) != promises_expected {
        return Err(database.damaged("the rows of table promises do not match their digest"));
    }

    let mut log = db
        .prepare("SELECT id, seq, kind, bytes, chain FROM log ORDER BY id")
        .map_err(fail)?;
    let mut found = log.query([]).map_err(fail)?;
    while let Some(row) = found.next().map_err(fail)? {
        let read = || -> rusqlite::Result<_> {
            let record = StoredRecord {
                seq: row.get::<_, i64>(1)?.cast_unsigned(),
                kind: row.get(2)?,
                bytes: Bytes::from(row.get::<_, Vec<u8>>(3)?),
            };
            let chain = Digest(row.get(4)?);
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), record, chain))
        };
        let (id, record, chain) = read().map_err(fail)?;
        let (last, before) = contents.head();
        if id <= last || link(&before, id, &record) != chain {
            return Err(database.damaged(format!(
                "row {id} of table log (sequence number {}) does not continue the hash chain after row {last}",
                record.seq
            )));
        }
        contents.rows.push_back(Row {
            row: id,
            seq: record.seq,
            chain,
        });
        contents.position = contents.position.max(id);
        visit(id, record);
    }
    check_anchor(database, &contents)?;
    Ok(contents)
}

fn read_base(database: &Database) -> Result<(Base, Digest), StorageError> {
    let row = database
        .connection()
        .query_row(
            "SELECT row, chain, truncated_below, position, promises, digest FROM base",
            [],
            |row| {
                let base = Base {
                    row: row.get::<_, i64>(0)?.cast_unsigned(),
                    chain: Digest(row.get(1)?),
                    truncated_below: row.get::<_, i64>(2)?.cast_unsigned(),
                    position: row.get::<_, i64>(3)?.cast_unsigned(),
                };
                Ok((base, Digest(row.get(4)?), Digest(row.get(5)?)))
            },
        )
        .optional()
        .map_err(|error| database.read_error(&error))?;
    match row {
        Some((base, promises, digest)) if base.digest(&promises) == digest => Ok((base, promises)),
        Some(_) => Err(database.damaged("the row in table base does not match its digest")),
        // Nothing was truncated or promised yet. Were the row lost, the chain would not start right.
        None => {
            let identity = database.owner().identity;
            let mut genesis = Hasher::new("storage/genesis");
            genesis
                .update(&identity.cluster)
                .u64(u64::from(identity.replica));
            let base = Base {
                row: 0,
                chain: genesis.finish(),
                truncated_below: 0,
                position: 0,
            };
            Ok((base, promises_digest(&BTreeMap::new())))
        }
    }
}

/// The log must have come as far as its anchor says, by the same way.
fn check_anchor(database: &Database, contents: &Contents) -> Result<(), StorageError> {
    let anchor = database.anchor();
    if anchor.position == 0 {
        return Ok(());
    }
    let reached = if contents.position == anchor.position {
        let now = contents.anchor();
        (now.row, now.head, now.rest) == (anchor.row, anchor.head, anchor.rest)
    } else if contents.position < anchor.position {
        false
    } else if anchor.row <= contents.base.row {
        true
    } else {
        let found = contents
            .rows
            .binary_search_by_key(&anchor.row, |row| row.row);
        found.is_ok_and(|at| contents.rows[at].chain == anchor.head)
    };
    if !reached {
        return Err(database.damaged(format!(
            "it ends at position {}, but its anchor has seen it at position {} (row {}) with another content",
            contents.position, anchor.position, anchor.row
        )));
    }
    Ok(())
}

impl Base {
    fn digest(&self, promises: &Digest) -> Digest {
        let mut hasher = Hasher::new("storage/base");
        hasher
            .u64(self.row)
            .update(self.chain.as_bytes())
            .u64(self.truncated_below)
            .u64(self.position)
            .update(promises.as_bytes());
        hasher.finish()
    }
}

fn link(before: &Digest, row: u64, record: &StoredRecord) -> Digest {
    let mut hasher = Hasher::new("storage/chain");
    hasher
        .update(before.as_bytes())
        .u64(row)
        .u64(record.seq)
        .u64(u64::from(record.kind))
        .part(&record.bytes);
    hasher.finish()
}

fn promise_digest(position: u64, record: &StoredRecord) -> Digest {
    let mut hasher = Hasher::new("storage/promise");
    hasher
        .u64(position)
        .u64(u64::from(record.kind))
        .part(&record.bytes);
    hasher.finish()
}

fn promises_digest(promises: &BTreeMap<u8, Digest>) -> Digest {
    let mut hasher = Hasher::new("storage/promises");
    for digest in promises.values() {
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
}
