//! Resources: no replica needs more than its bounds, whatever is done to it (R1 to R5 of the attack catalogue).
//!
//! Memory, connections, open files and threads are looked at all through the measured phase, disk and log at its end. The slope of the memory over
//! the last half says whether a bound would be reached later; its default bound is wide, since a store that is being filled
//! grows rightly.

use super::burden::{Fairness, fairness};
use super::{Burden, CheckResult, Usage};
use crate::scenario::Quantity as _;
use crate::scenario::schema::ResourceBounds;

const MINUTE_S: f64 = 60.0;
/// Samples in the last half below which no slope is given.
const SLOPE_SAMPLES_MIN: usize = 5;
/// Seconds of samples below which no slope is given: what a process takes as it starts is not what it takes every minute.
const SLOPE_SPAN_MIN_S: f64 = 4.0;

/// Judges what `correct` replicas used, and for whom they checked signatures if the run says so; what others do to themselves is
/// their affair.
#[must_use]
pub fn check_resources(
    usage: &[Usage],
    burdens: Option<&[Burden]>,
    bounds: &ResourceBounds,
    correct: impl Fn(u32) -> bool,
) -> CheckResult {
    let usage: Vec<&Usage> = usage.iter().filter(|each| correct(each.replica)).collect();
    let most = |value: fn(&Usage) -> Option<u64>| {
        let values = usage
            .iter()
            .filter_map(|each| Some((value(each)?, each.replica)));
        values.max().unwrap_or_default()
    };
    let (memory, at_memory) = most(|each| Some(each.rss));
    let (connections, at_connections) = most(|each| Some(each.connections));
    let (open_files, at_open_files) = most(|each| Some(each.open_files));
    let (threads, at_threads) = most(|each| Some(each.threads));
    let (data, at_data) = most(|each| each.data);
    let (log, at_log) = most(|each| each.log);
    if memory == 0 {
        return CheckResult::skipped("no replica said how much memory it needs");
    }
    let ends = usage.iter().map(|each| each.t_s).fold(0.0, f64::max);
    let slope = steepest(&usage, ends / 2.0);
    // Whoever starts says a few things; a minute that has begun counts.
    let log_allowed = bounds.log_per_minute.bytes() * ((ends / MINUTE_S).floor() as u64 + 1);
    let mut over = Vec::new();
    if memory > bounds.memory.bytes() {
        over.push(format!(
            "replica {at_memory} needed {} of memory, more than {}",
            mib(memory),
            bounds.memory.render()
        ));
    }
    if let Some((slope, replica)) = slope
        && slope > bounds.memory_slope.bytes() as f64
    {
        over.push(format!(
            "the memory of replica {replica} grew by {} a minute in the last half, more than {}",
            mib(slope as u64),
            bounds.memory_slope.render()
        ));
    }
    if connections > bounds.connections {
        over.push(format!(
            "replica {at_connections} had {connections} connections of clients, more than {}",
            bounds.connections
        ));
    }
    if open_files > bounds.open_files {
        over.push(format!(
            "replica {at_open_files} had {open_files} files and sockets open, more than {}",
            bounds.open_files
        ));
    }
    if threads > bounds.threads {
        over.push(format!(
            "replica {at_threads} had {threads} threads, more than {}",
            bounds.threads
        ));
    }
    if data > bounds.data.bytes() {
        over.push(format!(
            "replica {at_data} had {} on disk, more than {}",
            mib(data),
            bounds.data.render()
        ));
    }
    if log > log_allowed {
        over.push(format!(
            "replica {at_log} logged {log} bytes, more than {} a minute",
            bounds.log_per_minute.render()
        ));
    }
    let fair = burdens.map(|burdens| fairness(burdens, bounds, &correct));
    over.extend(fair.iter().flat_map(|fair| fair.over.iter().cloned()));
    let result = match over.is_empty() {
        true => CheckResult::pass(format!(
            "at most {} of memory, {} on disk, {connections} connections of clients and {log} bytes of log in one replica",
            mib(memory),
            mib(data)
        )),
        false => CheckResult::fail(over.join("; ")),
    };
    let result = result
        .with("memory_max_bytes", memory)
        .with("connections_max", connections)
        .with("open_files_max", open_files)
        .with("threads_max", threads)
        .with("data_bytes", data)
        .with("log_bytes", log);
    let result = match slope {
        Some((slope, _)) => result.with("memory_slope_bytes_per_min", slope.round()),
        None => result,
    };
    match fair {
        Some(Fairness { bad, lead, .. }) => result
            .with("bad_signatures_per_s_max", bad.round())
            .with("peer_lead_per_s_max", lead.round()),
        None => result,
    }
}

/// The steepest growth of memory after `from`, bytes a minute, by least squares, and whose it is.
fn steepest(usage: &[&Usage], from: f64) -> Option<(f64, u32)> {
    let replicas: std::collections::BTreeSet<u32> = usage.iter().map(|each| each.replica).collect();
    let slopes = replicas.into_iter().filter_map(|replica| {
        let points: Vec<(f64, f64)> = usage
            .iter()
            .filter(|each| each.replica == replica && each.t_s >= from && each.rss > 0)
            .map(|each| (each.t_s, each.rss as f64))
            .collect();
        Some((slope(&points)? * MINUTE_S, replica))
    });
    slopes.max_by(|(a, _), (b, _)| a.total_cmp(b))
}

fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < SLOPE_SAMPLES_MIN || last.0 - first.0 < SLOPE_SPAN_MIN_S {
        return None;
    }
    let count = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let under: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (under > 0.0).then(|| over / under)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::check::Source;
    use crate::check::Verdict;
    use crate::scenario::schema::{Rate, Size};

    fn bounds() -> ResourceBounds {
        ResourceBounds {
            memory: Size::of(256 << 20),
            memory_slope: Size::of(1 << 20),
            connections: 100,
            open_files: 64,
            threads: 32,
            data: Size::of(1 << 30),
            log_per_minute: Size::of(1 << 20),
            bad_signatures: Rate::of(1_000.0),
            peer_lead: Rate::of(1_000.0),
        }
    }

    /// Two replicas over 20 s; the second one as `change` makes it.
    fn run(change: impl Fn(&mut Usage)) -> Vec<Usage> {
        let mut usage = Vec::new();
        for tenth in 0..200 {
            for replica in 0..2 {
                let mut each = Usage {
                    t_s: f64::from(tenth) / 10.0,
                    replica,
                    rss: 50 << 20,
                    connections: 8,
                    data: (tenth == 199).then_some(10 << 20),
                    log: (tenth == 199).then_some(500),
                    open_files: 40,
                    threads: 14,
                };
                if replica == 1 {
                    change(&mut each);
                }
                usage.push(each);
            }
        }
        usage
    }

    fn judged(usage: &[Usage]) -> (Verdict, String) {
        let result = check_resources(usage, None, &bounds(), |_| true);
        (result.verdict, result.detail)
    }

    #[test]
    fn each_bound_that_is_exceeded_is_named_with_the_replica() {
        assert_eq!(judged(&run(|_| {})).0, Verdict::Pass);
        let exceeds = |sentence: &str, change: &dyn Fn(&mut Usage)| {
            let (verdict, detail) = judged(&run(change));
            assert_eq!(verdict, Verdict::Fail, "{sentence}");
            assert!(
                detail.contains("replica 1") && detail.contains(sentence),
                "{detail}"
            );
        };
        exceeds("needed 300.0 MiB of memory, more than 256MiB", &|each| {
            if each.t_s < 1.0 {
                each.rss = 300 << 20;
            }
        });
        exceeds("grew by 57.2 MiB a minute", &|each| {
            each.rss += (each.t_s * 1e6) as u64;
        });
        exceeds("had 101 connections of clients, more than 100", &|each| {
            each.connections = 101;
        });
        exceeds("had 65 files and sockets open, more than 64", &|each| {
            each.open_files += u64::from(each.t_s == 7.0) * 25;
        });
        exceeds("had 33 threads, more than 32", &|each| {
            each.threads += u64::from(each.t_s == 3.0) * 19;
        });
        exceeds("had 2048.0 MiB on disk, more than 1GiB", &|each| {
            each.data = each.data.map(|_| 2 << 30);
        });
        exceeds("logged 2097152 bytes, more than 1MiB a minute", &|each| {
            each.log = each.log.map(|_| 2 << 20);
        });
    }

    #[test]
    fn a_run_of_a_few_seconds_says_nothing_about_growth() {
        let growing = run(|each| each.rss += (each.t_s * 1e6) as u64);
        let short = |seconds: f64| {
            let usage = growing.iter().filter(|each| each.t_s < seconds);
            let usage: Vec<Usage> = usage.copied().collect();
            judged(&usage).0
        };
        assert_eq!(short(7.9), Verdict::Pass);
        assert_eq!(short(8.3), Verdict::Fail);
    }

    #[test]
    fn a_source_of_too_many_bad_signatures_is_a_resource_that_is_exceeded() {
        let burden = |bad| Burden {
            replica: 1,
            seconds: 20.0,
            executed: 0,
            source: Source::Client(7),
            checks: None,
            bad,
        };
        let judged = |bad| {
            let burdens = [burden(bad)];
            check_resources(&run(|_| {}), Some(&burdens), &bounds(), |_| true)
        };
        let enough = judged(20_000);
        assert_eq!(enough.verdict, Verdict::Pass, "{}", enough.detail);
        assert_eq!(enough.facts["bad_signatures_per_s_max"], 1_000.0);
        let many = judged(20_100);
        assert_eq!(many.verdict, Verdict::Fail);
        assert!(
            many.detail
                .contains("replica 1 checked 1005 bad signatures of client 7 a second"),
            "{}",
            many.detail
        );
    }

    #[test]
    fn what_a_byzantine_replica_needs_is_not_judged() {
        let usage = run(|each| each.rss = 1 << 30);
        let result = check_resources(&usage, None, &bounds(), |id| id == 0);
        assert_eq!(result.verdict, Verdict::Pass);
        assert_eq!(
            check_resources(&[], None, &bounds(), |_| true).verdict,
            Verdict::Skipped
        );
    }
}
