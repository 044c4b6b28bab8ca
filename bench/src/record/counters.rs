//! What became of the operations of the measured phase.

use serde::{Deserialize, Serialize};

/// Counts of operations. Once a run is over, `offered = sent + dropped` and `sent = ok + failed + unknown`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Intended to start.
    pub offered: u64,
    /// Handed to the network.
    pub sent: u64,
    /// Answered, and done.
    pub ok: u64,
    /// Answered, and their condition was false (create of a present key, update of an absent one, cas with another value).
    pub failed: u64,
    /// Sent and not answered in time: done or not, nobody here knows.
    pub unknown: u64,
    /// Never sent: the client's queue was full.
    pub dropped: u64,
    /// Sent more than [`super::LATE_AFTER`] after their intended start (they count as sent, too).
    pub late: u64,
    /// Replies by which replicas refused a request for now (replies, not operations).
    pub busy_replies: u64,
}

impl Counters {
    /// Adds the counts of another worker or client.
    pub const fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.sent += other.sent;
        self.ok += other.ok;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.dropped += other.dropped;
        self.late += other.late;
        self.busy_replies += other.busy_replies;
    }

    /// Whether every operation offered is accounted for exactly once; false while operations are under way.
    #[must_use]
    pub const fn balanced(&self) -> bool {
        self.offered == self.sent + self.dropped
            && self.sent == self.ok + self.failed + self.unknown
    }
}
