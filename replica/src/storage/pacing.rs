//! How slowly a checkpoint is written, so that it is no burst.
//!
//! All replicas write theirs at the same slot, and it can be many megabytes: as fast as possible they would keep
//! every processor and disk that they share from ordering requests for as long as that takes, once in an interval, and
//! a cluster that is busy at nine tenths has no time to make up for it. Nobody waits for the checkpoint before the next
//! one: so a checkpoint may take half of the time between two.

use std::time::{Duration, Instant};

/// The longest that a checkpoint takes on purpose: at full load with 100,000 records, half of the time between two.
const SLOWED_MAX: Duration = Duration::from_secs(4);

/// When the pieces of checkpoints are due.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// When the last one was begun.
    last: Option<Instant>,
}

/// One checkpoint that is being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    began: Instant,
    time: Duration,
}

impl Pacing {
    /// A checkpoint is begun now. The first is written as fast as possible: nobody knows when the next one comes.
    pub(super) fn begin(&mut self, now: Instant) -> Pace {
        let interval = self.last.replace(now).map(|last| now - last);
        Pace {
            began: now,
            time: interval.unwrap_or_default().min(SLOWED_MAX * 2) / 2,
        }
    }
}

impl Pace {
    /// Until when to wait once this share of it is written.
    pub(super) fn due(self, share: f64) -> Instant {
        self.began + self.time.mul_f64(share.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_takes_half_of_the_time_between_two_and_no_more_than_four_seconds() {
        let (mut pacing, start) = (Pacing::default(), Instant::now());
        let mut time = |at_ms| {
            let now = start + Duration::from_millis(at_ms);
            let pace = pacing.begin(now);
            [0.0, 0.5, 1.0].map(|share| (pace.due(share) - now).as_millis())
        };
        assert_eq!(time(0), [0, 0, 0], "the first");
        assert_eq!(time(400), [0, 100, 200]);
        assert_eq!(time(1_000), [0, 150, 300]);
        assert_eq!(time(6_000), [0, 1_250, 2_500]);
        assert_eq!(time(90_000), [0, 2_000, 4_000], "of an idle cluster");
    }
}
