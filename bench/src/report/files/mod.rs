//! What a report rests on: run.json and the files beside it, read as they are. What is missing stays missing, with the
//! reason in a sentence, so that a figure can say why it is not there.

mod columns;
mod commits;
mod happenings;
mod percentiles;

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

pub(crate) use columns::{Columns, Groups};
pub(crate) use commits::{Conflict, batch_sizes, conflict, liars, path_word};
pub(crate) use happenings::Happening;
pub(crate) use percentiles::{Percentile, WANTED as WANTED_PERCENTILES, at as percentile_at};

use crate::record::{INCOMPLETE_MARK, RUN_SCHEMA, Repeat, Run, RunVerdict};

/// The file of results.
const RUN_FILE: &str = "run.json";

/// What a run cannot be reported on without.
const NEEDED: [&str; 5] = ["id", "name", "status", "verdict", "repeats"];

/// A run and its directory.
#[derive(Debug)]
pub struct RunFiles {
    /// What run.json says.
    pub run: Run,
    /// The same as it is written, with what this version knows no name for.
    raw: Value,
    directory: PathBuf,
}

/// Why there is nothing to report on.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A run that was cut off before its results were written.
    #[error("{} was cut off before its results were written ({INCOMPLETE_MARK}, and no {RUN_FILE}): run it again with `bench run {}`", .0.display(), .0.join("effective.toml").display())]
    CutOff(PathBuf),
    /// It is not there, or is something else.
    #[error("{} {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
}

impl RunFiles {
    /// Reads the run.json of a directory.
    ///
    /// # Errors
    /// [`ReportError`]: no such file, or one of something else.
    pub fn read(directory: &Path) -> Result<Self, ReportError> {
        let path = directory.join(RUN_FILE);
        let unreadable = |reason: String| ReportError::Unreadable {
            path: path.clone(),
            reason,
        };
        if !path.is_file() && directory.join(INCOMPLETE_MARK).exists() {
            return Err(ReportError::CutOff(directory.to_owned()));
        }
        let text = std::fs::read(&path).map_err(|error| {
            unreadable(format!(
                "cannot be read: {error}; give a directory that `bench run` left"
            ))
        })?;
        let raw: Value = serde_json::from_slice(&text).map_err(|error| {
            unreadable(format!(
                "is no result of `bench run`: {error}; it was altered or cut, so run the scenario again"
            ))
        })?;
        let schema = raw
            .get("schema")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if schema != RUN_SCHEMA {
            return Err(unreadable(format!(
                "has the schema {schema:?}, not {RUN_SCHEMA:?}: give a directory that `bench run` left"
            )));
        }
        // What is not there must not be taken for the best that it could say.
        if let Some(lacking) = NEEDED.iter().find(|name| raw.get(**name).is_none()) {
            return Err(unreadable(format!(
                "has no `{lacking}`, which every result has: it was altered, so run the scenario again"
            )));
        }
        let run = Run::deserialize(&raw).map_err(|error| {
            unreadable(format!(
                "is no result of `bench run`: {error}; it was altered, so run the scenario again"
            ))
        })?;
        Ok(Self {
            run,
            raw,
            directory: directory.to_owned(),
        })
    }

    /// A run that has just ended, with its directory.
    ///
    /// # Errors
    /// A value that JSON cannot hold.
    pub fn of(run: &Run, directory: &Path) -> Result<Self, serde_json::Error> {
        Ok(Self {
            run: run.clone(),
            raw: serde_json::to_value(run)?,
            directory: directory.to_owned(),
        })
    }

    /// Where it lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The repeat whose course is drawn: the first one that went gravely wrong, or else the one in the middle by throughput.
    /// `None` without repeats.
    pub(crate) fn shown(&self) -> Option<RepeatFiles<'_>> {
        let repeats = &self.run.repeats;
        let wrong = |verdict: RunVerdict| {
            repeats
                .iter()
                .position(|repeat| repeat.verdict() == verdict)
        };
        let index = wrong(RunVerdict::SafetyViolation)
            .or_else(|| wrong(RunVerdict::LivenessViolation))
            .or_else(|| {
                let mut order: Vec<usize> = (0..repeats.len()).collect();
                order.sort_by(|a, b| {
                    let of = |index: &usize| repeats[*index].throughput_ops_s;
                    of(a).total_cmp(&of(b))
                });
                order.get(order.len().saturating_sub(1) / 2).copied()
            })?;
        self.repeat(index)
    }

    /// A repeat, from 0.
    pub(crate) fn repeat(&self, index: usize) -> Option<RepeatFiles<'_>> {
        Some(RepeatFiles {
            run: self,
            repeat: self.run.repeats.get(index)?,
            raw: self.raw.pointer(&format!("/repeats/{index}")),
            index,
        })
    }
}

/// A repeat with its directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RepeatFiles<'r> {
    run: &'r RunFiles,
    pub(crate) repeat: &'r Repeat,
    raw: Option<&'r Value>,
    index: usize,
}

impl<'r> RepeatFiles<'r> {
    /// From 1.
    pub(crate) fn number(&self) -> usize {
        self.index + 1
    }

    /// The run that it belongs to.
    pub(crate) fn run(&self) -> &'r RunFiles {
        self.run
    }

    /// `repeat-<number>/<name>`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.run
            .directory
            .join(format!("repeat-{}", self.number()))
            .join(name)
    }

    /// A part of its entry in run.json, if this run has it.
    pub(crate) fn fact<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let value = self
            .raw
            .and_then(|raw| raw.get(name))
            .ok_or_else(|| format!("run.json has no `{name}`: it was written by a version that did not measure this, or no replica reported it."))?;
        T::deserialize(value)
            .map_err(|error| format!("`{name}` in run.json is not understood: {error}."))
    }

    /// What clients saw in each 100 ms.
    pub(crate) fn series(&self) -> Result<Columns, String> {
        Columns::read(&self.path("timeseries.csv"))
    }

    /// What each replica said of itself at each look.
    pub(crate) fn replicas(&self) -> Result<Columns, String> {
        Columns::read(&self.path("replicas.csv"))
    }

    /// What each replica needed at each look.
    pub(crate) fn resources(&self) -> Result<Columns, String> {
        Columns::read(&self.path("resources.csv"))
    }

    /// The latency curve of all operations: from the intended start, or from sending.
    pub(crate) fn percentiles(&self, service: bool) -> Result<Vec<Percentile>, String> {
        let name = if service { "service" } else { "all" };
        percentiles::read(&self.path(&format!("latency/{name}.hgrm")))
    }

    /// What happened besides operations, in the order of time.
    pub(crate) fn happenings(&self) -> Result<Vec<Happening>, String> {
        happenings::read(&self.path("events.jsonl"))
    }

    /// Replicas, as the scenario says.
    pub(crate) fn members(&self) -> u32 {
        let n = self.run.run.scenario.pointer("/cluster/n");
        let n = n
            .and_then(Value::as_u64)
            .and_then(|n| u32::try_from(n).ok());
        n.unwrap_or_default()
    }
}

/// A file's name as sentences give it: with its folder.
fn named(path: &Path) -> String {
    let mut parts: Vec<_> = path.iter().rev().take(2).collect();
    parts.reverse();
    parts
        .iter()
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

/// Why a file is not used.
fn unused(path: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("{} is not there.", named(path)),
        _ => format!("{} cannot be read: {error}.", named(path)),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
