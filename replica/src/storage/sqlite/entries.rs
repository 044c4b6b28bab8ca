//! The entries of the state: one row for each key, and changes that are not in their rows yet.
//!
//! A checkpoint changes keys all over the state. Written to their rows at once, a quarter of all keys
//! is nearly every page of the file, and each goes to disk twice. So the keys are divided into shards.
//! What a checkpoint changes is appended as it is; and one shard, another one each time, has its rows
//! brought up to date with what was appended for it before:
//!
//! ```text
//!   checkpoint   shard 0   1   2   3   4   5   6   7
//!       8             ma   a   a   a   a   a   a   a      m: what checkpoints 0 to 7 have appended is merged
//!       9              a  ma   a   a   a   a   a   a      a: appended
//! ```
//!
//! Each costs the same, there is no burst when something is full, and what waits to be merged is
//! never more than the changes of eight checkpoints.
//!
//! Merging changes nothing that can be read, and what is appended counts only when its checkpoint is
//! there. So a checkpoint goes to disk in small transactions with rests in between, and no vote of the
//! record log waits long behind one of them.

#[cfg(test)]
mod tests;

use std::iter::Peekable;
use std::ops::RangeInclusive;

use bytes::Bytes;
use crypto::codec::{self, Blob, BlobRef};
use rusqlite::types::Type;
use rusqlite::{Connection, Statement, params};

use super::database::pages;
use crate::storage::{Change, EachEntry};

/// Shards of the keys. More would mean fewer rows to write, and more that waits to be merged.
pub(super) const SHARDS: u64 = 8;
/// Encoded changes in one row of table `changes`, but for the last of them.
const PIECE_BYTES: usize = 256 << 10;
/// Appended changes that are held in memory to be merged together.
const MERGED_BYTES: i64 = 8 << 20;
/// Keys of one shard that share a page, where a good part of them has changed; in fact it is more.
const NEIGHBOURS_MIN: u64 = 4;
/// Rows after which a whole state may rest: about a millisecond's work.
const ROWS_AT_A_TIME: usize = 128;

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Keys and entries that the caller handed over, in bytes.
    pub(super) bytes: u64,
    /// Pages that may have changed for them.
    pub(super) pages: u64,
}

/// A key's place: rows and changes are sorted by it, and its highest bits say in which shard it is.
/// Comparing places takes no look at the keys, which are all over the memory. What is on disk relies
/// on it: another order is another format version.
type Place = i64;

/// Bits of a place, which is not negative.
const PLACE_BITS: u32 = Place::BITS - 1;
/// Bits of a place below those of its shard.
const BITS_IN_SHARD: u32 = PLACE_BITS - SHARDS.ilog2();

fn place_of(key: &[u8]) -> Place {
    // FNV-1a, and a last multiplication, after which the highest bits depend on every byte alike.
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - PLACE_BITS)).cast_signed()
}

fn shard_of(place: Place) -> u64 {
    place.cast_unsigned() >> BITS_IN_SHARD
}

/// In which shard a key is.
#[cfg(test)]
pub(super) fn shard_of_key(key: &[u8]) -> u64 {
    shard_of(place_of(key))
}

/// The places of a shard.
fn places_of(shard: u64) -> RangeInclusive<Place> {
    let first = shard << BITS_IN_SHARD;
    first.cast_signed()..=(first + ((1 << BITS_IN_SHARD) - 1)).cast_signed()
}

/// A change with its key and place.
type Placed<'c> = (Place, Bytes, &'c Change);

/// Changes with keys and places, unsorted.
fn placed(changes: &[Change]) -> impl Iterator<Item = Placed<'_>> {
    changes.iter().map(|change| {
        let key = change.key();
        (place_of(&key), key, change)
    })
}

/// Sorts by place, and by key where places are the same. Of one key the earlier change stays the
/// earlier one.
fn sort(changes: &mut [Placed<'_>]) {
    changes.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
}

/// The changes of a whole state in the order in which their rows belong together: by place.
pub(super) struct InOrder<'c> {
    changes: &'c [Change],
    /// Shards that were sorted.
    shards: u64,
    sorted: std::vec::IntoIter<Placed<'c>>,
}

impl<'c> InOrder<'c> {
    pub(super) fn of(changes: &'c [Change]) -> Self {
        InOrder {
            changes,
            shards: 0,
            sorted: Vec::new().into_iter(),
        }
    }
}

impl<'c> Iterator for InOrder<'c> {
    type Item = Placed<'c>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(next) = self.sorted.next() {
                return Some(next);
            }
            if self.shards == SHARDS {
                return None;
            }
            // One shard at a time: the keys of all would be a good part of the state.
            let of_shard = placed(self.changes).filter(|placed| shard_of(placed.0) == self.shards);
            let mut sorted: Vec<_> = of_shard.collect();
            sort(&mut sorted);
            self.sorted = sorted.into_iter();
            self.shards += 1;
        }
    }
}

