//! The checkers over what a repeat left.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use super::liveness::{self, Disturbed, Watched};
use crate::check::{
    CheckResult, CommittedLog, check_agreement, check_linearizable, check_read_back,
};
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

/// What happened to the cluster meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Circumstances {
    /// How long the clients were watched.
    pub(super) watched: Watched,
    /// The faults.
    pub(super) disturbed: Disturbed,
    /// Whether the committed logs are the replicas' own files.
    pub(super) local: bool,
}

impl Circumstances {
    /// Whether the committed logs hold all that any client can have been told of: of a file whose writer was killed the
    /// last lines are missing, but up to f of them are no loss.
    fn logs_are_complete(&self) -> bool {
        self.local && self.disturbed.excesses.is_empty()
    }
}

/// Runs every check that the scenario asks for.
pub(super) fn check(
    scenario: &Scenario,
    logs: &[CommittedLog],
    history: Option<&Path>,
    mode: HistoryMode,
    recording: &Recording,
    circumstances: &Circumstances,
    requests: Requests,
) -> Checks {
    let Circumstances {
        watched, disturbed, ..
    } = circumstances;
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
        liveness: liveness::judge(recording, *watched, &asked.liveness, disturbed),
        read_back: check_read_back(
            &recording.acknowledged,
            &recording.read_back,
            circumstances.logs_are_complete().then_some(logs),
        ),
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
            "the replicas did not say what they executed: they have other clients, or none ran from the beginning to the end",
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
}
