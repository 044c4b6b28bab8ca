//! The effective scenario: every key of the file with its final value, typed.
//!
//! A [`Scenario`] exists only when the whole file was accepted, so its readers check nothing again.

use schemars::JsonSchema;
use serde::Serialize;

pub use super::budget::Excess;
pub use super::byzantine::{Byzantine, Liars};
pub use super::client::{
    CLIENT_ATTACKS, ClientAttack, ClientAttackArgument, ClientAttackEntry, ClientFault, GoodFor,
};
pub use super::cluster::{
    Batch, Cluster, CommitMode, Durability, Engine, FastQuorum, Protocol, Storage, Timeouts,
};
pub use super::compare::{Comparison, Relation};
pub use super::disk::{DataFile, DiskAttack, Extent, Store};
pub use super::expect::{Condition, Expect, Expectation, Fact, FactKind};
pub use super::fault::{Again, Choice, Fault, FaultKind, FaultTarget, Strike};
pub use super::goals::{
    Bound, Check, LatencyPoint, Linearizable, Liveness, Objective, ResourceBounds, Slo,
};
pub use super::link::LinkConditions;
pub use super::load::{Arrival, Load, LoadModel};
pub use super::network::{Distances, Network, NetworkLink};
pub use super::outsider::OutsiderFault;
pub use super::partition::{LinkFault, OneWay, Partition};
pub use super::sweep::{Axis, Exclude, Settings, Sweep, Variant};
pub use super::units::{Bandwidth, Rate, Share, Size};
pub use super::workload::{
    KeyDistribution, Mix, OpKind, Preset, ReadMode, ValueSize, Workload, WorkloadKind,
};

/// The version of the file format this program reads.
pub const SCHEMA_VERSION: u32 = 1;

/// One experiment, complete: all that decides what happens, except the machine.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Scenario {
    /// Version of the file format; 1.
    pub schema: u32,
    /// Short name, used in the name of the results directory: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The question that the scenario answers.
    pub description: String,
    /// Keys, arrivals and the choice of operations all derive from it.
    pub seed: u64,
    /// Independent runs on fresh clusters: the unit of statistics.
    pub repeat: u32,
    /// What is started.
    pub cluster: Cluster,
    /// What lies between the replicas; absent: loopback as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What the clients ask for.
    pub workload: Workload,
    /// How hard they press.
    pub load: Load,
    /// Which replicas lie, and how.
    pub byzantine: Vec<Byzantine>,
    /// What happens to the replicas meanwhile.
    #[serde(rename = "fault")]
    pub faults: Vec<Fault>,
    /// Which correctness checks follow.
    pub check: Check,
    /// Objectives that the run must meet.
    pub slo: Slo,
    /// Facts that the run must show.
    pub expect: Expect,
    /// What `bench sweep` varies; a run is that of the scenario without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}
