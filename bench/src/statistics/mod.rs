//! The statistics of repeats and comparisons: pure functions of slices, one value for each repeat.
//!
//! Nothing is assumed of the distribution: a machine has moods, and throughputs are skewed. So the
//! figures are medians, their intervals come from the bootstrap, and the test counts ranks. What is
//! assumed is that repeats are independent of each other, which fresh clusters and interleaving are for.
//!
//! | question | answer |
//! |---|---|
//! | how large is it? | [`median`], with [`median_interval`] |
//! | how large is the change? | the ratio of the medians, with [`ratio_interval`] |
//! | could it be chance? | [`mann_whitney`], corrected by [`holm`] over all metrics |
//! | how far are the two apart? | [`cliffs_delta`], [`hodges_lehmann_shift`] |
//! | how many repeats would decide? | [`repeats_to_decide`] |
//!
//! The same data give the same answer: the bootstrap draws from a generator with a fixed seed.

mod bootstrap;
mod effect;
mod holm;
mod normal;
mod order;
mod rank_test;
mod repeats;
mod resample;

pub use bootstrap::{CONFIDENCE, REPEATS_FOR_INTERVAL, RESAMPLES, median_interval, ratio_interval};
pub use effect::{Effect, cliffs_delta, hodges_lehmann_shift};
pub use holm::holm;
pub use normal::{normal_cdf, normal_quantile};
pub use order::{median, quantile, relative_spread, sorted};
pub use rank_test::{EXACT_PAIRS_MAX, PValue, RankTest, mann_whitney};
pub use repeats::{ALPHA, POWER, REPEATS_MAX, Wanted, repeats_for_any_answer, repeats_to_decide};
pub use resample::SplitMix64;
