//! What waits to be sent: a hand-over from the core to a network thread, and a bounded queue for
//! each stream behind it. A full queue drops its oldest message: newer votes are worth more, and
//! STATUS brings back what is missing (docs/protocol.md R13).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Memory that one queued message is charged with beside its bytes.
pub(super) const MESSAGE_COST: usize = 64;

/// From the core to a network thread: everything of a turn at once, one wake-up at most.
#[derive(Debug, Default)]
pub(super) struct Handover<T> {
    items: Mutex<T>,
    wake: Notify,
}

impl<T: Default> Handover<T> {
    pub(super) fn put(&self, add: impl FnOnce(&mut T)) {
        add(&mut self.items.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    /// Waits for the next items. One consumer.
    pub(super) async fn take(&self) -> T {
        self.wake.notified().await;
        std::mem::take(&mut self.items.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Messages for one stream, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    messages: VecDeque<Bytes>,
    /// The type of each message, in the same order.
    kinds: VecDeque<usize>,
    /// Goes out behind the messages; one at most.
    latest: Option<(usize, Bytes)>,
    bytes: usize,
}

/// Messages that leave a [`Queue`].
#[derive(Debug)]
pub(super) struct Leaving {
    /// Encoded, in order.
    pub(super) frames: Vec<Bytes>,
    /// Their types.
    pub(super) kinds: VecDeque<usize>,
}

/// What became of a message that was put into a [`Queue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Put {
    /// Messages dropped to make room.
    pub(super) dropped: u64,
    /// Bytes that wait now.
    pub(super) waiting: usize,
}

impl Queue {
    /// Adds a message; drops the oldest ones while more than `bytes_max` are waiting. The newest
    /// one stays whatever its size, which the frame limits bound.
    pub(super) fn put(&self, kind: usize, message: Bytes, bytes_max: usize) -> Put {
        let mut state = self.lock();
        state.bytes += message.len() + MESSAGE_COST;
        state.messages.push_back(message);
        state.kinds.push_back(kind);
        let mut dropped = 0;
        while state.bytes > bytes_max && state.messages.len() > 1 {
            state.kinds.pop_front();
            if let Some(oldest) = state.messages.pop_front() {
                state.bytes -= oldest.len() + MESSAGE_COST;
                dropped += 1;
            }
        }
        let waiting = state.bytes;
        drop(state);
        // Within the runtime's own thread this marks the writer as ready; it runs once, when
        // whoever puts has put everything.
        self.wake.notify_one();
        Put { dropped, waiting }
    }

    /// Adds a message that replaces the one put here before, if that still waits: a peer that is
    /// slow to read must not be slowed down further by old news.
    pub(super) fn put_latest(&self, kind: usize, message: Bytes) {
        self.lock().latest = Some((kind, message));
        self.wake.notify_one();
    }

    /// Everything that waits, at once; waits until there is something. One consumer.
    pub(super) async fn take(&self) -> Leaving {
        loop {
            let QueueState {
                mut messages,
                mut kinds,
                latest,
                ..
            } = std::mem::take(&mut *self.lock());
            if let Some((kind, message)) = latest {
                messages.push_back(message);
                kinds.push_back(kind);
            }
            if !messages.is_empty() {
                return Leaving {
                    frames: messages.into(),
                    kinds,
                };
            }
            self.wake.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_full_queue_drops_its_oldest_messages_and_says_how_many() {
        let queue = Queue::default();
        let most = 3 * (100 + MESSAGE_COST);
        let put = |byte: u8| {
            let message = Bytes::from(vec![byte; 100]);
            queue.put(usize::from(byte), message, most).dropped
        };
        assert_eq!([put(1), put(2), put(3), put(4), put(5)], [0, 0, 0, 1, 1]);
        let left = queue.take().await;
        let first: Vec<u8> = left.frames.iter().map(|message| message[0]).collect();
        assert_eq!(first, [3, 4, 5]);
        assert_eq!(left.kinds, [3, 4, 5], "each keeps its type");
        queue.put_latest(77, Bytes::from_static(b"old news"));
        put(6);
        queue.put_latest(78, Bytes::from_static(b"news"));
        let left = queue.take().await;
        assert_eq!(left.frames.len(), 2);
        assert_eq!(left.frames[1].as_ref(), b"news");
        assert_eq!(left.kinds, [6, 78]);
        let huge = queue.put(9, Bytes::from(vec![9; 10_000]), most);
        assert_eq!(huge.dropped, 0, "the newest message stays");
        assert_eq!(queue.take().await.frames.len(), 1);
    }
}
