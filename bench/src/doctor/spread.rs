//! How far two measurements of one thing are apart by chance.
//!
//! All repeats measured one and the same thing, so each way of dealing them out to two sides of equal size is as good as
//! any other. The noise floor is the change of the median that 95 of 100 such deals stay below.

use rand::{SeedableRng, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::record::median;

/// Share of the deals that stay below the floor.
const SHARE: f64 = 0.95;
/// Deals that are tried.
const DEALS: usize = 2_000;
/// The same values give the same floor.
const SEED: u64 = 1;

/// The noise of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricNoise {
    /// Its name, with the unit.
    pub name: String,
    /// Median of all repeats.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Change between two medians of half of the repeats each that 95 of 100 deals stay below, as a share: 0.05 for 5 %.
    pub floor: f64,
}

/// The noise floor of `values`, one for each repeat, as a share; `None` for fewer than four values or a median of 0.
#[must_use]
pub fn floor(values: &[f64]) -> Option<f64> {
    let half = values.len() / 2;
    if half < 2 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut dealt = values.to_vec();
    let mut changes = Vec::with_capacity(DEALS);
    for _ in 0..DEALS {
        dealt.shuffle(&mut random);
        let (one, other) = dealt.split_at(half);
        let (one, other) = (median(&mut one.to_vec()), median(&mut other.to_vec()));
        if one <= 0.0 || other <= 0.0 {
            return None;
        }
        changes.push((one / other - 1.0).abs());
    }
    changes.sort_unstable_by(f64::total_cmp);
    changes.get((DEALS as f64 * SHARE) as usize - 1).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_floor_grows_with_the_scatter_and_is_the_same_each_time() {
        let around = |scatter: f64| -> Vec<f64> {
            (-5..5)
                .map(|i| 1_000.0 * (1.0 + scatter * f64::from(i) / 5.0))
                .collect()
        };
        assert_eq!(floor(&around(0.0)), Some(0.0));
        let (small, large) = (floor(&around(0.02)).unwrap(), floor(&around(0.2)).unwrap());
        assert!(small > 0.0 && small < 0.04, "{small}");
        assert!(large > 5.0 * small, "{large} {small}");
        assert_eq!(floor(&around(0.2)), Some(large));
    }

    #[test]
    fn too_little_gives_no_floor_instead_of_none_at_all() {
        assert_eq!(floor(&[1.0, 2.0, 3.0]), None);
        assert_eq!(floor(&[0.0, 0.0, 0.0, 0.0]), None);
    }
}
