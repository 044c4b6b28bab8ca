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

use std::collections::{BTreeSet, VecDeque};

use consensus::SeqNo;
use crypto::Digest;

use crate::held::Placed;
use crate::trie::Prefix;

/// What a kept record costs beside its key and value: header, counts, nodes of the set.
const RECORD_COST: usize = 120;

/// What some keys held; those of a part are neighbours.
type Before = BTreeSet<Placed>;

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
    before: Before,
}

/// What makes the live state an earlier one.
pub(crate) type Overlay<'a> = BTreeSet<&'a Placed>;

impl Snapshots {
    /// Freezes the state that has these digests. Nothing may be waiting to be settled.
    pub(crate) fn freeze(&mut self, seq: SeqNo, last_delete: SeqNo, buckets: Vec<Digest>) {
        debug_assert!(self.frozen.back().is_none_or(|newest| newest.seq < seq));
        self.frozen.push_back(Frozen {
            seq,
            last_delete,
            buckets,
            before: Before::new(),
        });
    }

    /// A key has changed for the first time since the newest state was frozen (or again).
    pub(crate) fn changed(&mut self, before: Placed) {
        let Some(newest) = self.frozen.back_mut() else {
            return;
        };
        let cost = cost(&before);
        if newest.before.insert(before) {
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
        for before in forgotten.before {
            let cost = cost(&before);
            if !older
                .as_mut()
                .is_some_and(|older| older.before.insert(before))
            {
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
        let first = Placed::first(first);
        let mut overlay = Overlay::new();
        for frozen in self.frozen.iter().skip(at) {
            let under = frozen.before.range(&first..);
            // What is in already is older, and stays.
            overlay.extend(under.take_while(|before| before.path <= last));
        }
        Some(overlay)
    }

    fn position(&self, seq: SeqNo) -> Result<usize, usize> {
        self.frozen.binary_search_by_key(&seq, |frozen| frozen.seq)
    }
}

fn cost(before: &Placed) -> usize {
    let value = before
        .held
        .record()
        .map_or(0, |record| record.value().len());
    let key = before.held.key().len();
    key.saturating_add(value).saturating_add(RECORD_COST)
}
