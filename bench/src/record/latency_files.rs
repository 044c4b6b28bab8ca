//! The latency files: `.hlog`, HdrHistogram's interval log with one interval a second, and `.hgrm`, its percentile distribution as text.
//!
//! Values in an `.hlog` are nanoseconds in V2-deflate encoding; its human-readable column of maxima is in milliseconds. Values in a `.hgrm` are
//! milliseconds, the unit that HdrHistogram's plotter takes for granted. Both hold latencies from the intended start, of successful operations of the measured phase.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use super::{AtomicFile, Recording};

const NS_PER_MS: f64 = 1e6;

/// Steps per halving of the distance to 100 %, as HdrHistogram's own tools print.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Sub-buckets of a histogram of three digits: the power of two at or above 2 * 10^3.
const SUB_BUCKETS: u32 = 2048;

/// Writes `all` and each kind that occurred into `directory`, as `<name>.hlog` and `<name>.hgrm`, and `service.hgrm`: all from the moment of sending. `start` is the wall clock at the beginning of the measured phase.
///
/// # Errors
/// The file system's, with the path in the message.
pub fn write_latency_files(
    directory: &Path,
    recording: &Recording,
    start: SystemTime,
) -> io::Result<()> {
    let kinds = recording.kinds().map(|kind| (kind.name(), Some(kind)));
    for (name, kind) in std::iter::once(("all", None)).chain(kinds) {
        write_hlog(
            &directory.join(format!("{name}.hlog")),
            &recording.intended_by_second(kind),
            start,
        )?;
        write_hgrm(
            &directory.join(format!("{name}.hgrm")),
            &recording.intended(kind),
        )?;
    }
    write_hgrm(&directory.join("service.hgrm"), &recording.service(None))
}

/// Writes an interval log: for each second since `start` that has any value, its histogram of nanoseconds.
///
/// # Errors
/// The file system's, with the path in the message.
pub fn write_hlog(
    path: &Path,
    seconds: &[(u64, Histogram<u64>)],
    start: SystemTime,
) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[Values: nanoseconds from the intended start; Interval_Max in milliseconds]")
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(&mut file, &mut serializer)?;
    for (second, histogram) in seconds {
        log.write_histogram(
            histogram,
            Duration::from_secs(*second),
            Duration::from_secs(1),
            None,
        )
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    }
    file.commit()
}

/// Writes the percentile distribution of a histogram of nanoseconds, values in milliseconds.
///
/// # Errors
/// The file system's, with the path in the message.
pub fn write_hgrm(path: &Path, histogram: &Histogram<u64>) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    writeln!(
        file,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut total = 0;
    if !histogram.is_empty() {
        for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
            total += step.count_since_last_iteration();
            let (value, quantile) = (
                step.value_iterated_to() as f64 / NS_PER_MS,
                step.quantile_iterated_to(),
            );
            write!(file, "{value:>12.3} {quantile:>2.12} {total:>10}")?;
            if quantile < 1.0 {
                writeln!(file, " {:>14.2}", 1.0 / (1.0 - quantile))?
            } else {
                writeln!(file)?
            }
        }
    }
    let (mean, deviation) = (histogram.mean() / NS_PER_MS, histogram.stdev() / NS_PER_MS);
    writeln!(
        file,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    )?;
    writeln!(
        file,
        "#[Max     = {:>12.3}, Total count    = {:>12}]",
        histogram.max() as f64 / NS_PER_MS,
        histogram.len()
    )?;
    writeln!(
        file,
        "#[Buckets = {:>12}, SubBuckets     = {SUB_BUCKETS:>12}]",
        histogram.buckets()
    )?;
    writeln!(file, "#[Unit = milliseconds]")?;
    file.commit()
}

#[cfg(test)]
#[path = "latency_files_tests.rs"]
mod tests;
