//! What the record log knows of its rows, and the digests that tie them together.

use std::collections::{BTreeMap, VecDeque};

use crypto::{Digest, Hasher};

use super::anchor::Anchor;
use crate::storage::{Identity, StoredRecord};

/// What must be known of the stored rows to go on writing.
pub(super) struct Contents {
    pub(super) base: Base,
    /// Rows in the table, ascending; see [`Contents::rows_cost`] for their bound.
    pub(super) rows: VecDeque<Row>,
    /// The row that holds the record of a sequence number and kind. Earlier rows of the same two are
    /// superseded. As many as fit into the protocol's window.
    current: BTreeMap<(u64, u8), u64>,
    /// What all rows together take, and what those in `current` do.
    rows_cost: u64,
    current_cost: u64,
    /// Digest of the promise of each kind; at most 256.
    pub(super) promises: BTreeMap<u8, Digest>,
    /// The last position given to a record.
    pub(super) position: u64,
    /// Rows that may be deleted from the front, if they are useless.
    pub(super) deletable: u64,
}

/// Where the chain starts, and what it does not cover.
#[derive(Clone, Copy)]
pub(super) struct Base {
    /// The last row that was deleted, and its chain value.
    pub(super) row: u64,
    pub(super) chain: Digest,
    pub(super) truncated_below: u64,
    /// Position of the last change of this row or of the promises: they have positions of their own,
    /// so that a log which lost one of them is behind its anchor.
    pub(super) position: u64,
}

pub(super) struct Row {
    pub(super) row: u64,
    pub(super) seq: u64,
    pub(super) kind: u8,
    /// Bytes that it takes, about.
    pub(super) cost: u64,
    pub(super) chain: Digest,
}

impl Row {
    pub(super) fn of(row: u64, record: &StoredRecord, chain: Digest) -> Self {
        Row {
            row,
            seq: record.seq,
            kind: record.kind,
            cost: record.bytes.len() as u64 + ROW_BYTES,
            chain,
        }
    }
}

/// What a row takes besides its record: its chain value, four numbers and their lengths.
const ROW_BYTES: u64 = 64;
/// Superseded rows may take this much beside half of what the current ones take, before current
/// rows are moved out of their way. Below it, nothing is worth the copying.
const SUPERSEDED_BYTES: u64 = 1 << 20;

impl Contents {
    /// A log with nothing in it.
    pub(super) fn empty(base: Base) -> Self {
        Contents {
            position: base.position,
            base,
            rows: VecDeque::new(),
            current: BTreeMap::new(),
            rows_cost: 0,
            current_cost: 0,
            promises: BTreeMap::new(),
            deletable: 0,
        }
    }

    /// Takes note of a row at the end of the chain, which supersedes an earlier one of its sequence
    /// number and kind.
    pub(super) fn push(&mut self, row: Row) {
        self.rows_cost += row.cost;
        if row.seq > self.base.truncated_below {
            self.current_cost += row.cost;
            if let Some(old) = self.current.insert((row.seq, row.kind), row.row) {
                self.current_cost -= self.cost_of(old);
            }
        }
        self.rows.push_back(row);
    }

    /// Raises the truncation.
    pub(super) fn discard(&mut self, below: u64) {
        self.base.truncated_below = below;
        let kept = match below.checked_add(1) {
            Some(first) => self.current.split_off(&(first, 0)),
            None => BTreeMap::new(),
        };
        let discarded = std::mem::replace(&mut self.current, kept);
        for row in discarded.into_values() {
            self.current_cost -= self.cost_of(row);
        }
    }

    /// The front row, if it is needed no more.
    pub(super) fn useless(&self) -> Option<&Row> {
        let front = self.rows.front();
        front.filter(|row| self.current.get(&(row.seq, row.kind)) != Some(&row.row))
    }

    /// Takes the front row off if it is needed no more.
    pub(super) fn pop_useless(&mut self) -> bool {
        let useless = self.useless().is_some();
        if useless {
            self.pop_front();
        }
        useless
    }

    /// Takes the front row off: it is useless, or its record is at the end of the chain again.
    pub(super) fn pop_front(&mut self) {
        if let Some(row) = self.rows.pop_front() {
            self.rows_cost -= row.cost;
            self.base.row = row.row;
            self.base.chain = row.chain;
        }
    }

    /// Whether superseded rows take so much that it is worth moving current ones to get at them.
    pub(super) fn is_loose(&self) -> bool {
        let superseded = self.rows_cost - self.current_cost;
        superseded > self.current_cost / 2 + SUPERSEDED_BYTES
    }

    /// Whether a record at this row is the latest of its sequence number and kind.
    pub(super) fn is_current(&self, row: u64, record: &StoredRecord) -> bool {
        record.seq == 0 || self.current.get(&(record.seq, record.kind)) == Some(&row)
    }

    fn cost_of(&self, row: u64) -> u64 {
        let found = self.rows.binary_search_by_key(&row, |row| row.row);
        found.map_or(0, |at| self.rows[at].cost)
    }

    /// The last row of the chain and its value.
    pub(super) fn head(&self) -> (u64, Digest) {
        match self.rows.back() {
            Some(last) => (last.row, last.chain),
            None => (self.base.row, self.base.chain),
        }
    }

    /// How far the log has come.
    pub(super) fn anchor(&self) -> Anchor {
        let (row, head) = self.head();
        Anchor {
            position: self.position,
            row,
            head,
            rest: self.base.digest(&promises_digest(&self.promises)),
            ..Anchor::default() // the database knows them
        }
    }
}

impl Base {
    /// Of a log in which nothing was deleted yet. The chain starts with whose it is.
    pub(super) fn genesis(owner: &Identity) -> Self {
        let mut hasher = Hasher::new("storage/genesis");
        hasher.update(&owner.cluster).u64(u64::from(owner.replica));
        Base {
            row: 0,
            chain: hasher.finish(),
            truncated_below: 0,
            position: 0,
        }
    }

    /// Of this row and the promises.
    pub(super) fn digest(&self, promises: &Digest) -> Digest {
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

pub(super) fn link(before: &Digest, row: u64, record: &StoredRecord) -> Digest {
    let mut hasher = Hasher::new("storage/chain");
    hasher
        .update(before.as_bytes())
        .u64(row)
        .u64(record.seq)
        .u64(u64::from(record.kind))
        .part(&record.bytes);
    hasher.finish()
}

pub(super) fn promise_digest(position: u64, record: &StoredRecord) -> Digest {
    let mut hasher = Hasher::new("storage/promise");
    hasher
        .u64(position)
        .u64(u64::from(record.kind))
        .part(&record.bytes);
    hasher.finish()
}

pub(super) fn promises_digest(promises: &BTreeMap<u8, Digest>) -> Digest {
    let mut hasher = Hasher::new("storage/promises");
    for digest in promises.values() {
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
}
