//! The directory of a sweep: made, or found again when one was stopped.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use super::document::SweepStatus;
use super::{Experiment, Row};
use crate::archive::read_run;
use crate::exit::Exit;
use crate::options::RunError;
use crate::record::{Environment, INCOMPLETE_MARK, RunDirectory, RunStatus, write_file};

/// The document in the directory of a sweep.
pub const SWEEP_FILE: &str = "sweep.json";
/// The scenario with every value, by which a sweep is known again.
const EFFECTIVE: &str = "effective.toml";
/// The file that a sweep under way holds.
const LOCK: &str = "lock";
/// Which program runs it.
const PROGRAM: &str = "program";
/// Where runs go that count for no cell.
const ASIDE: &str = "aside";

/// The directory of a sweep that may be written to.
#[derive(Debug)]
pub struct Opened {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was there before.
    pub resumed: bool,
    /// The machine and the program.
    pub environment: Environment,
    /// What it holds already, by cell and repeat.
    pub(super) rows: Vec<Vec<Option<Row>>>,
    /// Held for as long as the sweep is under way.
    _lock: File,
}

/// What of a sweep.json tells whether it is the one that is meant.
#[derive(Deserialize)]
struct Known {
    name: String,
    status: SweepStatus,
    environment: Environment,
}

/// Finds the newest sweep of this name in `out` that did not come to its end, or makes a new one. `fresh` never looks.
/// `program` tells one program from another: its commit says too little while somebody works on it.
///
/// # Errors
/// The one that was stopped is of another scenario, program or machine, or goes on; or nothing can be written.
pub fn open(
    out: &Path,
    experiment: &Experiment,
    environment: Environment,
    program: &str,
    fresh: bool,
) -> Result<Opened, RunError> {
    let name = &experiment.base.scenario.name;
    let path = match (fresh, unfinished(out, name)) {
        (false, Some((path, known))) => {
            refuse_another(experiment, &environment, program, &path, &known)?;
            Some(path)
        }
        _ => None,
    };
    let resumed = path.is_some();
    let path = match path {
        Some(path) => path,
        None => create(out, experiment, program)?,
    };
    let lock = lock(&path)?;
    Ok(Opened {
        rows: measured(&path, experiment),
        path,
        resumed,
        environment,
        _lock: lock,
    })
}

