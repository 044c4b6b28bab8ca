//! Limits that all replicas of an epoch share, and the local policy of one replica
//! (docs/protocol.md R19).

use std::time::Duration;

use bincode::{Decode, Encode};

use crate::cluster::ConfigError;

/// Limits that gate votes or execution: part of the configuration, equal at every replica.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// K: a checkpoint every this many sequence numbers.
    pub checkpoint_interval: u64,
    /// L: sequence numbers above the low watermark that may be in progress.
    pub log_window: u64,
    /// Requests in one batch.
    pub batch_requests_max: u32,
    /// Bytes of requests in one batch.
    pub batch_bytes_max: u32,
    /// Operations in one request.
    pub request_ops_max: u16,
    /// Bytes of one operation.
    pub op_bytes_max: u32,
    /// Bytes of all results of one request; operations whose result does not fit are refused.
    pub result_bytes_max: u32,
    /// W: requests of one client that may be outstanding.
    pub client_window: u64,
    /// Clients complete writes with 2f + 1 replies so that quorum reads are sound (R14).
    pub quorum_reads: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            checkpoint_interval: 64,
            log_window: 256,
            batch_requests_max: 512,
            batch_bytes_max: 1 << 20,
            request_ops_max: 1024,
            op_bytes_max: 64 << 10,
            result_bytes_max: 256 << 10,
            client_window: 256,
            quorum_reads: false,
        }
    }
}

impl Limits {
    /// Checks the limits against each other.
    ///
    /// # Errors
    /// Names the limit and its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let rule = |holds: bool, text: &str| {
            if holds {
                Ok(())
            } else {
                Err(ConfigError::Limit(text.to_owned()))
            }
        };
        rule(
            (1..=1 << 20).contains(&self.checkpoint_interval),
            "checkpoint_interval must be between 1 and 1048576",
        )?;
        rule(
            (2 * self.checkpoint_interval..=1 << 22).contains(&self.log_window),
            "log_window must be between 2 x checkpoint_interval and 4194304",
        )?;
        rule(
            (1..=65_536).contains(&self.batch_requests_max),
            "batch_requests_max must be between 1 and 65536",
        )?;
        rule(
            (4 << 10..=8 << 20).contains(&self.batch_bytes_max),
            "batch_bytes_max must be between 4 KiB and 8 MiB",
        )?;
        rule(
            (1..=16_384).contains(&self.request_ops_max),
            "request_ops_max must be between 1 and 16384",
        )?;
        rule(
            self.op_bytes_max >= 64 && self.op_bytes_max <= self.batch_bytes_max,
            "op_bytes_max must be between 64 B and batch_bytes_max",
        )?;
        rule(
            (4 << 10..=4 << 20).contains(&self.result_bytes_max),
            "result_bytes_max must be between 4 KiB and 4 MiB",
        )?;
        rule(
            (1..=65_536).contains(&self.client_window),
            "client_window must be between 1 and 65536",
        )
    }
}

/// When COMMITs are sent (docs/protocol.md R8). Safe in any mixture; affects cost and latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitMode {
    /// Only when the fast path does not decide soon.
    #[default]
    Adaptive,
    /// As soon as a slot is prepared.
    Eager,
}

/// How one replica behaves within the protocol: timeouts and budgets of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When COMMITs are sent.
    pub commit_mode: CommitMode,
    /// Undecided proposals of a primary at a time.
    pub inflight_max: usize,
    /// T_batch: how long a request waits for company while proposals are undecided; longer where
    /// slots wait for processors (docs/protocol.md R7.1).
    pub batch_delay: Duration,
    /// T_status: interval of STATUS, which is the heartbeat and drives retransmission.
    pub status_interval: Duration,
    /// T_hb: silence of the primary that is suspicious.
    pub heartbeat_timeout: Duration,
    /// T_req: how long the oldest pending request may wait.
    pub request_timeout: Duration,
    /// β_min: an order delay below this is never too long (R15).
    pub order_delay_min: Duration,
    /// T_vc: how long a new view may take.
    pub view_change_timeout: Duration,
    /// T_rtx: retransmission of VIEW-CHANGEs.
    pub retransmit_interval: Duration,
    /// Bounds of T_fast, the wait for the fast quorum once a slot is prepared.
    pub fast_timeout_min: Duration,
    /// See [`Policy::fast_timeout_min`].
    pub fast_timeout_max: Duration,
    /// Requests that a replica holds for ordering; more are answered with "busy".
    pub pending_requests_max: usize,
    /// Bytes of requests that a replica holds for ordering.
    pub pending_bytes_max: usize,
    /// Requests of one client that a replica holds for ordering.
    pub pending_per_client_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            commit_mode: CommitMode::Adaptive,
            inflight_max: 32,
            batch_delay: Duration::from_millis(1),
            status_interval: Duration::from_millis(50),
            heartbeat_timeout: Duration::from_millis(250),
            request_timeout: Duration::from_millis(500),
            order_delay_min: Duration::from_millis(40),
            view_change_timeout: Duration::from_millis(500),
            retransmit_interval: Duration::from_millis(100),
            fast_timeout_min: Duration::from_micros(500),
            fast_timeout_max: Duration::from_millis(20),
            pending_requests_max: 8192,
            pending_bytes_max: 64 << 20,
            pending_per_client_max: 256,
        }
    }
}
