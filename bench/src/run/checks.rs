//! The checkers over what a repeat left.

use super::liveness::{self, Disturbed, Watched};
use crate::check::{CheckResult, Reexecution, Remains, Signatures, Verdicts, check_read_back};
use crate::record::{Checks, Recording};
use crate::scenario::schema::Scenario;

/// Requests of the whole repeat, load phase and warm-up included, from both ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requests {
    /// Clients accepted an answer.
    pub(crate) answered: u64,
    /// Clients gave up: executed or not, nobody knows.
    pub(crate) unknown: u64,
    /// Hostile clients asked for: executed or not, nobody counted.
    pub(crate) hostile: u64,
    /// Took effect, each counted once: in the log executed again, or else at the replica that got furthest; `None` if that
    /// is not known, or if other clients may have had a part in it.
    pub(crate) executed: Option<u64>,
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

/// Runs every check that the scenario asks for. `resources` is left for others to fill.
pub(super) fn check(
    scenario: &Scenario,
    remains: &Remains,
    recording: &Recording,
    circumstances: &Circumstances,
    requests: Requests,
) -> (Checks, Verdicts) {
    let Circumstances {
        watched, disturbed, ..
    } = circumstances;
    let asked = &scenario.check;
    let verdicts = remains.judge(Signatures::Sample(scenario.seed));
    let if_asked = |asked: bool, result: &CheckResult| match asked {
        true => result.clone(),
        false => CheckResult::skipped("the scenario does not ask for it"),
    };
    let executed = verdicts
        .reexecution
        .as_ref()
        .filter(|again| again.is_complete())
        .map(|again| executed_of(again, scenario.load.clients));
    // The log tells whose requests it holds; the replicas' own counts do not.
    let requests = match executed {
        Some(_) => Requests {
            executed,
            hostile: 0,
            ..requests
        },
        None => requests,
    };
    let checks = Checks {
        agreement: if_asked(asked.agreement, &verdicts.agreement),
        state: if_asked(asked.state, &verdicts.state),
        integrity: if_asked(asked.state, &verdicts.integrity),
        evidence: verdicts.evidence.clone(),
        linearizable: verdicts.linearizable.clone(),
        exactly_once: if_asked(asked.exactly_once, &exactly_once(requests)),
        liveness: liveness::judge(recording, *watched, &asked.liveness, disturbed),
        read_back: check_read_back(
            &recording.acknowledged,
            &recording.read_back,
            circumstances
                .logs_are_complete()
                .then_some(&remains.committed),
        ),
        resources: CheckResult::default(),
    };
    (checks, verdicts)
}

/// Requests of the correct clients that took effect when the log was executed again: those numbered from 0 on.
pub(crate) fn executed_of(again: &Reexecution, clients: u32) -> u64 {
    again
        .requests_of
        .range(..clients)
        .map(|(_, count)| count)
        .sum()
}

/// Facts beside the verdict, by which it can be repeated.
pub(crate) const ANSWERED: &str = "answered_requests";
/// See [`ANSWERED`].
pub(crate) const UNKNOWN: &str = "unknown_requests";

/// Every answered request was executed, and nothing was executed more often than it was asked for.
/// An execution too many or a lost one changes the count; which request it was, the history says.
pub(crate) fn exactly_once(requests: Requests) -> CheckResult {
    let Requests {
        answered,
        unknown,
        hostile,
        executed,
    } = requests;
    let most = answered + unknown + hostile;
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
    } else if executed > most {
        CheckResult::fail(format!(
            "{executed} requests were executed, but only {most} asked for: {} were executed twice",
            executed - most
        ))
    } else {
        let others = match hostile {
            0 => String::new(),
            _ => format!(", up to {hostile} of hostile clients"),
        };
        CheckResult::pass(format!(
            "{executed} requests executed, {answered} answered, {unknown} of unknown outcome{others}"
        ))
    };
    result
        .with("requests", executed)
        .with(ANSWERED, answered)
        .with(UNKNOWN, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    fn verdict(answered: u64, unknown: u64, executed: Option<u64>) -> Verdict {
        exactly_once(Requests {
            answered,
            unknown,
            hostile: 0,
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
    fn what_hostile_clients_asked_for_is_no_unknown_outcome() {
        let judged = exactly_once(Requests {
            answered: 10,
            unknown: 1,
            hostile: 5,
            executed: Some(14),
        });
        assert_eq!(judged.verdict, Verdict::Pass);
        assert_eq!(judged.facts[UNKNOWN], 1);
        assert!(
            judged.detail.contains("up to 5 of hostile clients"),
            "{}",
            judged.detail
        );
    }
}
