//! Linearizability of a history, key by key.
//!
//! Linearizability is local (Herlihy and Wing 1990): a history of many keys is linearizable if and only if each key's part is, as long as each operation touches one key.
//! Scans touch several and are left out, and a transaction is checked as the single operations it executed; the detail says so. The history must begin with an
//! empty map, so the lines of the load phase belong to it. Operations of unknown outcome may have happened at any time after their call, or never.

use std::collections::BTreeMap;

use super::CheckResult;
use super::register::{ABSENT, ValueId, Values, action_of};
use super::search::{Found, Step, search};
use super::shrink::{Core, shrink};
use crate::record::{HistoryLine, HistoryResult, LineStatus};
use crate::workload::OperationKind;

/// Violations spelled out in the detail; the rest is only counted.
const VIOLATIONS_SHOWN_MAX: usize = 3;
/// Choices remembered for one key before the search gives up undecided.
const CHOICES_MAX: usize = 1_000_000;
/// Keys whose violations are reduced to the operations that show them.
const REDUCED_MAX: u64 = 3;
/// Operations of a reduced history that are shown.
const OPERATIONS_SHOWN_MAX: usize = 16;
/// Threads that search keys.
const THREADS_MAX: usize = 16;

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
    /// Of the first of these keys: the fewest operations that no order explains, whatever the others did.
    pub counterexample: Vec<HistoryLine>,
    /// The others are those that were called by this time.
    pub counterexample_until: u64,
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
    let keys: Vec<(&str, Vec<usize>)> = keys.into_iter().collect();
    let mut reduced = 0;
    for ((key, indices), found) in keys.iter().zip(check_keys(lines, &keys)) {
        report.keys += 1;
        report.operations += indices.len() as u64;
        match found {
            Checked::Linearizable => {}
            Checked::Undecided => report.keys_undecided += 1,
            Checked::Impossible(violation) => {
                report.violations.push(format!("key {key}: {violation}"));
            }
            Checked::Violation(mut violation, steps, values) => {
                reduced += 1;
                if reduced <= REDUCED_MAX {
                    let core = shrink(&steps, values);
                    violation += &reason(lines, &core);
                    if report.counterexample.is_empty() {
                        let line = |step: &Step| lines[step.line].clone();
                        report.counterexample = core.steps.iter().map(line).collect();
                        report.counterexample_until = core.until;
                    }
                }
                report.violations.push(format!("key {key}: {violation}"));
            }
        }
    }
    report
}

/// What came of one key.
enum Checked {
    Linearizable,
    Undecided,
    /// An operation that no execution explains.
    Impossible(String),
    /// No order explains these steps; the number is that of their values.
    Violation(String, Vec<Step>, usize),
}

/// Searches all keys, several at a time: none has to do with another.
fn check_keys(lines: &[HistoryLine], keys: &[(&str, Vec<usize>)]) -> Vec<Checked> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = threads.min(THREADS_MAX).min(keys.len()).max(1);
    let mut found: Vec<(usize, Checked)> = std::thread::scope(|scope| {
        let search = |thread: usize| {
            let mine = keys.iter().enumerate().skip(thread).step_by(threads);
            mine.map(|(index, (_, indices))| (index, check_key(lines, indices)))
                .collect::<Vec<_>>()
        };
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || search(thread)))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("a search does not panic"))
            .collect()
    });
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, checked)| checked).collect()
}

fn check_key(lines: &[HistoryLine], indices: &[usize]) -> Checked {
    let mut values = Values::default();
    let mut steps = Vec::with_capacity(indices.len());
    for &index in indices {
        let line = &lines[index];
        let action = match action_of(line, &mut values) {
            Ok(Some(action)) => action,
            Ok(None) => continue,
            Err(problem) => {
                return Checked::Impossible(format!("{problem} ({})", describe(line)));
            }
        };
        let ret = line.ret.filter(|_| line.status != LineStatus::Unknown);
        steps.push(Step {
            call: line.call,
            ret,
            action,
            seq: line.seq,
            line: index,
        });
    }
    let total = steps.len();
    match search(steps.clone(), values.count(), CHOICES_MAX) {
        Found::Linearizable => Checked::Linearizable,
        Found::Undecided => Checked::Undecided,
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
            Checked::Violation(text, steps, values.count())
        }
    }
}

/// The operations that show it, as a sentence.
fn reason(lines: &[HistoryLine], core: &Core) -> String {
    let mut shown: Vec<String> = core
        .steps
        .iter()
        .take(OPERATIONS_SHOWN_MAX)
        .map(|step| describe(&lines[step.line]))
        .collect();
    let more = core.steps.len().saturating_sub(OPERATIONS_SHOWN_MAX);
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    format!(
        "; whatever the others did that were called by {} ns, no order explains {}",
        core.until,
        shown.join(" + ")
    )
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
            counterexample,
            counterexample_until,
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
        let result = match serde_json::to_value(counterexample) {
            Ok(lines) if !counterexample.is_empty() => result
                .with("counterexample", lines)
                .with("counterexample_until_ns", *counterexample_until),
            _ => result,
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
