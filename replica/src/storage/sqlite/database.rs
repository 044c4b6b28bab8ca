//! One SQLite file with one connection, which is its only reader and writer.
//!
//! Three things are decided here for both stores.
//!
//! *Options.* WAL mode, so that a commit is one append and one fsync. Exclusive locking, so that the
//! WAL index lives in this process and no other process interferes. `synchronous = FULL`, or `OFF` in
//! the benchmark mode; opening and closing are always synced.
//!
//! *The write-ahead log.* Copying it into the database ("WAL checkpoint") costs an fsync and many
//! page writes, so SQLite's automatic one is switched off and [`Database::tidy`] does it between
//! commits: at a good moment from [`WAL_BYTES_TIDY`] on, at any moment from [`WAL_BYTES_MAX`] on. The
//! file keeps its size afterwards and is overwritten from its start: syncing an overwrite is cheaper
//! than syncing a file that grows.
//!
//! *Failure.* After a failed write, what the disk holds is unknown (a failed fsync may even report
//! success the second time), so the database takes no more writes.

use std::path::{Path, PathBuf};

use crypto::Digest;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::Options;
use super::anchor::{Anchor, AnchorFile};
use super::directory::{self, Home};
use super::schema::{self, FORMAT_VERSION, Kind, Owner};
use crate::storage::{Durability, Identity, Pressure, Stats, StorageError};

/// Page size of new databases, in bytes.
const PAGE_BYTES: u64 = 4096;
/// Page cache of one connection. A log is written at its end and a checkpoint at its end and in one shard of the state: with 8 MiB
/// neither is faster (`cargo bench -p replica`).
const CACHE_KIB: i64 = 2 * 1024;
/// From here on the write-ahead log is copied into the database when nobody waits. Larger would mean
/// fewer copies, but each one longer for the vote that comes in meanwhile: about 1 ms for groups of
/// 4 KiB and 4 ms for groups of 64 KiB on the reference machine, and the same in sum.
const WAL_BYTES_TIDY: u64 = 4 << 20;
/// From here on it is copied in any case. The file can exceed this by one transaction.
const WAL_BYTES_MAX: u64 = 16 << 20;
/// Pages that a transaction writes besides its payload: head, B-tree root and interior, free list.
const PAGES_PER_COMMIT: u64 = 6;

/// An open database.
pub(super) struct Database {
    connection: Connection,
    file: PathBuf,
    anchor_file: AnchorFile,
    anchor: Anchor,
    owner: Owner,
    durability: Durability,
    poisoned: bool,
    /// Upper estimate of what was appended to the write-ahead log since it was last copied.
    wal_bytes: u64,
    stats: Stats,
    /// Last, so that the directory is free only when the connection is closed.
    _home: Home,
}

impl Database {
    /// Opens or creates the database; checks that it is ours. Changes nothing in an existing one.
    /// A new one is of `lineage`.
    pub(super) fn open(
        home: &Home,
        kind: &Kind,
        identity: Identity,
        options: Options,
        lineage: impl FnOnce() -> Result<Digest, StorageError>,
    ) -> Result<Self, StorageError> {
        let data = home.data();
        let file = kind.file(&data);
        if file.exists() && !kind.anchor(home.path()).exists() {
            // Before it is called damaged: somebody else's data has its anchor elsewhere.
            refuse_foreign(&file, kind, identity, options)?;
        }
        // The anchor comes first: a database without one is never mistaken for a new one.
        let (anchor_file, anchor) = AnchorFile::open(kind.anchor(home.path()), &file, lineage)?;
        let damaged = |what: String| StorageError::Damaged {
            file: file.clone(),
            what,
        };
        if !anchor.is_new() && !file.exists() {
            return Err(damaged(format!(
                "it is missing, but its anchor was written by incarnation {}",
                anchor.incarnation
            )));
        }
        if !file.exists() {
            // The anchor's name is on disk before there is anything that would be damaged without.
            home.sync()?;
            home.create_data()?;
        }
        let fail = |error| sql_error(&file, &error);
        let mut connection = connect(&file, options).map_err(fail)?;
        if is_empty(&connection).map_err(fail)? {
            if !anchor.is_new() {
                return Err(damaged(format!(
                    "it is empty, but its anchor was written by incarnation {}",
                    anchor.incarnation
                )));
            }
            let owner = Owner {
                lineage: anchor.lineage,
                identity,
                incarnation: 0,
                clean_stop: true,
            };
            let create = |connection: &mut Connection| {
                let transaction = connection.transaction()?;
                schema::create(&transaction, kind, &owner)?;
                transaction.commit()
            };
            create(&mut connection).map_err(fail)?;
            directory::sync(&data)?;
            home.sync()?;
        }
        let owner = check_owner(&connection, &file, kind, identity)?;
        check_anchor(&owner, &anchor).map_err(damaged)?;
        check_pages(&connection, &file)?;
        Ok(Database {
            connection,
            file,
            anchor_file,
            anchor,
            owner,
            durability: options.durability,
            poisoned: false,
            // Unknown, so as much as there can be.
            wal_bytes: WAL_BYTES_MAX,
            stats: Stats::default(),
            _home: home.clone(),
        })
    }

