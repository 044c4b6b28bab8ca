//! Which requests go to all replicas at once: samples, by which backups judge how soon the primary
//! orders what it gets (docs/protocol.md R15.1).
//!
//! A sample costs every backup what a request costs the primary alone, and backups need some tens
//! of delays a second, whoever they are of. If each of many clients sent one in a quarter of a
//! second, most requests of a busy cluster would go to all. So the clients of a large configuration
//! take part in turns, each for some seconds, long enough that one which is alone is judged by in
//! its turn, and nobody else can tell whose turn it is.

use std::time::Duration;

use crate::time::Instant;

use super::pace::Jitter;

/// Clients of the configuration that take part at a time, on average, as long as [`REST_MAX`] allows.
const SAMPLERS: usize = 8;
/// A client takes part in one of so many turns at least, because most others may be idle.
const REST_MAX: usize = 16;
/// Sample intervals in a turn: several times what it takes to suspect a primary (eight delays, and
/// W_t of 2 s).
const TURN: u32 = 32;

/// When a session sends its next sample.
#[derive(Debug)]
pub(super) struct Samples {
    /// It takes part in one of so many turns.
    one_turn_in: u64,
    takes_part: bool,
    turn_ends: Option<Instant>,
    /// The first request from here on is a sample; known once there was a request.
    next: Option<Instant>,
}

impl Samples {
    /// Of one of so many clients of the configuration.
    pub(super) fn new(clients: usize) -> Self {
        let turns = clients.div_ceil(SAMPLERS).clamp(1, REST_MAX);
        Samples {
            one_turn_in: turns as u64,
            takes_part: false,
            turn_ends: None,
            next: None,
        }
    }

    /// Is the request that is sent now a sample? `interval` lies between two of them.
    pub(super) fn due(&mut self, now: Instant, interval: Duration, jitter: &mut Jitter) -> bool {
        if self.one_turn_in > 1 && self.turn_ends.is_none_or(|end| now >= end) {
            self.turn_ends = Some(now + jitter.around(interval.saturating_mul(TURN)));
            self.takes_part = jitter.once_in(self.one_turn_in);
        }
        if self.one_turn_in > 1 && !self.takes_part {
            return false;
        }
        let due = self.next.is_some_and(|next| now >= next);
        if due || self.next.is_none() {
            self.next = Some(now + jitter.around(interval));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(250);
    const REQUEST_EVERY: Duration = Duration::from_millis(10);

    /// The times of the samples among the requests of so many seconds.
    fn samples(clients: usize, seed: u64, seconds: u32) -> Vec<Instant> {
        let (mut samples, mut jitter) = (Samples::new(clients), Jitter::new(seed));
        let times = (0..seconds * 100).map(|request| Instant(0) + REQUEST_EVERY * request);
        times
            .filter(|now| samples.due(*now, INTERVAL, &mut jitter))
            .collect()
    }

    /// Samples a second of a cluster in which that many clients are busy.
    fn rate(clients: usize) -> f64 {
        let seconds = 100;
        let all = (0..clients as u64).map(|seed| samples(clients, seed, seconds).len());
        all.sum::<usize>() as f64 / f64::from(seconds)
    }

    #[test]
    fn few_clients_send_one_sample_in_an_interval_each() {
        for clients in [1, 2, 8] {
            let each = rate(clients) / clients as f64;
            assert!((3.3..4.3).contains(&each), "{clients}: {each}");
        }
    }

    #[test]
    fn many_clients_send_no_more_samples_than_eight() {
        for clients in [9, 16, 64, 128] {
            let all = rate(clients);
            assert!((12.0..45.0).contains(&all), "{clients}: {all}");
        }
        // Beyond that each takes part in a sixteenth of the time.
        let each = rate(1024) / 1024.0;
        assert!((0.15..0.35).contains(&each), "{each}");
    }

    #[test]
    fn who_is_alone_among_many_is_judged_by_in_its_turn() {
        // At least eight samples, no two of them a second apart, for three seconds: that is what it
        // takes to suspect a primary.
        let times = samples(1024, 7, 1_200);
        let enough = |run: &[Instant]| {
            run.last().zip(run.first()).is_some_and(|(last, first)| {
                run.len() >= 8 && last.since(*first) >= Duration::from_secs(3)
            })
        };
        let mut runs = times.chunk_by(|a, b| b.since(*a) < Duration::from_secs(1));
        assert!(runs.any(enough), "{times:?}");
    }
}
