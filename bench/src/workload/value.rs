//! Values: a short unique tag, then padding that follows from the tag and the length.
//!
//! ```text
//!   c7-123456KDMWaQ...      client 7's value number 123456
//!   r42-0XBefL...           what the load phase wrote to key 42
//!   └─ tag ──┘└ padding ┘
//! ```
//!
//! A history names a value by its tag alone, and a reader can still check every byte: cut, mixed or stale bytes show, because the padding is a
//! function of the tag and the value's whole length. A size below the tag's length is grown to it, since uniqueness goes before size.

use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

use super::ParameterError;
use super::seed::{Purpose, random_stream, spread};

/// Letters only: the tag ends at its last digit, so no separator is needed. 32 of them take five bits each.
const PADDING_ALPHABET: [u8; 32] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
const LETTERS_PER_WORD: usize = 12;

/// How long values are, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SizeDistribution {
    /// All alike.
    Constant {
        /// The length.
        bytes: u32,
    },
    /// Every length of the range alike.
    Uniform {
        /// The shortest.
        min_bytes: u32,
        /// The longest.
        max_bytes: u32,
    },
    /// Lognormal around a median, cut at a maximum: many short values and a few long ones.
    Lognormal {
        /// Half of the values are shorter.
        median_bytes: u32,
        /// Standard deviation of the logarithm; 0 to 4.
        sigma: f64,
        /// Longer ones are cut to this.
        max_bytes: u32,
    },
}

impl SizeDistribution {
    /// Refuses parameters outside their range.
    ///
    /// # Errors
    /// [`ParameterError`] naming the field, its value and its range.
    pub fn check(self) -> Result<(), ParameterError> {
        match self {
            Self::Constant { .. } => Ok(()),
            Self::Uniform {
                min_bytes,
                max_bytes,
            } if min_bytes <= max_bytes => Ok(()),
            Self::Uniform {
                min_bytes,
                max_bytes,
            } => Err(ParameterError::new(
                "workload.value.min",
                format!("is {min_bytes}; it must not exceed the maximum, {max_bytes}"),
            )),
            Self::Lognormal { sigma, .. } if !(0.0..=4.0).contains(&sigma) => {
                Err(ParameterError::new(
                    "workload.value.sigma",
                    format!("is {sigma}; it must be between 0 and 4"),
                ))
            }
            Self::Lognormal {
                median_bytes,
                max_bytes,
                ..
            } if median_bytes == 0 || median_bytes > max_bytes => Err(ParameterError::new(
                "workload.value.median",
                format!("is {median_bytes}; it must be between 1 and the maximum, {max_bytes}"),
            )),
            Self::Lognormal { .. } => Ok(()),
        }
    }

    fn draw(self, random: &mut ChaCha8Rng) -> usize {
        let bytes = match self {
            Self::Constant { bytes } => bytes,
            Self::Uniform {
                min_bytes,
                max_bytes,
            } => random.random_range(min_bytes..=max_bytes.max(min_bytes)),
            Self::Lognormal {
                median_bytes,
                sigma,
                max_bytes,
            } => {
                let law = LogNormal::new(f64::from(median_bytes).ln(), sigma)
                    .expect("sigma was checked, and it is finite and not negative");
                // The cast saturates, and the cut follows.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "saturates; a length is not negative"
                )]
                let drawn = law.sample(random).round() as u32;
                drawn.min(max_bytes)
            }
        };
        bytes as usize
    }
}

/// One client's source of values, each unique within the run.
#[derive(Debug)]
pub struct ValueSource {
    client: u64,
    next: u64,
    sizes: SizeDistribution,
    random: ChaCha8Rng,
}

impl ValueSource {
    /// The source of `client`, whose number must be its own within the run.
    ///
    /// # Errors
    /// [`ParameterError`] as [`SizeDistribution::check`].
    pub fn new(sizes: SizeDistribution, seed: u64, client: u64) -> Result<Self, ParameterError> {
        sizes.check()?;
        Ok(Self {
            client,
            next: 0,
            sizes,
            random: random_stream(seed, client, Purpose::Values),
        })
    }

