//! Whether runs are answers to one question, and what else a reader of a comparison must know.

use super::difference::{Difference, MACHINE, differences};
use super::read::Measured;
use super::side::Side;
use crate::record::{RunStatus, RunVerdict};

/// Facts that make two runs two experiments.
const DECISIVE: [&str; 5] = [
    "durability",
    "cluster.storage.durability",
    "authentication",
    "cluster.f",
    "cluster.n",
];

/// Settings of what was asked of the cluster.
const WORKLOAD: &str = "workload.";

/// Why runs must not be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The fields and their values.
    pub what: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Whether the two are answers to one question: `None` if they are.
pub(super) fn obstacle(baseline: &Side, candidate: &Side) -> Option<Obstacle> {
    let decisive = |found: &&Difference| {
        DECISIVE.contains(&found.key.as_str()) || found.key.starts_with(WORKLOAD)
    };
    let all: Vec<String> = differences(baseline.first(), candidate.first())
        .iter()
        .filter(decisive)
        .map(|found| unlike(found, baseline.label, candidate.label))
        .collect();
    (!all.is_empty()).then(|| Obstacle {
        what: format!("{}, so they are different experiments", all.join(", ")),
        remedy: "run one of them again with the other's values",
    })
}

/// What is wrong with a side by itself: runs that did not end well, and repeats of different things.
pub(super) fn flaws(side: &Side) -> Vec<Obstacle> {
    let mut all = Vec::new();
    let mut flaw = |what, remedy| all.push(Obstacle { what, remedy });
    for run in &side.runs {
        let named = format!("{} ({})", side.label, run.id);
        let status = match run.status {
            RunStatus::Completed => None,
            RunStatus::Interrupted => Some("interrupted"),
            RunStatus::Failed => Some("failed"),
        };
        if let Some(status) = status {
            flaw(
                format!(
                    "the status of {named} is {status}, not completed, so its results are partial"
                ),
                "run it again",
            );
        }
        if run.verdict == RunVerdict::SafetyViolation {
            flaw(
                format!(
                    "the verdict of {named} is safety-violation, so no figure of it means anything"
                ),
                "look into that first",
            );
        }
        if let Some(found) = differences(side.first(), run).first() {
            flaw(
                format!(
                    "{} holds runs of different things: {}",
                    side.place.display(),
                    unlike(found, &side.first().id, &run.id)
                ),
                "give a folder with runs of one thing",
            );
        }
    }
    all
}

/// What makes a comparison doubtful but not void, one sentence each.
pub(super) fn doubts(baseline: &Side, candidate: &Side) -> Vec<String> {
    let mut all = Vec::new();
    let (one, other) = (baseline.first(), candidate.first());
    let (a, b) = (baseline.label, candidate.label);
    if one.directory.is_some() && one.directory == other.directory {
        all.push(format!("{a} and {b} are the same run"));
    }
    let machine: Vec<String> = differences(one, other)
        .iter()
        .filter(|found| MACHINE.contains(&found.key.as_str()))
        .map(|found| unlike(found, a, b))
        .collect();
    if !machine.is_empty() {
        all.push(format!(
            "the machines differ ({}): what changed may be the machine; run both on one, taking turns",
            machine.join(", ")
        ));
    }
    let (commit, build) = (&one.environment, &other.environment);
    if commit.build != build.build {
        all.push(format!(
            "{a} is a {} build and {b} a {} build: build both with --release",
            commit.build, build.build
        ));
    }
    if commit.dirty && build.dirty && commit.commit == build.commit {
        all.push(format!(
            "{a} and {b} were built from commit {} with uncommitted changes, so what differs in the code is not recorded; commit before measuring",
            commit.commit.get(..12).unwrap_or(&commit.commit)
        ));
    }
    all
}

/// What a side says against itself, one sentence each.
pub(super) fn own_doubts(side: &Side) -> Vec<String> {
    let label = side.label;
    let count = |of: fn(&Measured) -> bool| side.runs.iter().filter(|run| of(run)).count();
    let place = |count: usize| match side.runs.len() {
        1 => label.to_owned(),
        all => format!("{label} ({count} of its {all} runs)"),
    };
    let mut all = Vec::new();
    if side.first().environment.build == "debug" {
        all.push(format!(
            "{label} is a debug build: build with --release before you believe a number"
        ));
    }
    let stalled = count(|run| run.verdict == RunVerdict::LivenessViolation);
    if stalled > 0 {
        all.push(format!(
            "{} stood still for longer than it may (liveness-violation): its figures are those of a cluster in trouble",
            place(stalled)
        ));
    }
    let missed = count(|run| run.verdict == RunVerdict::SloMissed);
    if missed > 0 {
        all.push(format!(
            "{} missed an objective or expectation",
            place(missed)
        ));
    }
    let warned = count(|run| !run.warnings.is_empty());
    if warned > 0 {
        let first = side.runs.iter().find_map(|run| run.warnings.first());
        all.push(format!(
            "{} has warnings of its own, such as: {}",
            place(warned),
            first.map_or("", String::as_str)
        ));
    }
    all
}

fn unlike(found: &Difference, one: &str, other: &str) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
    format!(
        "{} is {} in {one} and {} in {other}",
        found.key,
        value(&found.baseline),
        value(&found.candidate)
    )
}
