//! `run.json`, schema `bench.run/v1`: the result of a run as one document. Names are a contract: add, never rename.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Bounds, ConsensusFacts, Counters, Environment, Estimate, EvidenceFact, FallbackFacts,
    FaultFact, HistoryCounts, HistoryMode, Invocation, LatencySummary, MachineFacts, MessageFacts,
    NetworkFacts, PhaseFacts, QuorumReads, Recording, Resources, Stationarity,
};
use crate::check::{CheckResult, Verdict};
use crate::judge::Miss;

/// The value of the field `schema`.
pub const RUN_SCHEMA: &str = "bench.run/v1";

/// The whole document. What an older one lacks keeps its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// [`RUN_SCHEMA`].
    pub schema: String,
    /// Name of the run's directory.
    pub id: String,
    /// Name of the scenario.
    pub name: String,
    /// Whether it ran to its end.
    pub status: RunStatus,
    /// What came of it.
    pub verdict: RunVerdict,
    /// The effective scenario.
    pub scenario: Value,
    /// Machine, build, durability, authentication.
    pub environment: Environment,
    /// One entry for each repeat.
    pub repeats: Vec<Repeat>,
    /// Medians over the repeats.
    pub summary: Summary,
    /// The cluster file, if the cluster was not started by this run (`--attach`).
    pub attached: Option<String>,
    /// What stood on the command line; `None` if nobody wrote one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation: Option<Invocation>,
    /// Objectives and expectations that were missed.
    pub misses: Vec<Miss>,
    /// What makes the numbers doubtful or the scenario odd, one sentence each.
    pub warnings: Vec<String>,
}

/// Whether a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// It did.
    #[default]
    Completed,
    /// Somebody stopped it; the results are partial.
    Interrupted,
    /// It could not go on; the results are partial.
    Failed,
}

/// What came of a run. Safety goes before liveness, liveness before objectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunVerdict {
    /// Every check passed or was skipped, and every objective was met.
    #[default]
    Pass,
    /// An objective or expectation was missed: exit code 3.
    SloMissed,
    /// The cluster stood still longer than it may: exit code 5.
    LivenessViolation,
    /// Replicas or answers contradict each other: exit code 4.
    SafetyViolation,
}

/// One repeat.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Repeat {
    /// Its seed.
    pub seed: u64,
    /// Length of the measured phase.
    pub duration_s: f64,
    /// Operations of the measured phase.
    pub operations: Counters,
    /// Successful operations per second of the measured phase.
    pub throughput_ops_s: f64,
    /// From the intended start: `all`, and each kind that succeeded.
    pub latency_us: BTreeMap<String, LatencySummary>,
    /// From the moment of sending.
    pub service_latency_us: BTreeMap<String, LatencySummary>,
    /// What the protocol did.
    pub consensus: ConsensusFacts,
    /// How long the phases of its slots took; `None` if no replica said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phases: Option<PhaseFacts>,
    /// Messages by type, against the protocol's theory; `None` if no replica counted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<MessageFacts>,
    /// Why slots fell back to COMMITs; `None` in runs of versions that did not ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<FallbackFacts>,
    /// Reads beside the log; `None` without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum_reads: Option<QuorumReads>,
    /// Whether the measured phase was alike from beginning to end; `None` in runs of versions that did not test it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stationarity: Option<Stationarity>,
    /// What the machine did meanwhile; `None` in runs of versions that did not look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineFacts>,
    /// What the checkers say.
    pub checks: Checks,
    /// The faults injected.
    pub faults: Vec<FaultFact>,
    /// The emulated network, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkFacts>,
    /// Signed contradictions found.
    pub evidence: Vec<EvidenceFact>,
    /// How far from the hardware's bound.
    pub bounds: Bounds,
    /// What it cost.
    pub resources: Resources,
    /// What `history.jsonl` holds.
    pub history: HistoryFacts,
    /// Where the measured phase begins on the clock of the history, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_from_ns: Option<u64>,
    /// What stands before every key of this repeat in the store, and nowhere in these files: on a cluster that holds other records, too (`--attach`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_prefix: Option<String>,
}

/// The results of the checkers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Checks {
    /// Replicas committed the same batches and reached the same states.
    pub agreement: CheckResult,
    /// Clients saw one copy of the map.
    pub linearizable: CheckResult,
    /// No request was executed twice.
    pub exactly_once: CheckResult,
    /// The replicas' states are equal, and what executing the log again gives.
    pub state: CheckResult,
    /// Known clients signed what took effect.
    pub integrity: CheckResult,
    /// No correct replica signed two contradicting contents, and nobody is accused without proof.
    pub evidence: CheckResult,
    /// The replicas kept to their bounds of memory, disk, connections and log.
    pub resources: CheckResult,
    /// The cluster did not stand still.
    pub liveness: CheckResult,
    /// Writes that clients were told of can be read at the end.
    pub read_back: CheckResult,
}

