//! State: the replicas hold what the log says, and clients were told what the log says.
//!
//! Equal digests at equal checkpoints show that the replicas agree with each other; executing the log again
//! ([`super::reexecute`]) shows that they agree with the meaning of the operations, too.

use super::agreement::AgreementReport;
use super::{CheckResult, Reexecution};

/// Violations spelled out in the detail; the rest is only counted.
const SHOWN_MAX: u64 = 3;

/// What there is to execute again.
#[derive(Debug)]
pub enum Contents<'a> {
    /// It was done.
    Executed(&'a Reexecution),
    /// The replicas run elsewhere, so that nobody has their executed logs.
    Elsewhere,
    /// The logs should be there and are not: why.
    Missing(String),
}

/// Puts both together.
#[must_use]
pub fn check_state(agreement: &AgreementReport, contents: &Contents<'_>) -> CheckResult {
    let digests = format!(
        "state digests equal at {} checkpoints",
        agreement.checkpoints_compared
    );
    if !agreement.violations.is_empty() {
        return CheckResult::fail(agreement.result().detail);
    }
    match contents {
        Contents::Elsewhere if agreement.checkpoints_compared == 0 => {
            CheckResult::skipped("no checkpoint was taken by two replicas: the run was too short")
        }
        Contents::Elsewhere => CheckResult::pass(format!(
            "{digests}; not executed again, since the replicas that run elsewhere keep no contents"
        )),
        Contents::Missing(why) => {
            CheckResult::skipped(format!("{digests}, but nothing was executed again: {why}"))
        }
        Contents::Executed(again) => executed(&digests, again),
    }
    .with("checkpoints", agreement.checkpoints_compared)
}

fn executed(digests: &str, again: &Reexecution) -> CheckResult {
    let Reexecution {
        upto,
        ends,
        checkpoints,
        answers,
        answers_beyond,
        violations,
        ..
    } = again;
    let what = format!(
        "{upto} slots executed again: {checkpoints} state digests and {answers} answers are those of the replicas"
    );
    let result = if violations.count > 0 {
        let shown: Vec<&str> = violations
            .sentences
            .iter()
            .take(usize::try_from(SHOWN_MAX).unwrap_or(usize::MAX))
            .map(String::as_str)
            .collect();
        let more = violations.count.saturating_sub(SHOWN_MAX);
        let mut detail = shown.join("; ");
        if more > 0 {
            detail.push_str(&format!("; and {more} more"));
        }
        CheckResult::fail(detail)
    } else if let Some(why) = ends.as_ref().filter(|_| !again.is_complete()) {
        CheckResult::skipped(format!("{digests}; {what}, but then {why}"))
    } else if *answers_beyond > 0 {
        CheckResult::fail(format!(
            "clients have {answers_beyond} answers from beyond sequence number {upto}, the last that any replica committed"
        ))
    } else if checkpoints + answers == 0 {
        CheckResult::skipped(format!(
            "{upto} slots executed again, but there was no checkpoint and no answer to compare with"
        ))
    } else {
        CheckResult::pass(format!("{digests}; {what}"))
    };
    result
        .with("slots_executed_again", *upto)
        .with("checkpoints_executed_again", *checkpoints)
        .with("answers_compared", *answers)
        .with("requests_executed_again", again.requests)
        .with("violations", violations.count)
}
