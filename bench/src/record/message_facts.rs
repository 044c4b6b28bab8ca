//! What run.json says of messages: how many of each type, against what the protocol calls for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Messages of the measured phase. One that goes to n - 1 replicas counts n - 1 times; bytes are without what QUIC and TLS add.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageFacts {
    /// Slots that the theory was worked out for.
    pub slots: u64,
    /// Requests that it was worked out for: those executed.
    pub requests: u64,
    /// View changes that it was worked out for.
    pub view_changes: u64,
    /// Whether all n replicas are in the sums, each from the beginning to the end of the measured phase. If not, less was counted than sent.
    pub complete: bool,
    /// Each type, over the replicas in `replicas`.
    pub types: Vec<MessageType>,
    /// Each correct replica.
    pub replicas: Vec<ReplicaMessages>,
}

/// The messages of one type.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageType {
    /// Its name: `pre-prepare`, `prepare`, ..., `request`, `reply`.
    #[serde(rename = "type")]
    pub name: String,
    /// What was counted.
    #[serde(flatten)]
    pub counts: MessageCounts,
    /// What the protocol calls for, sent by the replicas (`request`: received by them).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_theory: Option<f64>,
    /// The rule behind it, in words.
    pub theory: String,
}

/// The messages of one replica.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicaMessages {
    /// The replica.
    pub id: u32,
    /// By type.
    pub types: BTreeMap<String, MessageCounts>,
}

/// Messages both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageCounts {
    /// Written to connections.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Read from connections.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
}

impl MessageCounts {
    /// Adds those of another replica.
    pub const fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.received += other.received;
        self.received_bytes += other.received_bytes;
    }
}
