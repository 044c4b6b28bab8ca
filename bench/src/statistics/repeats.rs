//! How many repeats would decide what these did not.
//!
//! If the change seen is as large as the threshold, or larger, it is taken for the true one: how many repeats would show it? If it
//! is smaller, two things must become possible, a change of the threshold found and no change called the same. In both cases the
//! larger of two numbers counts:
//!
//! * *A change δ would be found.* The test against chance has to reach its level, which Holm's correction has lowered to α / metrics
//!   for the first claim, with a chance of [`POWER`]. By the normal approximation that takes 2 ((z₁₋α/₂ + z_power) σ / δ)² repeats a
//!   side in a t test, and the efficiency of the Mann-Whitney test against it is 3/π = 0.955 (Lehmann, "Nonparametrics" (1975),
//!   section 2.4).
//! * *The interval would be narrow enough*: it lies within δ around the truth, again with a chance of [`POWER`]. A median scatters
//!   √(π/2) times as much as a mean, so π (σ (z₀.₉₇₅ + z₍₁₊power₎/₂) / δ)².
//!
//! σ is the relative spread of the repeats seen ([`super::relative_spread`]). It is an estimate from few values, and so is the
//! answer: good for planning, not more. A true change right at the threshold stays open however many repeats there are.

use std::f64::consts::{FRAC_PI_3, PI};

use super::bootstrap::CONFIDENCE;
use super::normal::normal_quantile;

/// The level of the test: how often a comparison of a thing with itself may claim anything.
pub const ALPHA: f64 = 0.05;

/// How often a number of repeats is to decide.
pub const POWER: f64 = 0.95;

/// More repeats than this are no advice.
pub const REPEATS_MAX: usize = 1_000;

/// What a comparison is to decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// The smallest change that matters, as a share: 0.05 for 5 %.
    pub threshold: f64,
    /// Metrics that are tested together.
    pub metrics: usize,
}

/// The fewest repeats a side with which the test can claim anything at all when `metrics` are tested together: even if
/// all values of one side are larger, the chance of that is 2 / C(2n, n).
#[must_use]
pub fn repeats_for_any_answer(metrics: usize) -> usize {
    let mut ways = 1.0;
    let mut repeats = 0;
    // C(2n + 2, n + 1) = C(2n, n) · 2 (2n + 1) / (n + 1)
    while metrics as f64 * 2.0 / ways >= ALPHA {
        ways *= 2.0 * (2 * repeats + 1) as f64 / (repeats + 1) as f64;
        repeats += 1;
    }
    repeats
}

/// The number of repeats a side that would decide, more than the `have` there are; `None` if it is more than
/// [`REPEATS_MAX`]. `spread` and `change` are shares: of the scatter of repeats, and of the change seen.
///
/// Where `have` ought to be enough for a change below the threshold, it lies close to it; the answer is then how many repeats
/// would tell the two apart.
#[must_use]
pub fn repeats_to_decide(spread: f64, change: f64, wanted: Wanted, have: usize) -> Option<usize> {
    let level = ALPHA / wanted.metrics.max(1) as f64;
    let z_found = normal_quantile(1.0 - level / 2.0) + normal_quantile(POWER);
    let z_narrow = normal_quantile(f64::midpoint(1.0, CONFIDENCE))
        + normal_quantile(f64::midpoint(1.0, POWER));
    let found = |change: f64| 2.0 * FRAC_PI_3 * (z_found * spread / change).powi(2);
    let narrow = |room: f64| PI * (z_narrow * spread / room).powi(2);
    let both = |change: f64| found(change).max(narrow(change));
    let (seen, least) = (change.abs(), repeats_for_any_answer(wanted.metrics));
    let needed = if seen >= wanted.threshold {
        both(seen)
    } else if both(wanted.threshold) <= have as f64 {
        narrow(wanted.threshold - seen)
    } else {
        both(wanted.threshold)
    };
    // Also false for NaN: neither spread nor change.
    let known = needed <= REPEATS_MAX as f64;
    let needed = known.then(|| (needed.ceil() as usize).max(least).max(have + 1))?;
    (needed <= REPEATS_MAX).then_some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted {
        threshold: 0.05,
        metrics: 10,
    };

    #[test]
    fn five_repeats_cannot_claim_anything_about_ten_metrics() {
        // 2 / C(6, 3) = 0.1, 2 / C(8, 4) = 0.029, 10 · 2 / C(12, 6) = 0.022
        assert_eq!(repeats_for_any_answer(1), 4);
        assert_eq!(repeats_for_any_answer(10), 6);
    }

    #[test]
    fn the_number_is_the_one_worked_out_by_hand() {
        // z = 2.807 + 1.645: 2 · 1.0472 · (4.452 · 0.6)² = 14.9; z = 1.96 + 1.96: π · (3.92 · 0.6)² = 17.4
        assert_eq!(repeats_to_decide(0.03, 0.01, WANTED, 5), Some(18));
        // A quarter of it for twice the threshold.
        let wide = Wanted {
            threshold: 0.1,
            ..WANTED
        };
        assert_eq!(repeats_to_decide(0.03, 0.01, wide, 3), Some(6));
    }

    #[test]
    fn it_is_always_more_than_there_are_or_no_advice() {
        assert_eq!(repeats_to_decide(0.0, 0.0, WANTED, 3), Some(6));
        // 20 ought to be enough at this spread, but 4 % is close to 5 %: π · (3.92 · 3)² = 434.5.
        assert_eq!(repeats_to_decide(0.03, 0.04, WANTED, 20), Some(435));
        assert_eq!(repeats_to_decide(0.03, 0.08, WANTED, 20), Some(21));
        assert_eq!(repeats_to_decide(0.03, 0.0499, WANTED, 20), None);
        assert_eq!(repeats_to_decide(1.9, 0.2, WANTED, 10), None);
    }

    #[test]
    fn a_large_change_takes_fewer_repeats_than_the_threshold_would() {
        // π · (3.92 · 0.17 / 0.3)² = 15.5, where 5 % would take 558.
        assert_eq!(repeats_to_decide(0.17, 0.3, WANTED, 6), Some(16));
        assert_eq!(repeats_to_decide(0.17, -0.3, WANTED, 6), Some(16));
        assert_eq!(repeats_to_decide(0.17, 0.02, WANTED, 6), Some(559));
    }

    #[test]
    fn without_a_threshold_only_the_change_seen_counts() {
        let none = Wanted {
            threshold: 0.0,
            ..WANTED
        };
        assert_eq!(repeats_to_decide(0.03, 0.01, none, 10), Some(435));
        assert_eq!(repeats_to_decide(0.03, 0.0, none, 10), None);
        assert_eq!(repeats_to_decide(0.0, 0.0, none, 10), None);
    }
}
