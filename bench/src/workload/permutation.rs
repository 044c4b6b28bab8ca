//! A seeded permutation of `0..n`: it scatters the popular ranks of a skewed distribution over the key space.
//!
//! YCSB scatters with a hash modulo n, which is no bijection: about a third of the keys is then never chosen and others collect several ranks. A
//! Feistel network over the next even power of two is a bijection, and walking its cycle until the value falls below n keeps it one on `0..n`; so
//! every key has exactly the frequency that the theory gives to its rank.

use super::seed::spread;

const ROUNDS: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct Permutation {
    n: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// A permutation of `0..n` chosen by `seed`. `n` is at least 1 and at most 2^62.
    pub(super) fn new(n: u64, seed: u64) -> Self {
        let n = n.clamp(1, 1 << 62);
        let bits = u64::BITS - (n - 1).leading_zeros();
        let mut key = seed;
        let keys = std::array::from_fn(|_| {
            key = spread(key);
            key
        });
        Self {
            n,
            half_bits: bits.div_ceil(2).max(1),
            keys,
        }
    }

    pub(super) const fn len(&self) -> u64 {
        self.n
    }

    /// The image of `rank`, which must be below `n`. The domain is less than four times n, so the walk takes fewer than four steps on average.
    pub(super) fn at(&self, rank: u64) -> u64 {
        debug_assert!(
            rank < self.n,
            "a rank outside the permuted set would walk another cycle"
        );
        let mut value = self.round_trip(rank);
        while value >= self.n {
            value = self.round_trip(value);
        }
        value
    }

    fn round_trip(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (spread(right ^ key) & mask));
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_permuted_without_gaps_or_repeats() {
        for n in (1..=70).chain([255, 256, 257, 1000, 100_000]) {
            let permutation = Permutation::new(n, 7);
            let mut seen = vec![false; usize::try_from(n).expect("small")];
            for rank in 0..n {
                let image = usize::try_from(permutation.at(rank)).expect("small");
                assert!(!seen[image], "n = {n}: {image} twice");
                seen[image] = true;
            }
        }
    }

    #[test]
    fn neighbours_are_scattered() {
        let permutation = Permutation::new(100_000, 7);
        let near = (0..1000)
            .filter(|rank| permutation.at(*rank).abs_diff(permutation.at(rank + 1)) < 1000)
            .count();
        // Two independent places of 100,000 are closer than 1,000 with a chance of 2 %.
        assert!(near < 50, "{near} of 1000");
    }
}
