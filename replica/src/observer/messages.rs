//! Messages by type: how many, and their bytes, each way.

use std::collections::BTreeMap;

use super::counters::Counter;
use super::status::MessageStatus;

/// The type of a client's request.
pub const REQUEST: &str = "request";
/// The type of an answer to one.
pub const REPLY: &str = "reply";

/// What was counted of each type.
#[derive(Debug)]
pub struct Messages {
    kinds: &'static [&'static str],
    by_kind: Vec<Kind>,
    /// Requests of clients.
    pub requests: Tally,
    /// Answers to clients.
    pub replies: Tally,
}

#[derive(Debug, Default)]
struct Kind {
    sent: Tally,
    received: Tally,
}

/// Messages of one type in one direction.
#[derive(Debug, Default)]
pub struct Tally {
    messages: Counter,
    bytes: Counter,
}

impl Tally {
    /// Counts messages of this many bytes together, without what QUIC and TLS add.
    pub fn add(&self, messages: u64, bytes: u64) {
        self.messages.add(messages);
        self.bytes.add(bytes);
    }

    /// Messages and bytes so far.
    pub fn total(&self) -> (u64, u64) {
        (self.messages.total(), self.bytes.total())
    }
}

impl Messages {
    /// Of these types of messages between replicas.
    pub(super) fn new(kinds: &'static [&'static str]) -> Self {
        Messages {
            kinds,
            by_kind: kinds.iter().map(|_| Kind::default()).collect(),
            requests: Tally::default(),
            replies: Tally::default(),
        }
    }

    /// A message of this type was written to a peer's connection. An unknown type is not counted.
    pub fn sent(&self, kind: usize, bytes: usize) {
        if let Some(kind) = self.by_kind.get(kind) {
            kind.sent.add(1, bytes as u64);
        }
    }

    /// A message of this type came from a peer.
    pub fn received(&self, kind: usize, bytes: usize) {
        if let Some(kind) = self.by_kind.get(kind) {
            kind.received.add(1, bytes as u64);
        }
    }

    /// Everything so far, by the types' names.
    pub fn status(&self) -> BTreeMap<String, MessageStatus> {
        let between = self.kinds.iter().zip(&self.by_kind).map(|(name, kind)| {
            let (sent, sent_bytes) = kind.sent.total();
            let (received, received_bytes) = kind.received.total();
            let status = MessageStatus {
                sent,
                sent_bytes,
                received,
                received_bytes,
            };
            ((*name).to_owned(), status)
        });
        let (received, received_bytes) = self.requests.total();
        let (sent, sent_bytes) = self.replies.total();
        let requests = MessageStatus {
            received,
            received_bytes,
            ..MessageStatus::default()
        };
        let replies = MessageStatus {
            sent,
            sent_bytes,
            ..MessageStatus::default()
        };
        between
            .chain([(REQUEST.to_owned(), requests), (REPLY.to_owned(), replies)])
            .collect()
    }
}
