//! Mixes: which share of the operations is of which kind. The six YCSB presets, or shares of one's own.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{KeyDistribution, OperationKind, ParameterError};

/// The longest scan of YCSB E, whose lengths are uniform from 1 to this.
pub const YCSB_SCAN_ITEMS_MAX: u32 = 100;

/// Skew of YCSB's zipfian and latest distributions.
const YCSB_THETA: f64 = 0.99;

/// Shares may miss a sum of one by this much: the rounding of decimal fractions.
const SUM_TOLERANCE: f64 = 1e-6;

/// The core workloads of YCSB (Cooper et al., SoCC 2010).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Half reads, half updates; zipfian.
    A,
    /// 95 % reads, 5 % updates; zipfian.
    B,
    /// Reads only; zipfian.
    C,
    /// 95 % reads of the latest keys, 5 % creates.
    D,
    /// 95 % scans of 1 to [`YCSB_SCAN_ITEMS_MAX`] entries, 5 % creates; zipfian.
    E,
    /// Half reads, half read-modify-writes; zipfian. A read-modify-write is a read followed by an update of the same key by the same client, as YCSB
    /// itself does it: two operations, not atomic together. Of the operations sent, two thirds are reads and one third updates.
    F,
}

impl Preset {
    /// The shares of the preset.
    #[must_use]
    pub fn mix(self) -> Mix {
        let shares: &[(OperationKind, f64)] = match self {
            Self::A | Self::F => &[(OperationKind::Read, 0.5), (OperationKind::Update, 0.5)],
            Self::B => &[(OperationKind::Read, 0.95), (OperationKind::Update, 0.05)],
            Self::C => &[(OperationKind::Read, 1.0)],
            Self::D => &[(OperationKind::Read, 0.95), (OperationKind::Create, 0.05)],
            Self::E => &[(OperationKind::Scan, 0.95), (OperationKind::Create, 0.05)],
        };
        let mix = Mix::new(shares).expect("the shares of each preset sum to one");
        Mix {
            read_before_update: self == Self::F,
            ..mix
        }
    }

    /// The keys of the preset, for a scenario that names none.
    #[must_use]
    pub const fn keys(self) -> KeyDistribution {
        match self {
            Self::D => KeyDistribution::Latest { theta: YCSB_THETA },
            _ => KeyDistribution::Zipfian { theta: YCSB_THETA },
        }
    }
}

/// Shares of the kinds of operations.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// Kind and the upper end of its interval within 0..1; the last one ends at 1.
    ends: Vec<(OperationKind, f64)>,
    pub(super) read_before_update: bool,
}

impl Mix {
    /// A mix of shares, each 0 to 1, that sum to one.
    ///
    /// # Errors
    /// [`ParameterError`] with the sum or the share that is out of range.
    pub fn new(shares: &[(OperationKind, f64)]) -> Result<Self, ParameterError> {
        if let Some((kind, share)) = shares
            .iter()
            .find(|(_, share)| !(0.0..=1.0).contains(share))
        {
            return Err(ParameterError::new(
                "workload.mix",
                format!(
                    "gives {} a share of {share}; shares are between 0 and 1",
                    kind.name()
                ),
            ));
        }
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(ParameterError::new(
                "workload.mix",
                format!("has shares that sum to {sum:.3}; they must sum to 1"),
            ));
        }
        let mut end = 0.0;
        let mut ends: Vec<_> = shares
            .iter()
            .filter(|(_, share)| *share > 0.0)
            .map(|(kind, share)| {
                end += share / sum;
                (*kind, end)
            })
            .collect();
        if let Some(last) = ends.last_mut() {
            last.1 = 1.0;
        }
        Ok(Self {
            ends,
            read_before_update: false,
        })
    }

    /// Whether operations of this kind occur.
    #[must_use]
    pub fn includes(&self, kind: OperationKind) -> bool {
        self.ends.iter().any(|(each, _)| *each == kind)
    }

    pub(super) fn draw(&self, random: &mut ChaCha8Rng) -> OperationKind {
        let point: f64 = random.random();
        let kind = self
            .ends
            .iter()
            .find(|(_, end)| point < *end)
            .or(self.ends.last());
        kind.map(|(kind, _)| *kind)
            .expect("a mix is never empty: its shares sum to one")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shares_must_be_shares_and_sum_to_one() {
        let refused = |shares: &[(OperationKind, f64)]| Mix::new(shares).unwrap_err().to_string();
        assert_eq!(
            refused(&[(OperationKind::Read, 0.5)]),
            "workload: workload.mix has shares that sum to 0.500; they must sum to 1"
        );
        assert_eq!(
            refused(&[(OperationKind::Read, 1.5), (OperationKind::Put, -0.5)]),
            "workload: workload.mix gives read a share of 1.5; shares are between 0 and 1"
        );
        assert!(Mix::new(&[]).is_err());
        let tenths = [
            (OperationKind::Read, 0.1),
            (OperationKind::Put, 0.2),
            (OperationKind::Cas, 0.7),
        ];
        assert!(Mix::new(&tenths).is_ok(), "rounding is no error");
    }

    #[test]
    fn a_share_of_nothing_never_occurs() {
        let mix = Mix::new(&[(OperationKind::Read, 1.0), (OperationKind::Delete, 0.0)]).unwrap();
        assert!(!mix.includes(OperationKind::Delete));
        let mut random = super::super::random_stream(7, 0, super::super::Purpose::Mix);
        assert!((0..1000).all(|_| mix.draw(&mut random) == OperationKind::Read));
    }
}
