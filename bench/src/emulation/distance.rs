//! How long a datagram is under way at a given time.
//!
//! The delay of a link is drawn anew from time to time and kept in between, so datagrams one behind the other have about
//! the same way: on real paths delay comes from queues, which do not overtake themselves. (Drawn for every datagram, as
//! netem does it, jitter is reordering, and QUIC takes reordering for loss.) Whoever wants reordering asks for it.

use std::time::Duration;

use super::dice::{Dice, Purpose};
use super::settings::{LinkSettings, Spread};

/// No datagram is under way for longer.
pub const DELAY_MAX: Duration = Duration::from_secs(10);

/// A delay is kept for this many times the jitter. A datagram with a shorter delay must not overtake one with a longer
/// delay, which distorts the distribution at each draw, so draws must be rare beside what they differ by.
const HELD: u64 = 10;
/// At least this long.
const HELD_NS_MIN: u64 = 1_000_000;

/// Exponent of the Pareto distribution: the smallest whole one with a finite variance.
const PARETO_EXPONENT: f64 = 3.0;

/// The delay of a link at `now_ns`, in nanoseconds.
pub(super) fn delay_ns(settings: &LinkSettings, dice: Dice, now_ns: u64) -> u64 {
    let mean = nanos(settings.delay);
    let jitter = nanos(settings.jitter);
    if jitter == 0 {
        return mean.min(nanos(DELAY_MAX));
    }
    let held = jitter.saturating_mul(HELD).max(HELD_NS_MIN);
    let deviation = deviation(settings.distribution, dice, now_ns / held);
    // Saturates: what would be negative is 0.
    let delay = (mean as f64 + jitter as f64 * deviation) as u64;
    delay.min(nanos(DELAY_MAX))
}

/// How many jitters the `index`-th draw is away from the mean.
fn deviation(spread: Spread, dice: Dice, index: u64) -> f64 {
    let first = dice.share(Purpose::Delay, index);
    match spread {
        Spread::Uniform => 2.0 * first - 1.0,
        Spread::Normal => {
            // Box and Muller; 1 - share is never 0.
            let second = dice.share(Purpose::DelaySecond, index);
            (-2.0 * (1.0 - first).ln()).sqrt() * (std::f64::consts::TAU * second).cos()
        }
        Spread::Pareto => {
            const A: f64 = PARETO_EXPONENT;
            // With this scale the mean is 1.
            let drawn = (A - 1.0) / A * (1.0 - first).powf(-1.0 / A);
            // Its standard deviation is 1 / sqrt(A (A - 2)).
            (drawn - 1.0) * (A * (A - 2.0)).sqrt()
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean, standard deviation, least and median of many draws, in milliseconds.
    fn drawn(distribution: Spread, delay_ms: u64, jitter_ms: u64) -> [f64; 4] {
        let settings = LinkSettings {
            delay: Duration::from_millis(delay_ms),
            jitter: Duration::from_millis(jitter_ms),
            distribution,
            ..LinkSettings::default()
        };
        let dice = Dice::new(11, 4);
        let held = jitter_ms * HELD * 1_000_000;
        let mut delays: Vec<f64> = (0..50_000)
            .map(|index| delay_ns(&settings, dice, index * held) as f64 / 1e6)
            .collect();
        delays.sort_by(f64::total_cmp);
        let count = delays.len() as f64;
        let mean = delays.iter().sum::<f64>() / count;
        let variance = delays.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / count;
        [mean, variance.sqrt(), delays[0], delays[delays.len() / 2]]
    }

    fn near(found: f64, wanted: f64, by: f64) {
        assert!(
            (found - wanted).abs() <= by,
            "{found} is not {wanted} +- {by}"
        );
    }

    #[test]
    fn every_distribution_has_the_mean_and_the_spread_that_were_asked_for() {
        let [mean, deviation, least, median] = drawn(Spread::Uniform, 100, 20);
        near(mean, 100.0, 0.3);
        near(deviation, 20.0 / 3.0_f64.sqrt(), 0.2);
        near(least, 80.0, 0.1);
        near(median, 100.0, 0.5);

        let [mean, deviation, least, median] = drawn(Spread::Normal, 100, 10);
        near(mean, 100.0, 0.3);
        near(deviation, 10.0, 0.2);
        assert!(least < 70.0, "a tail to the left");
        near(median, 100.0, 0.3);

        let [mean, deviation, least, median] = drawn(Spread::Pareto, 100, 10);
        near(mean, 100.0, 0.3);
        // Its fourth moment is infinite, so that it converges slowly.
        near(deviation, 10.0, 3.0);
        near(least, 100.0 - 10.0 / 3.0_f64.sqrt(), 0.1);
        assert!(median < 98.0, "most are shorter than the mean: {median}");
    }

    #[test]
    fn a_delay_is_kept_and_never_negative_and_never_beyond_its_bound() {
        let settings = LinkSettings {
            jitter: Duration::from_millis(50),
            distribution: Spread::Normal,
            ..LinkSettings::default()
        };
        let at = |ms: u64| delay_ns(&settings, Dice::new(1, 2), ms * 1_000_000);
        assert_eq!(at(1_500), at(1_999), "held for ten jitters");
        let clipped = (0..1_000).filter(|slot| at(slot * 500) == 0).count();
        near(clipped as f64 / 1_000.0, 0.5, 0.06);
        let endless = LinkSettings {
            delay: Duration::from_secs(3_600),
            ..settings
        };
        assert_eq!(delay_ns(&endless, Dice::new(1, 2), 0), nanos(DELAY_MAX));
    }
}
