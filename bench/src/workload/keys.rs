//! Keys: their names, the space they come from, and the distributions that choose among them.
//!
//! A key is a number printed at a fixed width, so that key order is number order and scans meet their neighbours. Keys `0..records` exist after the
//! load phase; every create takes the next number. A create counts as *visible* once it is settled (answered, or given up), and choosers look at
//! visible keys only: YCSB's acknowledged counter, without which `latest` would mostly read keys that are still on their way.
//!
//! The zipfian chooser draws a rank by rejection-inversion (Hörmann and Derflinger 1996, `rand_distr::Zipf`). Unlike YCSB's approximation of Gray et
//! al. it is exact, takes any theta >= 0, and needs no zeta constant, so a growing space costs nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Zipf};

use super::ParameterError;
use super::permutation::Permutation;

/// Creates under way that the space remembers; with more, the oldest is taken as settled. Far above any sensible number of outstanding requests.
pub const UNSETTLED_CREATES_MAX: usize = 65_536;

const KEY_PREFIX: &str = "user";

/// The name of key `number`: `user` and ten digits (more only beyond ten billion keys, where key order stops being number order).
#[must_use]
pub fn key_name(number: u64) -> Bytes {
    Bytes::from(format!("{KEY_PREFIX}{number:010}"))
}

/// The number of a key made by [`key_name`]; `None` for any other key.
#[must_use]
pub fn key_number(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(KEY_PREFIX.as_bytes())?;
    (digits.len() >= 10 && digits.iter().all(u8::is_ascii_digit))
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// The keys of a run, shared by its clients: `0..records` from the load phase, then those created since.
#[derive(Debug)]
pub struct KeySpace {
    records: u64,
    next: AtomicU64,
    visible: AtomicU64,
    unsettled: Mutex<BTreeSet<u64>>,
}

impl KeySpace {
    /// A space in which the load phase creates `records` keys (0 is taken as 1: a chooser needs a key to choose).
    #[must_use]
    pub fn new(records: u64) -> Self {
        let records = records.max(1);
        Self {
            records,
            next: AtomicU64::new(records),
            visible: AtomicU64::new(records),
            unsettled: Mutex::default(),
        }
    }

    /// Keys of the load phase.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Takes the next key number for a create. [`KeySpace::settled`] must follow.
    pub fn create(&self) -> u64 {
        let mut unsettled = self
            .unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        unsettled.insert(number);
        if unsettled.len() > UNSETTLED_CREATES_MAX {
            unsettled.pop_first();
        }
        self.publish(&unsettled);
        number
    }

    /// Says that the create of `key` has an answer, was dropped, or was given up. Keys of others are ignored.
    pub fn settled(&self, key: &[u8]) {
        if let Some(number) = key_number(key).filter(|number| *number >= self.records) {
            let mut unsettled = self
                .unsettled
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            unsettled.remove(&number);
            self.publish(&unsettled);
        }
    }

    /// Keys `0..visible()` are loaded or their creates are settled.
    #[must_use]
    pub fn visible(&self) -> u64 {
        self.visible.load(Ordering::Relaxed)
    }

    fn publish(&self, unsettled: &BTreeSet<u64>) {
        let visible = unsettled
            .first()
            .copied()
            .unwrap_or_else(|| self.next.load(Ordering::Relaxed));
        self.visible.store(visible, Ordering::Relaxed);
    }
}

/// How keys are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyDistribution {
    /// Every key alike.
    Uniform,
    /// Rank k with a frequency in proportion to 1 / k^theta, ranks scattered over the key space (YCSB's scrambled zipfian). Keys created during the
    /// run are the least popular, in order of creation, so the popular keys stay the same while the space grows.
    Zipfian {
        /// The skew, 0 (uniform) and up; YCSB uses 0.99.
        theta: f64,
    },
    /// Zipfian over age: the newest key is the most popular.
    Latest {
        /// The skew, as for zipfian.
        theta: f64,
    },
    /// A share of the operations goes to a fraction of the keys (scattered), the rest to the others, each uniformly.
    Hotspot {
        /// Fraction of the keys that are hot, 0 to 1.
        hot_fraction: f64,
        /// Share of the operations that goes to them, 0 to 1.
        hot_share: f64,
    },
    /// One key after the other, round and round; each client starts at a place of its own.
    Sequential,
}

