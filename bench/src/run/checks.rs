//! The checkers over what a repeat left.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use crate::check::{CheckResult, CommittedLog, check_agreement, check_linearizable};
use crate::record::{Checks, HistoryLine, HistoryMode, Recording};
use crate::scenario::schema::Scenario;

/// Runs every check that the scenario asks for.
pub(super) fn check(
    scenario: &Scenario,
    logs: &[CommittedLog],
    history: Option<&Path>,
    mode: HistoryMode,
    recording: &Recording,
    measured: Duration,
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
            CheckResult::skipped(
                "no offline checker in this version; the simulator checks it on every seed",
            )
        } else {
            not_asked()
        },
        liveness: liveness(recording, measured, asked.liveness.max_stall),
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

/// The longest time in which no operation was answered although the load went on.
fn liveness(recording: &Recording, measured: Duration, max_stall: Duration) -> CheckResult {
    let stall = recording.longest_stall(measured);
    let ms = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
    let detail = format!(
        "longest time without an answer {ms} ms, at most {} ms allowed",
        max_stall.as_millis()
    );
    let result = if stall > max_stall {
        CheckResult::fail(detail)
    } else {
        CheckResult::pass(detail)
    };
    result.with("longest_stall_ms", ms)
}
