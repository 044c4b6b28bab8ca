//! The verdict on each metric: better, worse, the same, or inconclusive.

use super::metric::{Direction, Metric};
use crate::statistics::{
    ALPHA, Effect, PValue, Wanted, cliffs_delta, hodges_lehmann_shift, holm, mann_whitney, median,
    median_interval, ratio_interval, relative_spread, repeats_to_decide,
};

/// What may be said of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It changed for the better, by the threshold at least.
    Better,
    /// It changed for the worse, by the threshold at least.
    Worse,
    /// Whatever changed is smaller than the threshold.
    Same,
    /// These repeats do not decide it.
    Inconclusive,
}

impl Verdict {
    /// As tables and documents write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// One side's values of a metric, in the metric's unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// One for each repeat.
    pub values: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// Its interval, low and high; none for fewer than three repeats.
    pub interval: Option<[f64; 2]>,
}

/// A metric of the candidate against that of the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricComparison {
    /// Which one.
    pub metric: Metric,
    /// The baseline's values.
    pub baseline: Sample,
    /// The candidate's values.
    pub candidate: Sample,
    /// The candidate's median over the baseline's; none if that is 0.
    pub ratio: Option<f64>,
    /// The interval of the ratio, low and high; none for fewer than three repeats a side.
    pub ratio_interval: Option<[f64; 2]>,
    /// The chance of ranks as uneven as these if nothing differs, by the Mann-Whitney test.
    pub p: f64,
    /// The same, corrected for the number of metrics.
    pub p_holm: f64,
    /// How `p` was found.
    pub method: PValue,
    /// Cliff's delta, −1 to 1: how seldom the two overlap.
    pub delta: f64,
    /// Hodges and Lehmann's shift, in the metric's unit.
    pub shift: f64,
    /// The answer.
    pub verdict: Verdict,
    /// Repeats a side that would decide an inconclusive one; none if it is decided, or if no number can be given.
    pub repeats_to_decide: Option<usize>,
}

impl MetricComparison {
    /// The change of the median as a share of the baseline's: 0.1 for 10 % more.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        self.ratio.map(|ratio| ratio - 1.0)
    }

    /// Cliff's delta in a word.
    #[must_use]
    pub fn effect(&self) -> Effect {
        Effect::of(self.delta)
    }
}

/// Judges metrics together; each comes with the values of the baseline and of the candidate. Metrics without values on one
/// side are left out. `threshold` gives the smallest change of a metric that matters, as a share; `resamples` is how often the bootstrap draws.
#[must_use]
pub fn judge(
    metrics: &[(Metric, Vec<f64>, Vec<f64>)],
    threshold: impl Fn(Metric) -> f64,
    resamples: usize,
) -> Vec<MetricComparison> {
    let mut all: Vec<MetricComparison> = metrics
        .iter()
        .filter_map(|(metric, baseline, candidate)| {
            measure(*metric, baseline, candidate, resamples)
        })
        .collect();
    let chances: Vec<f64> = all.iter().map(|one| one.p).collect();
    let metrics = all.len();
    for (one, corrected) in all.iter_mut().zip(holm(&chances)) {
        let threshold = threshold(one.metric);
        one.p_holm = corrected;
        one.verdict = verdict(one, threshold);
        if one.verdict == Verdict::Inconclusive {
            one.repeats_to_decide = more_repeats(one, Wanted { threshold, metrics });
        }
    }
    all
}

/// Everything but what depends on the other metrics.
fn measure(
    metric: Metric,
    baseline: &[f64],
    candidate: &[f64],
    resamples: usize,
) -> Option<MetricComparison> {
    let sample = |values: &[f64]| {
        Some(Sample {
            values: values.to_vec(),
            median: median(values)?,
            interval: median_interval(values, resamples),
        })
    };
    let test = mann_whitney(candidate, baseline)?;
    let (before, after) = (sample(baseline)?, sample(candidate)?);
    Some(MetricComparison {
        metric,
        ratio: (before.median > 0.0).then(|| after.median / before.median),
        ratio_interval: ratio_interval(candidate, baseline, resamples),
        baseline: before,
        candidate: after,
        p: test.p,
        p_holm: test.p,
        method: test.method,
        delta: cliffs_delta(candidate, baseline)?,
        shift: hodges_lehmann_shift(candidate, baseline)?,
        verdict: Verdict::Inconclusive,
        repeats_to_decide: None,
    })
}

