//! What the record log knows of its rows, and the digests that tie them together.

use std::collections::{BTreeMap, VecDeque};

use crypto::{Digest, Hasher};

use super::anchor::Anchor;
use crate::storage::{Identity, StoredRecord};

/// What must be known of the stored rows to go on writing.
pub(super) struct Contents {
    pub(super) base: Base,
    /// Rows in the table, ascending. As many as fit into the protocol's window.
    pub(super) rows: VecDeque<Row>,
    /// Digest of the promise of each kind; at most 256.
    pub(super) promises: BTreeMap<u8, Digest>,
    /// The last position given to a record.
    pub(super) position: u64,
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
    pub(super) chain: Digest,
}

impl Contents {
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
            incarnation: 0, // the database knows it
            position: self.position,
            row,
            head,
            rest: self.base.digest(&promises_digest(&self.promises)),
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
