//! The state as it was at earlier checkpoints, while execution goes on (docs/protocol.md R9).
//!
//! Nothing is copied when a state is frozen but its bucket digests. From then on, what a key held
//! is kept when it first changes; what never changes is read from the live table. So the memory
//! grows with the keys changed, and a state is the live one with a few rows laid over it:
//!
//! ```text
//!   frozen at 64    frozen at 128     live
//!   a: 1            a: 2, c: none     a = 3, b = 7, c = 9
//!
//!   as of 64: a = 1, b = 7, no c      as of 128: a = 2, b = 7, no c
//! ```

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use consensus::SeqNo;
use crypto::Digest;

use crate::table::Row;
use crate::trie::{Path, Prefix};

/// What a kept row costs beside its key and value: two map keys, a row, nodes of the map.
const ROW_COST: usize = 160;

/// What some keys held, by path so that those of a part are neighbours; `None`: the key was absent.
type Rows = BTreeMap<(Path, Bytes), Option<Row>>;

/// All frozen states, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Snapshots {
    frozen: VecDeque<Frozen>,
    bytes: usize,
}

#[derive(Clone)]
struct Frozen {
    seq: SeqNo,
    last_delete: SeqNo,
    buckets: Vec<Digest>,
    /// What was changed between this state and the next one, or the live one.
    before: Rows,
}

/// The rows that make the live state an earlier one.
pub(crate) type Overlay<'a> = BTreeMap<&'a (Path, Bytes), Option<&'a Row>>;

impl Snapshots {
    /// Freezes the state that has these digests. Nothing may be waiting to be settled.
    pub(crate) fn freeze(&mut self, seq: SeqNo, last_delete: SeqNo, buckets: Vec<Digest>) {
        debug_assert!(self.frozen.back().is_none_or(|newest| newest.seq < seq));
        self.frozen.push_back(Frozen {
            seq,
            last_delete,
            buckets,
            before: Rows::new(),
        });
    }

    /// A key has changed for the first time since the newest state was frozen (or again).
    pub(crate) fn changed(&mut self, path: Path, key: &Bytes, before: Option<Row>) {
        let Some(newest) = self.frozen.back_mut() else {
            return;
        };
        let at = (path, key.clone());
        let cost = cost(&at, &before);
        if let std::collections::btree_map::Entry::Vacant(vacant) = newest.before.entry(at) {
            vacant.insert(before);
            self.bytes = self.bytes.saturating_add(cost);
        }
    }

    /// Forgets one state. What it kept for older ones they keep themselves.
    pub(crate) fn thaw(&mut self, seq: SeqNo) {
        let Ok(at) = self.position(seq) else {
            return;
        };
        let Some(forgotten) = self.frozen.remove(at) else {
            return;
        };
        let mut older = at
            .checked_sub(1)
            .and_then(|older| self.frozen.get_mut(older));
        for (key, row) in forgotten.before {
            let cost = cost(&key, &row);
            let kept = older.as_mut().is_some_and(|older| {
                let vacant = !older.before.contains_key(&key);
                if vacant {
                    older.before.insert(key, row);
                }
                vacant
            });
            if !kept {
                self.bytes = self.bytes.saturating_sub(cost);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes of all that is kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The slot of the latest delete and the bucket digests at a frozen state.
    pub(crate) fn manifest(&self, seq: SeqNo) -> Option<(SeqNo, &[Digest])> {
        let frozen = self.frozen.get(self.position(seq).ok()?)?;
        Some((frozen.last_delete, &frozen.buckets))
    }

    /// What differs under `prefix` between a frozen state and the live one.
    pub(crate) fn overlay(&self, seq: SeqNo, prefix: Prefix) -> Option<Overlay<'_>> {
        let at = self.position(seq).ok()?;
        let (first, last) = prefix.range();
        let mut overlay = Overlay::new();
        for frozen in self.frozen.iter().skip(at) {
            let rows = frozen.before.range((first, Bytes::new())..);
            for (key, row) in rows.take_while(|((path, _), _)| *path <= last) {
                overlay.entry(key).or_insert(row.as_ref());
            }
        }
        Some(overlay)
    }

    fn position(&self, seq: SeqNo) -> Result<usize, usize> {
        self.frozen.binary_search_by_key(&seq, |frozen| frozen.seq)
    }
}

fn cost((_, key): &(Path, Bytes), row: &Option<Row>) -> usize {
    let value = row.as_ref().map_or(0, |row| row.value.len());
    key.len().saturating_add(value).saturating_add(ROW_COST)
}