    /// Counts a new incarnation and clears the mark of a clean stop, durably in every mode.
    pub(super) fn begin(&mut self, incarnation: u64) -> Result<(), StorageError> {
        self.owner.incarnation = incarnation;
        self.owner.clean_stop = false;
        self.write_owner()?;
        self.anchor.incarnation = incarnation;
        self.advance(self.anchor)?;
        self.copy_wal()?;
        if self.durability == Durability::Off {
            self.set_synchronous("OFF")?;
        }
        // What opening cost is no part of what the replica's work costs.
        self.stats = Stats::default();
        Ok(())
    }

    /// Runs `work` in one transaction. It bounds the pages that its payload takes.
    pub(super) fn commit(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<u64>,
    ) -> Result<(), StorageError> {
        self.check()?;
        let connection = &mut self.connection;
        let transact = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let pages = work(&transaction)?;
            transaction.commit()?;
            Ok(pages)
        };
        let pages = match transact() {
            Ok(pages) => pages,
            Err(error) => {
                self.poisoned = true;
                return Err(sql_error(&self.file, &error));
            }
        };
        self.wal_bytes += (pages + PAGES_PER_COMMIT) * (PAGE_BYTES + 24);
        self.stats.commits += 1;
        self.count_fsyncs(1);
        Ok(())
    }

    /// Says in the anchor how far the last commit has brought the database.
    pub(super) fn advance(&mut self, anchor: Anchor) -> Result<(), StorageError> {
        self.anchor = Anchor {
            lineage: self.owner.lineage,
            incarnation: self.owner.incarnation,
            ..anchor
        };
        let written = self.anchor_file.write(&self.anchor);
        self.poison_unless(written)
    }

    /// Copies the write-ahead log into the database if it is time to.
    pub(super) fn tidy(&mut self, pressure: Pressure) -> Result<(), StorageError> {
        self.check()?;
        let bound = match pressure {
            Pressure::Idle => WAL_BYTES_TIDY,
            Pressure::Busy => WAL_BYTES_MAX,
        };
        if self.wal_bytes < bound {
            return Ok(());
        }
        self.copy_wal()
    }

    /// Marks a clean stop, durably in every mode, and leaves no write-ahead log behind.
    pub(super) fn close(mut self) -> Result<(), StorageError> {
        self.check()?;
        self.set_synchronous("FULL")?;
        self.durability = Durability::Full;
        // First all that was not synced, then the mark that says so.
        self.copy_wal()?;
        self.owner.clean_stop = true;
        self.write_owner()?;
        self.copy_wal()
    }

    /// The connection, for reading.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The anchor as last read or written.
    pub(super) fn anchor(&self) -> Anchor {
        self.anchor
    }

    /// Incarnation and clean-stop mark as found, until [`Database::begin`].
    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    /// Path of the database.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Counters, for the stores to add theirs.
    pub(super) fn stats(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// Counters.
    pub(super) fn read_stats(&self) -> Stats {
        self.stats
    }

    /// An error for content that does not add up.
    pub(super) fn damaged(&self, what: impl Into<String>) -> StorageError {
        StorageError::Damaged {
            file: self.file.clone(),
            what: what.into(),
        }
    }

    /// An error of a reading statement.
    pub(super) fn read_error(&self, error: &rusqlite::Error) -> StorageError {
        sql_error(&self.file, error)
    }

    /// Takes no more writes.
    pub(super) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Refuses to go on after a failed write.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        if self.poisoned {
            return Err(StorageError::Poisoned {
                file: self.file.clone(),
            });
        }
        Ok(())
    }

    fn write_owner(&mut self) -> Result<(), StorageError> {
        let owner = self.owner;
        self.commit(|transaction| {
            owner.write(transaction)?;
            Ok(1)
        })
    }

    fn set_synchronous(&mut self, mode: &str) -> Result<(), StorageError> {
        let set = self.connection.pragma_update(None, "synchronous", mode);
        let set = set.map_err(|error| sql_error(&self.file, &error));
        self.poison_unless(set)
    }

    fn copy_wal(&mut self) -> Result<(), StorageError> {
        let copied = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(0));
        let copied = match copied {
            Ok(0) => Ok(()),
            Ok(busy) => Err(StorageError::Io {
                file: self.file.clone(),
                what: format!("the write-ahead log could not be copied ({busy})"),
            }),
            Err(error) => Err(sql_error(&self.file, &error)),
        };
        self.poison_unless(copied)?;
        if self.durability == Durability::Full {
            let synced = self.anchor_file.sync();
            self.poison_unless(synced)?;
        }
        self.wal_bytes = 0;
        self.stats.wal_checkpoints += 1;
        // The log before it is copied, the database after, the anchor, and the log's next header.
        self.count_fsyncs(4);
        Ok(())
    }

    fn count_fsyncs(&mut self, fsyncs: u64) {
        if self.durability == Durability::Full {
            self.stats.fsyncs += fsyncs;
        }
    }

    fn poison_unless(&mut self, result: Result<(), StorageError>) -> Result<(), StorageError> {
        self.poisoned |= result.is_err();
        result
    }
}

