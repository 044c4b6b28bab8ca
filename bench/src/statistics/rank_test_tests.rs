//! Values are those of SciPy 1.17.1, made by the calls in the comments.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

use super::*;

/// Throughputs of ten repeats, and of ten others that are slower.
const A: [f64; 10] = [
    7132.0, 7085.0, 7276.0, 7190.0, 7044.0, 7230.0, 7101.0, 7160.0, 7015.0, 7250.0,
];
const B: [f64; 10] = [
    6840.0, 6905.0, 7020.0, 6788.0, 6950.0, 7095.0, 6870.0, 6733.0, 6990.0, 6910.0,
];

fn test(candidate: &[f64], baseline: &[f64], method: PValue, u: f64, p: f64) {
    let got = mann_whitney(candidate, baseline).unwrap();
    assert_eq!((got.u, got.method), (u, method));
    assert!((got.p / p - 1.0).abs() < 1e-10, "p is {}, not {p}", got.p);
}

#[test]
fn without_ties_chances_are_those_of_scipy() {
    // scipy.stats.mannwhitneyu(x, y, method='exact')
    let exact = |x: &[f64], y: &[f64], u, p| test(x, y, PValue::Exact, u, p);
    exact(&B, &A, 4.0, 0.000_129_901_058_693_628_36);
    exact(&A, &B, 96.0, 0.000_129_901_058_693_628_36);
    let unlike = [6840.0, 6905.0, 7060.0, 6788.0, 6950.0, 7110.0, 6870.0];
    exact(&unlike, &A, 6.0, 0.003_085_150_143_973_673_3);
    exact(&A[..3], &B[..4], 12.0, 0.057_142_857_142_857_14);
    exact(&A[..5], &A[5..], 12.0, 1.0);
    let squares: Vec<f64> = (0..50).map(|i| f64::from(i * i)).collect();
    let moved: Vec<f64> = squares.iter().map(|value| value + 235.5).collect();
    exact(&squares, &moved, 966.0, 0.050_363_516_724_706_06);
}

#[test]
fn with_ties_chances_are_those_of_all_permutations() {
    // scipy.stats.permutation_test((x, y), U, permutation_type='independent', n_resamples=inf)
    let exact = |x: &[f64], y: &[f64], u, p| test(x, y, PValue::Exact, u, p);
    let x = [3.0, 5.0, 5.0, 7.0, 9.0, 9.0, 9.0];
    let y = [5.0, 6.0, 7.0, 7.0, 9.0, 11.0, 12.0, 12.0];
    exact(&x, &y, 17.5, 0.219_735_819_735_819_74);
    exact(&y, &x, 38.5, 0.219_735_819_735_819_74);
    let x = [10.0, 10.0, 10.0, 11.0];
    let y = [10.0, 10.0, 12.0, 12.0, 12.0];
    exact(&x, &y, 5.0, 0.238_095_238_095_238_08);
    exact(&[1.0; 3], &[1.0; 2], 3.0, 1.0);
}

#[test]
fn many_values_are_judged_by_the_normal_distribution() {
    // scipy.stats.mannwhitneyu(x, y, method='asymptotic')
    let normal = |x: &[f64], y: &[f64], u, p| test(x, y, PValue::Normal, u, p);
    let x: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 101)).collect();
    let y: Vec<f64> = (0..55).map(|i| f64::from(i * 53 % 97 + 8)).collect();
    normal(&x, &y, 1488.0, 0.365_848_881_504_769_8);
    let x: Vec<f64> = (0..60).map(|i| f64::from(i * i)).collect();
    let y: Vec<f64> = (0..50).map(|i| f64::from(i * i) + 35.5).collect();
    normal(&x, &y, 1689.0, 0.257_816_972_867_139_1);
    assert_eq!(mann_whitney(&[2.0; 60], &[2.0; 60]).unwrap().p, 1.0);
}

#[test]
fn a_side_without_values_has_no_answer() {
    assert_eq!(mann_whitney(&[], &A), None);
    assert_eq!(mann_whitney(&A, &[]), None);
    let one = mann_whitney(&[1.0], &[2.0]).unwrap();
    assert_eq!((one.u, one.p), (0.0, 1.0));
}
