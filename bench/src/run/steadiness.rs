//! Was the measured phase alike from beginning to end? Tested, not assumed.
//!
//! The phase is cut into windows of equal length. In each there is a throughput, a median and a 99th percentile, and each of the three is
//! asked whether it goes one way: Mann and Kendall's test says whether that could be chance, and Theil and Sen's slope how much it
//! is. Both must say so, since with enough windows a trend of no consequence is significant, and with few a large one is luck.
//! Neither assumes a distribution, and one odd window decides nothing.

use crate::record::{BUCKET, Recording, Stationarity, Steadiness, Trend, Window};
use crate::statistics::{median, normal_cdf};

/// Windows that a phase is cut into.
const WINDOWS_MAX: usize = 20;
/// Fewer tell no trend from chance.
const WINDOWS_MIN: usize = 8;
/// Buckets of 100 ms that a window has at least: shorter ones show batches and checkpoints, not trends.
const WINDOW_BUCKETS_MIN: usize = 5;
/// The chance of calling a steady phase drifting, for the three figures together.
const ALPHA: f64 = 0.01;
const FIGURES: f64 = 3.0;
/// Changes over the whole phase, as a share of the median, that nobody needs to hear of.
const THROUGHPUT_CHANGE: f64 = 0.05;
const P50_CHANGE: f64 = 0.10;
const P99_CHANGE: f64 = 0.25;

/// Tests a measured phase of this many seconds. `disturbed`: why nothing of the kind is to be expected, if so.
pub(super) fn test(
    recording: &Recording,
    duration_s: f64,
    disturbed: Option<&str>,
) -> Stationarity {
    let skipped = |detail: String| Stationarity {
        detail,
        ..Stationarity::default()
    };
    if let Some(why) = disturbed {
        return skipped(format!("not tested: {why}"));
    }
    let buckets = (duration_s / BUCKET.as_secs_f64() + 1e-6).floor().max(0.0) as usize;
    let count = (buckets / WINDOW_BUCKETS_MIN).min(WINDOWS_MAX);
    if count < WINDOWS_MIN {
        let needed = (WINDOWS_MIN * WINDOW_BUCKETS_MIN) as f64 * BUCKET.as_secs_f64();
        return skipped(format!(
            "not tested: {duration_s:.1} s are too few, {needed:.0} s at least are needed (load.duration)"
        ));
    }
    let width = buckets / count;
    let window_s = width as f64 * BUCKET.as_secs_f64();
    let windows = recording.windows(width, count);
    judge(&windows, window_s)
}

fn judge(windows: &[Window], window_s: f64) -> Stationarity {
    let us = |window: &Window, quantile| {
        let known = !window.latency.is_empty();
        known.then(|| window.latency.value_at_quantile(quantile) as f64 / 1e3)
    };
    let of = |value: &dyn Fn(&Window) -> Option<f64>, tolerated| {
        trend(windows.iter().map(value).collect(), tolerated)
    };
    let throughput = of(
        &|window| Some(window.ok as f64 / window_s),
        THROUGHPUT_CHANGE,
    );
    let p50 = of(&|window| us(window, 0.5), P50_CHANGE);
    let p99 = of(&|window| us(window, 0.99), P99_CHANGE);
    let figures = [("throughput", &throughput), ("p50", &p50), ("p99", &p99)];
    let said = |(name, trend): &(&str, &Trend)| {
        let (change, p_value) = (trend.change * 100.0, trend.p_value);
        format!("{name} {change:+.1} %, p = {p_value:.3}")
    };
    let drifting: Vec<String> = figures
        .iter()
        .filter(|(_, trend)| trend.drifts)
        .map(said)
        .collect();
    let (verdict, word, moved) = match drifting.is_empty() {
        true => (
            Steadiness::Stationary,
            "no figure goes one way beyond chance and tolerance",
            figures.iter().map(said).collect::<Vec<_>>(),
        ),
        false => (
            Steadiness::Drifting,
            "from the first window to the last it drifted",
            drifting,
        ),
    };
    Stationarity {
        verdict,
        detail: format!(
            "{word} ({}; {} windows of {window_s:.1} s)",
            moved.join("; "),
            windows.len()
        ),
        windows: windows.len() as u64,
        window_s,
        throughput_ops_s: Some(throughput),
        p50_us: Some(p50),
        p99_us: Some(p99),
    }
}

