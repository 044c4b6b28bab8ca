//! What run.json says of an emulated network: configured against measured.

use serde::{Deserialize, Serialize};

/// The emulated network of a repeat.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkFacts {
    /// Every directed link between two replicas.
    pub links: Vec<LinkFact>,
    /// Whether anything lay between the replicas without a fault.
    pub impaired: bool,
}

/// A directed link.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkFact {
    /// Who sends, and who measured.
    pub from: u32,
    /// Who receives.
    pub to: u32,
    /// Configured one-way delay from `from` to `to`.
    pub delay_ms: f64,
    /// Configured spread of it.
    pub jitter_ms: f64,
    /// Configured share of lost datagrams.
    pub loss: f64,
    /// Configured round trip: both ways.
    pub configured_ms: f64,
    /// The median of the round trips that QUIC saw from `from`, each smoothed over some packets.
    pub measured_p50_ms: Option<f64>,
    /// The shortest of them, not smoothed.
    pub measured_min_ms: Option<f64>,
    /// Looks at the connection.
    pub samples: u64,
    /// Whether the median is within 10 % and 1 ms (and the jitter) of what was configured; `None`: no distance, or a
    /// bandwidth whose queue adds to it.
    pub met: Option<bool>,
}

/// The middle of some figures; `None` if there are none.
pub(crate) fn median_of(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
