//! What keys hold or held, in the order of the parts of a state: by path, then by key.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::cmp::Ordering;
use std::sync::Arc;

use crate::record::Record;
use crate::trie::Path;

/// What a key holds.
#[derive(Clone)]
pub(crate) enum Held {
    /// This.
    Record(Record),
    /// This key holds nothing.
    Nothing(Arc<[u8]>),
}

impl Held {
    /// What is under `key`, if it is `found`.
    pub(crate) fn of(key: &[u8], found: Option<Record>) -> Self {
        found.map_or_else(|| Held::Nothing(key.into()), Held::Record)
    }

    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Held::Record(record) => record.key(),
            Held::Nothing(key) => key,
        }
    }

    pub(crate) fn record(&self) -> Option<&Record> {
        match self {
            Held::Record(record) => Some(record),
            Held::Nothing(_) => None,
        }
    }
}

/// The same with its place. Two are equal if they are about the same key, whatever it holds.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) path: Path,
    pub(crate) held: Held,
}

impl Placed {
    /// Hashes the key to find its place.
    pub(crate) fn of(held: Held) -> Self {
        Placed {
            path: Path::of(held.key()),
            held,
        }
    }

    /// Before everything on this path and behind everything before it.
    pub(crate) fn first(path: Path) -> Self {
        Placed {
            path,
            held: Held::of(&[], None),
        }
    }

    /// What it is ordered by.
    pub(crate) fn place(&self) -> (Path, &[u8]) {
        (self.path, self.held.key())
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> Ordering {
        // Keys lie elsewhere in memory: they are fetched only where paths are equal.
        let paths = self.path.cmp(&other.path);
        paths.then_with(|| self.held.key().cmp(other.held.key()))
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Placed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_path_are_different_and_what_they_hold_makes_no_difference() {
        // No two keys are known whose paths are the same; somebody may find some.
        let path = Path(7);
        let placed = |key: &[u8], found| Placed {
            path,
            held: Held::of(key, found),
        };
        let record = Record::new(b"b", b"value", crate::version::Version::default());
        let (a, b, held) = (
            placed(b"a", None),
            placed(b"b", None),
            placed(b"b", Some(record)),
        );
        assert!(a != b && a < b && b == held);
        assert!(Placed::first(path) < a && a < Placed::first(Path(8)));
    }
}
