//! The meeting point of two threads: producers accumulate, the consumer takes everything at once.
//!
//! What gathers while the consumer is busy becomes its next batch, so that there is one wake-up,
//! one signature batch and one disk write for many messages, and no timer that waits for company.
//! A producer pays for a wake-up only when the consumer really sleeps.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What accumulates in an [`Inbox`].
pub trait Backlog: Default {
    /// Nothing to do?
    fn is_empty(&self) -> bool;
    /// May [`Inbox::put_with_room`] add more? The bound itself is a constant of the implementor.
    fn has_room(&self) -> bool;
}

/// A bounded queue whose consumer takes all of it.
#[derive(Debug)]
pub struct Inbox<Q> {
    state: Mutex<State<Q>>,
    ready: Condvar,
    room: Condvar,
}

#[derive(Debug, Default)]
struct State<Q> {
    backlog: Q,
    consumers_asleep: usize,
    producers_asleep: usize,
    closed: bool,
}

/// The inbox was closed: its process is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl<Q: Backlog> Default for Inbox<Q> {
    fn default() -> Self {
        Inbox {
            state: Mutex::default(),
            ready: Condvar::new(),
            room: Condvar::new(),
        }
    }
}

impl<Q: Backlog> Inbox<Q> {
    /// An empty inbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds without waiting and without regard to the bound: for what is bounded at its source.
    pub fn put<T>(&self, add: impl FnOnce(&mut Q) -> T) -> T {
        let mut state = self.lock();
        let added = add(&mut state.backlog);
        self.wake_consumer(state);
        added
    }

    /// Waits until there is room, then adds.
    ///
    /// # Errors
    /// If the inbox was closed; nothing is added then.
    pub fn put_with_room(&self, add: impl FnOnce(&mut Q)) -> Result<(), Closed> {
        let mut state = self.lock();
        while !state.closed && !state.backlog.has_room() {
            state.producers_asleep += 1;
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.producers_asleep -= 1;
        }
        if state.closed {
            return Err(Closed);
        }
        add(&mut state.backlog);
        self.wake_consumer(state);
        Ok(())
    }

    /// Takes everything; waits until there is something or `until` has come (`None`: for ever).
    /// What is returned after `until` may be empty.
    ///
    /// # Errors
    /// If the inbox was closed and everything has been taken.
    pub fn take(&self, until: Option<Instant>) -> Result<Q, Closed> {
        let mut state = self.lock();
        while state.backlog.is_empty() {
            if state.closed {
                return Err(Closed);
            }
            state.consumers_asleep += 1;
            let timed_out;
            (state, timed_out) = match until {
                None => (
                    self.ready
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner),
                    false,
                ),
                Some(until) => {
                    let pause = until.saturating_duration_since(Instant::now());
                    let (state, result) = self
                        .ready
                        .wait_timeout(state, pause)
                        .unwrap_or_else(PoisonError::into_inner);
                    (state, result.timed_out())
                }
            };
            state.consumers_asleep -= 1;
            if timed_out {
                break;
            }
        }
        let taken = std::mem::take(&mut state.backlog);
        if state.producers_asleep > 0 {
            self.room.notify_all();
        }
        Ok(taken)
    }

    /// Refuses what needs room from now on and wakes everybody; what is inside can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
        self.room.notify_all();
    }

    fn wake_consumer(&self, state: MutexGuard<'_, State<Q>>) {
        let asleep = state.consumers_asleep > 0 && !state.backlog.is_empty();
        drop(state);
        if asleep {
            self.ready.notify_one();
        }
    }

    /// A panic of another thread stops the process (`run`); until then its data is as good as any.
    fn lock(&self) -> MutexGuard<'_, State<Q>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[derive(Default)]
    struct Few(Vec<u32>);
    impl Backlog for Few {
        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
        fn has_room(&self) -> bool {
            self.0.len() < 2
        }
    }

    #[test]
    fn what_accumulates_is_taken_at_once_in_order() {
        let inbox = Inbox::<Few>::new();
        for number in 1..=3 {
            inbox.put(|few| few.0.push(number));
        }
        assert_eq!(inbox.take(None).unwrap().0, [1, 2, 3]);
        let past = Instant::now();
        assert!(
            inbox.take(Some(past)).unwrap().is_empty(),
            "a deadline returns empty-handed"
        );
    }

    #[test]
    fn a_full_inbox_holds_its_producer_back_until_it_is_emptied() {
        let inbox = Arc::new(Inbox::<Few>::new());
        inbox.put(|few| few.0.extend([1, 2]));
        let producer = {
            let inbox = Arc::clone(&inbox);
            std::thread::spawn(move || inbox.put_with_room(|few| few.0.push(3)))
        };
        std::thread::sleep(Duration::from_millis(20));
        assert!(!producer.is_finished());
        assert_eq!(inbox.take(None).unwrap().0, [1, 2]);
        assert_eq!(producer.join().unwrap(), Ok(()));
        assert_eq!(inbox.take(None).unwrap().0, [3]);
    }

    #[test]
    fn a_closed_inbox_gives_out_what_it_holds_and_takes_no_more() {
        let inbox = Inbox::<Few>::new();
        inbox.put(|few| few.0.extend([1, 2]));
        inbox.close();
        assert_eq!(inbox.put_with_room(|few| few.0.push(3)), Err(Closed));
        assert_eq!(inbox.take(None).unwrap().0, [1, 2]);
        assert!(inbox.take(None).is_err());
    }
}
