//! Medians over repeats, with an honest interval.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Resamples of the bootstrap.
pub const RESAMPLES: usize = 10_000;

/// How an interval was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EstimateMethod {
    /// One repeat or none: the interval is the value itself and claims nothing about other runs.
    #[default]
    SingleRun,
    /// 2.5 % and 97.5 % quantiles of the medians of [`RESAMPLES`] seeded resamples. With few repeats such intervals are too narrow rather than too wide.
    PercentileBootstrap,
}

/// A median over repeats with its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Median of the repeats.
    pub median: f64,
    /// The interval, low and high.
    pub ci95: [f64; 2],
    /// Repeats it rests on.
    pub repeats: u64,
    /// How the interval was found.
    pub method: EstimateMethod,
}

impl Estimate {
    /// The median of `values`, one from each repeat; the same seed gives the same interval. Without values all is zero.
    #[must_use]
    pub fn of(values: &[f64], seed: u64) -> Self {
        let repeats = values.len() as u64;
        let mut sample = values.to_vec();
        let median = median(&mut sample);
        if values.len() < 2 {
            return Self {
                median,
                ci95: [median, median],
                repeats,
                method: EstimateMethod::SingleRun,
            };
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                sample
                    .iter_mut()
                    .for_each(|slot| *slot = values[random.random_range(0..values.len())]);
                self::median(&mut sample)
            })
            .collect();
        medians.sort_unstable_by(f64::total_cmp);
        let ci95 = [
            medians[RESAMPLES * 25 / 1000],
            medians[RESAMPLES * 975 / 1000 - 1],
        ];
        Self {
            median,
            ci95,
            repeats,
            method: EstimateMethod::PercentileBootstrap,
        }
    }
}

/// The middle of the values, or the mean of the two in the middle; 0 without values. Sorts them.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repeat_claims_nothing_beyond_itself() {
        let estimate = Estimate::of(&[5.0], 7);
        assert_eq!(
            (estimate.median, estimate.ci95, estimate.repeats),
            (5.0, [5.0, 5.0], 1)
        );
        assert_eq!(estimate.method, EstimateMethod::SingleRun);
        assert_eq!(Estimate::of(&[], 7), Estimate::default());
    }

    #[test]
    fn an_interval_holds_the_median_and_repeats_with_its_seed() {
        let values = [10.0, 12.0, 11.0, 30.0, 9.0];
        let estimate = Estimate::of(&values, 7);
        assert_eq!(estimate.median.to_bits(), 11.0_f64.to_bits());
        assert!(
            estimate.ci95[0] <= 11.0
                && estimate.ci95[1] >= 11.0
                && estimate.ci95[0] < estimate.ci95[1]
        );
        assert!(estimate.ci95[0] >= 9.0 && estimate.ci95[1] <= 30.0);
        assert_eq!(estimate, Estimate::of(&values, 7));
    }

    #[test]
    fn most_intervals_of_many_experiments_cover_the_truth() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let covered = (0..40)
            .filter(|experiment| {
                let values: Vec<f64> = (0..15).map(|_| random.random::<f64>()).collect();
                let [low, high] = Estimate::of(&values, *experiment).ci95;
                low <= 0.5 && 0.5 <= high
            })
            .count();
        assert!((34..=40).contains(&covered), "{covered} of 40");
    }
}
