//! The yardsticks of a repeat: what this machine would allow, and what it is made of.

use serde::{Deserialize, Serialize};

/// How far a repeat is from what the machine allows. The costs are the mean of what was measured just before and just after it
/// (docs/performance.md).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// Operations per second if the machine did nothing but sign and verify.
    pub signature_bound_ops_s: f64,
    /// Throughput as a share of that.
    pub signature_bound_share: f64,
    /// Milliseconds that message delays, writes to disk and signatures of one operation take at least; `None` if a part of it is not known, or
    /// not the same for all operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop_bound_ms: Option<f64>,
    /// That as a share of the median latency; `None` without a bound or without latencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop_bound_share: Option<f64>,
    /// What a signed request cost after the repeat, by what it cost before: above 1, the machine became slower. `None` in runs of versions
    /// that measured before alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace_change: Option<f64>,
    /// What was measured for it; `None` in runs of versions that did not keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<MeasuredCosts>,
}

/// What the parts of an operation cost on this machine: medians of waiting, and the best of a few times of computing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MeasuredCosts {
    /// Cores that the processes share.
    pub cores: f64,
    /// One signature.
    pub sign_us: f64,
    /// Verifying one alone.
    pub verify_us: f64,
    /// Verifying one of a batch of 64 by 16 keys.
    pub verify_batched_64_us: f64,
    /// Verifying one of a batch of 256 by 16 keys.
    pub verify_batched_us: f64,
    /// Hashing 128 bytes.
    pub hash_128_us: f64,
    /// Bytes hashed in a second, in bulk.
    pub hash_bytes_s: f64,
    /// Appending 4 KiB and making it durable, median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fsync_4k_us: Option<f64>,
    /// Appending 64 KiB and making it durable, median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fsync_64k_us: Option<f64>,
    /// 200 bytes to another endpoint on loopback and back, median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quic_round_trip_us: Option<f64>,
}

impl MeasuredCosts {
    /// Half of each; what only one of them knows is taken from that.
    #[must_use]
    pub fn mean(&self, other: &MeasuredCosts) -> MeasuredCosts {
        let maybe = |of: fn(&MeasuredCosts) -> Option<f64>| mean_of_known(of(self), of(other));
        let mean = |of: fn(&MeasuredCosts) -> f64| f64::midpoint(of(self), of(other));
        MeasuredCosts {
            cores: mean(|costs| costs.cores),
            sign_us: mean(|costs| costs.sign_us),
            verify_us: mean(|costs| costs.verify_us),
            verify_batched_64_us: mean(|costs| costs.verify_batched_64_us),
            verify_batched_us: mean(|costs| costs.verify_batched_us),
            hash_128_us: mean(|costs| costs.hash_128_us),
            hash_bytes_s: mean(|costs| costs.hash_bytes_s),
            fsync_4k_us: maybe(|costs| costs.fsync_4k_us),
            fsync_64k_us: maybe(|costs| costs.fsync_64k_us),
            quic_round_trip_us: maybe(|costs| costs.quic_round_trip_us),
        }
    }
}

/// Half of each, or the one that is known.
#[must_use]
pub fn mean_of_known(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(f64::midpoint(a, b)),
        _ => a.or(b),
    }
}
