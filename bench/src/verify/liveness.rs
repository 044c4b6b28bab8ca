//! Liveness from the files: standstills from `timeseries.csv`, and how long operations were open after the last fault from the
//! history. Exact to the width of a bucket, 100 ms, as the run's own verdict is.

use std::path::Path;
use std::time::Duration;

use crate::check::CheckResult;
use crate::record::{BUCKET, HistoryLine, Phase, Repeat};
use crate::scenario::Scenario;
use crate::scenario::schema::Excess;

/// Judges the repeat whose files are in `folder`.
pub(super) fn check(
    folder: &Path,
    repeat: &Repeat,
    scenario: &Scenario,
    history: Option<&[HistoryLine]>,
) -> CheckResult {
    let allowed = &scenario.check.liveness;
    let path = folder.join("timeseries.csv");
    let answered = match std::fs::read_to_string(&path) {
        Ok(text) => answered(&text),
        Err(error) => {
            return CheckResult::skipped(format!("{} cannot be read: {error}", path.display()));
        }
    };
    let Some(answered) = answered else {
        return CheckResult::skipped(format!("{} has no column of answers", path.display()));
    };
    let buckets = (repeat.duration_s / BUCKET.as_secs_f64()).ceil() as usize;
    let stall = BUCKET * longest_silence(&answered, buckets);
    let mut detail = format!(
        "longest time without an answer {} ms, at most {} ms allowed",
        stall.as_millis(),
        allowed.max_stall.as_millis()
    );
    // A whole bucket more or less is the width of the figures.
    let mut failed = stall > allowed.max_stall + BUCKET;
    if let Some(healed) = healed(repeat) {
        match (history, repeat.measured_from_ns) {
            (Some(lines), Some(from_ns)) => {
                let open = longest_open(lines, from_ns, healed);
                failed |= open > allowed.after_heal + BUCKET;
                detail.push_str(&format!(
                    "; after the last fault had ended ({:.1} s) an operation was open for {} ms, at most {} ms allowed",
                    healed.as_secs_f64(),
                    open.as_millis(),
                    allowed.after_heal.as_millis()
                ));
            }
            _ => detail.push_str(
                "; how long operations were open after the last fault is not known without a history",
            ),
        }
    }
    let excesses: Vec<String> = scenario.excesses().iter().map(Excess::interval).collect();
    let result = if !excesses.is_empty() {
        CheckResult::skipped(format!(
            "more than f replicas were faulty {}, so the run promises safety, not liveness; {detail}",
            excesses.join(", ")
        ))
    } else if failed {
        CheckResult::fail(detail)
    } else {
        CheckResult::pass(detail)
    };
    result.with(
        "longest_stall_ms",
        u64::try_from(stall.as_millis()).unwrap_or(u64::MAX),
    )
}

/// Answers in each bucket.
fn answered(text: &str) -> Option<Vec<u64>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split(',').collect();
    let column = |name: &str| names.iter().position(|each| *each == name);
    let (ok, failed) = (column("ok")?, column("failed")?);
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
            Some(number(ok)? + number(failed)?)
        })
        .collect()
}

/// The longest row of buckets without an answer, of the first `count`.
fn longest_silence(answered: &[u64], count: usize) -> u32 {
    let (mut longest, mut now) = (0, 0);
    for index in 0..count {
        now = match answered.get(index).copied().unwrap_or_default() {
            0 => now + 1,
            _ => 0,
        };
        longest = longest.max(now);
    }
    longest
}

/// When the last fault had ended; `None` if there was none, or one did not end.
fn healed(repeat: &Repeat) -> Option<Duration> {
    let ends: Option<Vec<f64>> = repeat.faults.iter().map(|fault| fault.end_s).collect();
    let last = ends?.into_iter().fold(f64::NAN, f64::max);
    Duration::try_from_secs_f64(last).ok()
}

/// The longest time after `healed` for which an operation of the measured phase was open; one without an answer until the
/// last answer of all.
fn longest_open(lines: &[HistoryLine], from_ns: u64, healed: Duration) -> Duration {
    let healed_ns = from_ns.saturating_add(u64::try_from(healed.as_nanos()).unwrap_or(u64::MAX));
    let measured = || {
        lines
            .iter()
            .filter(|line| line.phase.is_none() || line.phase == Some(Phase::Measured))
    };
    let last = measured()
        .filter_map(|line| line.ret)
        .max()
        .unwrap_or_default();
    let open = measured().map(|line| {
        let end = line.ret.unwrap_or(last);
        end.saturating_sub(line.call.max(healed_ns))
    });
    Duration::from_nanos(open.max().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn silence_is_counted_within_the_measured_phase() {
        let csv = "t_s,offered,sent,ok,failed,dropped\n0.0,9,9,5,0,0\n0.1,9,9,0,0,0\n0.2,9,9,0,0,0\n0.3,9,9,0,1,0\n";
        let answers = answered(csv).unwrap();
        assert_eq!(answers, [5, 0, 0, 1]);
        assert_eq!(longest_silence(&answers, 4), 2);
        assert_eq!(
            longest_silence(&answers, 9),
            5,
            "nobody answered at the end"
        );
        assert_eq!(answered("t_s,sent\n0,1\n"), None);
    }

    #[test]
    fn an_operation_that_hangs_after_the_last_fault_is_found() {
        let line = |call: u64, ret: Option<u64>| -> HistoryLine {
            let ret = ret.map_or("null".to_owned(), |ret| (ret * 1_000_000).to_string());
            let call = call * 1_000_000;
            serde_json::from_str(&format!(
                r#"{{"client":0,"op":"put","key":"a","value":"1","call":{call},"ret":{ret},"status":"ok"}}"#
            ))
            .unwrap()
        };
        let lines = [
            line(5_000, Some(5_100)),
            line(5_500, Some(9_000)),
            line(8_900, None),
        ];
        let open =
            |healed| longest_open(&lines, 5_000_000_000, Duration::from_secs(healed)).as_millis();
        assert_eq!(open(0), 3_500);
        assert_eq!(open(3), 1_000);
        assert_eq!(open(4), 0);
    }
}
