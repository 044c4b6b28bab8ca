//! A run in plain words: one paragraph, drawn from its figures.

use std::collections::BTreeSet;

use super::units;
use crate::check::{CheckResult, Verdict};
use crate::judge::why_nothing_succeeded;
use crate::record::{FaultFact, LatencySummary, Repeat, Run, RunStatus, median};

/// Faults that are told one by one.
const FAULTS_MAX: usize = 2;

/// The paragraph.
pub(super) fn story(run: &Run) -> String {
    let mut sentences = vec![service(run)];
    sentences.extend(latency(run));
    sentences.extend(paths(run));
    sentences.extend(faults(run));
    sentences.extend(views(run));
    sentences.extend(proofs(run));
    sentences.push(checks(run));
    sentences.extend(ends(run));
    sentences.join(" ")
}

fn service(run: &Run) -> String {
    let n = run
        .scenario
        .pointer("/cluster/n")
        .and_then(serde_json::Value::as_u64);
    let who = n.map_or_else(
        || "The cluster".to_owned(),
        |n| units::counted(n, "replica"),
    );
    let rate = &run.summary.throughput_ops_s;
    if rate.median <= 0.0 {
        let why = run.repeats.iter().find_map(why_nothing_succeeded);
        let why = why.unwrap_or_else(|| "no repeat came to its measured phase".to_owned());
        return format!("{who} answered nothing: {why}.");
    }
    let seconds = middle(run, |repeat| Some(repeat.duration_s)).unwrap_or_default();
    let spread = match (rate.interval(), rate.repeats) {
        (Some([low, high]), repeats) => format!(
            "(median of {repeats} repeats, 95 % interval {} to {})",
            units::rate(low),
            units::rate(high)
        ),
        (None, 0 | 1) => "in one run, so nobody knows how much of that is chance".to_owned(),
        (None, repeats) => format!("(median of {repeats} repeats, too few for an interval)"),
    };
    format!(
        "{who} answered {} operations a second for {seconds:.1} s {spread}, durability {}.",
        units::number(rate.median),
        run.environment.durability
    )
}

fn latency(run: &Run) -> Option<String> {
    let of = |point: fn(&LatencySummary) -> f64| {
        middle(run, |repeat| {
            repeat
                .latency_us
                .get("all")
                .filter(|all| all.count > 0)
                .map(point)
        })
    };
    let (p50, p99) = (of(|all| all.p50)?, of(|all| all.p99)?);
    Some(format!(
        "Half of them took no longer than {} from the moment when they should have been sent, and 99 of 100 no longer than {}.",
        units::time(p50),
        units::time(p99)
    ))
}

fn paths(run: &Run) -> Option<String> {
    let decided =
        |repeat: &&Repeat| repeat.consensus.fast_path_slots + repeat.consensus.slow_path_slots > 0;
    run.repeats.iter().find(decided)?;
    let share = middle(run, |repeat| {
        decided(&repeat).then_some(repeat.consensus.fast_path_share)
    })?;
    Some(match share {
        0.0 => "Every slot took two rounds of votes.".to_owned(),
        1.0 => "Every slot was decided by one round of votes.".to_owned(),
        share => format!(
            "{} of the slots were decided by one round of votes, the others by two.",
            units::share(share)
        ),
    })
}

