//! Latency histograms over time, small enough to keep for a whole run.
//!
//! A dense HdrHistogram of three digits up to an hour takes 200 KB; one per second, kind and worker would be gigabytes. Only the interval under way is dense:
//! when it ends, its occupied buckets are kept as (value, count) pairs. The value names its bucket exactly, so that adding the pairs up again, over
//! intervals and workers, gives the very histogram that one recorder would have filled: merging loses nothing.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// The longest latency told apart, one hour; longer ones are recorded as this.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Latencies are told apart from here on: one microsecond.
const LATENCY_NS_MIN: u64 = 1_000;

/// Significant digits of the published histograms: at most 0.1 % off.
pub(super) const DIGITS: u8 = 3;

/// Significant digits of the 100 ms series: at most 1 % off, a tenth of the memory.
pub(super) const DIGITS_COARSE: u8 = 2;

/// An empty histogram of nanoseconds, as every published one: 1 us to 1 h, three significant digits.
#[must_use]
pub fn new_histogram() -> Histogram<u64> {
    histogram(DIGITS)
}

pub(super) fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, digits)
        .expect("1 us to 1 h with 2 or 3 digits are valid bounds")
}

/// One histogram per interval of time.
#[derive(Debug)]
pub(super) struct SparseSeries {
    width_ns: u64,
    intervals_max: u64,
    digits: u8,
    current: u64,
    dense: Option<Histogram<u64>>,
    sealed: BTreeMap<u64, Vec<(u64, u64)>>,
}

impl SparseSeries {
    pub(super) const fn new(width_ns: u64, intervals_max: u64, digits: u8) -> Self {
        Self {
            width_ns,
            intervals_max,
            digits,
            current: 0,
            dense: None,
            sealed: BTreeMap::new(),
        }
    }

    /// Records a latency at a time since the series began. A time that lies in an earlier interval than the one under way counts in the one under way:
    /// answers of one worker are handled nearly in order.
    pub(super) fn record(&mut self, at_ns: u64, latency_ns: u64, count: u64) {
        let interval = (at_ns / self.width_ns).min(self.intervals_max - 1);
        if interval > self.current {
            self.seal();
            self.current = interval;
        }
        self.dense
            .get_or_insert_with(|| histogram(self.digits))
            .saturating_record_n(latency_ns, count);
    }

    pub(super) fn seal(&mut self) {
        if let Some(dense) = self.dense.as_mut().filter(|dense| !dense.is_empty()) {
            let pairs = dense
                .iter_recorded()
                .map(|step| (step.value_iterated_to(), step.count_at_value()));
            self.sealed.entry(self.current).or_default().extend(pairs);
            dense.reset();
        }
    }

    /// Takes over everything another worker recorded.
    pub(super) fn merge(&mut self, mut other: Self) {
        other.seal();
        for (interval, mut pairs) in other.sealed {
            self.sealed.entry(interval).or_default().append(&mut pairs);
        }
    }

    /// The sealed intervals that hold anything, in order.
    pub(super) fn intervals(&self) -> impl Iterator<Item = (u64, Histogram<u64>)> + '_ {
        self.sealed
            .iter()
            .map(|(interval, pairs)| (*interval, dense(pairs, self.digits)))
    }

    /// All sealed intervals together.
    pub(super) fn total(&self) -> Histogram<u64> {
        dense(self.sealed.values().flatten(), self.digits)
    }
}

fn dense<'a>(pairs: impl IntoIterator<Item = &'a (u64, u64)>, digits: u8) -> Histogram<u64> {
    let mut all = histogram(digits);
    for (value, count) in pairs {
        all.saturating_record_n(*value, *count);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Latencies over six decades, the same each time.
    fn latencies() -> impl Iterator<Item = (u64, u64)> {
        (0..50_000_u64).map(|index| {
            let spread = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            (
                index * 1_000_000,
                700 + spread % 10_u64.pow(3 + u32::try_from(index % 7).expect("below 7")),
            )
        })
    }

    #[test]
    fn a_merged_series_equals_one_histogram_that_saw_everything() {
        let mut direct = new_histogram();
        let mut workers: Vec<_> = (0..3)
            .map(|_| SparseSeries::new(1_000_000_000, 1000, DIGITS))
            .collect();
        for (at, latency) in latencies() {
            direct.saturating_record(latency);
            workers[usize::try_from(at / 1_000_000 % 3).expect("below 3")].record(at, latency, 1);
        }
        let mut merged = SparseSeries::new(1_000_000_000, 1000, DIGITS);
        for worker in workers {
            merged.merge(worker);
        }
        assert_eq!(merged.total(), direct);
        assert_eq!(merged.intervals().count(), 50);
        let summed = merged
            .intervals()
            .fold(new_histogram(), |mut sum, (_, each)| {
                sum.add(each).expect("same bounds");
                sum
            });
        assert_eq!(summed, direct);
    }

    #[test]
    fn a_latency_beyond_the_range_is_kept_as_the_longest() {
        let mut series = SparseSeries::new(1, 10, DIGITS);
        series.record(0, u64::MAX, 1);
        series.record(u64::MAX, 5, 2);
        series.seal();
        assert_eq!(series.total().len(), 3);
        assert!(series.total().max() >= LATENCY_NS_MAX);
        assert_eq!(
            series
                .intervals()
                .map(|(interval, _)| interval)
                .collect::<Vec<_>>(),
            [0, 9]
        );
    }

    #[test]
    fn an_answer_handled_a_little_late_counts_in_the_interval_under_way() {
        let mut series = SparseSeries::new(100, 10, DIGITS);
        series.record(250, 5, 1);
        series.record(199, 5, 1);
        series.seal();
        assert_eq!(
            series
                .intervals()
                .map(|(interval, each)| (interval, each.len()))
                .collect::<Vec<_>>(),
            [(2, 2)]
        );
    }
}
