//! The checkers over what a repeat left.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use crate::check::{CheckResult, CommittedLog, check_agreement, check_linearizable};
use crate::record::{Checks, HistoryLine, HistoryMode, Recording};
use crate::scenario::schema::Scenario;

/// Requests of the whole repeat, load phase and warm-up included, from both ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Requests {
    /// Clients accepted an answer.
    pub(super) answered: u64,
    /// Clients gave up: executed or not, nobody knows.
    pub(super) unknown: u64,
    /// Executed by the replica that got furthest, each counted once; `None` if that is not known,
    /// or if other clients may have had a part in it.
    pub(super) executed: Option<u64>,
}

/// How long the clients were watched, from the beginning of the measured phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    /// Until the load ended.
    pub(super) measured: Duration,
    /// Until every answer had come or was given up.
    pub(super) drained: Duration,
}

/// Runs every check that the scenario asks for.
pub(super) fn check(
    scenario: &Scenario,
    logs: &[CommittedLog],
    history: Option<&Path>,
    mode: HistoryMode,
    recording: &Recording,
    watched: Watched,
    requests: Requests,
) -> Checks {
    let asked = &scenario.check;
    let not_asked = || CheckResult::skipped("the scenario does not ask for it");
    let agreement = check_agreement(logs);
    Checks {
        agreement: if asked.agreement {
            agreement.result()
        } else {
            not_asked()
        },
        state: if !asked.state {
            not_asked()
        } else if !agreement.violations.is_empty() {
            CheckResult::fail(agreement.result().detail)
        } else if agreement.checkpoints_compared == 0 {
            CheckResult::skipped("no checkpoint was taken by two replicas: the run was too short")
        } else {
            CheckResult::pass(format!(
                "state digests equal at {} checkpoints",
                agreement.checkpoints_compared
            ))
            .with("checkpoints", agreement.checkpoints_compared)
        },
        linearizable: match history {
            Some(path) if mode != HistoryMode::Off => linearizable(path),
            _ => CheckResult::skipped("no history was kept"),
        },
        exactly_once: if asked.exactly_once {
            exactly_once(requests)
        } else {
            not_asked()
        },
        liveness: liveness(recording, watched, asked.liveness.max_stall),
    }
}

fn linearizable(path: &Path) -> CheckResult {
    let read = || -> std::io::Result<Vec<HistoryLine>> {
        BufReader::new(File::open(path)?)
            .lines()
            .map(|line| Ok(serde_json::from_str(&line?)?))
            .collect()
    };
    match read() {
        Ok(lines) => check_linearizable(&lines).result(),
        Err(error) => CheckResult::skipped(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Every answered request was executed, and nothing was executed more often than it was asked for.
/// An execution too many or a lost one changes the count; which request it was, the history says.
fn exactly_once(requests: Requests) -> CheckResult {
    let Requests {
        answered,
        unknown,
        executed,
    } = requests;
    let Some(executed) = executed else {
        return CheckResult::skipped(
            "the replicas did not say what they executed, or have other clients",
        );
    };
    let result = if executed < answered {
        CheckResult::fail(format!(
            "{answered} requests were answered, but only {executed} executed: {} are lost",
            answered - executed
        ))
        .with("lost_requests", answered - executed)
    } else if executed > answered + unknown {
        CheckResult::fail(format!(
            "{executed} requests were executed, but only {} asked for: {} were executed twice",
            answered + unknown,
            executed - answered - unknown
        ))
    } else {
        CheckResult::pass(format!(
            "{executed} requests executed, {answered} answered, {unknown} of unknown outcome"
        ))
    };
    result.with("requests", executed)
}

/// The longest time in which no operation was answered although clients waited: while the load
/// went on, and behind its end for as long as somebody waited in vain.
fn liveness(recording: &Recording, watched: Watched, max_stall: Duration) -> CheckResult {
    let stall = recording.longest_stall(if recording.counters.unknown > 0 {
        watched.drained
    } else {
        watched.measured
    });
    let ms = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
    // Counted in buckets of 100 ms that saw no answer.
    let longest = if ms == 0 {
        "less than 100 ms".to_owned()
    } else {
        format!("{ms} ms")
    };
    let detail = format!(
        "longest time without an answer {longest}, at most {} ms allowed",
        max_stall.as_millis()
    );
    let result = if stall > max_stall {
        CheckResult::fail(detail)
    } else {
        CheckResult::pass(detail)
    };
    result.with("longest_stall_ms", ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    fn verdict(answered: u64, unknown: u64, executed: Option<u64>) -> Verdict {
        exactly_once(Requests {
            answered,
            unknown,
            executed,
        })
        .verdict
    }

    #[test]
    fn a_request_executed_twice_or_lost_is_a_violation() {
        assert_eq!(verdict(10, 0, Some(10)), Verdict::Pass);
        assert_eq!(verdict(10, 2, Some(11)), Verdict::Pass);
        assert_eq!(verdict(10, 0, Some(11)), Verdict::Fail);
        assert_eq!(verdict(10, 2, Some(13)), Verdict::Fail);
        assert_eq!(verdict(10, 5, Some(9)), Verdict::Fail);
        assert_eq!(verdict(10, 0, None), Verdict::Skipped);
    }

    #[test]
    fn a_stall_longer_than_allowed_is_a_violation() {
        let judged = |unknown, measured, drained| {
            let mut recording = Recording::default();
            recording.counters.unknown = unknown;
            let watched = Watched {
                measured: Duration::from_secs(measured),
                drained: Duration::from_secs(drained),
            };
            liveness(&recording, watched, Duration::from_secs(5)).verdict
        };
        assert_eq!(judged(0, 10, 10), Verdict::Fail);
        assert_eq!(judged(0, 3, 9), Verdict::Pass, "nobody waited any more");
        assert_eq!(judged(1, 3, 9), Verdict::Fail, "somebody waited in vain");
    }
}
