//! How far two samples are apart, apart from whether that could be chance.

use super::order::median;

/// Cliff's delta in a word; the bounds are those of Romano et al., "Appropriate statistics for ordinal level
/// data" (2006): 0.147, 0.33 and 0.474.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The two can hardly be told apart.
    Negligible,
    /// They overlap for the most part.
    Small,
    /// They overlap.
    Medium,
    /// They overlap little or not at all.
    Large,
}

impl Effect {
    /// The word for a delta.
    #[must_use]
    pub fn of(delta: f64) -> Self {
        match delta.abs() {
            size if size < 0.147 => Self::Negligible,
            size if size < 0.33 => Self::Small,
            size if size < 0.474 => Self::Medium,
            _ => Self::Large,
        }
    }

    /// As tables and documents write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Negligible => "negligible",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

/// The share of pairs in which the candidate is larger minus the share in which it is smaller: −1 to 1, and 0 for
/// equal samples; `None` if one is empty. Source: Cliff, "Dominance statistics" (1993).
#[must_use]
pub fn cliffs_delta(candidate: &[f64], baseline: &[f64]) -> Option<f64> {
    let pairs = candidate.len() * baseline.len();
    let sum: f64 = candidate
        .iter()
        .flat_map(|one| baseline.iter().map(move |other| (one, other)))
        .map(|(one, other)| f64::from(i8::from(one > other) - i8::from(one < other)))
        .sum();
    (pairs > 0).then(|| sum / pairs as f64)
}

/// The median of all differences candidate − baseline, in the unit of the values: by how much one would have to move
/// the one sample to lay it on the other; `None` if one is empty. Source: Hodges and Lehmann, "Estimates of
/// location based on rank tests" (1963), section 4.
#[must_use]
pub fn hodges_lehmann_shift(candidate: &[f64], baseline: &[f64]) -> Option<f64> {
    let differences: Vec<f64> = candidate
        .iter()
        .flat_map(|one| baseline.iter().map(move |other| one - other))
        .collect();
    median(&differences)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]
    use super::super::mann_whitney;
    use super::*;

    #[test]
    fn delta_goes_from_all_smaller_to_all_larger() {
        let (low, high) = ([1.0, 2.0, 3.0], [4.0, 5.0]);
        assert_eq!(cliffs_delta(&high, &low), Some(1.0));
        assert_eq!(cliffs_delta(&low, &high), Some(-1.0));
        assert_eq!(cliffs_delta(&low, &low), Some(0.0));
        assert_eq!(cliffs_delta(&low, &[]), None);
        let words: Vec<&str> = [0.0, -0.2, 0.4, -1.0]
            .map(|delta| Effect::of(delta).word())
            .to_vec();
        assert_eq!(words, ["negligible", "small", "medium", "large"]);
    }

    #[test]
    fn delta_and_u_are_two_ways_to_say_one_thing() {
        let (one, other) = ([1.0, 5.0, 5.0, 9.0], [2.0, 5.0, 6.0]);
        let u = mann_whitney(&one, &other).unwrap().u;
        assert!((cliffs_delta(&one, &other).unwrap() - (2.0 * u / 12.0 - 1.0)).abs() < 1e-12);
    }

    #[test]
    fn a_shift_is_found_as_it_was_made() {
        let base = [3.0, 8.0, 1.0, 9.0];
        let moved = base.map(|value| value + 2.5);
        assert_eq!(hodges_lehmann_shift(&moved, &base), Some(2.5));
        assert_eq!(hodges_lehmann_shift(&[], &base), None);
    }
}
