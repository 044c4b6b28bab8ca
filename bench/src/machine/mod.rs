//! What this machine can do, measured: the parts that every figure of a run rests on.

mod clock;
mod costs;
mod disk;
mod hops;
mod limits;
mod quic;
mod signatures;

pub use clock::{Clock, clock};
pub use costs::{Costs, Effort, WRITE_BYTES, cores};
pub use disk::{SyncLatency, sync_latency};
pub use hops::{HopPath, StepCosts};
pub use limits::{free_bytes, in_memory, load_average, open_files, udp_buffers};
pub use quic::{RoundTrip, round_trip};
pub use signatures::{Signatures, bound_ops_s, signatures, verify_together_s};

/// The value at or below which this share of the sorted values lies (nearest rank); `None` without values.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.5), Some(50.0));
        assert_eq!(quantile(&hundred, 0.99), Some(99.0));
        assert_eq!(quantile(&hundred[..1], 0.99), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
