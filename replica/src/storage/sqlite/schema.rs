//! The tables, the format version, and the row that says whose database it is.

use std::path::{Path, PathBuf};

use crypto::{Digest, Hasher};
use rusqlite::{Connection, params};

use crate::storage::Identity;

/// Version of the file format; another one is refused.
pub(super) const FORMAT_VERSION: i64 = 5;

/// What distinguishes the two databases.
pub(super) struct Kind {
    /// Name without extension.
    pub(super) name: &'static str,
    /// SQLite's `application_id`.
    pub(super) application_id: i64,
    /// The tables besides `owner`.
    pub(super) tables: &'static str,
}

impl Kind {
    /// The database within the data directory.
    pub(super) fn file(&self, data: &Path) -> PathBuf {
        data.join(format!("{}.db", self.name))
    }

    /// Its anchor within the replica's directory.
    pub(super) fn anchor(&self, home: &Path) -> PathBuf {
        home.join(format!("{}.anchor", self.name))
    }
}

/// `log`: hash-chained rows. `base`: where the chain starts after truncations. `promises`: the
/// latest unbound record of each kind, which a truncation must not touch.
pub(super) const LOG: Kind = Kind {
    name: "log",
    application_id: 0x5154_4c47, // "QTLG"
    tables: "
        CREATE TABLE log (
            id    INTEGER PRIMARY KEY,
            seq   INTEGER NOT NULL,
            kind  INTEGER NOT NULL,
            bytes BLOB NOT NULL,
            chain BLOB NOT NULL
        ) STRICT;
        CREATE TABLE base (
            one             INTEGER PRIMARY KEY CHECK (one = 1),
            row             INTEGER NOT NULL,
            chain           BLOB NOT NULL,
            truncated_below INTEGER NOT NULL,
            position        INTEGER NOT NULL,
            promises        BLOB NOT NULL,
            digest          BLOB NOT NULL
        ) STRICT;
        CREATE TABLE promises (
            kind     INTEGER PRIMARY KEY,
            position INTEGER NOT NULL,
            bytes    BLOB NOT NULL
        ) STRICT;",
};

/// `state`: one row for each key. Rows have a number, and the keys an index of their own: a table
/// sorted by key moves what is longer than a quarter of a page to a page that nothing else shares, so
/// that a value of 1 KiB costs 4 KiB of disk. `changes`: what is newer than the rows of its keys
/// (`entries.rs`). `checkpoint`: what belongs to the state as a whole.
pub(super) const STATE: Kind = Kind {
    name: "state",
    application_id: 0x5154_5354, // "QTST"
    tables: "
        CREATE TABLE state (
            id    INTEGER PRIMARY KEY,
            place INTEGER NOT NULL,
            key   BLOB NOT NULL,
            entry BLOB NOT NULL,
            UNIQUE (place, key)
        ) STRICT;
        CREATE TABLE changes (
            id         INTEGER PRIMARY KEY,
            generation INTEGER NOT NULL,
            shard      INTEGER NOT NULL,
            piece      BLOB NOT NULL
        ) STRICT;
        CREATE INDEX changes_by_shard ON changes (shard);
        CREATE TABLE checkpoint (
            one          INTEGER PRIMARY KEY CHECK (one = 1),
            generation   INTEGER NOT NULL,
            seq          INTEGER NOT NULL,
            digest       BLOB NOT NULL,
            sessions     BLOB NOT NULL,
            meta         BLOB NOT NULL,
            check_digest BLOB NOT NULL
        ) STRICT;",
};

const OWNER_TABLE: &str = "
    CREATE TABLE owner (
        one         INTEGER PRIMARY KEY CHECK (one = 1),
        lineage     BLOB NOT NULL,
        cluster     BLOB NOT NULL,
        replica     INTEGER NOT NULL,
        incarnation INTEGER NOT NULL,
        clean_stop  INTEGER NOT NULL,
        digest      BLOB NOT NULL
    ) STRICT;";

/// Whose database it is, and how it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// Drawn when the database was created.
    pub(super) lineage: Digest,
    pub(super) identity: Identity,
    /// How often it was opened.
    pub(super) incarnation: u64,
    /// Whether it was closed since.
    pub(super) clean_stop: bool,
}

/// Creates all tables; `connection` is inside a transaction.
pub(super) fn create(connection: &Connection, kind: &Kind, owner: &Owner) -> rusqlite::Result<()> {
    connection.execute_batch(OWNER_TABLE)?;
    connection.execute_batch(kind.tables)?;
    connection.pragma_update(None, "application_id", kind.application_id)?;
    connection.pragma_update(None, "user_version", FORMAT_VERSION)?;
    owner.write(connection)
}

impl Owner {
    /// Replaces the row.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute(
            "INSERT OR REPLACE INTO owner (one, lineage, cluster, replica, incarnation, clean_stop, digest)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                self.lineage.0,
                self.identity.cluster,
                self.identity.replica,
                self.incarnation.cast_signed(),
                self.clean_stop,
                self.digest().0,
            ],
        )?;
        Ok(())
    }

    /// Reads the row; `None` if its digest does not match.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        connection.query_row(
            "SELECT lineage, cluster, replica, incarnation, clean_stop, digest FROM owner",
            [],
            |row| {
                let owner = Owner {
                    lineage: Digest(row.get(0)?),
                    identity: Identity {
                        cluster: row.get(1)?,
                        replica: row.get(2)?,
                    },
                    incarnation: row.get::<_, i64>(3)?.cast_unsigned(),
                    clean_stop: row.get(4)?,
                };
                let digest = Digest(row.get(5)?);
                Ok((owner.digest() == digest).then_some(owner))
            },
        )
    }

    fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("storage/owner");
        hasher
            .u64(FORMAT_VERSION.cast_unsigned())
            .update(self.lineage.as_bytes())
            .update(&self.identity.cluster)
            .u64(u64::from(self.identity.replica))
            .u64(self.incarnation)
            .u64(u64::from(self.clean_stop));
        hasher.finish()
    }
}
