//! `timeseries.csv`: what happened in each 100 ms of the measured phase.
//!
//! An operation is offered in the bucket of its intended start, sent in that of its sending, and answered in that of its answer; so the columns add up to
//! the counters of run.json. Latencies belong to the bucket of the answer. A bucket without a value has an empty field: zero would be a claim.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::{AtomicFile, Recording};

/// Width of a bucket.
pub const BUCKET: Duration = Duration::from_millis(100);

pub(super) const BUCKET_NS: u64 = 100_000_000;

/// Buckets at most: one day. Whatever comes later is counted in the last one.
pub const TIME_BUCKETS_MAX: u64 = 864_000;

/// Operations of one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BucketCounts {
    pub(super) offered: u64,
    pub(super) sent: u64,
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) dropped: u64,
}

impl BucketCounts {
    pub(super) const fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.sent += other.sent;
        self.ok += other.ok;
        self.failed += other.failed;
        self.dropped += other.dropped;
    }
}

/// What the observer saw of the cluster at one moment; slots and CPU time are totals since the cluster's start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ClusterSample {
    /// When, in nanoseconds since the measured phase began. Samples from before it are left out; one at 0 makes the first differences right.
    pub at_ns: u64,
    /// The highest view that a replica is in.
    pub view: u64,
    /// Slots decided on the fast path.
    pub fast_slots: u64,
    /// Slots decided on the slow path.
    pub slow_slots: u64,
    /// CPU seconds used by all replicas together.
    pub cpu_s: f64,
    /// Resident memory of all replicas together, bytes.
    pub rss_bytes: u64,
}

/// The columns that come from samples: increments since the sample before.
#[derive(Debug, Clone, Copy, Default)]
struct Observed {
    view: u64,
    fast: u64,
    slow: u64,
    cores: f64,
    rss_bytes: u64,
}

/// Writes the series. `cpu` is in cores (CPU seconds a second) since the last sample, `rss` in bytes, `fast` and `slow` are slots since the last sample:
/// with an observer slower than 100 ms they stand in the bucket of the sample, so that the column still adds up.
///
/// # Errors
/// The file system's, with the path in the message.
pub fn write_timeseries(
    path: &Path,
    recording: &Recording,
    samples: &[ClusterSample],
) -> io::Result<()> {
    let observed = observed_by_bucket(samples);
    let latencies: std::collections::BTreeMap<u64, Histogram<u64>> =
        recording.bucket_latencies.intervals().collect();
    let buckets = (recording.bucket_counts.len() as u64)
        .max(
            latencies
                .last_key_value()
                .map_or(0, |(bucket, _)| bucket + 1),
        )
        .max(
            observed
                .last_key_value()
                .map_or(0, |(bucket, _)| bucket + 1),
        );

    let mut file = AtomicFile::create(path)?;
    writeln!(
        file,
        "t_s,offered,sent,ok,failed,dropped,p50_us,p99_us,view,fast,slow,cpu,rss"
    )?;
    for bucket in 0..buckets {
        let index = usize::try_from(bucket).unwrap_or(usize::MAX);
        let counts = recording
            .bucket_counts
            .get(index)
            .copied()
            .unwrap_or_default();
        let BucketCounts {
            offered,
            sent,
            ok,
            failed,
            dropped,
        } = counts;
        write!(
            file,
            "{}.{},{offered},{sent},{ok},{failed},{dropped},",
            bucket / 10,
            bucket % 10
        )?;
        match latencies.get(&bucket) {
            Some(each) => {
                write!(
                    file,
                    "{:.1},{:.1},",
                    us(each.value_at_quantile(0.5)),
                    us(each.value_at_quantile(0.99))
                )?;
            }
            None => write!(file, ",,")?,
        }
        match observed.get(&bucket) {
            Some(Observed {
                view,
                fast,
                slow,
                cores,
                rss_bytes,
            }) => writeln!(file, "{view},{fast},{slow},{cores:.2},{rss_bytes}")?,
            None => writeln!(file, ",,,,")?,
        }
    }
    file.commit()
}

fn observed_by_bucket(samples: &[ClusterSample]) -> std::collections::BTreeMap<u64, Observed> {
    let mut sorted = samples.to_vec();
    sorted.sort_by_key(|sample| sample.at_ns);
    let mut buckets = std::collections::BTreeMap::<u64, Observed>::new();
    for pair in sorted.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let elapsed_s = (after.at_ns - before.at_ns) as f64 / 1e9;
        let bucket = (after.at_ns / BUCKET_NS).min(TIME_BUCKETS_MAX - 1);
        let each = buckets.entry(bucket).or_default();
        each.view = after.view;
        // A replica that restarted counts from zero again; then there is no increment to show.
        each.fast += after.fast_slots.saturating_sub(before.fast_slots);
        each.slow += after.slow_slots.saturating_sub(before.slow_slots);
        if elapsed_s > 0.0 {
            each.cores = ((after.cpu_s - before.cpu_s) / elapsed_s).max(0.0);
        }
        each.rss_bytes = after.rss_bytes;
    }
    buckets
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn samples_fill_the_bucket_they_were_taken_in_and_add_up() {
        let sample = |at_ms: u64, fast_slots, cpu_s| ClusterSample {
            at_ns: at_ms * 1_000_000,
            view: 3,
            fast_slots,
            slow_slots: 1,
            cpu_s,
            rss_bytes: 7,
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timeseries.csv");
        write_timeseries(
            &path,
            &Recording::default(),
            &[
                sample(0, 10, 1.0),
                sample(250, 40, 1.5),
                sample(500, 45, 1.5),
            ],
        )
        .unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "t_s,offered,sent,ok,failed,dropped,p50_us,p99_us,view,fast,slow,cpu,rss",
                "0.0,0,0,0,0,0,,,,,,,",
                "0.1,0,0,0,0,0,,,,,,,",
                "0.2,0,0,0,0,0,,,3,30,0,2.00,7",
                "0.3,0,0,0,0,0,,,,,,,",
                "0.4,0,0,0,0,0,,,,,,,",
                "0.5,0,0,0,0,0,,,3,5,0,0.00,7",
            ]
        );
    }
}
