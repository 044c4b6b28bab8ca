//! What a repeat cost, in run.json.

use serde::{Deserialize, Serialize};

/// What the repeat cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Each replica, over the measured phase.
    pub replicas: Vec<ReplicaResources>,
    /// The process that makes the load.
    pub load_generator: ProcessResources,
    /// CPU time of all replicas divided by the successful operations, microseconds.
    pub cpu_us_per_op: f64,
}

/// What one replica used.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicaResources {
    /// The replica.
    pub id: u32,
    /// CPU time, user and system.
    pub cpu_s: f64,
    /// Largest resident memory.
    pub rss_max_bytes: u64,
    /// Bytes sent to replicas and clients.
    pub bytes_sent: u64,
    /// Bytes received from them.
    pub bytes_received: u64,
    /// Synchronous writes to disk.
    pub fsyncs: u64,
}

/// What a process used.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessResources {
    /// CPU time, user and system.
    pub cpu_s: f64,
    /// Largest resident memory.
    pub rss_max_bytes: u64,
}
