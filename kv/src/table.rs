//! The versioned map, with what surrounds a modification: the next version, the list of touched
//! keys, and a journal that can take modifications back.
//!
//! Executing is kept cheap by postponing: a modified key is only remembered here, once, and
//! hashed when many wait or the digest is asked for.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::collections::BTreeMap;
use std::ops::Bound as RangeBound;

use bytes::Bytes;
use consensus::SeqNo;
use crypto::codec::Blob;

use crate::key::{Key, Ordered, Wanted};
use crate::result::Entry;
use crate::version::Version;

#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) value: Bytes,
    pub(crate) version: Version,
    /// The key is among the touched ones, so that a hot key is listed once.
    listed: bool,
}

impl Row {
    /// A key with a row that is as if it had always been there.
    pub(crate) fn of(entry: Entry) -> (Bytes, Row) {
        let row = Row {
            value: entry.value.0,
            version: entry.version,
            listed: false,
        };
        (entry.key.0, row)
    }

    /// What a modification stores.
    fn changed(value: Bytes, version: Version) -> Row {
        Row {
            value,
            version,
            listed: true,
        }
    }

    /// The entry of a key that holds this.
    pub(crate) fn entry(&self, key: &Bytes) -> Entry {
        Entry {
            key: Blob(key.clone()),
            value: Blob(self.value.clone()),
            version: self.version,
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Table {
    rows: BTreeMap<Key, Row>,
    last_delete: SeqNo,
    /// The latest version given out.
    clock: Version,
    /// Keys modified since they were last taken, each with what it held then; removed and
    /// re-created ones may repeat, and the first says it.
    touched: Vec<(Bytes, Option<Row>)>,
    /// What modifications replaced, oldest first; empty while no savepoint is open.
    journal: Vec<(Bytes, Option<Row>)>,
    savepoints: usize,
}

/// A state to return to. Savepoints nest: the latest opened is closed first.
#[must_use = "a savepoint is kept or rolled back"]
pub(crate) struct Savepoint {
    journal: usize,
    touched: usize,
    last_delete: SeqNo,
    clock: Version,
}

impl Table {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Row> {
        self.rows.get(&Wanted::of(key) as &dyn Ordered)
    }

    pub(crate) fn entry(&self, key: &[u8]) -> Option<Entry> {
        let wanted = Wanted::of(key);
        let found = self.rows.get_key_value(&wanted as &dyn Ordered);
        found.map(to_entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn last_delete(&self) -> SeqNo {
        self.last_delete
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.rows.iter().map(to_entry)
    }

    /// Entries of `start <= key < end`, ascending.
    pub(crate) fn range(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
    ) -> impl Iterator<Item = (&Bytes, &Row)> {
        // A BTreeMap refuses a range that ends before it starts; here it is just empty.
        let end = end.map(|end| end.max(start));
        let (start, end) = (Wanted::of(start), end.map(Wanted::of));
        let end = end.as_ref().map_or(RangeBound::Unbounded, |end| {
            RangeBound::Excluded(end as &dyn Ordered)
        });
        let start = RangeBound::Included(&start as &dyn Ordered);
        let rows = self.rows.range::<dyn Ordered, _>((start, end));
        rows.map(|(key, row)| (&key.bytes, row))
    }

    /// Stores a value at slot `seq`.
    pub(crate) fn set(&mut self, seq: SeqNo, key: Bytes, value: Bytes) -> Version {
        match self.replace(seq, key, value) {
            Ok(version) => version,
            Err((key, value)) => {
                let version = self.clock.following(seq);
                self.clock = version;
                let row = Row::changed(value, version);
                self.rows.insert(Key::of(key.clone()), row);
                self.note(key, None);
                version
            }
        }
    }

    /// Stores a value at slot `seq` under a key that is present; gives both back if it is not.
    pub(crate) fn replace(
        &mut self,
        seq: SeqNo,
        key: Bytes,
        value: Bytes,
    ) -> Result<Version, (Bytes, Bytes)> {
        let Some(present) = self.rows.get_mut(&Wanted::of(&key) as &dyn Ordered) else {
            return Err((key, value));
        };
        let version = self.clock.following(seq);
        self.clock = version;
        let previous = std::mem::replace(present, Row::changed(value, version));
        self.note(key, Some(previous));
        Ok(version)
    }

    /// Removes a key at slot `seq`; says whether it was there.
    pub(crate) fn remove(&mut self, seq: SeqNo, key: &[u8]) -> bool {
        let removed = self.rows.remove_entry(&Wanted::of(key) as &dyn Ordered);
        let Some((key, row)) = removed else {
            return false;
        };
        self.clock = self.clock.following(seq);
        self.last_delete = self.last_delete.max(seq);
        self.note(key.bytes, Some(row));
        true
    }

    fn note(&mut self, key: Bytes, previous: Option<Row>) {
        let unlisted = !previous.as_ref().is_some_and(|row| row.listed);
        if self.savepoints > 0 {
            self.journal.push((key.clone(), previous.clone()));
        }
        if unlisted {
            self.touched.push((key, previous));
        }
    }

    /// Puts back a piece of durable state, as if it had always been there.
    pub(crate) fn load(&mut self, entry: Entry) {
        let (key, row) = Row::of(entry);
        self.load_row(key, row);
    }

    pub(crate) fn load_row(&mut self, key: Bytes, row: Row) {
        self.rows.insert(Key::of(key), row);
    }

    /// Takes a key out as durable state says.
    pub(crate) fn unload(&mut self, key: &[u8]) {
        self.rows.remove(&Wanted::of(key) as &dyn Ordered);
    }

    /// Puts back the slot of the latest delete.
    pub(crate) fn load_last_delete(&mut self, seq: SeqNo) {
        self.last_delete = seq;
    }

    /// Keys that have been modified since they were last taken; some may count twice.
    pub(crate) fn touched(&self) -> usize {
        self.touched.len()
    }

    /// Calls `visit` for the keys modified since the last call, ascending and each once, with
    /// what they hold now and what they held then.
    pub(crate) fn drain_touched(
        &mut self,
        mut visit: impl FnMut(Bytes, Option<&Row>, Option<Row>),
    ) {
        // Stable: of a key that repeats the first listing stays.
        self.touched.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.touched
            .dedup_by(|(later, _), (first, _)| later == first);
        for (key, before) in self.touched.drain(..) {
            let mut row = self.rows.get_mut(&Wanted::of(&key) as &dyn Ordered);
            if let Some(row) = &mut row {
                row.listed = false;
            }
            visit(key, row.as_deref(), before);
        }
    }

    /// From here on, modifications can be taken back.
    pub(crate) fn savepoint(&mut self) -> Savepoint {
        self.savepoints = self.savepoints.saturating_add(1);
        Savepoint {
            journal: self.journal.len(),
            touched: self.touched.len(),
            last_delete: self.last_delete,
            clock: self.clock,
        }
    }

    /// Keeps the modifications since `savepoint`, unless an outer one is rolled back.
    pub(crate) fn keep(&mut self, _savepoint: Savepoint) {
        self.close_savepoint();
    }

    /// Takes back all modifications since `savepoint`; no trace of them is left.
    pub(crate) fn roll_back(&mut self, savepoint: Savepoint) {
        for (key, previous) in self.journal.drain(savepoint.journal..).rev() {
            match previous {
                Some(row) => self.rows.insert(Key::of(key), row),
                None => self.rows.remove(&Wanted::of(&key) as &dyn Ordered),
            };
        }
        self.touched.truncate(savepoint.touched);
        self.last_delete = savepoint.last_delete;
        self.clock = savepoint.clock;
        self.close_savepoint();
    }

    fn close_savepoint(&mut self) {
        self.savepoints = self.savepoints.saturating_sub(1);
        if self.savepoints == 0 {
            self.journal.clear();
        }
    }
}

fn to_entry((key, row): (&Key, &Row)) -> Entry {
    row.entry(&key.bytes)
}
