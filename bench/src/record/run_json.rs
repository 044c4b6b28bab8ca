//! `run.json`, schema `bench.run/v1`: the result of a run as one document. Names are a contract: add, never rename.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ClientAttackFact, Counters, Environment, Estimate, FallbackFacts, HistoryCounts, HistoryMode,
    Invocation, MachineFacts, MessageFacts, NetworkFacts, PhaseFacts, Recording, Stationarity,
};
use crate::check::{CheckResult, Verdict};
use crate::judge::Miss;
use crate::outsider::OutsiderReport;

/// The value of the field `schema`.
pub const RUN_SCHEMA: &str = "bench.run/v1";

const NS_PER_US: f64 = 1e3;

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

/// A latency distribution, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "percentiles by their usual names")]
pub struct LatencySummary {
    /// Operations.
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub p9999: f64,
    pub max: f64,
}

/// What the protocol did during the repeat.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsensusFacts {
    /// Sequence numbers decided.
    pub slots: u64,
    /// Decided by a fast quorum of PREPAREs.
    pub fast_path_slots: u64,
    /// Decided by COMMITs.
    pub slow_path_slots: u64,
    /// Share of `fast_path_slots` in both, 0 to 1; 0 without slots.
    pub fast_path_share: f64,
    /// Views entered in the measured phase, by the replica that saw most of them.
    pub view_changes: u64,
    /// The view at the end.
    pub final_view: u64,
    /// The epoch at the end: it grows when a replica that lost its disk has its vote renewed.
    pub final_epoch: u64,
    /// Stable checkpoints.
    pub checkpoints: u64,
    /// States that replicas fetched from others.
    pub state_transfers: u64,
    /// Operations per slot, on average (the same number as `batch.mean`).
    pub batch_ops_mean: f64,
    /// Operations per slot.
    pub batch: BatchSizes,
}

/// Operations per slot.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "statistics by their usual names")]
pub struct BatchSizes {
    pub mean: f64,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
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

/// An injected fault and what it cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FaultFact {
    /// Its kind, as in the scenario.
    pub kind: String,
    /// The replica it hit, if it was one.
    pub target: Option<u32>,
    /// When it began, seconds into the measured phase.
    pub start_s: f64,
    /// When it ended: the replica listened again, or went on.
    pub end_s: Option<f64>,
    /// That in detail: which links and conditions, which file and bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Whether the replica's disk was lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wipe: bool,
    /// What a Byzantine replica does (kind `byzantine`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<String>,
    /// How often it did so in the whole run, as it says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acted: Option<u64>,
    /// What was done to its disk, as in the scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack: Option<String>,
    /// The words with which the replica stopped because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The words with which the replica refused to start because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether the replica came back without a vote because of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub learner: bool,
    /// From its beginning to the first answer to an operation that was sent at or after it; `None` if there was none.
    pub first_commit_ms: Option<f64>,
    /// From its beginning to the first 500 ms with at least 95 % of the throughput of the 2 s before it; `None` if there
    /// were none, or less than 500 ms before it to compare with.
    pub recovered_95_ms: Option<f64>,
    /// The longest time without any answer from its beginning to the next fault or the end; below 100 ms it is 0.
    pub longest_stall_ms: f64,
    /// The mean throughput from its beginning until the replica had caught up and voted, or to the next fault or the end if that
    /// comes first, as a share of that of the 2 s before it; `None` if there were less than 500 ms to compare with.
    pub throughput_kept: Option<f64>,
    /// From its end until the replica had executed what the others had, to 0.2 s; `None` if it did not end or catch up.
    pub caught_up_ms: Option<f64>,
    /// From its end until the replica was a member again, to 0.2 s: 0 if it never lost its vote; `None` if it did not end, or
    /// was a learner to the end.
    pub voting_ms: Option<f64>,
    /// What hostile clients did, and what they left to the others, if this was their attack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientAttackFact>,
    /// What an outsider did and what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outsider: Option<OutsiderReport>,
    /// Why it did not strike or end as planned, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A signed contradiction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EvidenceFact {
    /// The replica that signed it.
    pub culprit: u32,
    /// Its kind.
    pub kind: String,
    /// The file, relative to the repeat's directory.
    pub file: String,
}

/// How far the throughput is from what signatures allow on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// Operations per second if the machine did nothing but sign and verify.
    pub signature_bound_ops_s: f64,
    /// Throughput as a share of that.
    pub signature_bound_share: f64,
}

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

impl LatencySummary {
    /// Of a histogram of nanoseconds; all zero if it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Self::in_units(histogram, NS_PER_US)
    }

    /// Of a histogram of microseconds; all zero if it is empty.
    #[must_use]
    pub fn of_micros(histogram: &Histogram<u64>) -> Self {
        Self::in_units(histogram, 1.0)
    }

    /// Of a histogram of which this many units are a microsecond.
    fn in_units(histogram: &Histogram<u64>, per_us: f64) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / per_us;
        Self {
            count: histogram.len(),
            min: histogram.min() as f64 / per_us,
            mean: histogram.mean() / per_us,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max() as f64 / per_us,
        }
    }
}

impl BatchSizes {
    /// Of the operations in each slot.
    #[must_use]
    pub fn of(mut sizes: Vec<u64>) -> Self {
        sizes.sort_unstable();
        let Some(max) = sizes.last().copied() else {
            return Self::default();
        };
        // Nearest rank: the smallest size that at least this share of the slots does not exceed.
        let at = |percent: usize| sizes[(sizes.len() * percent).div_ceil(100).saturating_sub(1)];
        Self {
            mean: sizes.iter().sum::<u64>() as f64 / sizes.len() as f64,
            p50: at(50),
            p99: at(99),
            max,
        }
    }
}

impl ConsensusFacts {
    /// Fills the shares and the batch sizes from the counts.
    #[must_use]
    pub fn with_batches(self, batch: BatchSizes) -> Self {
        let decided = self.fast_path_slots + self.slow_path_slots;
        let fast_path_share = if decided == 0 {
            0.0
        } else {
            self.fast_path_slots as f64 / decided as f64
        };
        Self {
            fast_path_share,
            batch_ops_mean: batch.mean,
            batch,
            ..self
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

impl FaultFact {
    /// What it was, in a word or two: `kill`, `disk bit-flip`.
    #[must_use]
    pub fn kind_in_full(&self) -> String {
        match (&self.behavior, &self.attack) {
            (Some(behavior), _) => behavior.clone(),
            (None, Some(attack)) => format!("{} {attack}", self.kind),
            (None, None) => self.kind.clone(),
        }
    }

    /// As a sentence names it: `kill of replica 0 at 5.0 s`.
    #[must_use]
    pub fn named(&self) -> String {
        let whom = match (self.target, &self.what) {
            (Some(id), _) => format!("of replica {id}"),
            (None, Some(what)) => format!("({what})"),
            (None, None) => "of nobody".to_owned(),
        };
        let kind = self.kind_in_full();
        format!("{kind} {whom} at {:.1} s", self.start_s)
    }
}

impl Summary {
    /// Medians over `repeats`; `seed` makes their intervals repeatable.
    #[must_use]
    pub fn of(repeats: &[Repeat], seed: u64) -> Self {
        let over = |value: &dyn Fn(&Repeat) -> f64| {
            Estimate::of(&repeats.iter().map(value).collect::<Vec<_>>(), seed)
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
