//! A histogram that one thread may add to while another reads: relaxed atomics in the buckets of an HdrHistogram.
//!
//! To record is two additions and, rarely, a maximum: no lock and no allocation, so that every slot and every request can be
//! measured. What is read is an `hdrhistogram::Histogram` with the same buckets, and everything after that (percentiles,
//! differences, sums over replicas) is that library's.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

use super::counters::{Counter, Gauge};

/// The longest duration that is told apart, in microseconds: 17.9 minutes. Longer ones count as this.
pub const MICROS_MAX: u64 = (1 << OCTAVE_MAX) - 1;
/// Significant decimal digits: a value is off by less than 1 %.
pub const DIGITS: u8 = 2;

const OCTAVE_MAX: u32 = 30;
/// Values below 2^8 have a bucket each.
const EXACT_BITS: u32 = 8;
/// Each further power of two has this many buckets.
const PER_OCTAVE: u64 = 1 << (EXACT_BITS - 1);
const BUCKETS: usize = (1 << EXACT_BITS) + (OCTAVE_MAX - EXACT_BITS) as usize * PER_OCTAVE as usize;

/// Durations in microseconds.
#[derive(Debug)]
pub struct Durations {
    buckets: Box<[AtomicU64]>,
    sum: Counter,
    max: Gauge,
}

impl Default for Durations {
    fn default() -> Self {
        Durations {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: Counter::default(),
            max: Gauge::default(),
        }
    }
}

impl Durations {
    /// Adds a duration.
    pub fn record(&self, micros: u64) {
        self.record_n(micros, 1);
    }

    /// Adds `count` equal durations.
    pub fn record_n(&self, micros: u64, count: u64) {
        let micros = micros.min(MICROS_MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
        self.sum.add(micros * count);
        self.max.raise(micros);
    }

    /// Everything so far. What is added meanwhile may be in it or not.
    pub fn snapshot(&self) -> Histogram<u64> {
        let mut histogram = empty();
        for (index, bucket) in self.buckets.iter().enumerate() {
            let count = bucket.load(Ordering::Relaxed);
            if count > 0 {
                histogram
                    .record_n(lowest_of(index), count)
                    .expect("every bucket lies within the bounds of the histogram");
            }
        }
        histogram
    }

    /// The longest so far, exactly; 0 if there is none.
    pub fn max_micros(&self) -> u64 {
        self.max.value()
    }

    /// The sum of all so far.
    pub fn sum_micros(&self) -> u64 {
        self.sum.total()
    }

    /// How many were shorter than each of these powers of two (as exponents, ascending), and how many there are.
    pub fn shorter_than(&self, exponents: &[u32]) -> (Vec<u64>, u64) {
        let mut counts = Vec::with_capacity(exponents.len());
        let (mut passed, mut sum) = (0, 0);
        for exponent in exponents {
            let end = bucket_of(1 << exponent).min(BUCKETS);
            let next = self.buckets.get(passed..end).unwrap_or_default();
            sum += total(next);
            passed = passed.max(end);
            counts.push(sum);
        }
        let rest = self.buckets.get(passed..).unwrap_or_default();
        (counts, sum + total(rest))
    }
}

fn total(buckets: &[AtomicU64]) -> u64 {
    let counts = buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
    counts.sum()
}

/// A histogram that [`Durations`] and what was made of them can be added to and taken from.
pub fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).expect("constants that the library accepts")
}

/// The histogram as text: HdrHistogram's format V2, not compressed, in base64. Deflating it for every look would cost more than
/// everything that is recorded in between.
pub fn to_text(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    match V2Serializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => STANDARD.encode(bytes),
        // A vector takes all that is written to it, and its counts are far below the format's bound.
        Err(_) => String::new(),
    }
}

/// The way back of [`to_text`]; `None` if it is no such text.
pub fn from_text(text: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

fn bucket_of(micros: u64) -> usize {
    let bits = u64::BITS - micros.leading_zeros();
    if bits <= EXACT_BITS {
        return micros as usize;
    }
    let octave = u64::from(bits - EXACT_BITS - 1);
    let within = (micros >> (bits - EXACT_BITS)) - PER_OCTAVE;
    ((1 << EXACT_BITS) + octave * PER_OCTAVE + within) as usize
}

fn lowest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let Some(above) = bucket.checked_sub(1 << EXACT_BITS) else {
        return bucket;
    };
    let (octave, within) = (above / PER_OCTAVE, above % PER_OCTAVE);
    (PER_OCTAVE + within) << (octave + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Durations of all sizes: small ones, those at the edges of powers of two, and some in between.
    fn samples() -> Vec<u64> {
        let edges = (0..OCTAVE_MAX).flat_map(|bits| {
            let power = 1u64 << bits;
            [power - 1, power, power + 1, power + power / 3]
        });
        edges.chain(0..300).chain([MICROS_MAX]).collect()
    }

    #[test]
    fn the_buckets_are_those_of_an_hdr_histogram_of_two_digits() {
        let mut library = empty();
        let own = Durations::default();
        for sample in samples() {
            let bucket = bucket_of(sample);
            assert!(bucket < BUCKETS, "{sample}");
            assert!(library.equivalent(lowest_of(bucket), sample), "{sample}");
            assert_eq!(
                lowest_of(bucket),
                library.lowest_equivalent(sample),
                "{sample}"
            );
            library.record(sample).unwrap();
            own.record(sample);
        }
        assert_eq!(own.snapshot(), library);
        assert_eq!(own.max_micros(), MICROS_MAX);
        assert_eq!(own.sum_micros(), samples().iter().sum::<u64>());
    }

    #[test]
    fn a_duration_beyond_the_longest_counts_as_the_longest() {
        let own = Durations::default();
        own.record_n(u64::MAX, 3);
        assert_eq!((own.snapshot().len(), own.max_micros()), (3, MICROS_MAX));
    }

    #[test]
    fn counts_below_a_power_of_two_are_exact() {
        let own = Durations::default();
        for sample in samples() {
            own.record(sample);
        }
        let exponents = [0, 3, 8, 9, 20, 29];
        let (counts, all) = own.shorter_than(&exponents);
        for (exponent, count) in exponents.iter().zip(counts) {
            let shorter = samples()
                .into_iter()
                .filter(|sample| *sample < 1 << exponent);
            assert_eq!(count, shorter.count() as u64, "below 2^{exponent}");
        }
        assert_eq!(all, samples().len() as u64);
    }

    #[test]
    fn text_brings_back_every_count_and_a_difference_is_what_came_between() {
        let own = Durations::default();
        own.record_n(100, 5);
        let before = from_text(&to_text(&own.snapshot())).unwrap();
        own.record_n(100, 1);
        own.record(90_000);
        let mut after = from_text(&to_text(&own.snapshot())).unwrap();
        assert_eq!(after, own.snapshot());
        after.subtract(&before).unwrap();
        assert_eq!(after.len(), 2);
        assert_eq!(after.count_at(100), 1);
        assert!(from_text("no histogram").is_none());
    }
}
