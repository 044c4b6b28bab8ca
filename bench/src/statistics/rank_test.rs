//! The Mann-Whitney test: could two sets of repeats have come from one and the same thing?
//!
//! If they had, every way to deal the values out to the two sides would be equally likely. The statistic
//! U counts the pairs in which the candidate is larger. Its distribution over all ways is counted exactly, ties
//! included: the number of ways to choose some of the ranks with a given sum grows by one rank at a time.
//! Tied values share the mean of their ranks; ranks are doubled, so that these means are whole numbers.
//!
//! Sources: Mann and Whitney, "On a test of whether one of two random variables is stochastically larger
//! than the other" (1947), section 3; for ties Lehmann, "Nonparametrics" (1975), sections 1.4 and 1.5.

use super::normal::normal_cdf;

/// Pairs of values (sizes multiplied) up to which the distribution is counted: 50 against 50, some
/// milliseconds. Above, the normal approximation is as good.
pub const EXACT_PAIRS_MAX: usize = 2_500;

/// The result of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankTest {
    /// Pairs in which the candidate's value is larger; equal ones count half.
    pub u: f64,
    /// The chance of a U as extreme as that, in either direction, if nothing differs: 0 to 1.
    pub p: f64,
    /// How `p` was found.
    pub method: PValue,
}

/// How a chance was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PValue {
    /// All ways were counted.
    Exact,
    /// By the normal distribution, corrected for ties and continuity.
    Normal,
}

impl PValue {
    /// As documents write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Normal => "normal",
        }
    }
}

/// Tests two samples against each other, two-sided: twice the smaller tail, at most 1. `None` if one is empty.
#[must_use]
pub fn mann_whitney(candidate: &[f64], baseline: &[f64]) -> Option<RankTest> {
    if candidate.is_empty() || baseline.is_empty() {
        return None;
    }
    let ranks = DoubledRanks::of(candidate, baseline);
    let (n, m) = (candidate.len(), baseline.len());
    // R − n(n + 1)/2, with R half of the doubled ranks.
    let u = ranks.candidate as f64 / 2.0 - (n * (n + 1)) as f64 / 2.0;
    let (p, method) = if n * m <= EXACT_PAIRS_MAX {
        (ranks.exact(n), PValue::Exact)
    } else {
        (ranks.normal(u, n, m), PValue::Normal)
    };
    Some(RankTest { u, p, method })
}

/// The ranks of two samples together, times two.
struct DoubledRanks {
    /// Of every value, ascending.
    all: Vec<usize>,
    /// Their sum over the candidate's values.
    candidate: usize,
    /// How many values are equal, for each value that occurs.
    ties: Vec<usize>,
}

impl DoubledRanks {
    fn of(candidate: &[f64], baseline: &[f64]) -> Self {
        let mut values: Vec<(f64, bool)> = candidate.iter().map(|value| (*value, true)).collect();
        values.extend(baseline.iter().map(|value| (*value, false)));
        values.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut ranks = Self {
            all: Vec::with_capacity(values.len()),
            candidate: 0,
            ties: Vec::new(),
        };
        for equal in values.chunk_by(|(one, _), (other, _)| one == other) {
            // Ranks count from 1, so the first of these has ranks.all.len() + 1.
            let doubled = 2 * ranks.all.len() + 1 + equal.len();
            ranks.candidate += doubled * equal.iter().filter(|(_, candidate)| *candidate).count();
            ranks.all.resize(ranks.all.len() + equal.len(), doubled);
            ranks.ties.push(equal.len());
        }
        ranks
    }

    /// Over all ways to choose `n` of the ranks.
    fn exact(&self, n: usize) -> f64 {
        let total: usize = self.all.iter().sum();
        // Choosing one side leaves the other: the smaller one is counted.
        let (chosen, sum) = if 2 * n <= self.all.len() {
            (n, self.candidate)
        } else {
            (self.all.len() - n, total - self.candidate)
        };
        let largest: usize = self.all.iter().rev().take(chosen).sum();
        // ways[k][s]: how many choices of k of the ranks so far have the sum s.
        let mut ways = vec![vec![0.0_f64; largest + 1]; chosen + 1];
        ways[0][0] = 1.0;
        for rank in &self.all {
            // Downwards, so that no rank is chosen twice.
            for k in (1..=chosen).rev() {
                let (fewer, more) = ways.split_at_mut(k);
                let (from, to) = (&fewer[k - 1], &mut more[0]);
                for (target, source) in to.iter_mut().skip(*rank).zip(from) {
                    *target += source;
                }
            }
        }
        let ways = &ways[chosen];
        let count = |part: &[f64]| part.iter().sum::<f64>();
        let tail = count(&ways[..=sum]).min(count(&ways[sum..]));
        (2.0 * tail / count(ways)).min(1.0)
    }

    fn normal(&self, u: f64, n: usize, m: usize) -> f64 {
        let (pairs, size) = ((n * m) as f64, (n + m) as f64);
        let tied: f64 = self
            .ties
            .iter()
            .map(|t| (*t as f64).powi(3) - *t as f64)
            .sum();
        let variance = pairs / 12.0 * (size + 1.0 - tied / (size * (size - 1.0)));
        if variance <= 0.0 {
            // All values are equal.
            return 1.0;
        }
        let distance = (u - pairs / 2.0).abs() - 0.5;
        (2.0 * normal_cdf(-distance / variance.sqrt())).min(1.0)
    }
}

#[cfg(test)]
#[path = "rank_test_tests.rs"]
mod tests;
