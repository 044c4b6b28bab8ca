//! A key as the table sorts it: its first bytes lie beside it, so that finding a key among a hundred thousand does not
//! fetch the bytes of every other key that it is compared with from somewhere else in memory.
//!
//! ```text
//! head  = the first 16 bytes, big-endian, zeros behind a shorter key
//! order = by head, then by all bytes: that of the bytes alone
//! ```

use std::borrow::Borrow;
use std::cmp::Ordering;

use bytes::Bytes;

/// A key of the table.
#[derive(Clone)]
pub(crate) struct Key {
    head: u128,
    pub(crate) bytes: Bytes,
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

impl Key {
    pub(crate) fn of(bytes: Bytes) -> Self {
        Key {
            head: head(&bytes),
            bytes,
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

impl Ordered for Key {
    fn head(&self) -> u128 {
        self.head
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes
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

impl<'a> Borrow<dyn Ordered + 'a> for Key {
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

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let (this, other): (&dyn Ordered, &dyn Ordered) = (self, other);
        this.cmp(other)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;
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
        fn keys_are_in_the_order_of_their_bytes(a in bytes(), b in bytes()) {
            let keys = (Key::of(a.clone().into()), Key::of(b.clone().into()));
            prop_assert_eq!(keys.0.cmp(&keys.1), a.cmp(&b));
            let held: &dyn Ordered = &keys.0;
            let wanted: &dyn Ordered = &Wanted::of(&b);
            prop_assert_eq!(held.cmp(wanted), a.cmp(&b));
        }
    }
}
