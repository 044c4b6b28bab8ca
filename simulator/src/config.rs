//! What a simulated run consists of.

use std::ops::Range;
use std::time::Duration;

use consensus::{CommitMode, FastQuorum, Limits, Policy};

/// How messages are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// A hash: fast, forgeable.
    Fake,
    /// Ed25519 as in real clusters.
    Ed25519,
}

/// What goes wrong. Everything heals after [`Config::heal_at`].
#[derive(Clone, Debug)]
pub struct Faults {
    /// Share of messages between replicas that are lost.
    pub loss: f64,
    /// Share that arrive twice.
    pub duplication: f64,
    /// Share of messages between clients and replicas that are lost.
    pub client_loss: f64,
    /// Backups that crash (at most f of them at a time), and come back from their disks.
    pub crashes: u32,
    /// Backups that are down from the start and never come up.
    pub silent: u16,
}

impl Faults {
    /// A reliable, if slow, network.
    pub fn none() -> Self {
        Faults {
            loss: 0.0,
            duplication: 0.0,
            client_loss: 0.0,
            crashes: 0,
            silent: 0,
        }
    }
}

/// One simulated run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Faults tolerated.
    pub f: u16,
    /// Replicas.
    pub n: u16,
    /// The fast quorum.
    pub fast: FastQuorum,
    /// Limits of the configuration. Small windows reach more situations.
    pub limits: Limits,
    /// Policy of every replica.
    pub policy: Policy,
    /// Client keys.
    pub clients: u32,
    /// Requests that each client completes.
    pub requests: u64,
    /// Requests that a client has outstanding.
    pub outstanding: u64,
    /// Operations in each request: 1 to this many.
    pub ops_max: u16,
    /// Different keys.
    pub keys: u32,
    /// One-way delay of a message.
    pub delay: Range<Duration>,
    /// Time that a sync to disk takes.
    pub sync: Range<Duration>,
    /// Faults until `heal_at`.
    pub faults: Faults,
    /// From here on nothing fails any more, and progress is demanded.
    pub heal_at: Duration,
    /// All clients must be done by then.
    pub deadline: Duration,
    /// Signatures.
    pub signatures: Signatures,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 1,
            f: 1,
            n: 5,
            fast: FastQuorum::Strong,
            limits: Limits {
                checkpoint_interval: 8,
                log_window: 32,
                batch_requests_max: 4,
                ..Limits::default()
            },
            policy: Policy {
                inflight_max: 8,
                commit_mode: CommitMode::Adaptive,
                ..Policy::default()
            },
            clients: 4,
            requests: 40,
            outstanding: 3,
            ops_max: 3,
            keys: 6,
            delay: Duration::from_micros(50)..Duration::from_millis(3),
            sync: Duration::from_micros(100)..Duration::from_millis(2),
            faults: Faults::none(),
            heal_at: Duration::from_secs(3),
            deadline: Duration::from_secs(60),
            signatures: Signatures::Fake,
        }
    }
}
