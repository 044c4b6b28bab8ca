//! What run.json says of the way of slots: how long its phases took, and why some fell back to COMMITs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LatencySummary;

/// How long the phases of slots and requests took in the measured phase, microseconds, as the replicas saw it. The names and what
/// each counts: docs/reading-results.md. A phase that nobody went through is not there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseFacts {
    /// All correct replicas together.
    pub all: BTreeMap<String, LatencySummary>,
    /// Each of them.
    pub replicas: Vec<ReplicaPhases>,
}

/// The phases as one replica saw them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicaPhases {
    /// The replica.
    pub id: u32,
    /// Slots that it proposed in the measured phase: above 0 for a primary.
    pub proposed: u64,
    /// By the phase's name.
    pub phases: BTreeMap<String, LatencySummary>,
}

/// COMMITs sent because the fast path was late, and who was missing then.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FallbackFacts {
    /// Of all correct replicas together: a slot in which three fell back counts three times.
    pub slots: u64,
    /// Whose PREPARE was missing, for every member.
    pub missing: Vec<MissingVotes>,
    /// Each correct replica.
    pub replicas: Vec<ReplicaFallbacks>,
}

/// How often a replica's PREPARE was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MissingVotes {
    /// Whose.
    pub replica: u32,
    /// Fallbacks.
    pub times: u64,
}

/// The fallbacks of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicaFallbacks {
    /// The replica that fell back.
    pub id: u32,
    /// How often.
    pub slots: u64,
    /// How often each member was missing, by its number. Its own vote is missing when its disk was late.
    pub missing: Vec<u64>,
}
