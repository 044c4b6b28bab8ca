//! A whole comparison: the baseline, and each other side against it.

use super::comparable::{Obstacle, doubts, flaws, obstacle, own_doubts};
use super::difference::{Difference, differences};
use super::error::CompareError;
use super::floor::NoiseFloor;
use super::judge::{MetricComparison, Verdict, judge};
use super::metric::Metric;
use super::side::Side;
use crate::statistics::RESAMPLES;

/// What a comparison is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The smallest change that matters, as a share: 0.05 for 5 %.
    pub threshold: f64,
    /// How far two measurements of one thing were apart on this machine, if somebody measured that. A change
    /// below it does not matter, whatever the threshold.
    pub noise_floor: Option<NoiseFloor>,
    /// Whether runs are compared that answer different questions.
    pub force: bool,
}

impl Options {
    /// The smallest change of a metric that matters: the threshold, or its noise floor if that is larger.
    #[must_use]
    pub fn practical_threshold(&self, metric: Metric) -> f64 {
        self.threshold.max(self.floor(metric).unwrap_or(0.0))
    }

    /// The noise floor of a metric, if it was measured.
    #[must_use]
    pub fn floor(&self, metric: Metric) -> Option<f64> {
        self.noise_floor.and_then(|floor| floor.get(metric))
    }

    /// The noise floor of a metric, if it counts instead of the threshold.
    #[must_use]
    pub fn raised(&self, metric: Metric) -> Option<f64> {
        self.floor(metric).filter(|floor| *floor > self.threshold)
    }
}

/// The baseline and everything that was compared with it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was asked for.
    pub options: Options,
    /// The sides, the baseline first; at least two.
    pub sides: Vec<Side>,
    /// One for each side but the baseline, in their order.
    pub pairs: Vec<Pair>,
    /// Why the runs are not comparable, if they were compared all the same.
    pub forced: Vec<String>,
    /// What makes the comparison doubtful, one sentence each.
    pub warnings: Vec<String>,
}

/// A side against the baseline.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its place among the sides, from 1.
    pub candidate: usize,
    /// The metrics that both sides have.
    pub metrics: Vec<MetricComparison>,
    /// The metrics that only one side has, with the label of the other.
    pub missing: Vec<(Metric, &'static str)>,
    /// What differs between the first runs of the two.
    pub differences: Vec<Difference>,
}

/// Compares each side with the first.
///
/// # Errors
/// [`CompareError::TooFew`] for fewer than two sides; [`CompareError::Incomparable`] if sides answer different questions or a run
/// did not end well, unless that is forced.
pub fn compare(sides: Vec<Side>, options: Options) -> Result<Comparison, CompareError> {
    let Some((baseline, candidates)) = sides.split_first().filter(|(_, rest)| !rest.is_empty())
    else {
        return Err(CompareError::TooFew);
    };
    let mut obstacles: Vec<Obstacle> = sides.iter().flat_map(flaws).collect();
    obstacles.extend(
        candidates
            .iter()
            .filter_map(|side| obstacle(baseline, side)),
    );
    if !options.force && !obstacles.is_empty() {
        return Err(CompareError::Incomparable(obstacles));
    }
    let mut warnings: Vec<String> = candidates
        .iter()
        .flat_map(|side| doubts(baseline, side))
        .collect();
    warnings.extend(sides.iter().flat_map(own_doubts));
    let pairs = (1..)
        .zip(candidates)
        .map(|(index, side)| Pair::of(baseline, side, index, &options))
        .collect();
    Ok(Comparison {
        options,
        pairs,
        forced: obstacles
            .into_iter()
            .map(|obstacle| obstacle.what)
            .collect(),
        warnings,
        sides,
    })
}

impl Comparison {
    /// The side that the others are compared with.
    #[must_use]
    pub fn baseline(&self) -> &Side {
        // Made by `compare`, which refuses fewer than two sides.
        &self.sides[0]
    }

    /// Whether any metric of any pair has this verdict.
    #[must_use]
    pub fn any(&self, verdict: Verdict) -> bool {
        self.pairs.iter().any(|pair| pair.with(verdict).count() > 0)
    }
}

impl Pair {
    fn of(baseline: &Side, candidate: &Side, index: usize, options: &Options) -> Self {
        let values =
            Metric::ALL.map(|metric| (metric, baseline.values(metric), candidate.values(metric)));
        let missing = values
            .iter()
            .filter_map(
                |(metric, before, after)| match (before.is_empty(), after.is_empty()) {
                    (true, false) => Some((*metric, baseline.label)),
                    (false, true) => Some((*metric, candidate.label)),
                    _ => None,
                },
            )
            .collect();
        Self {
            candidate: index,
            metrics: judge(
                &values,
                |metric| options.practical_threshold(metric),
                RESAMPLES,
            ),
            missing,
            differences: differences(baseline.first(), candidate.first()),
        }
    }

    /// The metrics with this verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &MetricComparison> {
        self.metrics
            .iter()
            .filter(move |one| one.verdict == verdict)
    }

    /// The repeats of the side that has fewer of them; 0 if there is no metric.
    #[must_use]
    pub fn repeats(&self) -> usize {
        let counts = self
            .metrics
            .iter()
            .map(|one| one.baseline.values.len().min(one.candidate.values.len()));
        counts.max().unwrap_or(0)
    }
}
