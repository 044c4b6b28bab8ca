//! A line for each run, sweep, search and scorecard in a results directory.

use std::path::Path;

use serde::Serialize;

use super::find::{RUN_FILE, ids};
use super::read::read_run;
use super::several::{Several, read_several};
use crate::campaign::Kind;
use crate::record::{RunStatus, RunVerdict};

/// The `schema` of the document.
pub const LIST_SCHEMA: &str = "bench.list/v1";

/// What a results directory holds, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listing {
    /// [`LIST_SCHEMA`].
    pub schema: &'static str,
    /// Where they are.
    pub directory: String,
    /// How many there are, those without an end included.
    pub count: usize,
    /// The newest of them.
    pub runs: Vec<RunLine>,
}

/// One run in short. What its results do not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunLine {
    /// What names it on a command line, counted from the newest: `@1`; `None` if it has no results.
    pub at: Option<String>,
    /// `run`, `sweep`, `search` or `scorecard`.
    pub kind: &'static str,
    /// The name of its directory.
    pub id: String,
    /// The name of the scenario.
    pub name: String,
    /// When it began, as the id has it: UTC.
    pub when: String,
    /// Whether it came to its end.
    pub status: State,
    /// What came of it; of several runs the worst.
    pub verdict: Option<RunVerdict>,
    /// Repeats that it has; the runs of a sweep, a search or a scorecard.
    pub repeats: Option<usize>,
    /// Median over the repeats, successful operations per second.
    pub throughput_ops_s: Option<f64>,
    /// Median over the repeats of the 99th percentile from the intended start, microseconds.
    pub p99_us: Option<f64>,
    /// What the cluster promised about its disk.
    pub durability: Option<String>,
    /// Commit of the program.
    pub commit: Option<String>,
    /// Whether the program had changes that no commit holds.
    pub dirty: Option<bool>,
    /// Why its results cannot be read, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// How far a run came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// To its end.
    #[default]
    Completed,
    /// Somebody stopped it; the results are partial.
    Interrupted,
    /// It could not go on; the results are partial.
    Failed,
    /// It left no results: it goes on, or was cut off.
    Incomplete,
    /// Its results cannot be read.
    Unreadable,
}

