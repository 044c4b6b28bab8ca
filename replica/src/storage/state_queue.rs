//! Checkpoints on their way to the state thread, merged when it is slower than they come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::writer::WriterStopped;
use super::{Basis, Change, StateDelta};

/// Deltas that wait before they are merged. Merging costs the submitter a moment for each changed
/// key; a store that is a little slow should not cause it.
const DELTAS_APART_MAX: usize = 4;

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Mark a clean stop.
    Close,
    /// Leave everything as it is.
    Drop,
}

/// A checkpoint as it was handed over: going through thousands of sessions and changes is work for
/// the thread that takes it.
pub(super) enum Coming {
    /// Encoded.
    Made(StateDelta),
    /// To be encoded; based on the state already stored.
    ToEncode(Box<dyn FnOnce() -> StateDelta + Send>),
}

impl Coming {
    fn make(self) -> StateDelta {
        match self {
            Coming::Made(delta) => delta,
            Coming::ToEncode(encode) => encode(),
        }
    }
}

/// The queue.
#[derive(Default)]
pub(super) struct StateQueue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    deltas: VecDeque<Coming>,
    end: Option<End>,
    /// The thread that takes is gone.
    refused: bool,
}

impl Waiting {
    /// There is nothing to take, and nobody has said that nothing more comes.
    fn is_idle(&self) -> bool {
        self.deltas.is_empty() && self.end.is_none()
    }
}

/// The taking end: when it is gone, nothing is accepted any more.
pub(super) struct Taker(pub(super) Arc<StateQueue>);

impl Drop for Taker {
    fn drop(&mut self) {
        self.0.lock().refused = true;
    }
}