/// Removes all entries.
pub(super) fn clear(transaction: &Connection) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM state", [])?;
    transaction.execute("DELETE FROM changes", [])?;
    Ok(())
}

/// Writes changes to their rows. `pause` is told how many rows are written.
pub(super) fn write<'c>(
    transaction: &Connection,
    changes: impl Iterator<Item = Placed<'c>>,
    pause: &mut dyn FnMut(usize),
) -> rusqlite::Result<Written> {
    let mut rows = Rows::of(transaction)?;
    let mut written = Written::default();
    for (done, (place, key, change)) in changes.enumerate() {
        if done > 0 && done % ROWS_AT_A_TIME == 0 {
            pause(done);
        }
        // Encoded one at a time: all of them could be a copy of the whole state.
        let entry = change.entry();
        written.pages += rows.set(place, &key, entry.as_deref())?;
        written.bytes += length(&key, entry.as_deref()) as u64;
    }
    Ok(written)
}

/// The shard that this checkpoint merges.
pub(super) fn merged_by(generation: u64) -> u64 {
    generation % SHARDS
}

/// Changes of one shard, encoded.
pub(super) struct Piece {
    shard: u64,
    bytes: Vec<u8>,
    /// How many they are.
    pub(super) changes: usize,
    /// Bytes of their keys and entries.
    pub(super) payload: u64,
}

impl Piece {
    /// Its bytes on disk.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The changes of a checkpoint in pieces.
pub(super) struct Pieces<'c> {
    sorted: Peekable<std::vec::IntoIter<Placed<'c>>>,
}

impl<'c> Pieces<'c> {
    pub(super) fn of(changes: &'c [Change]) -> Self {
        let mut sorted: Vec<_> = placed(changes).collect();
        sort(&mut sorted);
        let sorted = sorted.into_iter().peekable();
        Pieces { sorted }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let shard = shard_of(self.sorted.peek()?.0);
        let (mut changes, mut payload) = (Vec::new(), 0);
        while payload < PIECE_BYTES
            && let Some((_, key, change)) = self.sorted.next_if(|next| shard_of(next.0) == shard)
        {
            let entry = change.entry();
            payload += length(&key, entry.as_deref());
            changes.push((Blob(key), entry.map(Blob)));
        }
        Some(Piece {
            shard,
            bytes: codec::encode(&changes),
            changes: changes.len(),
            payload: payload as u64,
        })
    }
}

/// Appends a piece; returns the pages that it takes.
pub(super) fn append(
    transaction: &Connection,
    generation: u64,
    piece: &Piece,
) -> rusqlite::Result<u64> {
    let insert = "INSERT INTO changes (generation, shard, piece) VALUES (?1, ?2, ?3)";
    let mut insert = transaction.prepare_cached(insert)?;
    let (generation, shard) = (generation.cast_signed(), piece.shard.cast_signed());
    insert.execute(params![generation, shard, piece.bytes])?;
    // Half a page for its key in the index.
    Ok(pages(1, piece.bytes.len() as u64) + 1)
}

