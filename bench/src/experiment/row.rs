//! The figures of one run of a cell.

use serde::Serialize;

use crate::compare::Metric;
use crate::exit::Exit;
use crate::record::{LatencySummary, Run, RunVerdict};

/// One repeat of one cell. What was not measured is `None`. Latencies are in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names of run.json, with their units")]
pub struct Row {
    /// From 1.
    pub repeat: u32,
    pub seed: u64,
    /// The run's directory below that of the sweep.
    pub run: String,
    pub verdict: RunVerdict,
    pub duration_s: f64,
    pub offered: u64,
    pub sent: u64,
    pub ok: u64,
    pub failed: u64,
    pub unknown: u64,
    pub dropped: u64,
    pub late: u64,
    pub offered_ops_s: Option<f64>,
    pub throughput_ops_s: Option<f64>,
    pub mean_us: Option<f64>,
    pub p50_us: Option<f64>,
    pub p90_us: Option<f64>,
    pub p99_us: Option<f64>,
    pub p999_us: Option<f64>,
    pub max_us: Option<f64>,
    pub service_p50_us: Option<f64>,
    pub service_p99_us: Option<f64>,
    pub fast_path_share: Option<f64>,
    pub slots: u64,
    pub view_changes: u64,
    pub batch_ops_mean: Option<f64>,
    pub cpu_us_per_op: Option<f64>,
    pub rss_max_bytes: Option<f64>,
    pub bytes_sent_per_op: Option<f64>,
    pub fsyncs_per_op: Option<f64>,
    pub signature_bound_share: Option<f64>,
    pub load_generator_cpu_s: f64,
}

impl Row {
    /// Of a run with one repeat; `None` if it has none.
    #[must_use]
    pub fn of(run: &Run, repeat: u32, place: &str) -> Option<Self> {
        let measured = run.repeats.first()?;
        let of = |latencies: &std::collections::BTreeMap<String, LatencySummary>| {
            latencies
                .get("all")
                .copied()
                .filter(|latency| latency.count > 0)
        };
        let latency = of(&measured.latency_us);
        let service = of(&measured.service_latency_us);
        let operations = &measured.operations;
        let consensus = &measured.consensus;
        let over =
            |count: u64| (measured.duration_s > 0.0).then(|| count as f64 / measured.duration_s);
        let decided = consensus.slots > 0;
        Some(Self {
            repeat,
            seed: measured.seed,
            run: place.to_owned(),
            verdict: run.verdict,
            duration_s: measured.duration_s,
            offered: operations.offered,
            sent: operations.sent,
            ok: operations.ok,
            failed: operations.failed,
            unknown: operations.unknown,
            dropped: operations.dropped,
            late: operations.late,
            offered_ops_s: over(operations.offered),
            throughput_ops_s: over(operations.ok),
            mean_us: latency.map(|latency| latency.mean),
            p50_us: latency.map(|latency| latency.p50),
            p90_us: latency.map(|latency| latency.p90),
            p99_us: latency.map(|latency| latency.p99),
            p999_us: latency.map(|latency| latency.p999),
            max_us: latency.map(|latency| latency.max),
            service_p50_us: service.map(|latency| latency.p50),
            service_p99_us: service.map(|latency| latency.p99),
            fast_path_share: decided.then_some(consensus.fast_path_share),
            slots: consensus.slots,
            view_changes: consensus.view_changes,
            batch_ops_mean: decided.then_some(consensus.batch_ops_mean),
            cpu_us_per_op: Metric::Cpu.of(measured),
            rss_max_bytes: Metric::Memory.of(measured),
            bytes_sent_per_op: Metric::BytesSent.of(measured),
            fsyncs_per_op: Metric::Fsyncs.of(measured),
            signature_bound_share: Some(measured.bounds.signature_bound_share)
                .filter(|share| *share > 0.0),
            load_generator_cpu_s: measured.resources.load_generator.cpu_s,
        })
    }

    /// What its run calls for.
    pub(super) const fn exit(&self) -> Exit {
        match self.verdict {
            RunVerdict::Pass => Exit::Ok,
            RunVerdict::SloMissed => Exit::Missed,
            RunVerdict::LivenessViolation => Exit::Liveness,
            RunVerdict::SafetyViolation => Exit::Safety,
        }
    }
}