fn faults(run: &Run) -> Option<String> {
    let all: Vec<&FaultFact> = run
        .repeats
        .iter()
        .flat_map(|repeat| &repeat.faults)
        .collect();
    let first = run
        .repeats
        .iter()
        .map(|repeat| &repeat.faults)
        .find(|faults| !faults.is_empty())?;
    let ms = |ms: f64| units::time(ms * 1e3);
    let told = first.iter().take(FAULTS_MAX).map(|fault| {
        let answer = fault.first_commit_ms.map_or_else(
            || "no operation that was sent after it was answered".to_owned(),
            |time| {
                format!(
                    "the first operation sent after it was answered within {}",
                    ms(time)
                )
            },
        );
        let back = match fault.recovered_95_ms {
            Some(0.0) => ", and throughput never fell",
            Some(time) => &format!(", and throughput was back at 95 % after {}", ms(time)),
            None => ", and throughput was not seen to come back to 95 %",
        };
        format!("{}: {answer}{back}.", capitalised(&fault.named()))
    });
    let mut text = told.collect::<Vec<_>>().join(" ");
    if all.len() > first.len().min(FAULTS_MAX) {
        let never = all
            .iter()
            .filter(|fault| fault.first_commit_ms.is_none())
            .count();
        let most = all
            .iter()
            .filter_map(|fault| fault.first_commit_ms)
            .reduce(f64::max);
        let place = if run.repeats.len() > 1 {
            "over all repeats"
        } else {
            "in all"
        };
        text.push_str(&format!(" There were {} faults {place}; ", all.len()));
        text.push_str(&match (never, most) {
            (0, Some(most)) => format!("the longest wait for a first answer was {}.", ms(most)),
            (never, _) => format!("after {never} of them nothing was answered."),
        });
    }
    Some(text)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn views(run: &Run) -> Option<String> {
    let each: BTreeSet<u64> = run
        .repeats
        .iter()
        .map(|repeat| repeat.consensus.view_changes)
        .collect();
    let (least, most) = (each.first()?, each.last()?);
    match (least, most) {
        (0, 0) => None,
        (least, most) if least == most => {
            let place = if run.repeats.len() > 1 {
                " in each repeat"
            } else {
                ""
            };
            Some(format!(
                "The view changed {}{place}.",
                match most {
                    1 => "once".to_owned(),
                    most => units::counted(*most, "time"),
                }
            ))
        }
        (least, most) => Some(format!(
            "The view changed {least} to {most} times in a repeat."
        )),
    }
}

fn proofs(run: &Run) -> Option<String> {
    let culprits: BTreeSet<u32> = run
        .repeats
        .iter()
        .flat_map(|repeat| repeat.evidence.iter().map(|fact| fact.culprit))
        .collect();
    let names: Vec<String> = culprits.iter().map(|id| format!("replica {id}")).collect();
    (!names.is_empty()).then(|| format!("Signed contradictions convict {}.", names.join(", ")))
}

fn checks(run: &Run) -> String {
    let all: Vec<(&str, &CheckResult)> = run
        .repeats
        .iter()
        .flat_map(|repeat| super::summary::named_checks(&repeat.checks))
        .collect();
    let with = |verdict: Verdict| -> Vec<&str> {
        let mut names: Vec<&str> = all
            .iter()
            .filter(|(_, check)| check.verdict == verdict)
            .map(|(name, _)| *name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let (failed, skipped) = (with(Verdict::Fail), with(Verdict::Skipped));
    let passed = with(Verdict::Pass).len();
    if all.is_empty() {
        return "Nothing was checked.".to_owned();
    }
    let mut text = match failed.is_empty() {
        false => format!("FAILED checks: {}.", failed.join(", ")),
        true if skipped.is_empty() => {
            let place = if run.repeats.len() > 1 {
                " in every repeat"
            } else {
                ""
            };
            format!("All {passed} checks passed{place}.")
        }
        true => format!("No check failed, and {passed} of them passed."),
    };
    if !skipped.is_empty() {
        text.push_str(&format!(" Not judged: {}.", skipped.join(", ")));
    }
    text
}

fn ends(run: &Run) -> Vec<String> {
    let mut sentences = Vec::new();
    if !run.misses.is_empty() {
        let all: Vec<String> = run.misses.iter().map(ToString::to_string).collect();
        let what = if all.len() == 1 {
            "an objective or expectation"
        } else {
            "objectives or expectations"
        };
        sentences.push(format!("It missed {what}: {}.", all.join("; ")));
    }
    match run.status {
        RunStatus::Completed => {}
        RunStatus::Interrupted => {
            sentences.push("It was interrupted: the figures cover what there was.".to_owned());
        }
        RunStatus::Failed => {
            sentences
                .push("It could not be finished: the figures cover what there was.".to_owned());
        }
    }
    sentences
}

/// The median over those repeats that have a value.
fn middle<'r>(run: &'r Run, of: impl Fn(&'r Repeat) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = run.repeats.iter().filter_map(of).collect();
    (!values.is_empty()).then(|| median(&mut values))
}
