#![allow(clippy::unwrap_used)]

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::super::new_histogram;
use super::*;

/// Three seconds of latencies between 0.2 and about 60 ms, and one of 2 s.
fn seconds() -> Vec<(u64, Histogram<u64>)> {
    let mut state = 7_u64;
    [0, 1, 4]
        .into_iter()
        .map(|second| {
            let mut histogram = new_histogram();
            for _ in 0..20_000 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let unit = (state >> 40) as f64 / f64::from(1 << 24);
                histogram
                    .record(200_000 + (-(1.0 - unit).ln() * 3_500_000.0) as u64)
                    .unwrap();
            }
            if second == 4 {
                histogram.record(2_000_000_000).unwrap();
            }
            (second, histogram)
        })
        .collect()
}

fn total(seconds: &[(u64, Histogram<u64>)]) -> Histogram<u64> {
    let mut total = new_histogram();
    seconds
        .iter()
        .for_each(|(_, each)| total.add(each).unwrap());
    total
}

#[test]
fn an_interval_log_reads_back_second_by_second() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.hlog");
    write_hlog(
        &path,
        &seconds(),
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    )
    .unwrap();
    let text = std::fs::read(&path).unwrap();
    let mut starts = Vec::new();
    let mut lines = 0;
    for entry in IntervalLogIterator::new(&text) {
        match entry.unwrap() {
            LogEntry::Interval(interval) => {
                starts.push((
                    interval.start_timestamp().as_secs(),
                    interval.duration().as_secs(),
                    interval.max().round() as u64,
                ));
                assert!(
                    interval.encoded_histogram().starts_with("HISTFAAA"),
                    "V2 deflate, which other readers know"
                );
                lines += 1;
            }
            LogEntry::StartTime(at) | LogEntry::BaseTime(at) => {
                assert_eq!(at.as_secs(), 1_700_000_000)
            }
        }
    }
    assert_eq!(lines, 3);
    let expected: Vec<_> = seconds()
        .iter()
        .map(|(second, each)| (*second, 1, (each.max() as f64 / 1e6).round() as u64))
        .collect();
    assert_eq!(starts, expected);
}

#[test]
fn a_percentile_distribution_ends_at_everything_and_agrees_with_the_histogram() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.hgrm");
    let histogram = total(&seconds());
    write_hgrm(&path, &histogram).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(2)
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            line.split_whitespace()
                .map(|field| field.parse().unwrap())
                .collect()
        })
        .collect();
    assert!(rows.len() > 20);
    assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]));
    for row in &rows {
        let at = histogram.value_at_quantile(row[1]) as f64 / 1e6;
        assert!((row[0] - at).abs() <= at * 0.002, "{row:?} against {at}");
    }
    let last = rows.last().unwrap();
    assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 60_001.0));
    assert!(text.contains("#[Max     =     2000."), "{text}");
    assert!(text.contains("Total count    =        60001]"));
}

#[test]
fn an_empty_histogram_still_gives_readable_files() {
    let dir = tempfile::tempdir().unwrap();
    write_latency_files(dir.path(), &Recording::default(), SystemTime::UNIX_EPOCH).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["all.hgrm", "all.hlog", "service.hgrm"]);
}

/// Not a check but a tool: leaves files for readers of other languages in the directory that the variable names.
#[test]
fn files_for_other_readers() {
    let Some(directory) = std::env::var_os("QUINTET_LATENCY_FILES") else {
        return;
    };
    let directory = Path::new(&directory);
    write_hlog(
        &directory.join("all.hlog"),
        &seconds(),
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    )
    .unwrap();
    write_hgrm(&directory.join("all.hgrm"), &total(&seconds())).unwrap();
    let all = total(&seconds());
    for quantile in [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0] {
        println!("{quantile} {}", all.value_at_quantile(quantile));
    }
}
