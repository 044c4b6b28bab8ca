//! A record as the table sorts it: the first bytes of its key lie beside it, so that finding a key among a hundred
//! thousand does not fetch the bytes of every other key that it is compared with from somewhere else in memory.
//!
//! ```text
//! head  = the first 16 bytes, big-endian, zeros behind a shorter key
//! order = by head, then by all bytes: that of the bytes alone
//! ```

use std::borrow::Borrow;
use std::cmp::Ordering;

use crate::record::Record;

/// A row of the table. Two are equal if they have the same key.
#[derive(Clone)]
pub(crate) struct Row {
    head: u128,
    pub(crate) record: Record,
}

/// Bytes to look a key up by.
pub(crate) struct Wanted<'a> {
    head: u128,
    bytes: &'a [u8],
}

/// What both are, so that nothing is copied to look a key up.
pub(crate) trait Ordered {
    fn head(&self) -> u128;
    fn bytes(&self) -> &[u8];
}

impl Row {
    pub(crate) fn of(record: Record) -> Self {
        Row {
            head: head(record.key()),
            record,
        }
    }
}

impl<'a> Wanted<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Wanted {
            head: head(bytes),
            bytes,
        }
    }
}

fn head(bytes: &[u8]) -> u128 {
    let mut head = [0; 16];
    for (to, from) in head.iter_mut().zip(bytes) {
        *to = *from;
    }
    u128::from_be_bytes(head)
}

impl Ordered for Row {
    fn head(&self) -> u128 {
        self.head
    }

    fn bytes(&self) -> &[u8] {
        self.record.key()
    }
}

impl Ordered for Wanted<'_> {
    fn head(&self) -> u128 {
        self.head
    }

    fn bytes(&self) -> &[u8] {
        self.bytes
    }
}

impl<'a> Borrow<dyn Ordered + 'a> for Row {
    fn borrow(&self) -> &(dyn Ordered + 'a) {
        self
    }
}

impl Ord for dyn Ordered + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        // Zeros behind a shorter key come before everything but zeros, as its end does; where heads are equal, the
        // bytes tell the two apart.
        let heads = self.head().cmp(&other.head());
        heads.then_with(|| self.bytes().cmp(other.bytes()))
    }
}

impl PartialOrd for dyn Ordered + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Ordered + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Ordered + '_ {}

impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        let (this, other): (&dyn Ordered, &dyn Ordered) = (self, other);
        this.cmp(other)
    }
}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Row {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;
    use proptest::prelude::*;

    /// Bytes of which many begin alike and end in zeros, around the length of a head.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0u8), Just(1), Just(255)];
        prop_oneof![
            prop::collection::vec(byte.clone(), 0..4),
            prop::collection::vec(byte, 14..20),
        ]
    }

    proptest! {
        #[test]
        fn rows_are_in_the_order_of_their_keys(a in bytes(), b in bytes()) {
            let row = |key: &[u8]| Row::of(Record::new(key, b"", Version::default()));
            let rows = (row(&a), row(&b));
            prop_assert_eq!(rows.0.cmp(&rows.1), a.cmp(&b));
            let held: &dyn Ordered = &rows.0;
            let wanted: &dyn Ordered = &Wanted::of(&b);
            prop_assert_eq!(held.cmp(wanted), a.cmp(&b));
        }
    }
}
