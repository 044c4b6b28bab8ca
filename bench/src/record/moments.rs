//! Moments that faults are judged by: when answers came, how long operations were open, and the first answer after each
//! fault. All times are nanoseconds since the measured phase began, unless a name says otherwise.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Times;
use super::timeseries::{BUCKET_NS, TIME_BUCKETS_MAX};

/// The moments at which faults struck, shared by all recorders of a repeat: nobody knows them before.
#[derive(Debug, Default)]
pub struct Marks {
    count: AtomicUsize,
    /// On the run's clock.
    times_ns: Mutex<Vec<u64>>,
}

impl Marks {
    /// Sets a mark on the run's clock; its number leads to what was seen after it.
    pub fn set(&self, now_ns: u64) -> usize {
        let mut times = self.times_ns.lock().unwrap_or_else(PoisonError::into_inner);
        times.push(now_ns);
        self.count.store(times.len(), Ordering::Release);
        times.len() - 1
    }

    /// The marks beyond the first `known`.
    fn beyond(&self, known: usize) -> Vec<u64> {
        if self.count.load(Ordering::Acquire) <= known {
            return Vec::new();
        }
        let times = self.times_ns.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(known..).unwrap_or_default().to_vec()
    }
}

/// What one recorder saw, or all of them.
#[derive(Debug, Default)]
pub(super) struct Moments {
    buckets: Vec<Bucket>,
    /// For each mark, when the first operation that was sent at or after it was answered.
    after_marks: Vec<AfterMark>,
    /// Marks that have seen no answer yet.
    open_marks: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct AfterMark {
    /// On the run's clock.
    mark_ns: u64,
    /// On the run's clock.
    answered_ns: Option<u64>,
}

/// One bucket of the time series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    /// First and last answer that came in it.
    answers: Option<(u64, u64)>,
    /// When the last operation that was sent in it was answered or given up.
    open_until: Option<u64>,
}

impl Moments {
    /// An operation of the measured phase ended; `measured_ns` is where that phase begins on the run's clock.
    pub(super) fn ended(&mut self, times: Times, measured_ns: u64, answered: bool, marks: &Marks) {
        let since = |at_ns: u64| at_ns.saturating_sub(measured_ns);
        let (sent, end) = (since(times.sent_ns), since(times.end_ns));
        let open_until = &mut self.bucket(sent).open_until;
        *open_until = (*open_until).max(Some(end));
        if !answered {
            return;
        }
        let answers = &mut self.bucket(end).answers;
        *answers = Some(match *answers {
            Some((first, last)) => (first.min(end), last.max(end)),
            None => (end, end),
        });
        for mark_ns in marks.beyond(self.after_marks.len()) {
            self.open_marks.push(self.after_marks.len());
            self.after_marks.push(AfterMark {
                mark_ns,
                answered_ns: None,
            });
        }
        let after_marks = &mut self.after_marks;
        self.open_marks.retain(|mark| {
            let after = &mut after_marks[*mark];
            if times.sent_ns >= after.mark_ns {
                after.answered_ns = Some(times.end_ns);
            }
            after.answered_ns.is_none()
        });
    }

