//! How long this disk takes until what was written is durable.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use super::quantile;

/// Times from the beginning of a write to the end of its `fdatasync`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SyncLatency {
    /// Bytes of each write, at the end of the file.
    pub bytes: usize,
    /// Writes measured.
    pub count: usize,
    /// Median, seconds.
    pub median_s: f64,
    /// 99th percentile, seconds.
    pub p99_s: f64,
}

/// Appends `bytes` to a temporary file in `directory` and syncs it, at most `writes_max` times (and at least once), and not for much longer
/// than `time_max`: a slow disk is known after few.
///
/// # Errors
/// The disk's.
pub fn sync_latency(
    directory: &Path,
    bytes: usize,
    writes_max: usize,
    time_max: Duration,
) -> io::Result<SyncLatency> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    let content = vec![0x5a_u8; bytes];
    let began = Instant::now();
    let mut times = Vec::with_capacity(writes_max);
    while times.is_empty() || (times.len() < writes_max && began.elapsed() < time_max) {
        let before = Instant::now();
        file.write_all(&content)?;
        file.as_file().sync_data()?;
        times.push(before.elapsed().as_secs_f64());
    }
    times.sort_unstable_by(f64::total_cmp);
    // There is at least one.
    let at = |share| quantile(&times, share).unwrap_or(f64::NAN);
    Ok(SyncLatency {
        bytes,
        count: times.len(),
        median_s: at(0.5),
        p99_s: at(0.99),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_write_counts_and_nothing_is_left_behind() {
        let place = tempfile::tempdir().unwrap();
        let long = Duration::from_secs(600);
        let measured = sync_latency(place.path(), 4096, 7, long).unwrap();
        assert_eq!((measured.bytes, measured.count), (4096, 7));
        assert!(measured.median_s > 0.0 && measured.p99_s >= measured.median_s);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        let at_least_one = sync_latency(place.path(), 1, 7, Duration::ZERO).unwrap();
        assert_eq!(at_least_one.count, 1);
        assert!(sync_latency(&place.path().join("none"), 1, 7, long).is_err());
    }
}