fn trend(values: Vec<Option<f64>>, tolerated: f64) -> Trend {
    let points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .filter_map(|(index, value)| Some((index as f64, (*value)?)))
        .collect();
    let level = median(&points.iter().map(|point| point.1).collect::<Vec<_>>());
    let level = level.filter(|level| *level > 0.0);
    let slope = theil_sen(&points).unwrap_or_default();
    let change = level.map_or(0.0, |level| {
        slope * values.len().saturating_sub(1) as f64 / level
    });
    let p_value = mann_kendall(&points);
    Trend {
        drifts: points.len() >= WINDOWS_MIN
            && p_value < ALPHA / FIGURES
            && change.abs() > tolerated,
        values,
        change,
        p_value,
    }
}

/// The median of the slopes between any two points; `None` with fewer than two.
fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let slopes: Vec<f64> = pairs(points)
        .map(|(one, other)| (other.1 - one.1) / (other.0 - one.0))
        .collect();
    median(&slopes)
}

/// The two-sided chance of so many pairs in one order, by the normal approximation with the correction for ties; 1 without a
/// trend. Source: Mann, "Nonparametric tests against trend" (1945); Kendall, "Rank correlation methods" (1975).
fn mann_kendall(points: &[(f64, f64)]) -> f64 {
    let sum: f64 = pairs(points)
        .map(|(one, other)| match other.1.total_cmp(&one.1) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Less => -1.0,
            std::cmp::Ordering::Equal => 0.0,
        })
        .sum();
    let spread = |count: f64| count * (count - 1.0) * (2.0 * count + 5.0);
    let mut sorted: Vec<f64> = points.iter().map(|point| point.1).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let ties: f64 = sorted
        .chunk_by(|one, other| one.total_cmp(other).is_eq())
        .map(|equal| spread(equal.len() as f64))
        .sum();
    let variance = (spread(points.len() as f64) - ties) / 18.0;
    if variance <= 0.0 {
        return 1.0;
    }
    // The continuity correction: the sum moves in steps of two.
    let z = (sum.abs() - 1.0).max(0.0) / variance.sqrt();
    (2.0 * normal_cdf(-z)).min(1.0)
}

type Pair = ((f64, f64), (f64, f64));

