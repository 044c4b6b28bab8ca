//! Independent random streams from one seed: ChaCha8 keyed by the seed, with the stream number made of the client and the purpose.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for; each purpose of each client has a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Which operation comes next.
    Mix = 0,
    /// Which key it touches.
    Keys = 1,
    /// How long its value is.
    Values = 2,
    /// When it starts.
    Arrivals = 3,
}

const PURPOSES: u64 = 4;

/// The stream of `client` for `purpose` under the scenario's `seed`.
///
/// ChaCha's stream number is part of the cipher's input, so streams with different numbers are as independent as streams with different keys.
#[must_use]
pub fn random_stream(seed: u64, client: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    stream.set_stream(client.wrapping_mul(PURPOSES).wrapping_add(purpose as u64));
    stream
}

/// The stream that the targets of faults are drawn from: the last one, which belongs to no client.
#[must_use]
pub fn fault_stream(seed: u64) -> ChaCha8Rng {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    stream.set_stream(u64::MAX);
    stream
}

/// SplitMix64's output function: a bijection of 64-bit words which spreads every input bit over the whole output (Steele, Lea, Flood 2014).
pub(crate) const fn spread(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_repeat_for_one_seed_and_differ_between_clients_and_purposes() {
        let mut first: Vec<u64> = Vec::new();
        for client in 0..50 {
            for purpose in [
                Purpose::Mix,
                Purpose::Keys,
                Purpose::Values,
                Purpose::Arrivals,
            ] {
                let word = random_stream(7, client, purpose).next_u64();
                assert_eq!(word, random_stream(7, client, purpose).next_u64());
                first.push(word);
            }
        }
        first.push(random_stream(8, 0, Purpose::Mix).next_u64());
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 201);
    }
}
