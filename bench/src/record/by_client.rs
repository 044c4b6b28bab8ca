//! What each client of the load was given: how much, how soon, and how long it waited at most.
//!
//! Kept only where somebody asks whether clients were served alike (faults of kind `client`): a few kilobytes a second of
//! each client.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Times;
use super::sparse::{DIGITS_COARSE, SparseSeries, histogram};
use super::timeseries::{BUCKET_NS, TIME_BUCKETS_MAX};

/// All clients of one recorder, or of all of them.
#[derive(Debug, Default)]
pub(super) struct ByClient {
    clients: BTreeMap<u64, One>,
}

#[derive(Debug)]
struct One {
    /// Operations answered, by 100 ms of the answer.
    answered: Vec<u32>,
    /// Latencies from the intended start, by 100 ms of the answer.
    latencies: SparseSeries,
    /// For each 100 ms, when the last operation that was sent in it ended.
    open_until: Vec<u64>,
}

impl Default for One {
    fn default() -> Self {
        One {
            answered: Vec::new(),
            latencies: SparseSeries::new(BUCKET_NS, TIME_BUCKETS_MAX, DIGITS_COARSE),
            open_until: Vec::new(),
        }
    }
}

/// How one client was served in an interval.
#[derive(Clone, Debug)]
pub struct ClientService {
    /// Its number in the run.
    pub client: u64,
    /// Operations answered.
    pub answered: u64,
    /// Their latencies from the intended start, nanoseconds.
    pub latencies: Histogram<u64>,
    /// The longest time for which an operation was open in the interval or after it.
    pub longest_wait: Duration,
}

impl ByClient {
    /// An operation (or several under one signature) of the measured phase ended.
    pub(super) fn ended(
        &mut self,
        client: u64,
        times: Times,
        measured_ns: u64,
        answered: bool,
        operations: u64,
    ) {
        let one = self.clients.entry(client).or_default();
        let since = |at_ns: u64| at_ns.saturating_sub(measured_ns);
        let (sent, end) = (since(times.sent_ns), since(times.end_ns));
        let open = slot(&mut one.open_until, sent);
        *open = (*open).max(end);
        if answered {
            let count = slot(&mut one.answered, end);
            *count = count.saturating_add(u32::try_from(operations).unwrap_or(u32::MAX));
            let latency = times.end_ns.saturating_sub(times.intended_ns);
            one.latencies.record(end, latency, operations);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (client, theirs) in other.clients {
            let mine = self.clients.entry(client).or_default();
            for (at, count) in theirs.answered.iter().enumerate() {
                *at_index(&mut mine.answered, at) += count;
            }
            for (at, until) in theirs.open_until.iter().enumerate() {
                let open = at_index(&mut mine.open_until, at);
                *open = (*open).max(*until);
            }
            mine.latencies.merge(theirs.latencies);
        }
    }

    pub(super) fn seal(&mut self) {
        self.clients
            .values_mut()
            .for_each(|one| one.latencies.seal());
    }

    /// How each client was served from `from` to `to`, to 100 ms.
    pub(super) fn between(&self, from: Duration, to: Duration) -> Vec<ClientService> {
        let bucket = |time: Duration| {
            usize::try_from(time.as_nanos() / u128::from(BUCKET_NS)).unwrap_or(usize::MAX)
        };
        let range = bucket(from)..bucket(to).max(bucket(from));
        let of = |(client, one): (&u64, &One)| {
            let answered = one.answered.iter().take(range.end).skip(range.start);
            let mut latencies = histogram(DIGITS_COARSE);
            for (at, interval) in one.latencies.intervals() {
                if range.contains(&usize::try_from(at).unwrap_or(usize::MAX)) {
                    latencies
                        .add(interval)
                        .expect("histograms of one series have the same bounds");
                }
            }
            let begin = u64::try_from(from.as_nanos()).unwrap_or(u64::MAX);
            let open = one.open_until.iter().enumerate().take(range.end);
            let waits = open
                .filter(|(_, until)| **until > begin)
                .map(|(at, until)| {
                    let sent = (at as u64).saturating_mul(BUCKET_NS);
                    until.saturating_sub(sent)
                });
            ClientService {
                client: *client,
                answered: answered.map(|count| u64::from(*count)).sum(),
                latencies,
                longest_wait: Duration::from_nanos(waits.max().unwrap_or_default()),
            }
        };
        self.clients.iter().map(of).collect()
    }
}

fn slot<T: Clone + Default>(of: &mut Vec<T>, at_ns: u64) -> &mut T {
    let at = (at_ns / BUCKET_NS).min(TIME_BUCKETS_MAX - 1);
    at_index(of, usize::try_from(at).unwrap_or_default())
}

fn at_index<T: Clone + Default>(of: &mut Vec<T>, at: usize) -> &mut T {
    if of.len() <= at {
        of.resize(at + 1, T::default());
    }
    &mut of[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn times(sent: u64, end: u64) -> Times {
        Times {
            intended_ns: sent * MS,
            sent_ns: sent * MS,
            end_ns: end * MS,
        }
    }

    #[test]
    fn each_client_is_told_apart_and_an_interval_takes_only_its_own() {
        let (mut one, mut other) = (ByClient::default(), ByClient::default());
        for tenth in 0..20 {
            one.ended(1, times(tenth * 100, tenth * 100 + 10), 0, true, 2);
        }
        other.ended(2, times(50, 1_450), 0, true, 1);
        other.ended(2, times(1_500, 9_000), 0, false, 1);
        one.merge(other);
        one.seal();
        let of = |from, to| one.between(Duration::from_millis(from), Duration::from_millis(to));
        let seen: Vec<_> = of(1_000, 2_000)
            .iter()
            .map(|service| {
                let wait = service.longest_wait.as_millis();
                (
                    service.client,
                    service.answered,
                    service.latencies.len(),
                    wait,
                )
            })
            .collect();
        assert_eq!(seen, [(1, 20, 20, 10), (2, 1, 1, 7_500)]);
        let early = of(0, 1_000);
        assert_eq!((early[0].answered, early[1].answered), (20, 0));
        assert_eq!(
            early[1].longest_wait.as_millis(),
            1_450,
            "open, not yet answered"
        );
    }
}
