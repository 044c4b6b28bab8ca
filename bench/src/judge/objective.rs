//! The objectives of `[slo]`.

use std::time::Duration;

use super::Met;
use crate::record::{LatencySummary, Repeat};
use crate::scenario::schema::{Bound, LatencyPoint, Objective, OpKind, Rate, Share};

/// Looks at one objective in one repeat.
pub(super) fn look(objective: &Objective, repeat: &Repeat) -> Met {
    let latency = repeat
        .latency_us
        .get(objective.op.map_or("all", OpKind::name))
        .filter(|latency| latency.count > 0);
    let what = objective.op.map_or("operation", OpKind::name);
    match &objective.bound {
        Bound::Latency(point, wanted) => {
            let Some(latency) = latency else {
                return Err(format!("nothing: no {what} succeeded"));
            };
            let us = at(*point, latency);
            // run.json's numbers are whole nanoseconds, except the mean.
            let measured = Duration::from_nanos((us * 1e3).round() as u64);
            met(wanted.admits(measured), || format!("{us:.1} us"))
        }
        Bound::Throughput(wanted) => {
            if repeat.duration_s <= 0.0 {
                return Err("nothing: the run ended before the measured phase began".to_owned());
            }
            let per_second = match objective.op {
                None => repeat.throughput_ops_s,
                Some(_) => latency.map_or(0.0, |latency| latency.count as f64) / repeat.duration_s,
            };
            met(wanted.admits(Rate::of(per_second)), || {
                if per_second == 0.0 {
                    format!("0/s: no {what} succeeded")
                } else {
                    format!("{per_second:.1}/s")
                }
            })
        }
        Bound::Errors(wanted) => {
            let counts = &repeat.operations;
            if counts.sent == 0 {
                return Err("nothing: no operation was sent".to_owned());
            }
            let errors = counts.failed + counts.unknown;
            let share = errors as f64 / counts.sent as f64;
            met(wanted.admits(Share::of(share)), || {
                format!(
                    "{:.3}%: {} failed and {} unknown of {}",
                    share * 100.0,
                    counts.failed,
                    counts.unknown,
                    counts.sent
                )
            })
        }
    }
}

const fn at(point: LatencyPoint, latency: &LatencySummary) -> f64 {
    match point {
        LatencyPoint::Mean => latency.mean,
        LatencyPoint::P50 => latency.p50,
        LatencyPoint::P90 => latency.p90,
        LatencyPoint::P99 => latency.p99,
        LatencyPoint::P999 => latency.p999,
        LatencyPoint::P9999 => latency.p9999,
        LatencyPoint::Max => latency.max,
    }
}

pub(super) fn met(met: bool, got: impl FnOnce() -> String) -> Met {
    if met { Ok(()) } else { Err(got()) }
}