fn verdict(one: &MetricComparison, threshold: f64) -> Verdict {
    let unlikely = one.p_holm < ALPHA;
    let rises = one.candidate.median > one.baseline.median;
    let changed = match (one.metric.direction(), rises) {
        (Direction::Higher, true) | (Direction::Lower, false) => Verdict::Better,
        (Direction::Higher, false) | (Direction::Lower, true) => Verdict::Worse,
    };
    let Some(change) = one.change() else {
        // From 0 every change is beyond any share, and 0 to 0 is none.
        let zero = |sample: &Sample| sample.values.iter().all(|value| *value == 0.0);
        return if zero(&one.baseline) && zero(&one.candidate) {
            Verdict::Same
        } else if unlikely && rises {
            changed
        } else {
            Verdict::Inconclusive
        };
    };
    match one.ratio_interval {
        Some([low, high]) if unlikely && change.abs() >= threshold && (low > 1.0 || high < 1.0) => {
            changed
        }
        Some(ends) if ends.iter().all(|end| (end - 1.0).abs() <= threshold) => Verdict::Same,
        _ => Verdict::Inconclusive,
    }
}

fn more_repeats(one: &MetricComparison, wanted: Wanted) -> Option<usize> {
    let (baseline, candidate) = (&one.baseline.values, &one.candidate.values);
    let spread = relative_spread([baseline, candidate])?;
    let have = baseline.len().min(candidate.len());
    repeats_to_decide(spread, one.change()?, wanted, have)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Eight repeats around `centre`, 1 % apart.
    fn around(centre: f64) -> Vec<f64> {
        (0..8)
            .map(|i| centre * (0.965 + 0.01 * f64::from(i)))
            .collect()
    }

    fn judged(metric: Metric, baseline: Vec<f64>, candidate: Vec<f64>) -> MetricComparison {
        judge(&[(metric, baseline, candidate)], |_| 0.05, 999).remove(0)
    }

    #[test]
    fn the_same_rise_is_better_for_one_metric_and_worse_for_another() {
        let verdict = |metric, to| judged(metric, around(100.0), around(to)).verdict;
        assert_eq!(verdict(Metric::Throughput, 120.0), Verdict::Better);
        assert_eq!(verdict(Metric::Throughput, 80.0), Verdict::Worse);
        assert_eq!(verdict(Metric::LatencyP99, 120.0), Verdict::Worse);
        assert_eq!(verdict(Metric::LatencyP99, 80.0), Verdict::Better);
    }

    #[test]
    fn a_change_beyond_chance_is_not_enough_if_it_does_not_matter() {
        let narrow = |centre: f64| (0..8).map(|i| centre + f64::from(i) / 100.0).collect();
        let small = judged(Metric::Throughput, narrow(100.0), narrow(102.0));
        assert!(small.p_holm < 0.001);
        assert_eq!(small.verdict, Verdict::Same);
    }

    #[test]
    fn an_interval_that_leaves_both_open_is_inconclusive_with_a_number() {
        let wide: Vec<f64> = (0..8).map(|i| 100.0 + 6.0 * f64::from(i)).collect();
        let other = wide.iter().map(|value| value * 1.03).collect();
        let open = judged(Metric::Throughput, wide, other);
        assert_eq!(open.verdict, Verdict::Inconclusive);
        assert!(open.repeats_to_decide.unwrap() > 8);
    }

    #[test]
    fn two_repeats_never_decide() {
        let few = judged(Metric::Throughput, vec![1.0, 1.0], vec![2.0, 2.0]);
        assert_eq!(
            (few.verdict, few.ratio_interval),
            (Verdict::Inconclusive, None)
        );
        assert_eq!(few.repeats_to_decide, None);
    }

    #[test]
    fn zero_is_a_value_that_no_share_can_be_taken_of() {
        let fsyncs =
            |one: f64, other: f64| judged(Metric::Fsyncs, vec![one; 8], vec![other; 8]).verdict;
        assert_eq!(fsyncs(0.0, 0.0), Verdict::Same);
        assert_eq!(fsyncs(0.0, 0.2), Verdict::Worse);
        assert_eq!(fsyncs(0.2, 0.0), Verdict::Better);
        let throughput = judged(Metric::Throughput, around(100.0), vec![0.0; 8]);
        assert_eq!(throughput.verdict, Verdict::Worse);
    }

    #[test]
    fn the_more_metrics_are_asked_about_the_more_each_has_to_show() {
        let pair = |metric| (metric, around(100.0), around(106.0));
        let alone = judge(&[pair(Metric::Throughput)], |_| 0.05, 999);
        let together = judge(&Metric::ALL.map(pair), |_| 0.05, 999);
        assert!(together.iter().all(|one| one.p_holm > alone[0].p_holm));
        assert!((alone[0].p - alone[0].p_holm).abs() < 1e-15);
    }

    #[test]
    fn what_one_side_lacks_is_left_out() {
        let all = judge(&[(Metric::Cpu, vec![1.0], Vec::new())], |_| 0.05, 999);
        assert!(all.is_empty());
    }
}
