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

use std::collections::BTreeSet;
use std::ops::Bound as RangeBound;

use consensus::SeqNo;

use crate::held::Held;
use crate::record::Record;
use crate::row::{Ordered, Row, Wanted};
use crate::version::Version;

#[derive(Clone, Default)]
pub(crate) struct Table {
    rows: BTreeSet<Row>,
    last_delete: SeqNo,
    /// The latest version given out.
    clock: Version,
    /// What keys held when they were first modified after the touched ones were last taken; of a
    /// key that was removed and re-created since then there may be several, and the first says it.
    touched: Vec<Held>,
    /// The latest version of all that were here when the touched ones were last taken: a key with a
    /// later one is among them, and so a hot key is listed once.
    taken: Version,
    /// What modifications replaced, oldest first; empty while no savepoint is open.
    journal: Vec<Held>,
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
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Record> {
        let row = self.rows.get(&Wanted::of(key) as &dyn Ordered);
        row.map(|row| &row.record)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn last_delete(&self) -> SeqNo {
        self.last_delete
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.rows.iter().map(|row| &row.record)
    }

    /// Records of `start <= key < end`, ascending.
    pub(crate) fn range(&self, start: &[u8], end: Option<&[u8]>) -> impl Iterator<Item = &Record> {
        // A BTreeSet refuses a range that ends before it starts; here it is just empty.
        let end = end.map(|end| end.max(start));
        let (start, end) = (Wanted::of(start), end.map(Wanted::of));
        let end = end.as_ref().map_or(RangeBound::Unbounded, |end| {
            RangeBound::Excluded(end as &dyn Ordered)
        });
        let start = RangeBound::Included(&start as &dyn Ordered);
        let rows = self.rows.range::<dyn Ordered, _>((start, end));
        rows.map(|row| &row.record)
    }

    /// Stores a value at slot `seq`.
    pub(crate) fn set(&mut self, seq: SeqNo, key: &[u8], value: &[u8]) -> Version {
        let version = self.clock.following(seq);
        self.clock = version;
        let before = self.put(Record::new(key, value, version));
        self.note(Held::of(key, before));
        version
    }

    /// Stores a value at slot `seq` under a key that is present; `None` if it is not.
    pub(crate) fn replace(&mut self, seq: SeqNo, key: &[u8], value: &[u8]) -> Option<Version> {
        let version = self.clock.following(seq);
        // Looking first would be a second way through the table for what is nearly always there.
        let Some(before) = self.put(Record::new(key, value, version)) else {
            self.unload(key);
            return None;
        };
        self.clock = version;
        self.note(Held::Record(before));
        Some(version)
    }

    /// Removes a key at slot `seq`; says whether it was there.
    pub(crate) fn remove(&mut self, seq: SeqNo, key: &[u8]) -> bool {
        let Some(row) = self.rows.take(&Wanted::of(key) as &dyn Ordered) else {
            return false;
        };
        self.clock = self.clock.following(seq);
        self.last_delete = self.last_delete.max(seq);
        self.note(Held::Record(row.record));
        true
    }

    /// Gives back what the key held.
    fn put(&mut self, record: Record) -> Option<Record> {
        let replaced = self.rows.replace(Row::of(record));
        replaced.map(|row| row.record)
    }

    fn note(&mut self, before: Held) {
        let record = before.record();
        let unlisted = record.is_none_or(|record| record.version() <= self.taken);
        if self.savepoints > 0 {
            self.journal.push(before.clone());
        }
        if unlisted {
            self.touched.push(before);
        }
    }

    /// Puts back a piece of durable state, as if it had always been there.
    pub(crate) fn load(&mut self, record: Record) {
        self.taken = self.taken.max(record.version());
        self.put(record);
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
    pub(crate) fn drain_touched(&mut self, mut visit: impl FnMut(Held, Held)) {
        let mut touched = std::mem::take(&mut self.touched);
        // Stable: of a key that repeats the first listing stays.
        touched.sort_by(|a, b| a.key().cmp(b.key()));
        touched.dedup_by(|later, first| later.key() == first.key());
        for before in touched.drain(..) {
            let now = Held::of(before.key(), self.get(before.key()).cloned());
            let version = now.record().map(Record::version);
            self.taken = self.taken.max(version.unwrap_or_default());
            visit(now, before);
        }
        // The room is kept.
        self.touched = touched;
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
        for held in self.journal.drain(savepoint.journal..).rev() {
            match held {
                Held::Record(record) => self.rows.replace(Row::of(record)),
                Held::Nothing(key) => self.rows.take(&Wanted::of(&key) as &dyn Ordered),
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
