//! How hard the clients press, and for how long.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::units::{self, Rate};

/// The `[load]` table.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Load {
    /// Open or closed loop, with what only that loop has.
    #[serde(flatten)]
    pub model: LoadModel,
    /// Distinct client keys.
    pub clients: u32,
    /// QUIC connections to each replica which the clients share.
    pub connections: u32,
    /// Operations under one client signature.
    pub ops_per_request: u32,
    /// Whether the operations of one request succeed or fail together.
    pub atomic: bool,
    /// Time under load before anything is measured.
    #[serde(with = "units::duration_text")]
    #[schemars(schema_with = "units::duration_schema")]
    pub warmup: Duration,
    /// Time measured.
    #[serde(with = "units::duration_text")]
    #[schemars(schema_with = "units::duration_schema")]
    pub duration: Duration,
}

/// What decides when the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "model", rename_all = "lowercase")]
pub enum LoadModel {
    /// A clock: requests arrive whether or not earlier ones were answered, and latency counts from the intended start.
    Open {
        /// Operations a second, over all clients.
        rate: Rate,
        /// How the arrivals are spaced.
        arrival: Arrival,
    },
    /// The answers: each client keeps a fixed number of requests under way.
    Closed {
        /// Requests under way per client.
        outstanding: u32,
    },
}

/// How the arrivals of an open loop are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// Independent, exponential gaps.
    Poisson,
    /// Equal gaps.
    Constant,
}
