//! Many questions at once: with ten metrics, one in two comparisons of a thing with itself would
//! show "p < 0.05" somewhere.

/// The chances corrected so that the chance of *any* wrong claim among them stays below the level, whatever depends on
/// what; in the order of `chances`, at most 1 each. Source: Holm, "A simple sequentially rejective multiple test
/// procedure" (1979), section 2.
#[must_use]
pub fn holm(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|one, other| chances[*one].total_cmp(&chances[*other]));
    let mut corrected = vec![0.0; chances.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        let left = (chances.len() - rank) as f64;
        // None may look better than one that was smaller before the correction.
        largest = largest.max((left * chances[index]).min(1.0));
        corrected[index] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &[f64], wanted: &[f64]) {
        assert_eq!(got.len(), wanted.len());
        for (one, other) in got.iter().zip(wanted) {
            assert!((one - other).abs() < 1e-12, "{got:?}, not {wanted:?}");
        }
    }

    #[test]
    fn each_chance_counts_as_often_as_questions_are_left() {
        // In order: 4 × 0.005, 3 × 0.01, 2 × 0.03, 1 × 0.04, and never less than the one before.
        close(&holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
        close(&holm(&[0.2]), &[0.2]);
        close(&holm(&[0.9, 0.8]), &[1.0, 1.0]);
        close(&holm(&[]), &[]);
    }
}
