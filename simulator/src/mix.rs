//! Mixing 64 bits at a time: fast, equal on every machine and in every build, and no protection
//! against anybody who wants collisions, which in a simulated world nobody does.

use std::hash::{BuildHasherDefault, Hasher};

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
const START: u64 = 0x243f_6a88_85a3_08d3;

/// One word into a state, by a folded multiplication.
pub(crate) fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word ^ ODD) * u128::from(word.rotate_left(32) ^ START | 1);
    (product as u64) ^ ((product >> 64) as u64) ^ state.rotate_left(17)
}

/// The fingerprint of bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = START ^ bytes.len() as u64;
    for word in words {
        state = mix(state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    mix(state, u64::from_le_bytes(last))
}

/// The fingerprint of several words.
pub(crate) fn of_words(words: &[u64]) -> u64 {
    words.iter().fold(START, |state, word| mix(state, *word))
}

/// [`mix`] as a hasher for maps that are never iterated.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, of_bytes(bytes));
    }
    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }
    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = mix(self.0, value);
    }
    fn finish(&self) -> u64 {
        mix(self.0, ODD)
    }
}

/// A map whose keys are mixed; iterate it nowhere.
pub(crate) type MixMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Mixer>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let base = [7u8; 21];
        let mut seen = std::collections::BTreeSet::from([of_bytes(&base)]);
        for at in 0..base.len() {
            for bit in 0..8 {
                let mut other = base;
                other[at] ^= 1 << bit;
                assert!(seen.insert(of_bytes(&other)), "byte {at}, bit {bit}");
            }
        }
        for length in 0..base.len() {
            assert!(seen.insert(of_bytes(&base[..length])), "length {length}");
        }
        assert!(seen.insert(of_bytes(&[0; 8])) && seen.insert(of_bytes(&[0; 16])));
    }

    #[test]
    fn the_order_of_words_counts() {
        assert_ne!(of_words(&[1, 2]), of_words(&[2, 1]));
        assert_ne!(of_words(&[0]), of_words(&[0, 0]));
    }
}