    /// A value that nobody wrote before.
    pub fn next_value(&mut self) -> Bytes {
        let tag = format!("c{}-{}", self.client, self.next);
        self.next += 1;
        padded(tag, self.sizes.draw(&mut self.random))
    }
}

/// The value that the load phase writes to key `number`: a function of the seed, so that anyone can name it later (the `expect` of a first cas).
#[must_use]
pub fn record_value(sizes: SizeDistribution, seed: u64, number: u64) -> Bytes {
    // Client numbers are small, so the upper half of the stream numbers is free for records.
    let mut random = random_stream(seed, (1 << 61) | number, Purpose::Values);
    padded(format!("r{number}-0"), sizes.draw(&mut random))
}

fn padded(tag: String, bytes: usize) -> Bytes {
    let mut value = tag.into_bytes();
    let length = bytes.max(value.len());
    let padding = Padding::new(&value, length).take(length - value.len());
    value.reserve_exact(length - value.len());
    value.extend(padding);
    value.into()
}

/// The letters that follow `tag` in a value of `bytes` bytes.
struct Padding {
    state: u64,
    word: u64,
    left: usize,
}

impl Padding {
    fn new(tag: &[u8], bytes: usize) -> Self {
        let state = tag.chunks(8).fold(spread(bytes as u64), |state, chunk| {
            let word = chunk
                .iter()
                .fold(0, |word, byte| (word << 8) | u64::from(*byte));
            spread(state ^ word)
        });
        Self {
            state,
            word: 0,
            left: 0,
        }
    }
}

impl Iterator for Padding {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.left == 0 {
            self.state = spread(self.state);
            self.word = self.state;
            self.left = LETTERS_PER_WORD;
        }
        let letter = PADDING_ALPHABET[(self.word & 31) as usize];
        self.word >>= 5;
        self.left -= 1;
        Some(letter)
    }
}

/// Why a value is not one that a workload wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    /// It does not begin with a tag.
    #[error("the value does not begin with a tag")]
    NoTag,
    /// Its padding is not the one that belongs to its tag and length.
    #[error("byte {at} of the value does not belong to its tag: cut or altered")]
    Padding {
        /// The first wrong byte, from 0.
        at: usize,
    },
}

