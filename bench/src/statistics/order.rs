//! Order statistics: median, quantiles, and how far values are scattered.

/// The standard deviation of a normal distribution over its median absolute deviation, 1 / Φ⁻¹(3/4).
const DEVIATIONS_OF_MAD: f64 = 1.482_602_218_505_602;

/// The values in ascending order.
#[must_use]
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// The middle of the values, or the mean of the two in the middle; `None` without values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

/// The quantile `share` (0 to 1) of values in ascending order, linear between neighbours; `None`
/// without values. Source: Hyndman and Fan, "Sample quantiles in statistical packages" (1996), type 7.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor();
    let index = below as usize;
    let (low, high) = (sorted[index], sorted[(index + 1).min(last)]);
    Some(low + (high - low) * (place - below))
}

/// How far repeats of one side are scattered, as a share of its median: the standard deviation of a
/// normal distribution with the same median absolute deviation. Both sides count.
///
/// A deviation is taken from the side's own median, so the smallest deviation of each side is one that
/// the median was made of; it says nothing and is left out. Where more than half of the values are
/// equal the ordinary standard deviation takes over. `None` with fewer than three values in a side, or
/// a median that is not positive.
#[must_use]
pub fn relative_spread(sides: [&[f64]; 2]) -> Option<f64> {
    let mut deviations = Vec::new();
    for values in sides {
        let centre = median(values).filter(|centre| *centre > 0.0 && values.len() >= 3)?;
        let own: Vec<f64> = values
            .iter()
            .map(|value| (value - centre).abs() / centre)
            .collect();
        deviations.extend_from_slice(&sorted(&own)[1..]);
    }
    let robust = median(&deviations)? * DEVIATIONS_OF_MAD;
    if robust > 0.0 {
        return Some(robust);
    }
    let squares: f64 = deviations.iter().map(|deviation| deviation.powi(2)).sum();
    Some((squares / deviations.len() as f64).sqrt())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!((median(&[7.0]), median(&[])), (Some(7.0), None));
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8, 16], [0, 0.1, 0.25, 0.5, 0.9, 1])
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        for (share, wanted) in [
            (0.0, 1.0),
            (0.1, 1.4),
            (0.25, 2.0),
            (0.5, 4.0),
            (0.9, 12.8),
            (1.0, 16.0),
        ] {
            assert!((quantile(&values, share).unwrap() - wanted).abs() < 1e-12);
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_spread_has_no_unit_and_one_outlier_does_not_make_it() {
        let calm = [98.0, 99.0, 100.0, 101.0, 102.0];
        let scaled: Vec<f64> = calm.iter().map(|value| value * 7.0).collect();
        let wild = [98.0, 99.0, 100.0, 101.0, 500.0];
        let spread = relative_spread([&calm, &scaled]).unwrap();
        assert!(
            (spread - 0.015 * DEVIATIONS_OF_MAD).abs() < 1e-12,
            "{spread}"
        );
        assert!(relative_spread([&calm, &wild]).unwrap() < 0.04);
        assert_eq!(relative_spread([&calm, &calm[..2]]), None);
        assert_eq!(relative_spread([&calm, &[0.0; 5]]), None);
        assert_eq!(relative_spread([&[2.0; 5], &[3.0; 5]]), Some(0.0));
        // Most values are equal, and yet it is not 0.
        let mostly = [10.0, 10.0, 10.0, 10.0, 12.0];
        assert!(relative_spread([&mostly, &mostly]).unwrap() > 0.05);
    }
}
