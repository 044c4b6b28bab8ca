//! Resampling with replacement, from a generator that gives the same numbers everywhere.

use super::order::sorted;

/// The generator SplitMix64: small, and good enough to choose indices. Source: Steele, Lea and
/// Flood, "Fast splittable pseudorandom number generators" (2014), figure 17. Never for keys.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator whose numbers are decided by `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any of 2^64.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..count`; `count` is small against 2^64, so the bias is far below what a bootstrap sees.
    pub const fn below(&mut self, count: usize) -> usize {
        ((self.next() as u128 * count as u128) >> 64) as usize
    }
}

/// Medians of resamples. The values are sorted once; a resample is then a count for each of them, and
/// its median is found by walking up the counts.
pub(super) struct Medians {
    sorted: Vec<f64>,
    counts: Vec<u32>,
}

impl Medians {
    /// `values` has at least one value.
    pub(super) fn new(values: &[f64]) -> Self {
        Self {
            sorted: sorted(values),
            counts: vec![0; values.len()],
        }
    }

    /// The median of as many values as there are, each drawn from all of them.
    pub(super) fn draw(&mut self, random: &mut SplitMix64) -> f64 {
        self.counts.fill(0);
        let size = self.sorted.len();
        for _ in 0..size {
            self.counts[random.below(size)] += 1;
        }
        // The ranks, from 0, of the one or two values in the middle.
        f64::midpoint(self.ranked((size - 1) / 2), self.ranked(size / 2))
    }

    fn ranked(&self, rank: usize) -> f64 {
        let mut seen = 0;
        for (value, count) in self.sorted.iter().zip(&self.counts) {
            seen += *count as usize;
            if seen > rank {
                return *value;
            }
        }
        self.sorted[self.sorted.len() - 1]
    }

    /// The medians of the values without one, for each of them.
    pub(super) fn without_one(&self) -> Vec<f64> {
        let size = self.sorted.len();
        let left_out = |out: usize| {
            let ranked = |rank: usize| self.sorted[if rank < out { rank } else { rank + 1 }];
            f64::midpoint(ranked((size - 2) / 2), ranked((size - 1) / 2))
        };
        (0..size).filter(|_| size > 1).map(left_out).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]
    use super::super::order::median;
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // The first outputs of the reference implementation for the seed 1234567.
        let mut random = SplitMix64::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn indices_are_drawn_evenly() {
        let mut random = SplitMix64::new(1);
        let mut counts = [0_u32; 7];
        (0..7_000).for_each(|_| counts[random.below(7)] += 1);
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn medians_by_counting_are_medians() {
        for values in [
            &[5.0][..],
            &[5.0, 1.0],
            &[3.0, 9.0, 1.0],
            &[4.0, 4.0, 8.0, 1.0],
        ] {
            let mut medians = Medians::new(values);
            let sorted = sorted(values);
            let (mut one, mut other) = (SplitMix64::new(9), SplitMix64::new(9));
            for _ in 0..50 {
                let drawn: Vec<f64> = (0..values.len())
                    .map(|_| sorted[other.below(values.len())])
                    .collect();
                assert_eq!(medians.draw(&mut one), median(&drawn).unwrap());
            }
            for (out, found) in medians.without_one().into_iter().enumerate() {
                let mut rest = sorted.clone();
                rest.remove(out);
                assert_eq!(found, median(&rest).unwrap());
            }
        }
        assert!(Medians::new(&[5.0]).without_one().is_empty());
    }
}