impl State {
    /// As tables and documents write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Lists the newest `limit` runs in `directory`.
///
/// # Errors
/// The directory cannot be read; the sentence names it.
pub fn list_runs(directory: &Path, limit: usize) -> Result<Listing, String> {
    let entries = std::fs::read_dir(directory)
        .map_err(|error| format!("{} cannot be read: {error}", directory.display()))?;
    let (ended, cut) = ids(entries);
    let count = ended.len() + cut.len();
    let ended = (1..).zip(ended.into_iter().rev());
    let mut all: Vec<(Option<usize>, String)> = ended.map(|(back, id)| (Some(back), id)).collect();
    all.extend(cut.into_iter().map(|id| (None, id)));
    all.sort_by(|(_, one), (_, other)| other.cmp(one));
    all.truncate(limit);
    Ok(Listing {
        schema: LIST_SCHEMA,
        directory: directory.display().to_string(),
        count,
        runs: all
            .into_iter()
            .map(|(back, id)| line(directory, back, id))
            .collect(),
    })
}

fn line(out: &Path, back: Option<usize>, id: String) -> RunLine {
    let (when, rest) = id.split_once('_').unwrap_or(("", &id));
    let name = rest.rsplit_once('_').map_or(rest, |(name, _)| name);
    let kind = Kind::of(&out.join(&id)).filter(|_| !out.join(&id).join(RUN_FILE).is_file());
    let named = RunLine {
        kind: kind.map_or("run", |kind| kind.noun),
        at: back.map(|back| format!("@{back}")),
        name: name.to_owned(),
        when: when.to_owned(),
        id: id.clone(),
        ..RunLine::default()
    };
    if back.is_none() {
        return RunLine {
            status: State::Incomplete,
            ..named
        };
    }
    // A median over no repeat, or of no operation, is none.
    let some = |number: f64| (number > 0.0).then_some(number);
    let said = |word: &str| (!matches!(word, "" | "unknown")).then(|| word.to_owned());
    if let Some(kind) = kind {
        return match read_several(&out.join(&id), kind) {
            Ok(Several {
                name,
                status,
                verdict,
                runs,
                environment,
            }) => RunLine {
                name: name.unwrap_or_else(|| named.name.clone()),
                status,
                verdict,
                repeats: Some(runs),
                durability: said(&environment.durability),
                dirty: said(&environment.commit).map(|_| environment.dirty),
                commit: said(&environment.commit),
                ..named
            },
            Err(why) => RunLine {
                status: State::Unreadable,
                unreadable: Some(why),
                ..named
            },
        };
    }
    let run = match read_run(&out.join(&id)) {
        Ok(run) => run,
        Err(why) => {
            return RunLine {
                status: State::Unreadable,
                unreadable: Some(why),
                ..named
            };
        }
    };
    let known = said(&run.environment.commit).is_some();
    RunLine {
        name: if run.name.is_empty() {
            named.name.clone()
        } else {
            run.name
        },
        status: match run.status {
            RunStatus::Completed => State::Completed,
            RunStatus::Interrupted => State::Interrupted,
            RunStatus::Failed => State::Failed,
        },
        verdict: Some(run.verdict),
        repeats: Some(run.repeats.len()),
        throughput_ops_s: (!run.repeats.is_empty()).then_some(run.summary.throughput_ops_s.median),
        p99_us: some(run.summary.p99_us.median),
        durability: said(&run.environment.durability),
        commit: said(&run.environment.commit),
        dirty: known.then_some(run.environment.dirty),
        ..named
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::archive::find_run;
    use crate::record::{Environment, Estimate, INCOMPLETE_MARK, Repeat, Run, Summary, write_json};

    fn run(out: &Path, id: &str, throughput: f64) {
        let median = |median| Estimate {
            median,
            ..Estimate::default()
        };
        let run = Run {
            id: id.to_owned(),
            name: "a_b".to_owned(),
            repeats: vec![Repeat::default()],
            summary: Summary {
                throughput_ops_s: median(throughput),
                ..Summary::default()
            },
            environment: Environment {
                commit: "c0ffee".to_owned(),
                dirty: true,
                ..Environment::default()
            },
            ..Run::default()
        };
        std::fs::create_dir(out.join(id)).unwrap();
        write_json(&out.join(id).join("run.json"), &run).unwrap();
    }

    #[test]
    fn the_newest_is_first_and_found_by_the_name_beside_it() {
        let out = tempfile::tempdir().unwrap();
        run(out.path(), "20260101T000000Z_a-b_0001", 5.0);
        run(out.path(), "20260103T000000Z_a-b_0003", 7.0);
        for (id, file) in [
            ("20260102T000000Z_cut_0002", INCOMPLETE_MARK),
            ("20260104T000000Z_torn_0004", "run.json"),
        ] {
            std::fs::create_dir(out.path().join(id)).unwrap();
            std::fs::write(out.path().join(id).join(file), "{").unwrap();
        }
        let listing = list_runs(out.path(), 10).unwrap();
        let states: Vec<State> = listing.runs.iter().map(|line| line.status).collect();
        use State::{Completed, Incomplete, Unreadable};
        assert_eq!(states, [Unreadable, Completed, Incomplete, Completed]);
        for line in &listing.runs {
            if let Some(at) = &line.at {
                let found = find_run(out.path(), at, "--results").unwrap();
                assert!(found.ends_with(&line.id), "{at} is {}", found.display());
            }
        }
        let newest = &listing.runs[1];
        assert_eq!(newest.throughput_ops_s, Some(7.0));
        assert_eq!(newest.p99_us, None, "nothing was measured, which is not 0");
        assert_eq!(
            (newest.name.as_str(), newest.dirty),
            ("a_b", Some(true)),
            "the scenario's own name, not the directory's"
        );
        assert_eq!(listing.runs[2].name, "cut");
        assert_eq!(listing.count, 4);
        assert_eq!(list_runs(out.path(), 1).unwrap().runs.len(), 1);
    }

    #[test]
    fn a_sweep_has_a_line_with_the_worst_of_its_runs() {
        let out = tempfile::tempdir().unwrap();
        run(out.path(), "20260101T000000Z_a-b_0001", 5.0);
        let leave = |id: &str, file: &str, document: &str| {
            std::fs::create_dir(out.path().join(id)).unwrap();
            std::fs::write(out.path().join(id).join(file), document).unwrap();
        };
        leave(
            "20260102T000000Z_s_0002",
            "sweep.json",
            r#"{"schema": "bench.sweep/v1", "name": "s", "status": "interrupted", "environment": {"commit": "c0ffee", "durability": "full"},
                "cells": [{"runs": [{"verdict": "pass"}, {"verdict": "liveness-violation"}]}, {"runs": [{"verdict": "slo-missed"}]}]}"#,
        );
        leave(
            "20260103T000000Z_q_0003",
            "saturate.json",
            r#"{"schema": "bench.saturate/v1", "name": "q", "status": "running", "probes": [{"repeats": [{}, {}]}, {"repeats": [{}]}]}"#,
        );
        leave(
            "20260104T000000Z_sweep",
            "scorecard.json",
            r#"{"schema": "bench.scorecard/v1", "environment": null, "rows": [{"verdict": "pass"}]}"#,
        );
        leave(
            "20260105T000000Z_t_0005",
            "sweep.json",
            r#"{"schema": "other"}"#,
        );
        let listing = list_runs(out.path(), 10).unwrap();
        let lines: Vec<_> = listing
            .runs
            .iter()
            .map(|line| {
                (
                    line.at.as_deref().unwrap(),
                    line.kind,
                    line.name.as_str(),
                    line.status,
                    line.verdict,
                    line.repeats,
                )
            })
            .collect();
        use RunVerdict::{LivenessViolation, Pass};
        assert_eq!(
            lines,
            [
                ("@1", "sweep", "t", State::Unreadable, None, None),
                (
                    "@2",
                    "scorecard",
                    "sweep",
                    State::Completed,
                    Some(Pass),
                    Some(1)
                ),
                ("@3", "search", "q", State::Incomplete, None, Some(3)),
                (
                    "@4",
                    "sweep",
                    "s",
                    State::Interrupted,
                    Some(LivenessViolation),
                    Some(3)
                ),
                ("@5", "run", "a_b", State::Completed, Some(Pass), Some(1)),
            ]
        );
        let why = listing.runs[0].unreadable.as_deref().unwrap();
        assert!(
            why.contains("sweep.json") && why.contains("\"other\""),
            "{why}"
        );
        assert_eq!(listing.runs[3].commit.as_deref(), Some("c0ffee"));
        assert_eq!(listing.runs[1].commit, None);
    }

    #[test]
    fn a_place_that_is_not_there_is_named() {
        let message = list_runs(Path::new("no/such/place"), 1).unwrap_err();
        assert!(message.starts_with("no/such/place"), "{message}");
    }
}
