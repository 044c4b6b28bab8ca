//! One rate that was tried, and the runs that decided it.

use serde::Serialize;

use crate::record::{Estimate, Run, RunVerdict};
use crate::report::units;

/// Share of its threads from which on the load generator may be what sets the pace.
const GENERATOR_SHARE_MAX: f64 = 0.8;
/// Share of operations sent late from which on it was behind.
const LATE_SHARE_MAX: f64 = 0.01;
/// Reasons that a table shows.
const REASONS_MAX: usize = 3;

/// What a rate was tried for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The low load that others are held against.
    Baseline,
    /// Twice the last one.
    Doubling,
    /// Between one that was met and one that was missed.
    Bisection,
    /// A share of the limit.
    Share,
}

/// One rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// From 1, in the order in which they were tried.
    pub number: usize,
    /// What for.
    pub stage: Stage,
    /// Of the limit, if that is what it was tried for.
    pub share: Option<f64>,
    /// Operations per second that were to be offered.
    pub rate_ops_s: f64,
    /// Whether most of its runs met the objective.
    pub met: bool,
    /// Why not, one sentence each.
    pub why: Vec<String>,
    /// Whether the load generator was behind in most of the runs that missed.
    pub generator_limited: bool,
    /// Operations offered per second.
    pub offered_ops_s: Option<Estimate>,
    /// Successful operations per second.
    pub throughput_ops_s: Option<Estimate>,
    /// Median latency from the intended start.
    pub p50_us: Option<Estimate>,
    /// Its 99th percentile.
    pub p99_us: Option<Estimate>,
    /// Its runs.
    pub repeats: Vec<ProbeRun>,
}

/// One run at a rate. What was not measured is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names of run.json, with their units")]
pub struct ProbeRun {
    pub seed: u64,
    /// The run's directory below that of the search.
    pub run: String,
    /// Whether it met the objective.
    pub met: bool,
    /// Why not.
    pub why: Vec<String>,
    pub offered_ops_s: Option<f64>,
    pub throughput_ops_s: Option<f64>,
    pub p50_us: Option<f64>,
    pub p90_us: Option<f64>,
    pub p99_us: Option<f64>,
    pub p999_us: Option<f64>,
    pub dropped: u64,
    pub late: u64,
    /// Failed and unknown, of those sent.
    pub errors_share: Option<f64>,
    /// CPU of the load generator, of what its threads could have had.
    pub generator_share: Option<f64>,
    /// Whether the load generator was behind.
    pub generator_behind: bool,
}

impl ProbeRun {
    /// Judges a run with one repeat by its own objectives, by `p99_max_us` if there is such a bound, and by what holds
    /// always: nothing dropped, nothing unknown. `None` if it measured nothing.
    #[must_use]
    pub fn of(run: &Run, place: &str, p99_max_us: Option<f64>) -> Option<Self> {
        let repeat = run
            .repeats
            .first()
            .filter(|repeat| repeat.duration_s > 0.0)?;
        let operations = &repeat.operations;
        let latency = repeat
            .latency_us
            .get("all")
            .copied()
            .filter(|latency| latency.count > 0);
        let mut why: Vec<String> = run
            .misses
            .iter()
            // What a scenario expects, it expects at its own rate.
            .filter(|miss| !miss.objective.starts_with("expect."))
            .map(|miss| format!("{}: {}, wanted {}", miss.objective, miss.got, miss.wanted))
            .collect();
        if run.verdict > RunVerdict::SloMissed {
            why.push("a check of correctness failed".to_owned());
        }
        if operations.dropped > 0 {
            let dropped = units::counted(operations.dropped, "operation");
            why.push(format!("{dropped} dropped before sending"));
        }
        if operations.unknown > 0 {
            let unknown = units::counted(operations.unknown, "operation");
            why.push(format!("{unknown} never answered"));
        }
        if let (Some(limit), Some(latency)) = (p99_max_us, latency)
            && latency.p99 > limit
        {
            let (got, wanted) = (units::time(latency.p99), units::time(limit));
            why.push(format!("p99: {got}, wanted <= {wanted}"));
        }
        if latency.is_none() && why.is_empty() {
            why.push("no operation succeeded".to_owned());
        }
        let over = |count: u64| count as f64 / repeat.duration_s;
        let sent = operations.sent as f64;
        let share_of_sent = |count: u64| (sent > 0.0).then(|| count as f64 / sent);
        let generator_share = threads(run)
            .map(|threads| repeat.resources.load_generator.cpu_s / repeat.duration_s / threads);
        let late = share_of_sent(operations.late).unwrap_or(0.0) > LATE_SHARE_MAX;
        Some(Self {
            seed: repeat.seed,
            run: place.to_owned(),
            met: why.is_empty(),
            why,
            offered_ops_s: Some(over(operations.offered)),
            throughput_ops_s: Some(over(operations.ok)),
            p50_us: latency.map(|latency| latency.p50),
            p90_us: latency.map(|latency| latency.p90),
            p99_us: latency.map(|latency| latency.p99),
            p999_us: latency.map(|latency| latency.p999),
            dropped: operations.dropped,
            late: operations.late,
            errors_share: share_of_sent(operations.failed + operations.unknown),
            generator_share,
            generator_behind: late
                || generator_share.is_some_and(|share| share > GENERATOR_SHARE_MAX),
        })
    }
}

/// Threads of the load generator: one for each core, and no more than there are sets of connections.
fn threads(run: &Run) -> Option<f64> {
    let connections = run.scenario.pointer("/load/connections")?.as_u64()?;
    let threads = connections.min(run.environment.cores);
    (threads > 0).then_some(threads as f64)
}

impl Probe {
    /// The runs of one rate together.
    pub(super) fn new(
        number: usize,
        stage: Stage,
        share: Option<f64>,
        rate_ops_s: f64,
        met: bool,
        repeats: Vec<ProbeRun>,
    ) -> Self {
        let over = |value: fn(&ProbeRun) -> Option<f64>| {
            let values: Vec<f64> = repeats.iter().filter_map(value).collect();
            (!values.is_empty()).then(|| Estimate::of(&values))
        };
        let missed = || repeats.iter().filter(|run| !run.met);
        let behind = missed().filter(|run| run.generator_behind).count();
        let mut why: Vec<String> = missed().flat_map(|run| run.why.iter().cloned()).collect();
        why.dedup();
        why.truncate(REASONS_MAX);
        Self {
            number,
            stage,
            share,
            rate_ops_s,
            met,
            why: if met { Vec::new() } else { why },
            generator_limited: !met && behind * 2 > missed().count(),
            offered_ops_s: over(|run| run.offered_ops_s),
            throughput_ops_s: over(|run| run.throughput_ops_s),
            p50_us: over(|run| run.p50_us),
            p99_us: over(|run| run.p99_us),
            repeats,
        }
    }
}
