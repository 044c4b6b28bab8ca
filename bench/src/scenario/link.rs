//! What a scenario says of links between replicas: all keys may be absent, and what is absent stays as it was.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::units::{self, Bandwidth, Share, Size};
use crate::emulation::{Change, Spread};

/// Conditions on a directed link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct LinkConditions {
    /// Mean one-way delay.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "units::duration_schema")]
    pub delay: Option<Duration>,
    /// How far delays are from it; see `distribution`.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "units::duration_schema")]
    pub jitter: Option<Duration>,
    /// The shape of the jitter: uniform within `delay` +- `jitter`, or `jitter` is the standard deviation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Spread>,
    /// Share of datagrams that are lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Share>,
    /// Share that arrive twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Share>,
    /// Share that later ones may overtake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Share>,
    /// How much later those arrive at most.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "units::duration_schema")]
    pub reorder_within: Option<Duration>,
    /// Bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// What may wait for the bandwidth; the rest is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Size>,
    /// Largest UDP payload in bytes; larger ones are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Share in which one bit is flipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupt: Option<Share>,
}

impl LinkConditions {
    /// Its keys, in the order of the file format.
    pub(super) const KEYS: [&'static str; 11] = [
        "delay",
        "jitter",
        "distribution",
        "loss",
        "duplicate",
        "reorder",
        "reorder_within",
        "bandwidth",
        "queue",
        "mtu",
        "corrupt",
    ];

    /// As the emulation understands it.
    pub fn change(&self) -> Change {
        let share = |share: Option<Share>| share.map(Share::fraction);
        Change {
            delay: self.delay,
            jitter: self.jitter,
            distribution: self.distribution,
            loss: share(self.loss),
            duplicate: share(self.duplicate),
            reorder: share(self.reorder),
            reorder_within: self.reorder_within,
            bandwidth: self.bandwidth.map(Bandwidth::bits_per_second),
            queue: self.queue.map(Size::bytes),
            mtu: self.mtu,
            corrupt: share(self.corrupt),
            cut: None,
        }
    }

    /// In a few words: `delay 50ms, loss 1%`.
    pub fn spoken(&self) -> String {
        let written = toml::Table::try_from(self).unwrap_or_default();
        let word = |key: &&str| {
            let value = written.get(*key)?;
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            Some(format!("{key} {value}"))
        };
        let words: Vec<String> = Self::KEYS.iter().filter_map(word).collect();
        words.join(", ")
    }
}

pub(super) fn time<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => units::duration_text::serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}
