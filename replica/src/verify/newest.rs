//! VIEW-CHANGEs that wait at one verification worker: the newest of each peer, one in a while.
//!
//! A peer's later VIEW-CHANGE takes the place of its earlier one (docs/protocol.md R11), so whoever sends many makes work for nobody but itself:
//! only the last of those that came while the others were not looked at is verified. A correct peer sends one a view and repeats it
//! now and then, and a view lasts many times [`PACE`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use consensus::ReplicaId;

/// Time between two looks at what one peer sends.
pub(super) const PACE: Duration = Duration::from_millis(10);

/// What waits, and since when who has had a look.
pub(super) struct Newest<T> {
    waiting: BTreeMap<ReplicaId, T>,
    /// When the next one of a peer may be looked at. One of each peer.
    next: BTreeMap<ReplicaId, Instant>,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Newest {
            waiting: BTreeMap::new(),
            next: BTreeMap::new(),
        }
    }
}

impl<T> Newest<T> {
    /// Takes the place of what waits of this peer; says whether there was anything.
    pub(super) fn push(&mut self, from: ReplicaId, item: T) -> bool {
        self.waiting.insert(from, item).is_some()
    }

    fn time_of(&self, from: ReplicaId, now: Instant) -> Instant {
        self.next.get(&from).map_or(now, |next| (*next).max(now))
    }

    /// When there is something to look at; `None`: nothing waits.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.waiting
            .keys()
            .map(|from| self.time_of(*from, now))
            .min()
    }

    /// What is to be looked at now.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(ReplicaId, T)> {
        let due: Vec<ReplicaId> = self
            .waiting
            .keys()
            .filter(|from| self.time_of(**from, now) <= now)
            .copied()
            .collect();
        let mut taken = Vec::with_capacity(due.len());
        for from in due {
            self.next.insert(from, now + PACE);
            taken.extend(self.waiting.remove(&from).map(|item| (from, item)));
        }
        taken
    }

    /// Drops what waits of the peers for which this holds.
    pub(super) fn forget_if(&mut self, holds: impl Fn(ReplicaId) -> bool) {
        self.waiting.retain(|from, _| !holds(*from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_looked_at_at_once_and_of_many_more_the_last_when_it_is_time() {
        let (mut newest, now) = (Newest::default(), Instant::now());
        assert_eq!(newest.due(now), None);
        assert!(!newest.push(ReplicaId(1), 0));
        assert_eq!(newest.due(now), Some(now));
        assert_eq!(newest.take(now), [(ReplicaId(1), 0)]);
        let replaced = (1..100)
            .filter(|view| newest.push(ReplicaId(1), *view))
            .count();
        assert_eq!(replaced, 98);
        assert_eq!(newest.due(now), Some(now + PACE));
        assert_eq!(newest.take(now), []);
        assert_eq!(newest.take(now + PACE), [(ReplicaId(1), 99)]);
        assert_eq!(newest.due(now), None);
    }

    #[test]
    fn nobody_waits_for_another_and_who_is_cut_off_is_forgotten() {
        let (mut newest, now) = (Newest::default(), Instant::now());
        newest.push(ReplicaId(1), 1);
        newest.take(now);
        newest.push(ReplicaId(1), 2);
        newest.push(ReplicaId(2), 3);
        assert_eq!(newest.take(now), [(ReplicaId(2), 3)]);
        newest.forget_if(|peer| peer == ReplicaId(1));
        assert_eq!(newest.take(now + PACE), []);
    }
}
