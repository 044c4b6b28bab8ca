//! Chance that a seed decides: the same plan does the same wherever it runs (splitmix64).

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chance {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Chance(seed)
    }

    /// A stream that colluders have in common without a word: of a seed and what it is about.
    pub fn about(seed: u64, subject: &[u64]) -> Self {
        let mut chance = Chance(seed);
        for word in subject {
            chance.0 ^= word.wrapping_mul(STEP);
            chance.0 = chance.number();
        }
        chance
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        match bound {
            0 => 0,
            _ => self.number() % bound,
        }
    }

    /// True in this share of draws. The two ends draw nothing.
    pub fn is(&mut self, share: f64) -> bool {
        if share >= 1.0 {
            return true;
        }
        share > 0.0 && (self.number() >> 11) as f64 / (1u64 << 53) as f64 <= share
    }

    /// One of several; `None` of none.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let at = usize::try_from(self.below(choices.len() as u64)).ok()?;
        choices.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_drawn_about_as_often_as_it_says() {
        let mut chance = Chance::new(7);
        let hits = (0..10_000).filter(|_| chance.is(0.3)).count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
        assert!(chance.is(1.0) && !chance.is(0.0));
    }

    #[test]
    fn colluders_draw_the_same_about_one_subject_and_other_things_about_others() {
        let draw = |subject: &[u64]| Chance::about(3, subject).number();
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[2, 1]));
        assert_ne!(draw(&[1, 2]), draw(&[1, 3]));
    }
}
