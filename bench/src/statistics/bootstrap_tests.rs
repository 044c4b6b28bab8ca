//! Intervals are those of SciPy 1.17.1 with 99,999 resamples, over three of its seeds. Ends are observed values or means of
//! two, so they agree exactly, or are one step apart where a percentile falls between two steps.

#![allow(clippy::unwrap_used)]

use super::*;

const A: [f64; 10] = [
    7132.0, 7085.0, 7276.0, 7190.0, 7044.0, 7230.0, 7101.0, 7160.0, 7015.0, 7250.0,
];
const B: [f64; 10] = [
    6840.0, 6905.0, 7020.0, 6788.0, 6950.0, 7095.0, 6870.0, 6733.0, 6990.0, 6910.0,
];
/// Skewed, as latencies are.
const SKEWED: [f64; 11] = [2.1, 2.4, 2.2, 9.8, 2.0, 2.7, 3.9, 2.3, 5.5, 2.6, 2.9];

fn near(got: Option<[f64; 2]>, wanted: [f64; 2], tolerance: f64) {
    let got = got.unwrap();
    for (one, other) in got.iter().zip(wanted) {
        assert!((one - other).abs() <= tolerance, "{got:?}, not {wanted:?}");
    }
}

#[test]
fn intervals_of_medians_are_those_of_scipy() {
    // scipy.stats.bootstrap((x,), np.median, n_resamples=99999, method='BCa', random_state=seed)
    let interval = |values: &[f64]| median_interval(values, RESAMPLES);
    near(interval(&A), [7085.0, 7230.0], 12.5);
    near(interval(&B), [6829.0, 6990.0], 1.0);
    near(interval(&A[..5]), [7044.0, 7276.0], 1e-9);
    near(interval(&SKEWED), [2.2, 3.9], 1e-9);
}

#[test]
fn intervals_of_ratios_are_those_of_scipy() {
    // scipy.stats.bootstrap((x, y), lambda x, y, axis: np.median(x, axis) / np.median(y, axis), n_resamples=99999,
    //                       method='BCa', random_state=seed)
    let interval = |x: &[f64], y: &[f64]| ratio_interval(x, y, RESAMPLES);
    near(interval(&B, &A), [0.951_312, 0.982_224], 5e-4);
    let unlike = [6840.0, 6905.0, 7060.0, 6788.0, 6950.0, 7110.0, 6870.0];
    near(interval(&unlike, &A), [0.949_902, 0.992_061], 5e-4);
    let y = [2.0, 2.2, 1.9, 2.5, 2.1, 3.0, 2.3];
    let [low, high] = interval(&SKEWED, &y).unwrap();
    assert!(
        (low - 0.96).abs() < 0.01 && (1.85..=1.96).contains(&high),
        "{low} to {high}"
    );
}

#[test]
fn the_same_data_give_the_same_interval() {
    assert_eq!(ratio_interval(&A, &B, 999), ratio_interval(&A, &B, 999));
    assert_eq!(median_interval(&A, 999), median_interval(&A, 999));
}

#[test]
fn two_repeats_have_no_interval_and_equal_ones_a_point() {
    assert_eq!(median_interval(&A[..2], RESAMPLES), None);
    assert_eq!(ratio_interval(&A, &B[..2], RESAMPLES), None);
    assert_eq!(ratio_interval(&A, &[1.0, 0.0, 1.0], RESAMPLES), None);
    assert_eq!(median_interval(&[4.0; 5], RESAMPLES), Some([4.0, 4.0]));
    assert_eq!(
        ratio_interval(&[4.0; 5], &[2.0; 3], RESAMPLES),
        Some([2.0, 2.0])
    );
    assert_eq!(ratio_interval(&[0.0; 3], &A, RESAMPLES), Some([0.0, 0.0]));
}

#[test]
fn most_intervals_of_many_experiments_hold_the_truth() {
    let mut random = SplitMix64::new(5);
    let mut uniform = || (random.next() as f64 + 0.5) / u64::MAX as f64;
    let mut sample = || -> Vec<f64> {
        // Skewed noise of a few per cent around 1.
        (0..10).map(|_| 1.0 - 0.03 * uniform().ln()).collect()
    };
    let held = (0..400)
        .filter(|_| {
            let [low, high] = ratio_interval(&sample(), &sample(), 999).unwrap();
            low <= 1.0 && 1.0 <= high
        })
        .count();
    assert!((368..=396).contains(&held), "{held} of 400");
}
