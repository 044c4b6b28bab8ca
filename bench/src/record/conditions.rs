//! What run.json says of the conditions of a measurement: was it steady, and what did the machine do meanwhile?

use serde::{Deserialize, Serialize};

/// Whether the measured phase was alike from beginning to end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stationarity {
    /// The answer.
    pub verdict: Steadiness,
    /// It in words.
    pub detail: String,
    /// Parts of equal length that were compared; what was left over at the end was not.
    pub windows: u64,
    /// Their length.
    pub window_s: f64,
    /// Successful operations per second in each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput_ops_s: Option<Trend>,
    /// Median latency from the intended start in each, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<Trend>,
    /// Its 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<Trend>,
}

/// Whether a measured phase was steady.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Steadiness {
    /// Nothing in it shows a trend.
    Stationary,
    /// Something went one way all along: its figures depend on how long was measured.
    Drifting,
    /// Nobody can tell, or nothing of the kind was to be expected; `detail` says which.
    #[default]
    Skipped,
}

/// One figure over the windows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trend {
    /// Its value in each window; `None` where nothing was answered.
    pub values: Vec<Option<f64>>,
    /// How far it moved from the first window to the last by the median slope (Theil and Sen), as a share of its median.
    pub change: f64,
    /// The chance of a trend this clear where there is none (Mann and Kendall, two-sided).
    pub p_value: f64,
    /// Whether it is too clear for chance and too large to ignore.
    pub drifts: bool,
}

/// What the machine that runs the load generator did in the measured phase. `None` where the system does not say.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineFacts {
    /// Its processors.
    pub cores: u64,
    /// Share of their time in which they worked, 0 to 1.
    pub busy_share: Option<f64>,
    /// Share of their time that neither replicas nor load generator used; `None` as well if the replicas run elsewhere.
    pub others_share: Option<f64>,
    /// Share of their time that the host gave to other virtual machines.
    pub steal_share: Option<f64>,
    /// How long this control group had to wait because its quota of processor time was used up.
    pub throttled_ms: Option<f64>,
    /// The largest change of the wall clock against the monotonic one between two looks.
    pub clock_jump_ms: f64,
}
