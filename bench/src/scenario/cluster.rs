//! What is started: how many replicas, which protocol, which storage, batches and time-outs.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::units::{self, Size};

/// The `[cluster]` table: one replica group.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Cluster {
    /// Which rules the replicas run.
    pub protocol: Protocol,
    /// Byzantine replicas tolerated; at least 1.
    pub f: u32,
    /// Replicas started; an integer or an expression of f such as "4f+1"; at least 3f+1.
    #[schemars(schema_with = "super::json_schema::replica_count")]
    pub n: u32,
    /// PREPAREs that commit a slot without a COMMIT phase (docs/protocol.md R2).
    pub fast_quorum: FastQuorum,
    /// When COMMITs are sent (docs/protocol.md R8).
    pub commit_mode: CommitMode,
    /// Where replicas keep their records.
    pub storage: Storage,
    /// How requests are gathered into proposals.
    pub batch: Batch,
    /// How long one waits for another.
    pub timeouts: Timeouts,
}

/// Which rules the replicas run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// PBFT with the optimistic fast path.
    PbftFast,
    /// PBFT with three phases always; implies `fast_quorum = "off"`.
    Pbft,
}

/// Size of the fast quorum: a rule, or a number between the strong quorum and n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastQuorum {
    /// The smallest safe one, `max(q, 3f+1, floor((n+3f)/2))`.
    Strong,
    /// The rule of the FaB and SBFT family, one vote more where n allows it.
    Conservative,
    /// No fast path.
    Off,
    /// Exactly this many PREPAREs.
    Exactly(u32),
}

impl FastQuorum {
    /// The rules by name; a number is the fourth possibility.
    pub(super) const NAMES: [(&'static str, Self); 3] = [
        ("strong", Self::Strong),
        ("conservative", Self::Conservative),
        ("off", Self::Off),
    ];
}

impl Serialize for FastQuorum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exactly(votes) => serializer.serialize_u32(*votes),
            Self::Strong => serializer.serialize_str("strong"),
            Self::Conservative => serializer.serialize_str("conservative"),
            Self::Off => serializer.serialize_str("off"),
        }
    }
}

impl JsonSchema for FastQuorum {
    fn schema_name() -> Cow<'static, str> {
        "FastQuorum".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "enum": Self::NAMES.map(|(name, _)| name) }, { "type": "integer", "minimum": 4 }] })
    }
}

/// When a replica that has prepared a slot sends its COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommitMode {
    /// Only when the fast path is late.
    Adaptive,
    /// As soon as a slot is prepared.
    Eager,
}

/// The `[cluster.storage]` table.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Storage {
    /// Which adapter keeps the record log.
    pub engine: Engine,
    /// Whether a vote waits for the disk.
    pub durability: Durability,
    /// Slots between two checkpoints.
    pub checkpoint_interval: u64,
    /// Slots a replica accepts above its stable checkpoint; at least twice the interval.
    pub log_window: u64,
}

/// Which adapter keeps the record log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// One SQLite file per replica.
    Sqlite,
    /// Nothing survives the process.
    Memory,
}

/// Whether a vote waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The record is on disk (fsync) before the vote leaves.
    Full,
    /// No fsync: after an unclean stop the replica is a learner until it is renewed.
    Off,
}

/// The `[cluster.batch]` table.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Batch {
    /// Operations in one proposal at most.
    pub max_ops: u32,
    /// Bytes of requests in one proposal at most.
    pub max_bytes: Size,
    /// How long the oldest request waits for company.
    #[serde(with = "units::duration_text")]
    #[schemars(schema_with = "units::duration_schema")]
    pub max_delay: Duration,
    /// Undecided proposals at most.
    pub pipeline: u32,
}

/// The `[cluster.timeouts]` table.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Timeouts {
    /// How long a backup waits for a request to be decided before it asks for the next view.
    #[serde(with = "units::duration_text")]
    #[schemars(schema_with = "units::duration_schema")]
    pub view_change: Duration,
    /// How long a primary may be silent.
    #[serde(with = "units::duration_text")]
    #[schemars(schema_with = "units::duration_schema")]
    pub heartbeat: Duration,
    /// How long a client waits before it sends a request to all replicas; doubles each time.
    #[serde(with = "units::duration_text")]
    #[schemars(schema_with = "units::duration_schema")]
    pub client: Duration,
}
