//! Medians over repeats, with an honest interval.

use serde::{Deserialize, Serialize};

use crate::statistics::{RESAMPLES, median_interval};

/// How an interval was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EstimateMethod {
    /// One repeat or none: the interval is the value itself and claims nothing about other runs.
    #[default]
    SingleRun,
    /// Two repeats: the lesser and the greater of them, which claims nothing about other runs either.
    Range,
    /// Quantiles of the medians of resamples, as earlier versions wrote them: too narrow with few repeats.
    PercentileBootstrap,
    /// The bootstrap, bias-corrected and accelerated ([`median_interval`]).
    Bca,
}

/// A median over repeats with its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Median of the repeats.
    pub median: f64,
    /// The interval, low and high; what it is worth, `method` says.
    pub ci95: [f64; 2],
    /// Repeats it rests on.
    pub repeats: u64,
    /// How the interval was found.
    pub method: EstimateMethod,
}

impl Estimate {
    /// The median of `values`, one from each repeat; the same values give the same interval. Without values all is zero.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        let median = median(&mut sorted);
        let (ci95, method) = match (median_interval(values, RESAMPLES), &sorted[..]) {
            (Some(interval), _) => (interval, EstimateMethod::Bca),
            (None, [low, high]) => ([*low, *high], EstimateMethod::Range),
            (None, _) => ([median, median], EstimateMethod::SingleRun),
        };
        Self {
            median,
            ci95,
            repeats: values.len() as u64,
            method,
        }
    }

    /// The interval, if there are enough repeats for one.
    #[must_use]
    pub fn interval(&self) -> Option<[f64; 2]> {
        match self.method {
            EstimateMethod::SingleRun | EstimateMethod::Range => None,
            EstimateMethod::PercentileBootstrap | EstimateMethod::Bca => Some(self.ci95),
        }
    }
}

/// The middle of the values, or the mean of the two in the middle; 0 without values. Sorts them.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repeat_or_two_claim_nothing_beyond_themselves() {
        let estimate = Estimate::of(&[5.0]);
        assert_eq!(
            (estimate.median, estimate.ci95, estimate.repeats),
            (5.0, [5.0, 5.0], 1)
        );
        assert_eq!(estimate.method, EstimateMethod::SingleRun);
        assert_eq!(Estimate::of(&[]), Estimate::default());
        let two = Estimate::of(&[7.0, 5.0]);
        assert_eq!((two.median, two.ci95), (6.0, [5.0, 7.0]));
        assert_eq!(two.method, EstimateMethod::Range);
        assert_eq!([estimate.interval(), two.interval()], [None, None]);
    }

    #[test]
    fn an_interval_is_that_of_the_bootstrap_and_holds_the_median() {
        let values = [10.0, 12.0, 11.0, 30.0, 9.0];
        let estimate = Estimate::of(&values);
        assert_eq!(estimate.median.to_bits(), 11.0_f64.to_bits());
        assert_eq!(estimate.interval(), median_interval(&values, RESAMPLES));
        let [low, high] = estimate.ci95;
        assert!((9.0..11.0).contains(&low) && high > 11.0 && high <= 30.0);
        assert_eq!(estimate, Estimate::of(&values));
    }

    #[test]
    fn what_earlier_versions_wrote_is_an_interval() {
        let text = r#"{"median": 2.0, "ci95": [1.0, 3.0], "repeats": 5, "method": "percentile-bootstrap"}"#;
        let estimate: Option<Estimate> = serde_json::from_str(text).ok();
        assert_eq!(estimate.and_then(|of| of.interval()), Some([1.0, 3.0]));
    }
}
