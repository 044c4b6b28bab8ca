//! From words on the command line to sides: finding runs, and reading of them what a comparison needs.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::error::CompareError;
use super::side::{LABELS, Side};
use crate::archive::{find_place, find_run};
use crate::campaign::Kind;
use crate::record::{Environment, RUN_SCHEMA, Repeat, RunStatus, RunVerdict};

const RUN_FILE: &str = "run.json";

/// What says on the command line where results are.
const RESULTS_OPTION: &str = "--results";

/// A run as far as a comparison needs it: nothing else of run.json is read, so that results of other versions can be compared, too.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// The kind of document; [`RUN_SCHEMA`] once it has been read.
    pub schema: String,
    /// Name of the run's directory.
    pub id: String,
    /// Name of the scenario.
    pub name: String,
    /// Whether it ran to its end.
    pub status: RunStatus,
    /// What came of it.
    pub verdict: RunVerdict,
    /// The effective scenario.
    pub scenario: Value,
    /// Machine, build, durability, authentication.
    pub environment: Environment,
    /// One entry for each repeat.
    pub repeats: Vec<Repeat>,
    /// The cluster file, if the cluster was not started by this run.
    pub attached: Option<String>,
    /// What the run itself found doubtful.
    pub warnings: Vec<String>,
    /// Where run.json lies; not part of it.
    #[serde(skip)]
    pub directory: Option<PathBuf>,
}

/// Finds and reads the sides, the baseline first. Each of `words` is a run's directory or run.json, a folder of runs of one
/// thing, or an id, the beginning of one, or `@1` (newest) among the runs in `results`.
///
/// # Errors
/// Fewer than two words or more than [`LABELS`]; a run that is not found, cannot be read or has no repeats.
pub fn read_sides(results: &Path, words: &[String]) -> Result<Vec<Side>, CompareError> {
    if words.len() < 2 {
        return Err(CompareError::TooFew);
    }
    if words.len() > LABELS.len() {
        return Err(CompareError::TooMany(words.len()));
    }
    let side = |(label, word): (&'static str, &String)| {
        let (place, files) = locate(results, word)?;
        let runs: Result<Vec<Measured>, CompareError> =
            files.iter().map(|file| read(file)).collect();
        Ok(Side {
            label,
            place,
            runs: runs?,
        })
    };
    LABELS.into_iter().zip(words).map(side).collect()
}

/// What was meant, and the files run.json of it.
fn locate(results: &Path, word: &str) -> Result<(PathBuf, Vec<PathBuf>), CompareError> {
    let given = Path::new(word);
    if given.is_file() {
        return Ok((given.to_owned(), vec![given.to_owned()]));
    }
    let folder = match given.is_dir() {
        true => given.to_owned(),
        false => find_place(results, word, RESULTS_OPTION).map_err(CompareError::NotFound)?,
    };
    if !folder.join(RUN_FILE).is_file() && Kind::of(&folder).is_none() {
        let inside = runs_inside(&folder);
        if !inside.is_empty() {
            return Ok((folder, inside));
        }
    }
    let directory = find_run(results, word, RESULTS_OPTION).map_err(CompareError::NotFound)?;
    let file = directory.join(RUN_FILE);
    Ok((directory, vec![file]))
}

/// The files run.json one level below a folder, the oldest run first; none if it is no folder.
fn runs_inside(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        // `latest` points to one of the others.
        .filter(|entry| !entry.path().is_symlink())
        .map(|entry| entry.path().join(RUN_FILE))
        .filter(|file| file.is_file())
        .collect();
    // Their directories begin with their times.
    files.sort_unstable();
    files
}

fn read(file: &Path) -> Result<Measured, CompareError> {
    let unreadable = |reason: String| CompareError::Unreadable {
        path: file.to_owned(),
        reason,
    };
    let text = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    let mut run: Measured = serde_json::from_slice(&text)
        .map_err(|error| unreadable(format!("is no result of `bench run`: {error}")))?;
    if run.schema != RUN_SCHEMA {
        return Err(unreadable(format!(
            "has the schema {:?}, not {RUN_SCHEMA:?}: give a directory that `bench run` left",
            run.schema
        )));
    }
    run.directory = file.parent().map(Path::to_owned);
    if run.repeats.is_empty() {
        return Err(CompareError::Empty(file.to_owned()));
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_has_two_sides_and_a_letter_for_each() {
        let read = |count: usize| read_sides(Path::new("nowhere"), &vec!["x".to_owned(); count]);
        assert_eq!(read(1).err(), Some(CompareError::TooFew));
        assert_eq!(read(27).err(), Some(CompareError::TooMany(27)));
        assert!(matches!(read(2), Err(CompareError::NotFound(_))));
    }

    #[test]
    fn what_a_document_lacks_is_not_made_up() {
        let text = r#"{"schema": "bench.run/v1", "name": "x", "repeats": [{"throughput_ops_s": 5.0,
            "checks": {"agreement": {}}}], "summary": {}, "new": 1}"#;
        let run: Measured = serde_json::from_str(text).expect("all that counts is there");
        assert_eq!((run.repeats.len(), run.environment.cores), (1, 0));
        assert!(run.scenario.is_null() && run.directory.is_none());
    }
}