    fn bucket(&mut self, at: u64) -> &mut Bucket {
        let index = usize::try_from((at / BUCKET_NS).min(TIME_BUCKETS_MAX - 1));
        let index = index.unwrap_or(usize::MAX);
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, Bucket::default());
        }
        &mut self.buckets[index]
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), Bucket::default());
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            mine.open_until = mine.open_until.max(theirs.open_until);
            mine.answers = match (mine.answers, theirs.answers) {
                (Some((first, last)), Some((begin, end))) => {
                    Some((first.min(begin), last.max(end)))
                }
                (one, another) => one.or(another),
            };
        }
        for (number, theirs) in other.after_marks.iter().enumerate() {
            match self.after_marks.get_mut(number) {
                None => self.after_marks.push(*theirs),
                Some(mine) => {
                    mine.answered_ns = [mine.answered_ns, theirs.answered_ns]
                        .into_iter()
                        .flatten()
                        .min();
                }
            }
        }
    }

    /// From a mark to the first answer to an operation that was sent at or after it; `None` if there was none.
    pub(super) fn first_answer_after(&self, mark: usize) -> Option<u64> {
        let after = self.after_marks.get(mark)?;
        Some(after.answered_ns?.saturating_sub(after.mark_ns))
    }

    /// The longest time without any answer between `from` and `to`. Exact from the width of a bucket on; what is shorter
    /// counts as none.
    pub(super) fn longest_silence(&self, from: u64, to: u64) -> u64 {
        let mut last = from;
        let mut longest = 0;
        for (first_answer, last_answer) in self.buckets.iter().filter_map(|bucket| bucket.answers) {
            if first_answer >= to {
                break;
            }
            longest = longest.max(first_answer.saturating_sub(last));
            last = last.max(last_answer);
        }
        longest = longest.max(to.saturating_sub(last));
        if longest < BUCKET_NS { 0 } else { longest }
    }

    /// The longest time for which an operation was open at or after `from`: counted from its sending, or from `from` if
    /// that was later. Exact to the width of a bucket.
    pub(super) fn longest_open(&self, from: u64) -> u64 {
        let begins = (0..).map(|index: u64| index * BUCKET_NS);
        let open = begins
            .zip(&self.buckets)
            .filter_map(|(begin, bucket)| Some(bucket.open_until?.saturating_sub(begin.max(from))));
        open.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    /// Where the measured phase begins on the run's clock.
    const BEGIN: u64 = 5_000 * MS;

    /// Operations by the milliseconds of their sending and end; the end is an answer unless it is beyond 9 s.
    fn moments(operations: &[(u64, u64)], marks: &Marks) -> Moments {
        let mut moments = Moments::default();
        for (sent, end) in operations {
            let times = Times {
                intended_ns: BEGIN + sent * MS,
                sent_ns: BEGIN + sent * MS,
                end_ns: BEGIN + end * MS,
            };
            moments.ended(times, BEGIN, *end < 9_000, marks);
        }
        moments
    }

    #[test]
    fn a_planted_gap_is_found_to_the_millisecond() {
        let all = moments(
            &[(0, 40), (20, 90), (60, 955), (960, 970)],
            &Marks::default(),
        );
        assert_eq!(all.longest_silence(0, 1_000 * MS), 865 * MS);
        assert_eq!(all.longest_silence(200 * MS, 1_000 * MS), 755 * MS);
        assert_eq!(all.longest_silence(0, 300 * MS), 210 * MS, "cut by the end");
        assert_eq!(
            all.longest_silence(0, 2_000 * MS),
            1_030 * MS,
            "silence to the end"
        );
        assert_eq!(all.longest_silence(0, 95 * MS), 0, "too short to be seen");
        assert_eq!(Moments::default().longest_silence(0, 700 * MS), 700 * MS);
    }

    #[test]
    fn the_first_answer_after_a_mark_is_to_an_operation_that_was_sent_after_it() {
        let marks = Marks::default();
        let mark = marks.set(BEGIN + 100 * MS);
        // Under way when the fault struck, and answered by those who had decided it already.
        let mut all = moments(&[(90, 110), (95, 120), (110, 650), (120, 660)], &marks);
        assert_eq!(all.first_answer_after(mark), Some(550 * MS));
        // Another recorder saw an earlier one.
        all.merge(&moments(&[(100, 600)], &marks));
        assert_eq!(all.first_answer_after(mark), Some(500 * MS));
        let late = marks.set(BEGIN + 700 * MS);
        assert_eq!(all.first_answer_after(late), None);
        assert_eq!(
            moments(&[(800, 9_500)], &marks).first_answer_after(late),
            None
        );
    }

    #[test]
    fn an_operation_that_hangs_is_open_until_it_is_given_up() {
        let all = moments(&[(100, 120), (230, 20_000), (700, 710)], &Marks::default());
        assert_eq!(all.longest_open(0), 19_800 * MS);
        assert_eq!(all.longest_open(5_000 * MS), 15_000 * MS);
        assert_eq!(all.longest_open(30_000 * MS), 0);
    }
}