impl KeyDistribution {
    /// Refuses parameters outside their range.
    ///
    /// # Errors
    /// [`ParameterError`] naming the field, its value and its range.
    pub fn check(self) -> Result<(), ParameterError> {
        let share = |field, value: f64| {
            let fits = (0.0..=1.0).contains(&value);
            fits.then_some(()).ok_or_else(|| {
                ParameterError::new(field, format!("is {value}; it must be between 0 and 1"))
            })
        };
        match self {
            Self::Uniform | Self::Sequential => Ok(()),
            Self::Zipfian { theta } | Self::Latest { theta } => {
                let fits = theta.is_finite() && (0.0..=10.0).contains(&theta);
                fits.then_some(()).ok_or_else(|| {
                    ParameterError::new(
                        "workload.key.theta",
                        format!("is {theta}; it must be between 0 and 10 (YCSB: 0.99)"),
                    )
                })
            }
            Self::Hotspot {
                hot_fraction,
                hot_share,
            } => {
                share("workload.key.hot_fraction", hot_fraction)?;
                share("workload.key.hot_share", hot_share)
            }
        }
    }
}

/// One client's chooser over a [`KeySpace`].
#[derive(Debug)]
pub struct KeyChooser {
    distribution: KeyDistribution,
    scatter: Permutation,
    ranks: Ranks,
    position: u64,
}

/// A zipf distribution over the ranks `0..n`, rebuilt (in constant time) when n changes.
#[derive(Debug)]
struct Ranks {
    theta: f64,
    n: u64,
    zipf: Option<Zipf<f64>>,
}

impl KeyChooser {
    /// A chooser for client number `client` of `clients`; `seed` decides which keys are popular and must be the same for all clients.
    ///
    /// # Errors
    /// [`ParameterError`] as [`KeyDistribution::check`].
    pub fn new(
        distribution: KeyDistribution,
        records: u64,
        seed: u64,
        client: u64,
        clients: u64,
    ) -> Result<Self, ParameterError> {
        distribution.check()?;
        let records = records.max(1);
        let theta = match distribution {
            KeyDistribution::Zipfian { theta } | KeyDistribution::Latest { theta } => theta,
            _ => 0.0,
        };
        let start = u128::from(records) * u128::from(client) / u128::from(clients.max(1));
        Ok(Self {
            distribution,
            scatter: Permutation::new(records, seed),
            ranks: Ranks {
                theta,
                n: 0,
                zipf: None,
            },
            position: u64::try_from(start).unwrap_or(0),
        })
    }

    /// The number of the next key, below `space.visible()`.
    pub fn choose(&mut self, space: &KeySpace, random: &mut ChaCha8Rng) -> u64 {
        let n = space.visible();
        match self.distribution {
            KeyDistribution::Uniform => random.random_range(0..n),
            KeyDistribution::Zipfian { .. } => {
                let rank = self.ranks.draw(n, random);
                self.scattered(rank)
            }
            KeyDistribution::Latest { .. } => n - 1 - self.ranks.draw(n, random),
            KeyDistribution::Hotspot {
                hot_fraction,
                hot_share,
            } => {
                // Rounded up, so that a fraction above zero has at least one hot key.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a fraction of n, within 0..=n"
                )]
                let hot = ((n as f64 * hot_fraction).ceil() as u64).min(n);
                let to_hot = hot == n || (hot > 0 && random.random_bool(hot_share));
                let rank = if to_hot {
                    random.random_range(0..hot)
                } else {
                    random.random_range(hot..n)
                };
                self.scattered(rank)
            }
            KeyDistribution::Sequential => {
                let number = self.position % n;
                self.position = number + 1;
                number
            }
        }
    }

    fn scattered(&self, rank: u64) -> u64 {
        if rank < self.scatter.len() {
            self.scatter.at(rank)
        } else {
            rank
        }
    }
}

impl Ranks {
    fn draw(&mut self, n: u64, random: &mut ChaCha8Rng) -> u64 {
        if self.n != n || self.zipf.is_none() {
            self.n = n;
            self.zipf = Some(
                Zipf::new(n as f64, self.theta)
                    .expect("n >= 1, and theta was checked when the chooser was built"),
            );
        }
        let zipf = self.zipf.as_ref().expect("set just above");
        // A rank is a whole number between 1 and n, as a float.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and n"
        )]
        let rank = zipf.sample(random) as u64;
        rank.clamp(1, n) - 1
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
