//! What is kept back until its time has come. Bounded in number and bytes; beyond that the oldest
//! leaves at once, so that a slow member is slow and not silent.

use std::collections::BTreeMap;

use consensus::pbft::message::Wire;
use consensus::{Instant, RawBatch};

use crate::attack::Parcel;

/// Most things kept back at a time.
pub const HELD_MAX: usize = 16_384;
/// Most bytes of bodies kept back at a time.
pub const HELD_BYTES_MAX: usize = 64 << 20;

/// Things by the time at which they leave, in the order in which they came.
#[derive(Debug)]
pub struct Held<T> {
    queue: BTreeMap<(Instant, u64), (usize, T)>,
    bytes: usize,
    count: u64,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Held {
            queue: BTreeMap::new(),
            bytes: 0,
            count: 0,
        }
    }
}

impl<T> Held<T> {
    /// Keeps something of about this many bytes back until `due`.
    pub fn keep(&mut self, due: Instant, bytes: usize, what: T) {
        self.count += 1;
        self.bytes += bytes;
        self.queue.insert((due, self.count), (bytes, what));
    }

    /// When the next one leaves.
    pub fn next(&self) -> Option<Instant> {
        let (due, _) = self.queue.first_key_value()?.0;
        Some(if self.is_over() { Instant(0) } else { *due })
    }

    fn is_over(&self) -> bool {
        self.queue.len() > HELD_MAX || self.bytes > HELD_BYTES_MAX
    }

    /// Takes the first one whose time has come, or that there is no room for.
    pub fn take(&mut self, now: Instant) -> Option<T> {
        let over = self.is_over();
        let first = self.queue.first_entry()?;
        if first.key().0 > now && !over {
            return None;
        }
        let (bytes, what) = first.remove();
        self.bytes -= bytes;
        Some(what)
    }

    /// Things kept back.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// About how many bytes a message has: those of what may be large in it.
pub fn weight(wire: &Wire) -> usize {
    const SMALL: usize = 256;
    let large: usize = match wire {
        Wire::PrePrepare(_, Some(raw)) | Wire::Batch(raw) => raw.bytes(),
        Wire::Decision(decision) => decision.batch.as_ref().map_or(0, RawBatch::bytes),
        Wire::Forward(raw) => raw.iter().map(|request| request.len()).sum(),
        Wire::ViewChange(signed) => signed.bytes.len(),
        Wire::NewView(signed) => signed.bytes.len(),
        Wire::State(_) => 4096,
        _ => 0,
    };
    SMALL + large
}

/// The same for what leaves at the bend.
pub fn weight_of(parcel: &Parcel) -> usize {
    match parcel {
        Parcel::Wire(wire) => weight(wire),
        Parcel::Bytes(bytes) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_leave_when_they_are_due_in_the_order_in_which_they_came() {
        let mut held = Held::default();
        held.keep(Instant(5), 1, 'b');
        held.keep(Instant(3), 1, 'a');
        held.keep(Instant(5), 1, 'c');
        assert_eq!(held.next(), Some(Instant(3)));
        assert_eq!(held.take(Instant(4)), Some('a'));
        assert_eq!(held.take(Instant(4)), None);
        assert_eq!(held.take(Instant(5)), Some('b'));
        assert_eq!(held.take(Instant(5)), Some('c'));
        assert!(held.is_empty());
    }

    #[test]
    fn beyond_its_bounds_the_first_due_leave_at_once() {
        let mut held = Held::default();
        for at in 0..=HELD_MAX as u64 {
            held.keep(Instant(100 + at), 1, at);
        }
        assert_eq!(held.next(), Some(Instant(0)));
        assert_eq!(held.take(Instant(0)), Some(0));
        assert_eq!(held.take(Instant(0)), None);
        held.keep(Instant(1_000_000), HELD_BYTES_MAX, 0);
        assert_eq!(held.take(Instant(0)), Some(1));
        assert_eq!(held.len(), HELD_MAX);
    }
}
