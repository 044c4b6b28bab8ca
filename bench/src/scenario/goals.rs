//! What a run is held to: the checks of its correctness and the objectives of its service.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{SerializeMap, Serializer};

use super::compare::Comparison;
use super::units::{self, Rate, Share, Size};
use super::workload::OpKind;

/// The `[check]` table: which correctness checks follow the run.
#[derive(Clone, Debug, PartialEq, serde::Serialize, JsonSchema)]
pub struct Check {
    /// Replicas' committed logs agree slot by slot.
    pub agreement: bool,
    /// How much of the history is checked for linearizability.
    pub linearizable: Linearizable,
    /// No request took effect twice.
    pub exactly_once: bool,
    /// Replicas' state digests agree at equal checkpoints.
    pub state: bool,
    /// How long nothing may be committed.
    pub liveness: Liveness,
    /// What a correct replica may need at most (missed: exit code 3).
    pub resources: ResourceBounds,
}

/// What a correct replica may need at most, whatever is done to it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, JsonSchema)]
pub struct ResourceBounds {
    /// Resident memory.
    pub memory: Size,
    /// Growth of the memory in a minute, over the last half of the measured phase.
    pub memory_slope: Size,
    /// Connections of clients at the same time.
    pub connections: u64,
    /// Files and sockets open at the same time.
    pub open_files: u64,
    /// Threads at the same time.
    pub threads: u64,
    /// The data directory at the end.
    pub data: Size,
    /// What it logs in a minute.
    pub log_per_minute: Size,
    /// Bad signatures of one client or one other replica that it checks, on average over the measured phase.
    pub bad_signatures: Rate,
    /// Signatures of one other replica that it checks beyond those of the next one and beyond the requests that it executes.
    pub peer_lead: Rate,
}

/// How much of the history is kept and checked for linearizability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Linearizable {
    /// No history is kept.
    Off,
    /// A seeded share of the keys, complete per key.
    Sampled,
    /// Every operation.
    Full,
}

/// How long nothing may be committed although clients wait.
#[derive(Clone, Debug, PartialEq, serde::Serialize, JsonSchema)]
pub struct Liveness {
    /// Longest time without a commit.
    #[serde(with = "units::duration_text")]
    #[schemars(schema_with = "units::duration_schema")]
    pub max_stall: Duration,
    /// Longest time without a commit once the last fault is healed.
    #[serde(with = "units::duration_text")]
    #[schemars(schema_with = "units::duration_schema")]
    pub after_heal: Duration,
}

/// The `[slo]` table: objectives that the run must meet (else exit code 3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slo {
    /// In the order of the table: over all operations first, then by kind.
    pub objectives: Vec<Objective>,
}

/// One objective, such as `read.p99 = "< 10ms"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The kind of operation it is about; `None` for all.
    pub op: Option<OpKind>,
    /// What is measured and the bound it must keep.
    pub bound: Bound,
}

/// What is measured and the bound it must keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// A point of the latency distribution.
    Latency(LatencyPoint, Comparison<Duration>),
    /// Operations answered a second.
    Throughput(Comparison<Rate>),
    /// Operations that failed or stayed unknown, of those sent; over all kinds only.
    Errors(Comparison<Share>),
}

/// A point of a latency distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of run.json")]
pub enum LatencyPoint {
    Mean,
    P50,
    P90,
    P99,
    P999,
    P9999,
    Max,
}

impl LatencyPoint {
    /// Every point, rising.
    pub const ALL: [Self; 7] = [
        Self::Mean,
        Self::P50,
        Self::P90,
        Self::P99,
        Self::P999,
        Self::P9999,
        Self::Max,
    ];

    /// The name used in scenarios and in run.json's `latency_us`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::P9999 => "p9999",
            Self::Max => "max",
        }
    }

    /// The quantile between 0 and 1; `None` for the mean, which is none.
    pub const fn quantile(self) -> Option<f64> {
        match self {
            Self::Mean => None,
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P99 => Some(0.99),
            Self::P999 => Some(0.999),
            Self::P9999 => Some(0.9999),
            Self::Max => Some(1.0),
        }
    }
}

impl Bound {
    /// The key under `[slo]`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Latency(point, _) => point.name(),
            Self::Throughput(_) => "throughput",
            Self::Errors(_) => "errors",
        }
    }

    /// The right side as a scenario writes it, such as `< 400ms`.
    pub fn condition(&self) -> String {
        match self {
            Self::Latency(_, wanted) => wanted.to_string(),
            Self::Throughput(wanted) => wanted.to_string(),
            Self::Errors(wanted) => wanted.to_string(),
        }
    }
}

impl Objective {
    /// The key under `[slo]`, such as `p99` or `read.p99`.
    pub fn name(&self) -> String {
        match self.op {
            None => self.bound.name().to_owned(),
            Some(op) => format!("{}.{}", op.name(), self.bound.name()),
        }
    }
}

impl serde::Serialize for Slo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |op: Option<OpKind>| Row(self.objectives.iter().filter(|o| o.op == op).collect());
        let mut map = serializer.serialize_map(None)?;
        for objective in of(None).0 {
            map.serialize_entry(objective.bound.name(), &objective.bound.condition())?;
        }
        for op in OpKind::ALL {
            let row = of(Some(op));
            if !row.0.is_empty() {
                map.serialize_entry(op.name(), &row)?;
            }
        }
        map.end()
    }
}

/// The objectives of one kind of operation.
struct Row<'a>(Vec<&'a Objective>);

impl serde::Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self
            .0
            .iter()
            .map(|objective| (objective.bound.name(), objective.bound.condition()));
        entries
            .collect::<std::collections::BTreeMap<_, _>>()
            .serialize(serializer)
    }
}

impl JsonSchema for Slo {
    fn schema_name() -> Cow<'static, str> {
        "Slo".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let condition = json_schema!({ "type": "string", "pattern": "^(<=|>=|!=|==|<|>|=)" });
        let property = |name: &str| (name.to_owned(), condition.clone().to_value());
        let of_a_kind = || {
            let names = LatencyPoint::ALL.map(LatencyPoint::name).into_iter();
            names.chain(["throughput"]).map(property)
        };
        let row = json_schema!({ "type": "object", "properties": of_a_kind().collect::<serde_json::Map<_, _>>() });
        let rows = OpKind::ALL
            .into_iter()
            .map(|op| (op.name().to_owned(), row.clone().to_value()));
        json_schema!({ "type": "object", "properties": of_a_kind().chain([property("errors")]).chain(rows).collect::<serde_json::Map<_, _>>() })
    }
}
