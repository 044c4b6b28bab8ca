//! Reading the whole record log and finding what does not add up.

use std::collections::BTreeMap;

use bytes::Bytes;
use crypto::Digest;
use rusqlite::OptionalExtension as _;

use super::chain::{Base, Contents, Row, link, promise_digest, promises_digest};
use super::database::Database;
use crate::storage::{StorageError, StoredRecord};

/// Reads everything in `log.db`, hands each record with its position to `visit` (promises first) and
/// says what is there, or what does not add up.
pub(super) fn verify(
    database: &Database,
    mut visit: impl FnMut(u64, StoredRecord),
) -> Result<Contents, StorageError> {
    let fail = |error| database.read_error(&error);
    let db = database.connection();
    let (base, promises_expected) = read_base(database)?;
    let mut contents = Contents::empty(base);

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
        contents.push(Row::of(id, &record, chain));
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
            let base = Base::genesis(&database.owner().identity);
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