/// Writes appended changes to their rows; returns the pages that have changed.
pub(super) fn merge(transaction: &Connection, latest: &[Latest<'_>]) -> rusqlite::Result<u64> {
    let mut rows = Rows::of(transaction)?;
    let mut bytes = 0;
    for (place, key, entry) in latest {
        rows.set(*place, key, *entry)?;
        bytes += length(key, *entry) as u64;
    }
    // Neighbours share pages; where only a few keys change it can be one each.
    Ok(pages(0, bytes) + latest.len() as u64 / NEIGHBOURS_MIN)
}

/// Forgets the appended changes of a shard, which are in its rows now.
pub(super) fn forget(transaction: &Connection, shard: u64) -> rusqlite::Result<()> {
    let all = "DELETE FROM changes WHERE shard = ?1";
    transaction.execute(all, [shard.cast_signed()])?;
    Ok(())
}

/// Was anything appended for a checkpoint after this one?
pub(super) fn any_after(db: &Connection, generation: u64) -> rusqlite::Result<bool> {
    let any = "SELECT EXISTS (SELECT 1 FROM changes WHERE generation > ?1)";
    db.query_row(any, [generation.cast_signed()], |row| row.get(0))
}

/// Forgets what was appended for checkpoints after this one.
pub(super) fn forget_after(transaction: &Connection, generation: u64) -> rusqlite::Result<()> {
    let later = "DELETE FROM changes WHERE generation > ?1";
    transaction.execute(later, [generation.cast_signed()])?;
    Ok(())
}

/// The pieces of a shard up to this checkpoint, the oldest first, in groups that fit into memory; one group if
/// there is none.
pub(super) fn groups(
    db: &Connection,
    shard: u64,
    generation: u64,
) -> rusqlite::Result<Vec<Vec<i64>>> {
    let mut pieces = db.prepare(
        "SELECT id, length(piece) FROM changes WHERE shard = ?1 AND generation <= ?2 ORDER BY id",
    )?;
    let mut pieces = pieces.query([shard.cast_signed(), generation.cast_signed()])?;
    let (mut groups, mut group, mut bytes) = (Vec::new(), Vec::new(), 0);
    while let Some(piece) = pieces.next()? {
        let length: i64 = piece.get(1)?;
        if bytes + length > MERGED_BYTES {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
        group.push(piece.get(0)?);
        bytes += length;
    }
    groups.push(group);
    Ok(groups)
}

/// The encoded pieces with these ids.
pub(super) fn read_pieces(db: &Connection, ids: &[i64]) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut piece = db.prepare("SELECT piece FROM changes WHERE id = ?1")?;
    ids.iter()
        .map(|id| piece.query_row([id], |row| row.get(0)))
        .collect()
}

/// The latest change of a key: its place, the key and its new entry.
pub(super) type Latest<'p> = (Place, &'p [u8], Option<&'p [u8]>);

/// The latest change of each key in pieces, the oldest of which is first; sorted by place.
pub(super) fn latest(pieces: &[Vec<u8>]) -> rusqlite::Result<Vec<Latest<'_>>> {
    let mut latest: Vec<Latest<'_>> = Vec::new();
    for bytes in pieces {
        let piece: Vec<(BlobRef<'_>, Option<BlobRef<'_>>)> = codec::decode_borrowed(bytes)
            .map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error))
            })?;
        let changes = piece.into_iter();
        latest.extend(
            changes.map(|(BlobRef(key), entry)| {
                (place_of(key), key, entry.map(|BlobRef(entry)| entry))
            }),
        );
    }
    // Of one key the newest first.
    latest.reverse();
    latest.sort_by_key(|(place, key, _)| (*place, *key));
    latest.dedup_by_key(|(_, key, _)| *key);
    Ok(latest)
}

/// Shows every entry of the state at this checkpoint, the last one.
pub(super) fn read(db: &Connection, generation: u64, each: EachEntry<'_>) -> rusqlite::Result<()> {
    let rows = "SELECT place, key, entry FROM state WHERE place BETWEEN ?1 AND ?2";
    let mut rows = db.prepare(rows)?;
    for shard in 0..SHARDS {
        let ids = groups(db, shard, generation)?.concat();
        let pieces = read_pieces(db, &ids)?;
        let latest = latest(&pieces)?;
        for (_, key, entry) in &latest {
            if let Some(entry) = entry {
                each(key, entry);
            }
        }
        let places = places_of(shard);
        let mut rows = rows.query([places.start(), places.end()])?;
        while let Some(row) = rows.next()? {
            let (place, key) = (row.get(0)?, row.get_ref(1)?.as_blob()?);
            let newer =
                latest.binary_search_by_key(&(place, key), |(place, key, _)| (*place, *key));
            if newer.is_err() {
                each(key, row.get_ref(2)?.as_blob()?);
            }
        }
    }
    Ok(())
}

/// The rows of table `state`, for writing.
struct Rows<'t> {
    put: Statement<'t>,
    delete: Statement<'t>,
}

impl<'t> Rows<'t> {
    fn of(transaction: &'t Connection) -> rusqlite::Result<Self> {
        let put = "INSERT INTO state (place, key, entry) VALUES (?1, ?2, ?3)
                       ON CONFLICT (place, key) DO UPDATE SET entry = excluded.entry";
        let delete = "DELETE FROM state WHERE place = ?1 AND key = ?2";
        Ok(Rows {
            put: transaction.prepare(put)?,
            delete: transaction.prepare(delete)?,
        })
    }

    /// Sets or removes an entry; returns the pages that may have changed for it.
    fn set(&mut self, place: Place, key: &[u8], entry: Option<&[u8]>) -> rusqlite::Result<u64> {
        match entry {
            Some(entry) => self.put.execute(params![place, key, entry])?,
            None => self.delete.execute(params![place, key])?,
        };
        // A changed key may rewrite a page of its own.
        Ok(1 + pages(0, length(key, entry) as u64))
    }
}

fn length(key: &[u8], entry: Option<&[u8]>) -> usize {
    key.len() + entry.map_or(0, <[u8]>::len)
}
