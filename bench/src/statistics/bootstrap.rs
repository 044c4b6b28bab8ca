//! Intervals by the bootstrap, bias-corrected and accelerated (BCa).
//!
//! Resamples of the repeats stand for other repeats that might have been. Plain percentiles of their
//! medians are off when the medians lean to one side of the observed one (bias) or scatter more where they
//! are larger (acceleration); BCa moves the percentiles to make up for both.
//!
//! Sources: Efron, "Better bootstrap confidence intervals" (1987), equations 2.3 and 6.6; for two samples
//! Efron and Tibshirani, "An introduction to the bootstrap" (1993), section 14.3, with the acceleration summed
//! over both. Intervals of medians of few values end at observed values or between two, so they are rough: simulated with
//! 5 to 20 repeats they hold the truth in 92 to 97 of 100 experiments.

use super::normal::{normal_cdf, normal_quantile};
use super::order::quantile;
use super::resample::{Medians, SplitMix64};

/// Resamples of an interval. With one less than a round number percentiles are order statistics.
pub const RESAMPLES: usize = 9_999;

/// How often such an interval holds the truth, if all is as assumed.
pub const CONFIDENCE: f64 = 0.95;

/// Repeats of a side below which there is no interval: two values say nothing about their scatter.
pub const REPEATS_FOR_INTERVAL: usize = 3;

/// The same data give the same interval.
const SEED: u64 = 0x7175_696e_7465_7400;

/// The interval of the median, in the unit of `values`, low and high; `None` for fewer than
/// [`REPEATS_FOR_INTERVAL`] values.
#[must_use]
pub fn median_interval(values: &[f64], resamples: usize) -> Option<[f64; 2]> {
    if values.len() < REPEATS_FOR_INTERVAL {
        return None;
    }
    let mut medians = Medians::new(values);
    let mut random = SplitMix64::new(SEED);
    let replicates = (0..resamples).map(|_| medians.draw(&mut random)).collect();
    let median = super::median(values)?;
    bca(median, replicates, &[medians.without_one()])
}

/// The interval of the candidate's median over the baseline's, low and high, without a unit; both sides
/// are resampled. `None` for fewer than [`REPEATS_FOR_INTERVAL`] values a side, and for a baseline that
/// is not positive throughout, since then a ratio means nothing.
#[must_use]
pub fn ratio_interval(candidate: &[f64], baseline: &[f64], resamples: usize) -> Option<[f64; 2]> {
    let short = candidate.len().min(baseline.len()) < REPEATS_FOR_INTERVAL;
    if short || baseline.iter().any(|value| *value <= 0.0) {
        return None;
    }
    let (above, below) = (super::median(candidate)?, super::median(baseline)?);
    let (mut candidates, mut baselines) = (Medians::new(candidate), Medians::new(baseline));
    let mut random = SplitMix64::new(SEED);
    let replicates = (0..resamples)
        .map(|_| candidates.draw(&mut random) / baselines.draw(&mut random))
        .collect();
    let jackknife = [
        candidates
            .without_one()
            .iter()
            .map(|median| median / below)
            .collect(),
        baselines
            .without_one()
            .iter()
            .map(|median| above / median)
            .collect(),
    ];
    bca(above / below, replicates, &jackknife)
}

/// The interval from the estimate, its replicates, and the estimates without each value of each sample.
fn bca(estimate: f64, mut replicates: Vec<f64>, jackknife: &[Vec<f64>]) -> Option<[f64; 2]> {
    replicates.sort_unstable_by(f64::total_cmp);
    let bias = bias(estimate, &replicates);
    let acceleration = acceleration(jackknife);
    let end = |share: f64| {
        let z = bias + normal_quantile(share);
        let room = 1.0 - acceleration * z;
        // Beyond this the correction has left its range, and the outermost replicate is what there is.
        let corrected = if room > 0.0 {
            normal_cdf(bias + z / room)
        } else {
            share.round()
        };
        quantile(&replicates, corrected)
    };
    let outside = (1.0 - CONFIDENCE) / 2.0;
    Some([end(outside)?, end(1.0 - outside)?])
}

/// z₀: how far the estimate is from the middle of its replicates; equal ones count half. Kept finite where all
/// lie on one side.
fn bias(estimate: f64, sorted: &[f64]) -> f64 {
    let below = sorted.partition_point(|replicate| *replicate < estimate);
    let up_to = sorted.partition_point(|replicate| *replicate <= estimate);
    let count = sorted.len() as f64;
    let share = (below + up_to) as f64 / 2.0 / count;
    let least = 0.5 / count;
    normal_quantile(share.clamp(least, 1.0 - least))
}

/// â: the skewness of the influence that each value has on the estimate, over 6.
fn acceleration(jackknife: &[Vec<f64>]) -> f64 {
    let (mut cubes, mut squares) = (0.0, 0.0);
    for estimates in jackknife {
        let count = estimates.len() as f64;
        let mean = estimates.iter().sum::<f64>() / count;
        for estimate in estimates {
            let influence = (count - 1.0) * (mean - estimate);
            cubes += influence.powi(3) / count.powi(3);
            squares += influence.powi(2) / count.powi(2);
        }
    }
    if squares > 0.0 {
        cubes / (6.0 * squares.powf(1.5))
    } else {
        0.0
    }
}

#[cfg(test)]
#[path = "bootstrap_tests.rs"]
mod tests;