/// The tag at the beginning of a value: a letter, digits, a hyphen, digits.
#[must_use]
pub fn tag_of(value: &[u8]) -> Option<&str> {
    let digits = |from: usize| {
        value[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    value.first().filter(|first| first.is_ascii_lowercase())?;
    let writer = digits(1);
    let hyphen = 1 + writer;
    (writer > 0 && value.get(hyphen) == Some(&b'-')).then_some(())?;
    let count = digits(hyphen + 1);
    (count > 0).then(|| std::str::from_utf8(&value[..=hyphen + count]).ok())?
}

/// Checks every byte of a value against its tag, and returns the tag.
///
/// # Errors
/// [`ValueFault`] saying which byte is wrong.
pub fn verify_padding(value: &[u8]) -> Result<&str, ValueFault> {
    let tag = tag_of(value).ok_or(ValueFault::NoTag)?;
    let padding = &value[tag.len()..];
    match padding
        .iter()
        .copied()
        .zip(Padding::new(tag.as_bytes(), value.len()))
        .position(|(is, should)| is != should)
    {
        Some(at) => Err(ValueFault::Padding { at: tag.len() + at }),
        None => Ok(tag),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    fn values(sizes: SizeDistribution, count: usize) -> Vec<Bytes> {
        let mut source = ValueSource::new(sizes, 7, 3).unwrap();
        (0..count).map(|_| source.next_value()).collect()
    }

    #[test]
    fn values_are_unique_over_clients_and_records() {
        let sizes = SizeDistribution::Constant { bytes: 20 };
        let mut seen = HashSet::new();
        for client in 0..20 {
            let mut source = ValueSource::new(sizes, 7, client).unwrap();
            for _ in 0..2000 {
                assert!(seen.insert(source.next_value()));
            }
        }
        assert!((0..2000).all(|number| seen.insert(record_value(sizes, 7, number))));
        let tags: HashSet<_> = seen
            .iter()
            .map(|value| tag_of(value).unwrap().to_owned())
            .collect();
        assert_eq!(tags.len(), seen.len(), "one tag for one value");
    }

    #[test]
    fn a_value_is_verified_in_full_from_its_tag() {
        let value = values(SizeDistribution::Constant { bytes: 100 }, 3)
            .pop()
            .unwrap();
        assert_eq!(value.len(), 100);
        assert_eq!(tag_of(&value), Some("c3-2"));
        assert_eq!(verify_padding(&value), Ok("c3-2"));
        for at in 4..100 {
            let mut altered = value.to_vec();
            altered[at] ^= 0x20;
            assert_eq!(verify_padding(&altered), Err(ValueFault::Padding { at }));
        }
    }

    #[test]
    fn a_cut_value_is_noticed_down_to_a_few_letters() {
        let value = record_value(SizeDistribution::Constant { bytes: 60 }, 7, 42);
        // A handful of letters may agree by chance (one in 32 each); more do not.
        for cut in 15..60 {
            assert!(verify_padding(&value[..cut]).is_err(), "cut to {cut}");
        }
    }

    #[test]
    fn a_size_below_the_tag_grows_to_the_tag() {
        assert_eq!(values(SizeDistribution::Constant { bytes: 0 }, 1), ["c3-0"]);
        assert_eq!(
            record_value(SizeDistribution::Constant { bytes: 2 }, 7, 1),
            "r1-0"
        );
    }

    #[test]
    fn strangers_have_no_tag() {
        for stranger in [
            &b""[..],
            b"c",
            b"c-1",
            b"c7",
            b"c7-",
            b"C7-1",
            b"7-1",
            b"c7_1",
        ] {
            assert_eq!(tag_of(stranger), None);
            assert_eq!(verify_padding(stranger), Err(ValueFault::NoTag));
        }
    }

    #[test]
    fn sizes_follow_their_law_and_their_bound() {
        let uniform = values(
            SizeDistribution::Uniform {
                min_bytes: 50,
                max_bytes: 150,
            },
            20_000,
        );
        assert!(
            uniform
                .iter()
                .all(|value| (50..=150).contains(&value.len()))
        );
        let mean = uniform.iter().map(Bytes::len).sum::<usize>() as f64 / 20_000.0;
        assert!((mean - 100.0).abs() < 1.5, "{mean}");

        let lognormal = values(
            SizeDistribution::Lognormal {
                median_bytes: 200,
                sigma: 1.0,
                max_bytes: 1000,
            },
            20_000,
        );
        let shorter = lognormal.iter().filter(|value| value.len() < 200).count() as f64 / 20_000.0;
        assert!((shorter - 0.5).abs() < 0.02, "{shorter}");
        let one_sigma_below =
            lognormal.iter().filter(|value| value.len() < 74).count() as f64 / 20_000.0;
        assert!((one_sigma_below - 0.1587).abs() < 0.02, "{one_sigma_below}");
        assert!(
            lognormal.iter().all(|value| value.len() <= 1000)
                && lognormal.iter().any(|value| value.len() == 1000)
        );
    }

    #[test]
    fn one_seed_gives_one_sequence_of_values() {
        let sizes = SizeDistribution::Lognormal {
            median_bytes: 50,
            sigma: 0.5,
            max_bytes: 400,
        };
        assert_eq!(values(sizes, 100), values(sizes, 100));
        assert_eq!(record_value(sizes, 7, 5), record_value(sizes, 7, 5));
    }

    #[test]
    fn parameters_outside_their_range_are_refused() {
        assert!(
            SizeDistribution::Uniform {
                min_bytes: 2,
                max_bytes: 1
            }
            .check()
            .is_err()
        );
        assert!(
            SizeDistribution::Lognormal {
                median_bytes: 0,
                sigma: 1.0,
                max_bytes: 10
            }
            .check()
            .is_err()
        );
        assert!(
            SizeDistribution::Lognormal {
                median_bytes: 5,
                sigma: f64::NAN,
                max_bytes: 10
            }
            .check()
            .is_err()
        );
    }
}