/// What `history.jsonl` holds. With mode `full`, `ok_measured` equals `operations.ok` and the count of `latency_us.all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryFacts {
    /// How much was kept.
    pub mode: HistoryMode,
    /// Lines of all phases.
    pub lines: u64,
    /// Lines of the measured phase with status ok.
    pub ok_measured: u64,
}

/// Medians over the repeats.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Successful operations per second.
    pub throughput_ops_s: Estimate,
    /// Median latency from the intended start, microseconds.
    pub p50_us: Estimate,
    /// Its 99th percentile.
    pub p99_us: Estimate,
    /// CPU time of all replicas per successful operation, microseconds.
    pub cpu_us_per_op: Estimate,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            schema: RUN_SCHEMA.to_owned(),
            id: String::new(),
            name: String::new(),
            status: RunStatus::default(),
            verdict: RunVerdict::default(),
            scenario: Value::Null,
            environment: Environment::default(),
            repeats: Vec::new(),
            summary: Summary::default(),
            attached: None,
            invocation: None,
            misses: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl Default for HistoryFacts {
    fn default() -> Self {
        Self::new(HistoryMode::Off, HistoryCounts::default())
    }
}

impl HistoryFacts {
    /// What the history's writer reported.
    #[must_use]
    pub const fn new(mode: HistoryMode, counts: HistoryCounts) -> Self {
        Self {
            mode,
            lines: counts.lines,
            ok_measured: counts.ok_measured,
        }
    }
}

impl Repeat {
    /// The parts that come from the recorders; the rest is left for others to fill.
    #[must_use]
    pub fn measured(
        seed: u64,
        duration_s: f64,
        recording: &Recording,
        history: HistoryFacts,
    ) -> Self {
        let names = || {
            std::iter::once(("all", None))
                .chain(recording.kinds().map(|kind| (kind.name(), Some(kind))))
        };
        let operations = recording.counters;
        Self {
            seed,
            duration_s,
            operations,
            throughput_ops_s: if duration_s > 0.0 {
                operations.ok as f64 / duration_s
            } else {
                0.0
            },
            latency_us: names()
                .map(|(name, kind)| {
                    (
                        name.to_owned(),
                        LatencySummary::of(&recording.intended(kind)),
                    )
                })
                .collect(),
            service_latency_us: names()
                .map(|(name, kind)| {
                    (
                        name.to_owned(),
                        LatencySummary::of(&recording.service(kind)),
                    )
                })
                .collect(),
            quorum_reads: recording.quorum_reads,
            history,
            ..Self::default()
        }
    }

    /// The verdict that the checks of this repeat call for, objectives aside.
    #[must_use]
    pub fn verdict(&self) -> RunVerdict {
        let Checks {
            agreement,
            linearizable,
            exactly_once,
            state,
            integrity,
            evidence,
            liveness,
            read_back,
            // Judged as an objective is: the answers were right.
            resources: _,
        } = &self.checks;
        let safety = [
            agreement,
            linearizable,
            exactly_once,
            state,
            integrity,
            evidence,
            read_back,
        ];
        if safety.iter().any(|check| check.verdict == Verdict::Fail) {
            RunVerdict::SafetyViolation
        } else if liveness.verdict == Verdict::Fail {
            RunVerdict::LivenessViolation
        } else {
            RunVerdict::Pass
        }
    }
}

impl Summary {
    /// Medians over `repeats`.
    #[must_use]
    pub fn of(repeats: &[Repeat]) -> Self {
        let over = |value: &dyn Fn(&Repeat) -> f64| {
            Estimate::of(&repeats.iter().map(value).collect::<Vec<_>>())
        };
        let latency = |repeat: &Repeat| repeat.latency_us.get("all").copied().unwrap_or_default();
        Self {
            throughput_ops_s: over(&|repeat| repeat.throughput_ops_s),
            p50_us: over(&|repeat| latency(repeat).p50),
            p99_us: over(&|repeat| latency(repeat).p99),
            cpu_us_per_op: over(&|repeat| repeat.resources.cpu_us_per_op),
        }
    }
}

#[cfg(test)]
#[path = "run_json_tests.rs"]
mod tests;
