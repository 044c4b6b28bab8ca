//! Whether the cluster went on: no standstill longer than allowed, and after the last fault had ended no operation open
//! for longer than allowed.
//!
//! With more than f replicas faulty at once the protocol promises safety and not liveness; then the figures are given and
//! not judged.

use std::time::Duration;

use crate::check::CheckResult;
use crate::record::Recording;
use crate::scenario::schema::{Excess, Liveness};

/// How long the clients were watched, from the beginning of the measured phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    /// Until the load ended.
    pub(super) measured: Duration,
    /// Until every answer had come or was given up.
    pub(super) drained: Duration,
}

/// What the faults were.
#[derive(Clone, Debug, Default)]
pub(super) struct Disturbed {
    /// When the last of them ended; `None` if there were none, or if one did not end.
    pub(super) healed: Option<Duration>,
    /// Where the plan held more than f replicas.
    pub(super) excesses: Vec<Excess>,
}

/// The longest time in which no operation was answered although clients waited: while the load went on, and behind its end
/// for as long as somebody waited in vain. After the last fault, the longest time for which an operation was open.
pub(super) fn judge(
    recording: &Recording,
    watched: Watched,
    allowed: &Liveness,
    disturbed: &Disturbed,
) -> CheckResult {
    let until = if recording.counters.unknown > 0 {
        watched.drained
    } else {
        watched.measured
    };
    let stall = recording.longest_stall(Duration::ZERO, until);
    let mut failed = stall > allowed.max_stall;
    let mut detail = format!(
        "longest time without an answer {}, at most {} ms allowed",
        // Shorter ones are not told apart.
        if stall.is_zero() {
            "less than 100 ms".to_owned()
        } else {
            format!("{} ms", stall.as_millis())
        },
        allowed.max_stall.as_millis()
    );
    let open = disturbed
        .healed
        .map(|healed| recording.longest_open(healed));
    if let (Some(open), Some(healed)) = (open, disturbed.healed) {
        failed |= open > allowed.after_heal;
        detail.push_str(&format!(
            "; after the last fault had ended ({:.1} s) an operation was open for {} ms, at most {} ms allowed",
            healed.as_secs_f64(),
            open.as_millis(),
            allowed.after_heal.as_millis()
        ));
    }
    let intervals: Vec<String> = disturbed.excesses.iter().map(Excess::interval).collect();
    let result = if !intervals.is_empty() {
        CheckResult::skipped(format!(
            "more than f replicas were faulty {}, so the run promises safety, not liveness; {detail}",
            intervals.join(", ")
        ))
    } else if failed {
        CheckResult::fail(detail)
    } else {
        CheckResult::pass(detail)
    };
    let result = result.with("longest_stall_ms", millis(stall));
    match open {
        Some(open) => result.with("longest_open_after_heal_ms", millis(open)),
        None => result,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::check::Verdict;
    use crate::record::{Answer, Live, Outcome, Phases, Recorder, Times};
    use crate::workload::Operation;

    const MS: u64 = 1_000_000;

    /// Operations by the milliseconds of sending and end, and whether they were answered.
    fn recording(operations: &[(u64, u64, bool)]) -> Recording {
        let live = Arc::new(Live::default());
        let mut recorder = Recorder::new(Phases::new(0, 0, u64::MAX), live, None);
        for (sent, end, answered) in operations {
            let read = Operation::Read {
                key: Bytes::from_static(b"k"),
            };
            let answer = match answered {
                true => Answer::Executed {
                    outcome: Outcome::Value(None),
                    seq: Some(1),
                },
                false => Answer::Unknown,
            };
            let times = Times {
                intended_ns: sent * MS,
                sent_ns: sent * MS,
                end_ns: end * MS,
            };
            recorder.finished(0, &read, times, &answer);
        }
        recorder.into_recording()
    }

    const ALLOWED: Liveness = Liveness {
        max_stall: Duration::from_secs(5),
        after_heal: Duration::from_secs(1),
    };

    fn judged(
        operations: &[(u64, u64, bool)],
        seconds: [u64; 2],
        disturbed: &Disturbed,
    ) -> CheckResult {
        let [measured, drained] = seconds.map(Duration::from_secs);
        let watched = Watched { measured, drained };
        judge(&recording(operations), watched, &ALLOWED, disturbed)
    }

    #[test]
    fn a_stall_longer_than_allowed_is_a_violation() {
        let calm = Disturbed::default();
        assert_eq!(judged(&[], [10, 10], &calm).verdict, Verdict::Fail);
        let nobody_waits = [(0, 2_900, true)];
        assert_eq!(judged(&nobody_waits, [3, 9], &calm).verdict, Verdict::Pass);
        let in_vain = [(0, 2_900, true), (100, 9_000, false)];
        let result = judged(&in_vain, [3, 9], &calm);
        assert_eq!(result.verdict, Verdict::Fail, "somebody waited in vain");
        assert_eq!(result.facts["longest_stall_ms"], 6_100);
    }

    #[test]
    fn an_operation_that_stays_open_after_the_last_fault_is_a_violation() {
        let healed = |seconds| Disturbed {
            healed: Some(Duration::from_secs(seconds)),
            ..Disturbed::default()
        };
        // Others are answered all the time, one operation hangs from 1 s to 4 s.
        let mut operations: Vec<(u64, u64, bool)> =
            (0..50).map(|n| (n * 100, n * 100 + 50, true)).collect();
        operations.push((1_000, 4_000, true));
        assert_eq!(
            judged(&operations, [5, 5], &healed(2)).verdict,
            Verdict::Fail
        );
        let result = judged(&operations, [5, 5], &healed(3));
        assert_eq!(result.verdict, Verdict::Pass, "{}", result.detail);
        assert_eq!(result.facts["longest_open_after_heal_ms"], 1_000);
    }

    #[test]
    fn beyond_f_the_figures_are_given_and_not_judged() {
        let disturbed = Disturbed {
            healed: None,
            excesses: vec![Excess {
                from: Duration::from_secs(1),
                to: None,
                faulty: 2,
            }],
        };
        let result = judged(&[(0, 100, true)], [10, 10], &disturbed);
        assert_eq!(result.verdict, Verdict::Skipped);
        assert!(
            result.detail.starts_with(
                "more than f replicas were faulty from 1 s on, so the run promises safety, not liveness; longest"
            ),
            "{}",
            result.detail
        );
        assert_eq!(result.facts["longest_stall_ms"], 9_900);
    }
}
