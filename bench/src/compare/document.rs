//! A comparison as one JSON document, with every number. Names are a contract: add, never rename.

use serde_json::{Value, json};

use super::comparison::{Comparison, Pair};
use super::judge::{MetricComparison, Sample};
use super::side::Side;
use super::words::conclusion;
use crate::statistics::{ALPHA, CONFIDENCE, RESAMPLES};

/// The value of the field `schema`.
pub const COMPARE_SCHEMA: &str = "bench.compare/v1";

const PERCENT: f64 = 100.0;

/// The whole document. What cannot be given, such as the interval of two repeats, is null.
#[must_use]
pub fn document(comparison: &Comparison) -> Value {
    let options = &comparison.options;
    json!({
        "schema": COMPARE_SCHEMA,
        "conclusion": conclusion(comparison),
        "threshold_percent": options.threshold * PERCENT,
        "noise_floor_percent": options.noise_floor.and_then(|floor| floor.largest()).map(|floor| floor * PERCENT),
        "alpha": ALPHA,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "forced": comparison.forced,
        "warnings": comparison.warnings,
        "sides": comparison.sides.iter().map(side).collect::<Value>(),
        "comparisons": comparison.pairs.iter().map(|one| pair(comparison, one)).collect::<Value>(),
    })
}

fn side(side: &Side) -> Value {
    let environment = &side.first().environment;
    json!({
        "label": side.label,
        "name": side.first().name,
        "runs": side.runs.iter().map(|run| run.id.as_str()).collect::<Value>(),
        "repeats": side.repeats().count(),
        "commit": environment.commit,
        "dirty": environment.dirty,
        "durability": environment.durability,
        "authentication": environment.authentication,
    })
}

fn pair(comparison: &Comparison, pair: &Pair) -> Value {
    let difference = |found: &super::Difference| json!({ "key": found.key, "baseline": found.baseline, "candidate": found.candidate });
    let missing = |(metric, label): &(super::Metric, &str)| json!({ "name": metric.name(), "not_measured_in": label });
    json!({
        "baseline": comparison.baseline().label,
        "candidate": comparison.sides[pair.candidate].label,
        "metrics": pair.metrics.iter().map(|one| metric(comparison, one)).collect::<Value>(),
        "missing": pair.missing.iter().map(missing).collect::<Value>(),
        "differences": pair.differences.iter().map(difference).collect::<Value>(),
    })
}

fn metric(comparison: &Comparison, one: &MetricComparison) -> Value {
    let options = &comparison.options;
    json!({
        "name": one.metric.name(),
        "unit": one.metric.unit().word(),
        "better": one.metric.direction().word(),
        "baseline": sample(&one.baseline),
        "candidate": sample(&one.candidate),
        "ratio": one.ratio,
        "ratio_ci95": one.ratio_interval,
        "change_percent": one.change().map(|change| change * PERCENT),
        "shift": one.shift,
        "p": one.p,
        "p_holm": one.p_holm,
        "p_method": one.method.word(),
        "cliffs_delta": one.delta,
        "effect": one.effect().word(),
        "threshold_percent": options.practical_threshold(one.metric) * PERCENT,
        "noise_floor_percent": options.floor(one.metric).map(|floor| floor * PERCENT),
        "verdict": one.verdict.word(),
        "repeats_to_decide": one.repeats_to_decide,
    })
}

fn sample(sample: &Sample) -> Value {
    json!({ "values": sample.values, "median": sample.median, "ci95": sample.interval })
}
