//! What the signatures alone would allow on this machine: the yardstick beside the throughput.
//!
//! Every signed request is signed once and verified at every replica; the best case verifies in
//! large batches. On c cores: c / (sign + n × verify) requests a second, times the operations that
//! share a signature.

use crate::machine::signatures;
use crate::record::Bounds;

/// The yardstick for `n` replicas and this many operations under one signature.
pub(super) fn measure(n: u32, ops_per_request: u32, throughput_ops_s: f64) -> Bounds {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
    let bound = signatures().bound_ops_s(cores, n, ops_per_request);
    Bounds {
        signature_bound_ops_s: bound,
        signature_bound_share: throughput_ops_s / bound,
    }
}