fn pairs(points: &[(f64, f64)]) -> impl Iterator<Item = Pair> + '_ {
    let behind = |index: usize| points.iter().skip(index + 1);
    points
        .iter()
        .enumerate()
        .flat_map(move |(index, one)| behind(index).map(move |other| (*one, *other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::new_histogram;
    use crate::statistics::SplitMix64;

    /// Windows of one second; throughput and latency (in ms) as a function of the window.
    fn windows(of: impl Fn(u64) -> (u64, f64)) -> Vec<Window> {
        (0..20)
            .map(|index| {
                let (ok, ms) = of(index);
                let mut latency = new_histogram();
                for share in 0..100u64 {
                    let ns = (ms * 1e6) as u64 + share * 1_000;
                    latency.saturating_record(ns);
                }
                Window { ok, latency }
            })
            .collect()
    }

    /// A wobble of up to 10 % that goes nowhere.
    fn wobble(index: u64, seed: u64) -> f64 {
        let mut draws = SplitMix64::new(seed);
        let mut last = 0;
        for _ in 0..=index {
            last = draws.next();
        }
        0.95 + (last >> 11) as f64 / (1u64 << 53) as f64 / 10.0
    }

    #[test]
    fn noise_that_goes_nowhere_is_steady() {
        for seed in 1..=40 {
            let judged = judge(
                &windows(|index| {
                    let wobble = wobble(index, seed);
                    ((5_000.0 * wobble) as u64, 8.0 / wobble)
                }),
                1.0,
            );
            assert_eq!(judged.verdict, Steadiness::Stationary, "{seed}: {judged:?}");
        }
    }

    #[test]
    fn a_slow_decline_under_the_same_noise_is_found_and_measured() {
        let judged = judge(
            &windows(|index| {
                let share = wobble(index, 7) * (1.0 - 0.2 * index as f64 / 19.0);
                ((5_000.0 * share) as u64, 8.0)
            }),
            1.0,
        );
        assert_eq!(judged.verdict, Steadiness::Drifting);
        let throughput = judged.throughput_ops_s.unwrap_or_default();
        assert!(
            (-0.30..-0.15).contains(&throughput.change),
            "{throughput:?}"
        );
        assert!(judged.detail.contains("throughput -"), "{}", judged.detail);
        assert!(!judged.detail.contains("p50"), "{}", judged.detail);
    }

    #[test]
    fn a_queue_that_grows_shows_in_latency_while_throughput_stands() {
        let judged = judge(&windows(|index| (5_000, 5.0 + index as f64)), 1.0);
        assert_eq!(judged.verdict, Steadiness::Drifting);
        assert!(!judged.throughput_ops_s.unwrap_or_default().drifts);
        assert!(judged.p50_us.unwrap_or_default().drifts);
    }

    #[test]
    fn one_odd_window_and_a_trend_of_no_consequence_are_steady() {
        let odd = windows(|index| (if index == 19 { 100 } else { 5_000 }, 8.0));
        assert_eq!(judge(&odd, 1.0).verdict, Steadiness::Stationary);
        let slight = windows(|index| (5_000 + index, 8.0));
        let judged = judge(&slight, 1.0);
        let throughput = judged.throughput_ops_s.unwrap_or_default();
        assert!(throughput.p_value < 1e-6, "as clear as can be");
        assert_eq!(judged.verdict, Steadiness::Stationary, "and 0.4 %");
    }

    #[test]
    fn a_window_without_an_answer_has_no_latency_and_a_throughput_of_zero() {
        let mut some = windows(|_| (5_000, 8.0));
        some[3] = Window {
            ok: 0,
            latency: new_histogram(),
        };
        let judged = judge(&some, 1.0);
        let value = |trend: Option<Trend>| trend.unwrap_or_default().values[3];
        assert_eq!(value(judged.p50_us), None);
        assert_eq!(value(judged.throughput_ops_s), Some(0.0));
    }

    #[test]
    fn short_or_disturbed_phases_are_not_tested_and_say_why() {
        let recording = Recording::default();
        let short = test(&recording, 3.9, None);
        assert_eq!(short.verdict, Steadiness::Skipped);
        assert!(short.detail.contains("4 s at least"), "{}", short.detail);
        let faulty = test(&recording, 60.0, Some("the scenario has faults"));
        assert_eq!(faulty.detail, "not tested: the scenario has faults");
        assert_eq!(test(&recording, 4.0, None).windows, 8);
    }

    #[test]
    fn the_test_is_that_of_the_books() {
        // Ten values in order: S = 45, variance 125, z = 44 / sqrt(125).
        let rising: Vec<(f64, f64)> = (0..10).map(|x| (f64::from(x), f64::from(x))).collect();
        assert!((mann_kendall(&rising) - 8.303_070_332_638_4e-5).abs() < 1e-12);
        assert_eq!(theil_sen(&rising), Some(1.0));
        let constant: Vec<(f64, f64)> = (0..10).map(|x| (f64::from(x), 3.0)).collect();
        assert_eq!(mann_kendall(&constant), 1.0);
    }
}
