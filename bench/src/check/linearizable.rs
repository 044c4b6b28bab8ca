//! Linearizability of a history, key by key.
//!
//! Linearizability is local (Herlihy and Wing 1990): a history of many keys is linearizable if and only if each key's part is, as long as each operation touches one key.
//! Scans touch several and are left out, and a transaction is checked as the single operations it executed; the detail says so. The history must begin with an
//! empty map, so the lines of the load phase belong to it. Operations of unknown outcome may have happened at any time after their call, or never.

use std::collections::BTreeMap;

use super::CheckResult;
use super::register::{ABSENT, ValueId, Values, action_of};
use super::search::{Found, Step, search};
use crate::record::{HistoryLine, HistoryResult, LineStatus};
use crate::workload::OperationKind;

/// Violations spelled out in the detail; the rest is only counted.
const VIOLATIONS_SHOWN_MAX: usize = 3;

/// What the checker found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinearizableReport {
    /// Operations checked.
    pub operations: u64,
    /// Keys checked.
    pub keys: u64,
    /// Scans, which are not checked.
    pub scans_skipped: u64,
    /// Keys whose search was given up.
    pub keys_undecided: u64,
    /// One sentence for each key that has no linearization.
    pub violations: Vec<String>,
}

/// Checks a history that begins with an empty map; the order of the lines does not matter.
#[must_use]
pub fn check_linearizable(lines: &[HistoryLine]) -> LinearizableReport {
    let mut report = LinearizableReport::default();
    let mut keys = BTreeMap::<&str, Vec<usize>>::new();
    for (index, line) in lines.iter().enumerate() {
        match line.op {
            OperationKind::Scan | OperationKind::Txn => report.scans_skipped += 1,
            _ => keys.entry(&line.key).or_default().push(index),
        }
    }
    for (key, indices) in keys {
        report.keys += 1;
        report.operations += indices.len() as u64;
        match check_key(lines, &indices) {
            Ok(true) => {}
            Ok(false) => report.keys_undecided += 1,
            Err(violation) => report.violations.push(format!("key {key}: {violation}")),
        }
    }
    report
}

/// `Ok(false)`: undecided.
fn check_key(lines: &[HistoryLine], indices: &[usize]) -> Result<bool, String> {
    let mut values = Values::default();
    let mut steps = Vec::with_capacity(indices.len());
    for &index in indices {
        let line = &lines[index];
        if let Some(action) = action_of(line, &mut values)
            .map_err(|problem| format!("{problem} ({})", describe(line)))?
        {
            let ret = if line.status == LineStatus::Unknown {
                None
            } else {
                line.ret
            };
            steps.push(Step {
                call: line.call,
                ret,
                action,
                seq: line.seq,
                line: index,
            });
        }
    }
    let total = steps.len();
    match search(steps.clone(), values.count()) {
        Found::Linearizable => Ok(true),
        Found::Undecided => Ok(false),
        Found::Violation {
            placed,
            state,
            stuck,
        } => {
            let value = if state == ABSENT {
                "absent".to_owned()
            } else {
                format!("holding {}", values.name(state))
            };
            let mut text = format!(
                "no order explains {}: the best one places {placed} of {total} operations and leaves the key {value}",
                describe(&lines[stuck])
            );
            // The stuck operation itself would fit: it waits because somebody who saw the present value was called too late.
            if fits(&steps, stuck, state)
                && let Some(line) = last_observer(&steps, state)
            {
                text += &format!(", which {} saw", describe(&lines[line]));
            }
            Err(text)
        }
    }
}

fn fits(steps: &[Step], line: usize, state: ValueId) -> bool {
    steps
        .iter()
        .any(|step| step.line == line && step.action.holds(state))
}

fn last_observer(steps: &[Step], value: ValueId) -> Option<usize> {
    let observers = steps
        .iter()
        .filter(|step| step.action.observes() == Some(value));
    observers.max_by_key(|step| step.call).map(|step| step.line)
}

fn describe(line: &HistoryLine) -> String {
    let mut text = format!("client {}'s {}", line.client, line.op.name());
    if let Some(expect) = &line.expect {
        text += &format!(" from {expect}");
    }
    if let Some(value) = &line.value {
        text += &format!(" of {value}");
    }
    if let Some(HistoryResult::Value(value)) = &line.result {
        text += &format!(" of {}", value.as_deref().unwrap_or("nothing"));
    }
    let status = match line.status {
        LineStatus::Ok => "ok",
        LineStatus::Fail => "failed",
        LineStatus::Unknown => "unknown",
    };
    match line.ret {
        Some(ret) => text + &format!(" ({status}, {} to {ret} ns)", line.call),
        None => text + &format!(" ({status}, from {} ns)", line.call),
    }
}

impl LinearizableReport {
    /// As it stands in run.json. A key without a verdict, or a history without operations, is no pass.
    #[must_use]
    pub fn result(&self) -> CheckResult {
        let Self {
            operations,
            keys,
            scans_skipped,
            keys_undecided,
            violations,
        } = self;
        let scans = if *scans_skipped > 0 {
            format!("; {scans_skipped} scans not checked")
        } else {
            String::new()
        };
        let result = if !violations.is_empty() {
            let shown = violations
                .iter()
                .take(VIOLATIONS_SHOWN_MAX)
                .cloned()
                .collect::<Vec<_>>()
                .join("; ");
            let more = violations.len().saturating_sub(VIOLATIONS_SHOWN_MAX);
            CheckResult::fail(if more > 0 {
                format!("{shown}; and {more} more keys")
            } else {
                shown
            })
        } else if *keys_undecided > 0 {
            CheckResult::skipped(format!(
                "{keys_undecided} of {keys} keys were too tangled to decide; the others are linearizable{scans}"
            ))
        } else if *operations == 0 {
            CheckResult::skipped(format!(
                "the history has no operation on a single key{scans}"
            ))
        } else {
            CheckResult::pass(format!(
                "{operations} operations on {keys} keys, each key linearizable{scans}"
            ))
        };
        result
            .with("operations", *operations)
            .with("keys", *keys)
            .with("keys_undecided", *keys_undecided)
            .with("scans_skipped", *scans_skipped)
            .with("violations", violations.len())
    }
}

#[cfg(test)]
#[path = "linearizable_tests.rs"]
mod tests;