impl Opened {
    /// The name of the directory.
    #[must_use]
    pub fn id(&self) -> String {
        let name = self.path.file_name();
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Runs that it held when it was opened.
    #[must_use]
    pub fn measured(&self) -> usize {
        self.rows.iter().flatten().flatten().count()
    }

    /// Moves a run out of its cell: it counts for nothing, and nothing that was measured is thrown away.
    pub(super) fn set_aside(&self, run: &Path) -> Result<(), RunError> {
        let aside = self.path.join(ASIDE);
        let set_aside = || {
            fs::create_dir_all(&aside)?;
            let Some(name) = run.file_name() else {
                return Ok(());
            };
            fs::rename(run, aside.join(name))
        };
        set_aside().map_err(|error: io::Error| unwritable(&self.path, &error))
    }
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> RunError {
    RunError::new(
        Exit::Environment,
        format!(
            "cannot write the sweep in {}: {error}; make room there, or choose another directory with --out DIR",
            path.display()
        ),
    )
}

fn unfinished(out: &Path, name: &str) -> Option<(PathBuf, Known)> {
    let entries = fs::read_dir(out).ok()?.flatten();
    let mut found: Vec<(PathBuf, Known)> = entries
        .filter(|entry| !entry.path().is_symlink())
        .filter_map(|entry| {
            let text = fs::read(entry.path().join(SWEEP_FILE)).ok()?;
            let known: Known = serde_json::from_slice(&text).ok()?;
            let same = known.name == name && known.status != SweepStatus::Completed;
            same.then(|| (entry.path(), known))
        })
        .collect();
    // Their directories begin with their times.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.pop()
}

/// Cells of two scenarios, programs or machines under one roof would be compared as if they were of one.
fn refuse_another(
    experiment: &Experiment,
    environment: &Environment,
    program: &str,
    path: &Path,
    known: &Known,
) -> Result<(), RunError> {
    let refuse = |what: String| {
        let message = format!(
            "{} was stopped before its end, and {what}: put that back to go on with it, or begin a new sweep with --fresh",
            path.display()
        );
        Err(RunError::new(Exit::Usage, message))
    };
    let before = fs::read_to_string(path.join(EFFECTIVE)).unwrap_or_default();
    let now = experiment.base.effective_toml();
    if before != now {
        let lines = before.lines().zip(now.lines());
        let first = lines.into_iter().find(|(before, now)| before != now);
        return refuse(match first {
            Some((before, now)) => {
                format!("the scenario has changed since: it said `{before}`, and now says `{now}`")
            }
            None => "the scenario has changed since: it has more or fewer lines".to_owned(),
        });
    }
    let of = |environment: &Environment| {
        let Environment {
            cpu,
            cores,
            memory_bytes,
            ..
        } = environment.clone();
        [
            ("CPU", cpu),
            ("number of cores", cores.to_string()),
            ("memory", memory_bytes.to_string()),
        ]
    };
    for ((what, before), (_, now)) in of(&known.environment).into_iter().zip(of(environment)) {
        if before != now {
            return refuse(format!("the {what} was {before} and is {now} now"));
        }
    }
    let before = fs::read_to_string(path.join(PROGRAM)).unwrap_or_default();
    if before.trim() != program {
        return refuse(format!(
            "the program is another one now (it was built from {}, this one from {})",
            commit(&known.environment),
            commit(environment)
        ));
    }
    Ok(())
}

fn commit(environment: &Environment) -> String {
    let dirty = if environment.dirty { ", changed" } else { "" };
    format!("{}{dirty}", environment.commit)
}

fn create(out: &Path, experiment: &Experiment, program: &str) -> Result<PathBuf, RunError> {
    let name = &experiment.base.scenario.name;
    let directory = RunDirectory::create(out, name, Timestamp::now())
        .map_err(|error| RunError::new(Exit::Environment, error.to_string()))?;
    let path = directory.path();
    let fill = || {
        write_file(
            &path.join("scenario.toml"),
            experiment.base.source_text().as_bytes(),
        )?;
        write_file(
            &path.join(EFFECTIVE),
            experiment.base.effective_toml().as_bytes(),
        )?;
        write_file(&path.join(PROGRAM), program.as_bytes())?;
        // How far it is stands in its own document.
        fs::remove_file(path.join(INCOMPLETE_MARK))
    };
    fill().map_err(|error: io::Error| unwritable(&path, &error))?;
    Ok(path)
}

fn lock(path: &Path) -> Result<File, RunError> {
    let file = File::create(path.join(LOCK)).map_err(|error| unwritable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::new(
            Exit::Environment,
            format!(
                "{} goes on in another process: wait for it, or begin another with --fresh",
                path.display()
            ),
        )),
        Err(TryLockError::Error(error)) => Err(unwritable(path, &error)),
    }
}

/// What the folders of the cells hold.
fn measured(path: &Path, experiment: &Experiment) -> Vec<Vec<Option<Row>>> {
    let of_cell = |(index, cell): (usize, &crate::scenario::Cell)| {
        let mut rows = vec![None; experiment.repeats as usize];
        let entries = fs::read_dir(path.join(&cell.directory));
        for entry in entries.into_iter().flatten().flatten() {
            if entry.path().is_symlink() {
                continue;
            }
            let Ok(run) = read_run(&entry.path()) else {
                continue;
            };
            let seed = run.repeats.first().map(|repeat| repeat.seed);
            let number = (1..=experiment.repeats)
                .find(|number| seed == Some(experiment.seed(index, *number)));
            if let (Some(number), RunStatus::Completed) = (number, run.status) {
                let place = format!("{}/{}", cell.directory, run.id);
                rows[(number - 1) as usize] = Row::of(&run, number, &place);
            }
        }
        rows
    };
    experiment.cells.iter().enumerate().map(of_cell).collect()
}