impl StateQueue {
    /// Adds a delta; never blocks.
    pub(super) fn put(&self, delta: Coming) -> Result<(), WriterStopped> {
        let mut waiting = self.lock();
        if waiting.refused {
            return Err(WriterStopped);
        }
        if matches!(&delta, Coming::Made(delta) if delta.basis == Basis::Empty) {
            // Nothing that came before it matters any more.
            waiting.deltas.clear();
        }
        let full = waiting.deltas.len() >= DELTAS_APART_MAX;
        let last = full.then(|| waiting.deltas.pop_back()).flatten();
        let delta = match last {
            Some(last) => Coming::Made(merged(last.make(), delta.make())),
            None => delta,
        };
        waiting.deltas.push_back(delta);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Nothing more will be put.
    pub(super) fn end(&self, end: End) {
        self.lock().end = Some(end);
        self.changed.notify_one();
    }

    /// The oldest delta, or the end behind the last; waits for either.
    pub(super) fn take(&self) -> Result<StateDelta, End> {
        let waiting = self
            .changed
            .wait_while(self.lock(), |waiting| waiting.is_idle());
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        match (waiting.deltas.pop_front(), waiting.end) {
            (Some(delta), _) => {
                drop(waiting);
                Ok(delta.make())
            }
            (None, Some(end)) => Err(end),
            (None, None) => Err(End::Drop),
        }
    }

    /// Returns at this time, or as soon as something waits to be taken.
    pub(super) fn wait_until(&self, due: Instant) {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // Poisoned or timed out: either way there is nothing more to wait for.
        let _waited = self
            .changed
            .wait_timeout_while(self.lock(), left, |waiting| waiting.is_idle());
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change is complete before anything in it could panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes one delta of two: of each key the later change. No entry is encoded here: the earlier one
/// may be a whole state, and the core is waiting.
fn merged(earlier: StateDelta, next: StateDelta) -> StateDelta {
    let changes = earlier.changes.into_iter().chain(next.changes);
    let changes: BTreeMap<_, Change> = changes.map(|change| (change.key(), change)).collect();
    StateDelta {
        basis: earlier.basis,
        changes: changes.into_values().collect(),
        ..next
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::storage::memory::MemoryDisk;
    use crate::storage::{Encodable, LoadedState, StateStore};
    use bytes::Bytes;
    use std::time::Duration;

    /// Far beyond what any of these tests takes, so that it decides no test that passes.
    const HANGS_AFTER: Duration = Duration::from_secs(20);

    /// What this comes to. A wait that never ends fails the test instead of stopping it.
    fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || done.send(work()));
        let result = result.recv_timeout(HANGS_AFTER);
        result.expect("it neither hangs nor panics")
    }

    fn delta(
        seq: u64,
        basis: Basis,
        changes: &[(&'static str, Option<&'static str>)],
    ) -> StateDelta {
        let change = |(key, entry): &(&'static str, Option<&'static str>)| {
            Change::encoded(Bytes::from(*key), entry.map(Bytes::from))
        };
        StateDelta {
            seq,
            digest: [seq as u8; 32],
            basis,
            changes: changes.iter().map(change).collect(),
            sessions: Bytes::from(format!("sessions {seq}")),
            meta: Bytes::from(format!("meta {seq}")),
        }
    }

    /// A state with its entries.
    type Whole = (LoadedState, BTreeMap<Vec<u8>, Vec<u8>>);

    /// What a store holds.
    fn held(state: &mut dyn StateStore) -> Whole {
        let mut entries = BTreeMap::new();
        let loaded = state.load(&mut |key, entry| {
            entries.insert(key.to_vec(), entry.to_vec());
        });
        (loaded.unwrap().unwrap(), entries)
    }

    /// Applies everything in the queue to a new store; says what is in it then, and in how many steps.
    fn applied(queue: StateQueue) -> (Whole, usize) {
        in_time(move || {
            let mut state = MemoryDisk::new().open().state;
            queue.end(End::Close);
            let mut steps = 0;
            while let Ok(delta) = queue.take() {
                state.apply(&delta).unwrap();
                steps += 1;
            }
            (held(&mut *state), steps)
        })
    }

    #[test]
    fn merged_checkpoints_come_to_the_same_state_and_what_waits_stays_bounded() {
        let keys = ["a", "b", "c", "d", "e", "f", "g"];
        let values = [Some("1"), None, Some("2"), Some("3"), None];
        let deltas: Vec<StateDelta> = (1..=200usize)
            .map(|seq| {
                let changes: Vec<_> = (0..3)
                    .map(|i| (keys[(seq * 3 + i * i) % 7], values[(seq + i) % 5]))
                    .collect();
                delta(seq as u64, Basis::Stored, &changes)
            })
            .collect();
        let mut one_by_one = MemoryDisk::new().open().state;
        let queue = StateQueue::default();
        for delta in deltas {
            one_by_one.apply(&delta).unwrap();
            // As a replica hands them over, and as a whole state comes, in turn.
            queue
                .put(match delta.seq % 2 {
                    0 => Coming::Made(delta),
                    _ => Coming::ToEncode(Box::new(move || delta)),
                })
                .unwrap();
            let waiting = queue.lock();
            assert!(waiting.deltas.len() <= DELTAS_APART_MAX);
            let small = |coming: &Coming| match coming {
                Coming::Made(delta) => delta.changes.len() <= keys.len(),
                // What one interval changed.
                Coming::ToEncode(_) => true,
            };
            assert!(waiting.deltas.iter().all(small));
        }
        let (merged, steps) = applied(queue);
        assert_eq!(merged, held(&mut *one_by_one));
        assert_eq!(steps, DELTAS_APART_MAX);
    }

    #[test]
    fn a_whole_state_makes_what_waits_before_it_needless_and_takes_later_changes_in() {
        let queue = StateQueue::default();
        for seq in 1..=9 {
            queue
                .put(Coming::Made(delta(
                    seq,
                    Basis::Stored,
                    &[("old", Some("x"))],
                )))
                .unwrap();
        }
        queue
            .put(Coming::Made(delta(10, Basis::Empty, &[("new", Some("y"))])))
            .unwrap();
        assert_eq!(queue.lock().deltas.len(), 1);
        for seq in 11..=19 {
            queue
                .put(Coming::Made(delta(
                    seq,
                    Basis::Stored,
                    &[("later", Some("z"))],
                )))
                .unwrap();
        }
        let ((state, entries), _) = applied(queue);
        let keys: Vec<_> = entries.keys().map(Vec::as_slice).collect();
        assert_eq!(keys, [b"later".as_slice(), b"new"]);
        assert_eq!((state.seq, state.meta), (19, Bytes::from("meta 19")));
    }

    #[test]
    fn whoever_waits_goes_on_when_something_comes() {
        let comings: [fn(&StateQueue); 2] = [
            |queue| {
                let next = Coming::Made(delta(1, Basis::Stored, &[]));
                queue.put(next).unwrap();
            },
            |queue| queue.end(End::Close),
        ];
        let far = || Instant::now() + 10 * HANGS_AFTER;
        for comes in comings {
            in_time(move || {
                let queue = Arc::new(StateQueue::default());
                let waiter = std::thread::spawn({
                    let queue = Arc::clone(&queue);
                    move || queue.wait_until(far())
                });
                // It most likely waits by then, and must be woken; if not, it need not wait.
                std::thread::sleep(Duration::from_millis(20));
                comes(&queue);
                waiter.join().unwrap();
                queue.wait_until(far());
            });
        }
    }

    #[test]
    fn where_nothing_comes_the_wait_lasts_until_its_time() {
        let due = Instant::now() + Duration::from_millis(20);
        in_time(move || StateQueue::default().wait_until(due));
        assert!(Instant::now() >= due);
        in_time(move || StateQueue::default().wait_until(due));
    }

    #[test]
    fn nothing_is_accepted_once_the_taking_end_is_gone() {
        let queue = Arc::new(StateQueue::default());
        queue
            .put(Coming::Made(delta(1, Basis::Stored, &[])))
            .unwrap();
        drop(Taker(Arc::clone(&queue)));
        queue
            .put(Coming::Made(delta(2, Basis::Stored, &[])))
            .unwrap_err();
    }

    #[test]
    fn checkpoints_that_wait_are_merged_without_encoding_an_entry() {
        struct Untouched(u8);
        impl Encodable for Untouched {
            fn key(&self) -> Bytes {
                Bytes::copy_from_slice(&[self.0])
            }
            fn entry(&self) -> Option<Bytes> {
                panic!("nobody has written it yet")
            }
        }
        let queue = StateQueue::default();
        for seq in 1..=9u8 {
            let whole = StateDelta {
                changes: (0..=seq).map(|key| Change::new(Untouched(key))).collect(),
                ..delta(seq.into(), Basis::Stored, &[])
            };
            let coming = Coming::ToEncode(Box::new(move || whole));
            queue.put(coming).unwrap();
        }
        let last = queue.lock().deltas.pop_back().unwrap().make();
        assert_eq!((last.seq, last.changes.len()), (9, 10));
    }
}
