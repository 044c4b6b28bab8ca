//! What a directed link does to the datagrams on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the delays of a link are spread around their mean.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// Anything from `delay - jitter` to `delay + jitter`, all alike.
    #[default]
    Uniform,
    /// A bell: `jitter` is its standard deviation.
    Normal,
    /// Mostly a little less than `delay`, now and then far more: a Pareto distribution with exponent 3, of which `jitter`
    /// is the standard deviation.
    Pareto,
}

impl Spread {
    /// The words of scenarios.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("uniform", Self::Uniform),
        ("normal", Self::Normal),
        ("pareto", Self::Pareto),
    ];
}

/// A directed link. The default is one that does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSettings {
    /// Mean one-way delay.
    pub delay: Duration,
    /// How far delays are from it; zero: all delays are equal.
    pub jitter: Duration,
    /// The shape of the jitter.
    pub distribution: Spread,
    /// Share of datagrams that are lost, each for itself.
    pub loss: f64,
    /// Share that arrive twice.
    pub duplicate: f64,
    /// Share that others may overtake.
    pub reorder: f64,
    /// How much later those arrive at most.
    pub reorder_within: Duration,
    /// Bits a second; `None`: no limit.
    pub bandwidth: Option<u64>,
    /// Bytes that wait for the bandwidth at most; what comes then is dropped.
    pub queue: u64,
    /// Largest UDP payload; larger ones are dropped without a word.
    pub mtu: Option<u16>,
    /// Share in which one bit is flipped.
    pub corrupt: f64,
    /// A partition: nothing gets through.
    pub cut: bool,
}

impl LinkSettings {
    /// Whether datagrams can pass by as if there were no link.
    pub fn is_clear(&self) -> bool {
        self.delay.is_zero()
            && self.jitter.is_zero()
            && self.loss == 0.0
            && self.duplicate == 0.0
            && self.reorder == 0.0
            && self.bandwidth.is_none()
            && self.mtu.is_none()
            && self.corrupt == 0.0
            && !self.cut
    }
}
