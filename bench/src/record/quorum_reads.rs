//! How reads beside the log fared (docs/protocol.md R14).

use serde::{Deserialize, Serialize};

/// Operations of the measured phase that were asked beside the log and have an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuorumReads {
    /// n - f replicas answered alike.
    pub accepted: u64,
    /// They did not, or not in time, and the log answered.
    pub fallen_back: u64,
}

impl QuorumReads {
    /// Adds those of another worker.
    pub const fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.fallen_back += other.fallen_back;
    }
}