/// Pages that a payload of `bytes` in `rows` rows takes at most.
pub(super) fn pages(rows: u64, bytes: u64) -> u64 {
    // A long row has a partly filled page at its end, a short one shares its page with others.
    rows.min(bytes / 512) + (bytes + 128 * rows).div_ceil(PAGE_BYTES - 64)
}

/// Whether nothing was ever created in it.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0)
}

/// Says what does not fit if the anchor has seen another database, or a later one.
pub(super) fn check_anchor(owner: &Owner, anchor: &Anchor) -> Result<(), String> {
    if owner.lineage != anchor.lineage {
        return Err(
            "its anchor belongs to another database, created before or after it".to_owned(),
        );
    }
    if owner.incarnation < anchor.incarnation {
        return Err(format!(
            "it is of incarnation {}, but its anchor of {}",
            owner.incarnation, anchor.incarnation
        ));
    }
    Ok(())
}

/// Opens a connection with every option set.
pub(super) fn connect(file: &Path, options: Options) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let connection = Connection::open_with_flags(file, flags)?;
    // Closing must not tidy up: dropping a database is a crash, and a damaged one stays as it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Before the first access, or the index of the write-ahead log would be shared memory.
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    connection.pragma_update(None, "page_size", PAGE_BYTES.cast_signed())?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        // SQLite swallows the error that kept it from changing the mode.
        let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
        let what = format!("its journal mode stays {mode:?}");
        return Err(rusqlite::Error::SqliteFailure(failure, Some(what)));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    let wal_bytes_kept = (2 * WAL_BYTES_MAX).cast_signed();
    connection.pragma_update_and_check(None, "journal_size_limit", wal_bytes_kept, |_| Ok(()))?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    if let Some(bytes) = options.database_bytes_max {
        let pages_max = (bytes / PAGE_BYTES).max(1).cast_signed();
        connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))?;
    }
    Ok(connection)
}

/// Reads whose database it is and refuses another kind, version or owner.
pub(super) fn check_owner(
    connection: &Connection,
    file: &Path,
    kind: &Kind,
    identity: Identity,
) -> Result<Owner, StorageError> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let fail = |error| sql_error(file, &error);
    let damaged = |what: String| StorageError::Damaged {
        file: file.to_owned(),
        what,
    };
    let application_id: i64 = number("application_id").map_err(fail)?;
    if application_id != kind.application_id {
        return Err(damaged(format!(
            "its application id is {application_id:#x}, not {:#x}",
            kind.application_id
        )));
    }
    let version: i64 = number("user_version").map_err(fail)?;
    let owner = Owner::read(connection);
    if version != FORMAT_VERSION {
        // Of this version all the same, if the owner's digest says so: then only the number is wrong.
        return Err(match owner {
            Ok(Some(_)) => damaged(format!("its format version is {version}, which it is not")),
            _ => StorageError::Version {
                file: file.to_owned(),
                found: version,
                expected: FORMAT_VERSION,
            },
        });
    }
    let owner = owner
        .map_err(fail)?
        .ok_or_else(|| damaged("the row in table owner does not match its digest".to_owned()))?;
    if owner.identity != identity {
        return Err(StorageError::Foreign {
            file: file.to_owned(),
            found: owner.identity,
            expected: identity,
        });
    }
    Ok(owner)
}

/// Refuses a database whose pages do not hang together. Free ones are read only when something is
/// written to them: the replica would end there, and again after each start.
fn check_pages(connection: &Connection, file: &Path) -> Result<(), StorageError> {
    let found: Result<String, _> =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    let what = match found {
        Ok(verdict) if verdict == "ok" => return Ok(()),
        Ok(what) => what.replace('\n', " "),
        Err(error) => match sql_error(file, &error) {
            StorageError::Damaged { what, .. } => what,
            other => return Err(other),
        },
    };
    Err(StorageError::Damaged {
        file: file.to_owned(),
        what,
    })
}

fn refuse_foreign(
    file: &Path,
    kind: &Kind,
    identity: Identity,
    options: Options,
) -> Result<(), StorageError> {
    let fail = |error| sql_error(file, &error);
    let connection = connect(file, options).map_err(fail)?;
    if !is_empty(&connection).map_err(fail)? {
        check_owner(&connection, file, kind, identity)?;
    }
    Ok(())
}

/// Sorts SQLite's errors by whose fault they are.
pub(super) fn sql_error(file: &Path, error: &rusqlite::Error) -> StorageError {
    let path = file.to_owned();
    let what = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StorageError::AlreadyInUse {
            directory: path,
            holder: "another process".to_owned(),
        },
        Some(ErrorCode::DiskFull) => StorageError::Full { file: path },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StorageError::Unwritable {
                path,
                reason: std::io::Error::other(what),
            }
        }
        // SQLITE_ERROR: a statement of ours no longer fits the tables.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) | None => {
            StorageError::Damaged { file: path, what }
        }
        Some(_) => StorageError::Io { file: path, what },
    }
}
