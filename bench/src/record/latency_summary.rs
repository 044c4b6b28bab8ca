//! A latency distribution in run.json.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

const NS_PER_US: f64 = 1e3;

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
