//! What the verdicts are worth: hundreds of comparisons whose truth is known, with the noise that machines have.

use super::judge::{MetricComparison, Verdict, judge};
use super::metric::Metric;
use crate::statistics::{SplitMix64, Wanted, repeats_to_decide};

const PAIRS: usize = 200;
const REPEATS: usize = 10;
const THRESHOLD: f64 = 0.05;
/// Fewer than a comparison draws; it only makes intervals a little rougher.
const RESAMPLES: usize = 499;

/// A value around 1 with lognormal noise.
fn noisy(random: &mut SplitMix64, noise: f64) -> f64 {
    let mut uniform = || (random.next() as f64 + 0.5) / u64::MAX as f64;
    // Box and Muller's way to a normal variable.
    let radius = (-2.0 * uniform().ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * uniform()).cos();
    (normal * noise).exp()
}

/// Ten metrics of two sides: half of the noise is the repeat's mood, which all its metrics share. The candidate's throughput is
/// `factor` times as large.
fn compared(
    random: &mut SplitMix64,
    noise: f64,
    factor: f64,
    threshold: f64,
) -> Vec<MetricComparison> {
    let mut side = |factor: f64| -> Vec<Vec<f64>> {
        let mut metrics = vec![Vec::new(); Metric::ALL.len()];
        for _ in 0..REPEATS {
            let mood = noisy(random, noise * 0.5_f64.sqrt());
            for (index, values) in metrics.iter_mut().enumerate() {
                let own = noisy(random, noise * 0.5_f64.sqrt());
                let factor = if index == 0 { factor } else { 1.0 };
                values.push((1e6 * mood * own * factor).round());
            }
        }
        metrics
    };
    let (baseline, candidate) = (side(1.0), side(factor));
    let all: Vec<_> = Metric::ALL
        .into_iter()
        .zip(baseline)
        .zip(candidate)
        .map(|((metric, before), after)| (metric, before, after))
        .collect();
    judge(&all, |_| threshold, RESAMPLES)
}

#[test]
fn a_thing_compared_with_itself_is_seldom_better_or_worse() {
    let mut random = SplitMix64::new(11);
    let (mut claims, mut claims_that_matter) = (0, 0);
    for pair in 0..PAIRS {
        let noise = [0.02, 0.03, 0.05, 0.08][pair % 4];
        // Without a threshold, so that only the statistics hold a claim back.
        let all = compared(&mut random, noise, 1.0, 0.0);
        let claimed =
            |one: &&MetricComparison| matches!(one.verdict, Verdict::Better | Verdict::Worse);
        claims += usize::from(all.iter().any(|one| claimed(&one)));
        let matters = |one: &MetricComparison| one.change().is_some_and(|c| c.abs() >= THRESHOLD);
        claims_that_matter += usize::from(all.iter().filter(claimed).any(matters));
    }
    assert!(claims <= PAIRS / 20, "{claims} of {PAIRS} pairs");
    assert!(claims_that_matter <= claims);
}

#[test]
fn ten_percent_are_found_by_ten_repeats() {
    let mut random = SplitMix64::new(12);
    for (factor, wanted) in [(0.9, Verdict::Worse), (1.1, Verdict::Better)] {
        let found = (0..PAIRS / 2)
            .filter(|_| {
                let all = compared(&mut random, 0.03, factor, THRESHOLD);
                all.first()
                    .is_some_and(|throughput| throughput.verdict == wanted)
            })
            .count();
        assert!(
            found >= PAIRS / 2 * 95 / 100,
            "{found} of {} pairs, {factor}",
            PAIRS / 2
        );
    }
}

#[test]
fn the_number_of_repeats_that_is_advised_decides() {
    let mut random = SplitMix64::new(13);
    let wanted = Wanted {
        threshold: THRESHOLD,
        metrics: 1,
    };
    let repeats = repeats_to_decide(0.03, 0.0, wanted, 3).unwrap_or(0);
    let mut sample = || {
        (0..repeats)
            .map(|_| noisy(&mut random, 0.03))
            .collect::<Vec<f64>>()
    };
    let same = (0..PAIRS)
        .filter(|_| {
            let all = judge(
                &[(Metric::Throughput, sample(), sample())],
                |_| THRESHOLD,
                RESAMPLES,
            );
            all.first().is_some_and(|one| one.verdict == Verdict::Same)
        })
        .count();
    // Planned for 95 %; intervals of medians are rough.
    assert!(
        same >= PAIRS * 88 / 100,
        "{same} of {PAIRS} with {repeats} repeats"
    );
}

#[test]
fn the_number_of_repeats_that_is_advised_finds_the_change_that_was_seen() {
    let mut random = SplitMix64::new(14);
    let wanted = Wanted {
        threshold: THRESHOLD,
        metrics: 1,
    };
    let repeats = repeats_to_decide(0.15, 0.3, wanted, 3).unwrap_or(0);
    let mut sample = |factor: f64| -> Vec<f64> {
        (0..repeats)
            .map(|_| factor * noisy(&mut random, 0.15))
            .collect()
    };
    let found = (0..PAIRS)
        .filter(|_| {
            let pair = (Metric::LatencyP99, sample(1.0), sample(1.3));
            let all = judge(&[pair], |_| THRESHOLD, RESAMPLES);
            all.first().is_some_and(|one| one.verdict == Verdict::Worse)
        })
        .count();
    assert!(
        found >= PAIRS * 88 / 100,
        "{found} of {PAIRS} with {repeats} repeats"
    );
}
