//! Open-loop arrivals: when each operation is meant to start, whatever became of the ones before.
//!
//! Each client owns a share of the global schedule, so that no clock or queue is shared. For constant arrivals the clients take turns: the union over
//! the clients is exactly one arrival every 1/rate. For Poisson arrivals each client runs its own process at rate/clients: the union of independent
//! Poisson processes is the Poisson process of the summed rate. Latency counts from these intended starts, so a stall is charged to every operation
//! that should have started during it ("coordinated omission").

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::ParameterError;
use super::seed::{Purpose, random_stream};

const NS_PER_S: f64 = 1e9;

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Evenly.
    Constant,
    /// With exponentially distributed gaps.
    Poisson,
}

/// One client's intended starts: nanoseconds from the beginning of the schedule, never decreasing, without end (the driver stops at its duration).
#[derive(Debug)]
pub struct Arrivals {
    arrival: Arrival,
    /// Nanoseconds between two arrivals of this client, on average.
    gap_ns: f64,
    /// Constant: what precedes the first arrival. Poisson: unused.
    first_ns: f64,
    /// Arrivals so far (constant).
    count: u64,
    /// The last arrival (Poisson).
    last_ns: f64,
    random: ChaCha8Rng,
}

impl Arrivals {
    /// The share of client number `client` of `clients` in a schedule of `rate_per_s` arrivals a second over all clients.
    ///
    /// # Errors
    /// [`ParameterError`] for a rate that is not a positive number.
    pub fn new(
        arrival: Arrival,
        rate_per_s: f64,
        seed: u64,
        client: u64,
        clients: u64,
    ) -> Result<Self, ParameterError> {
        if !(rate_per_s.is_finite() && rate_per_s > 0.0) {
            return Err(ParameterError::new(
                "load.rate",
                format!("is {rate_per_s}/s; it must be above zero"),
            ));
        }
        let global_gap_ns = NS_PER_S / rate_per_s;
        Ok(Self {
            arrival,
            gap_ns: global_gap_ns * clients.max(1) as f64,
            first_ns: global_gap_ns * client as f64,
            count: 0,
            last_ns: 0.0,
            random: random_stream(seed, client, Purpose::Arrivals),
        })
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let at_ns = match self.arrival {
            // Multiplied, not summed, so that rounding does not pile up.
            Arrival::Constant => self.first_ns + self.gap_ns * self.count as f64,
            Arrival::Poisson => {
                let gap: f64 = Exp1.sample(&mut self.random);
                self.last_ns += gap * self.gap_ns;
                self.last_ns
            }
        };
        self.count += 1;
        // The cast saturates after 584 years.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; saturates"
        )]
        Some(at_ns.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn union(arrival: Arrival, rate: f64, clients: u64, until: u64) -> Vec<u64> {
        let mut all: Vec<u64> = (0..clients)
            .flat_map(|client| {
                Arrivals::new(arrival, rate, 7, client, clients)
                    .unwrap()
                    .take_while(move |at| *at < until)
            })
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn constant_clients_together_keep_an_even_beat() {
        let all = union(Arrival::Constant, 2000.0, 7, 10 * SECOND);
        assert_eq!(all.len(), 20_000);
        assert!(
            all.iter()
                .enumerate()
                .all(|(index, at)| *at == index as u64 * 500_000)
        );
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let last = Arrivals::new(Arrival::Constant, 3.0, 7, 0, 1)
            .unwrap()
            .nth(3 * 3600)
            .unwrap();
        assert_eq!(last, 3600 * SECOND);
    }

    #[test]
    fn poisson_counts_have_mean_and_variance_of_the_rate() {
        let seconds = 400;
        let all = union(Arrival::Poisson, 500.0, 16, seconds * SECOND);
        // Counts per 100 ms: mean and variance 50.
        let mut counts = vec![0.0; usize::try_from(seconds * 10).unwrap()];
        for at in &all {
            counts[usize::try_from(at / (SECOND / 10)).unwrap()] += 1.0;
        }
        let n = counts.len() as f64;
        let mean = counts.iter().sum::<f64>() / n;
        let variance = counts
            .iter()
            .map(|count| (count - mean).powi(2))
            .sum::<f64>()
            / (n - 1.0);
        assert!((mean - 50.0).abs() < 0.6, "mean {mean}");
        assert!((variance / 50.0 - 1.0).abs() < 0.12, "variance {variance}");
        // Gaps are exponential: their standard deviation equals their mean, 2 ms.
        let gaps: Vec<f64> = all
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64 / 1e6)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation =
            (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!(
            (mean - 2.0).abs() < 0.03 && (deviation - 2.0).abs() < 0.05,
            "mean {mean}, deviation {deviation}"
        );
    }

    #[test]
    fn schedules_repeat_for_one_seed_and_differ_between_clients() {
        let first = |seed, client| {
            Arrivals::new(Arrival::Poisson, 10.0, seed, client, 4)
                .unwrap()
                .take(50)
                .collect::<Vec<_>>()
        };
        assert_eq!(first(7, 1), first(7, 1));
        assert_ne!(first(7, 1), first(7, 2));
        assert_ne!(first(7, 1), first(8, 1));
    }

    #[test]
    fn a_rate_must_be_above_zero() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Arrivals::new(Arrival::Constant, rate, 7, 0, 1).is_err());
        }
    }
}
