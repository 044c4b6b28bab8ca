//! The cost model of docs/performance.md, measured: what the parts cost that every operation is made of.

use std::path::Path;
use std::time::Duration;

use super::{RoundTrip, Signatures, SyncLatency, round_trip, signatures, sync_latency};

/// Bytes of a small and a large write: a few votes, and all that a busy replica decides at once.
pub const WRITE_BYTES: [usize; 2] = [4 << 10, 64 << 10];

/// What parts of an operation cost on this machine, now.
#[derive(Clone, Debug)]
pub struct Costs {
    /// Signing, verifying and hashing.
    pub signatures: Signatures,
    /// Appending to a file and making that durable, for each of [`WRITE_BYTES`]; or why that is not known.
    pub writes: [Result<SyncLatency, String>; 2],
    /// A message and its echo; or why that is not known.
    pub round_trip: Result<RoundTrip, String>,
}

/// How much time measuring may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// A few seconds: somebody asked for nothing else.
    Thorough,
    /// About a quarter of a second: before and after each repeat of a run.
    Brief,
}

impl Costs {
    /// Measures; files that are written for it go to `directory`, and are gone afterwards.
    #[must_use]
    pub fn measure(directory: &Path, effort: Effort) -> Self {
        let (writes, time, messages) = match effort {
            Effort::Thorough => (100, Duration::from_secs(2), 500),
            Effort::Brief => (40, Duration::from_millis(100), 250),
        };
        let write = |bytes| {
            sync_latency(directory, bytes, writes, time)
                .map_err(|error| format!("cannot write in {}: {error}", directory.display()))
        };
        Costs {
            signatures: signatures(),
            writes: WRITE_BYTES.map(write),
            round_trip: round_trip(messages),
        }
    }
}

/// Cores that this process may use.
#[must_use]
pub fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64
}
