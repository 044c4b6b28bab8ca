//! What waits for one client connection. Replies stay values until they are written, so that all
//! replies of a wake-up share frames.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use consensus::{Outcome, Reply, ResultBody, Term};
use network::ToClient;
use network::wire_client::{OBSERVATIONS_MAX, REPLIES_PER_FRAME_MAX};
use tokio::sync::Notify;

/// Bytes of replies that may wait for a connection; then the oldest are dropped. The client asks
/// again for what it lacks.
const REPLY_BYTES_MAX: usize = 32 << 20;
/// With more than this waiting the connection's requests are not read: whoever does not take the
/// answers gets no more of them worked out.
const UNREAD_BYTES_MAX: usize = 1 << 20;
/// Bytes of replies in one frame, but for a single reply that is larger.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// A reply without its results.
const REPLY_COST: usize = 96;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    wake: Notify,
    taken: Notify,
}

#[derive(Debug, Default)]
struct State {
    hint: Option<Term>,
    replies: VecDeque<Reply>,
    /// Since when the oldest of them has been on its way.
    since: Option<Instant>,
    bytes: usize,
    frames: VecDeque<Bytes>,
}

/// What leaves an [`Outbox`].
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Encoded, in order.
    pub(super) frames: Vec<Bytes>,
    /// Replies in them.
    pub(super) replies: u64,
    /// Bytes of the frames with replies.
    pub(super) reply_bytes: u64,
    /// Since when the oldest of the replies has been on its way; `None` without one.
    pub(super) since: Option<Instant>,
}

impl Outbox {
    /// Adds a reply that has been on its way `since` then; returns how many older ones were dropped to make room.
    pub(super) fn reply(&self, reply: Reply, since: Instant) -> u64 {
        let mut state = self.lock();
        state.since.get_or_insert(since);
        state.bytes += cost(&reply);
        state.replies.push_back(reply);
        let mut dropped = 0;
        while state.bytes > REPLY_BYTES_MAX {
            let Some(oldest) = state.replies.pop_front() else {
                break;
            };
            state.bytes -= cost(&oldest);
            dropped += 1;
        }
        drop(state);
        self.wake.notify_one();
        dropped
    }

    /// The epoch or view has changed; only the latest is worth telling.
    pub(super) fn hint(&self, term: Term) {
        self.lock().hint = Some(term);
        self.wake.notify_one();
    }

    /// Adds an encoded observation; dropped if more wait than may be asked for.
    pub(super) fn frame(&self, frame: Bytes) {
        let mut state = self.lock();
        if state.frames.len() < OBSERVATIONS_MAX {
            state.frames.push_back(frame);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Everything that waits, as frames; waits until there is something. One consumer.
    pub(super) async fn take(&self) -> Leaving {
        loop {
            let State {
                hint,
                replies,
                since,
                frames: others,
                ..
            } = std::mem::take(&mut *self.lock());
            let hint = hint.map(|term| Bytes::from(crypto::encode(&ToClient::Hint { term })));
            let mut frames: Vec<Bytes> = hint.into_iter().collect();
            let (first, count) = (frames.len(), replies.len() as u64);
            encode_replies(replies, &mut frames);
            let encoded = frames.get(first..).unwrap_or_default();
            let reply_bytes = encoded.iter().map(|frame| frame.len() as u64).sum();
            frames.extend(others);
            if !frames.is_empty() {
                self.taken.notify_one();
                return Leaving {
                    frames,
                    replies: count,
                    reply_bytes,
                    since,
                };
            }
            self.wake.notified().await;
        }
    }

    /// Comes when little enough waits for the other end to read. One consumer.
    pub(super) async fn is_read(&self) {
        while self.lock().bytes > UNREAD_BYTES_MAX {
            self.taken.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode_replies(replies: VecDeque<Reply>, frames: &mut Vec<Bytes>) {
    let mut gathered = Vec::with_capacity(replies.len().min(REPLIES_PER_FRAME_MAX));
    let mut bytes = 0;
    let mut finish = |gathered: Vec<Reply>| {
        if !gathered.is_empty() {
            frames.push(Bytes::from(crypto::encode(&ToClient::Replies(gathered))));
        }
    };
    for reply in replies {
        let cost = cost(&reply);
        if bytes + cost > FRAME_BYTES_MAX || gathered.len() == REPLIES_PER_FRAME_MAX {
            finish(std::mem::take(&mut gathered));
            bytes = 0;
        }
        bytes += cost;
        gathered.push(reply);
    }
    finish(gathered);
}

fn cost(reply: &Reply) -> usize {
    match &reply.outcome {
        Outcome::Executed(ResultBody::Full(results)) => REPLY_COST + results.as_bytes().len(),
        Outcome::Read { body, versions } => {
            let results = match body {
                ResultBody::Full(results) => results.as_bytes().len(),
                ResultBody::Hash(_) => 0,
            };
            REPLY_COST + results + 8 * versions.len()
        }
        _ => REPLY_COST,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use tokio::time::timeout;

    use consensus::{ClientId, Epoch, ReplicaId, RequestId, SeqNo, View};

    const TERM: Term = Term {
        epoch: Epoch(1),
        view: View(3),
    };

    fn reply(number: u64, bytes: usize) -> Reply {
        let results = [vec![0u8; bytes]].into_iter().collect();
        Reply {
            term: Term::default(),
            replica: ReplicaId(1),
            id: RequestId {
                client: ClientId(0),
                session: 1,
                number,
            },
            seq: SeqNo(number),
            outcome: Outcome::Executed(ResultBody::Full(results)),
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn replies_share_frames_and_large_ones_start_a_new_frame() {
        let outbox = Outbox::default();
        outbox.hint(TERM);
        for number in 1..=100 {
            outbox.reply(reply(number, 10), Instant::now());
        }
        outbox.reply(reply(101, FRAME_BYTES_MAX), Instant::now());
        let leaving = outbox.take().await;
        let frames = leaving.frames;
        assert_eq!((frames.len(), leaving.replies), (3, 101));
        let bytes = frames[1].len() + frames[2].len();
        assert_eq!(leaving.reply_bytes, bytes as u64, "the hint is none");
        assert!(leaving.since.is_some());
        assert_eq!(
            ToClient::from_frame(&frames[0]).unwrap(),
            ToClient::Hint { term: TERM }
        );
        let ToClient::Replies(replies) = ToClient::from_frame(&frames[1]).unwrap() else {
            panic!("the second frame carries replies");
        };
        assert_eq!(replies.len(), 100);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_not_read_is_waited_for() {
        let outbox = Outbox::default();
        outbox.reply(reply(1, UNREAD_BYTES_MAX / 2), Instant::now());
        let soon = Duration::from_millis(20);
        assert!(timeout(soon, outbox.is_read()).await.is_ok());
        outbox.reply(reply(2, UNREAD_BYTES_MAX), Instant::now());
        assert!(timeout(soon, outbox.is_read()).await.is_err(), "too much");
        let (_, taken) = tokio::join!(outbox.is_read(), outbox.take());
        assert_eq!(taken.frames.len(), 2);
    }

    #[test]
    fn a_connection_that_reads_nothing_loses_its_oldest_replies() {
        let outbox = Outbox::default();
        let dropped: u64 = (1..=40)
            .map(|number| outbox.reply(reply(number, 1 << 20), Instant::now()))
            .sum();
        assert!((8..=10).contains(&dropped), "{dropped}");
        assert!(outbox.lock().bytes <= REPLY_BYTES_MAX);
    }
}
