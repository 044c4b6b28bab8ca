//! Chance that can be looked up: a number that belongs to a key, a purpose and an index.
//!
//! A stream of random numbers would shift as soon as one more is drawn. Here the fate of the n-th datagram does not depend
//! on what happened to the others, nor on which other impairments are switched on.

/// What a number is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Purpose {
    Loss = 1,
    Duplicate,
    Corrupt,
    CorruptWhere,
    Reorder,
    ReorderBy,
    ReorderCopyBy,
    Delay,
    DelaySecond,
}

/// The random numbers of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dice(u64);

impl Dice {
    /// Those of the link `link` in a run with this seed.
    pub(super) fn new(seed: u64, link: u64) -> Self {
        Dice(mix(mix(seed) ^ link))
    }

    /// A number of 64 bits.
    pub(super) fn word(self, purpose: Purpose, index: u64) -> u64 {
        mix(mix(self.0 ^ (purpose as u64).rotate_left(56)) ^ index)
    }

    /// A number from 0 to below 1.
    pub(super) fn share(self, purpose: Purpose, index: u64) -> f64 {
        // The 53 bits that a double holds exactly.
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.word(purpose, index) >> 11) as f64 * STEP
    }

    /// Whether something that happens with this probability happens.
    pub(super) fn happens(self, probability: f64, purpose: Purpose, index: u64) -> bool {
        probability > 0.0 && self.share(purpose, index) < probability
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014), which spreads every bit over all of them.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_differ_by_seed_link_purpose_and_index() {
        let dice = Dice::new(7, 3);
        let mut buckets = [0_u32; 10];
        for index in 0..100_000 {
            let share = dice.share(Purpose::Loss, index);
            assert!((0.0..1.0).contains(&share));
            buckets[(share * 10.0) as usize] += 1;
        }
        for count in buckets {
            // Six standard deviations of a fair tenth of 100,000.
            assert!((9_430..=10_570).contains(&count), "{count}");
        }
        let word = dice.word(Purpose::Loss, 5);
        assert_eq!(word, Dice::new(7, 3).word(Purpose::Loss, 5));
        assert_ne!(word, Dice::new(8, 3).word(Purpose::Loss, 5));
        assert_ne!(word, Dice::new(7, 4).word(Purpose::Loss, 5));
        assert_ne!(word, dice.word(Purpose::Delay, 5));
        assert_ne!(word, dice.word(Purpose::Loss, 6));
    }

    #[test]
    fn what_is_impossible_never_happens_and_what_is_certain_always() {
        let dice = Dice::new(1, 1);
        assert!((0..1_000).all(|index| !dice.happens(0.0, Purpose::Loss, index)));
        assert!((0..1_000).all(|index| dice.happens(1.0, Purpose::Loss, index)));
    }
}
