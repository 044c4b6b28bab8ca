//! The directory of a campaign: made, or found again when one was stopped.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::known::Known;
use super::{Kind, Program};
use crate::exit::Exit;
use crate::options::RunError;
use crate::record::{Environment, INCOMPLETE_MARK, RunDirectory, write_file};
use crate::scenario::Loaded;

/// The scenario with every value, by which a campaign is known again.
pub(super) const EFFECTIVE: &str = "effective.toml";
/// Which program runs it.
pub(super) const PROGRAM: &str = "program";
/// The file that a campaign under way holds.
const LOCK: &str = "lock";
/// Where runs go that count for nothing.
const ASIDE: &str = "aside";

/// A campaign as it is asked for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its scenario.
    pub base: &'a Loaded,
    /// What must not change besides: a key of its document, what that is called, its value.
    pub settings: Vec<(&'static str, &'static str, Value)>,
    /// The machine and the program.
    pub environment: &'a Environment,
    /// Tells one program from another: its commit says too little while somebody works on it.
    pub program: &'a Program,
}

/// The directory of a campaign that may be written to.
#[derive(Debug)]
pub struct Campaign {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was there before.
    pub resumed: bool,
    kind: Kind,
    /// Held for as long as it is under way.
    _lock: File,
}

/// Finds the newest campaign of this kind and name in `out` that did not come to its end, or makes a new one. `fresh` never
/// looks.
///
/// # Errors
/// The one that was stopped is of another scenario, program or machine, or goes on; or nothing can be written.
pub fn open(out: &Path, wanted: &Wanted<'_>, fresh: bool) -> Result<Campaign, RunError> {
    let path = match (fresh, unfinished(out, wanted)) {
        (false, Some((path, known))) => {
            known.refuse_another(wanted, &path)?;
            Some(path)
        }
        _ => None,
    };
    let resumed = path.is_some();
    let path = match path {
        Some(path) => path,
        None => create(out, wanted)?,
    };
    let lock = lock(wanted.kind, &path)?;
    Ok(Campaign {
        path,
        resumed,
        kind: wanted.kind,
        _lock: lock,
    })
}

impl Campaign {
    /// The name of the directory.
    #[must_use]
    pub fn id(&self) -> String {
        let name = self.path.file_name();
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Moves a run out of its place: it counts for nothing, and nothing that was measured is thrown away.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn set_aside(&self, run: &Path) -> Result<(), RunError> {
        let aside = self.path.join(ASIDE);
        let set_aside = || {
            fs::create_dir_all(&aside)?;
            let Some(name) = run.file_name() else {
                return Ok(());
            };
            fs::rename(run, aside.join(name))
        };
        set_aside().map_err(|error: io::Error| self.unwritable(&error))
    }

    /// What is said if its files cannot be written.
    #[must_use]
    pub fn unwritable(&self, error: &io::Error) -> RunError {
        unwritable(self.kind, &self.path, error)
    }
}

fn unwritable(kind: Kind, path: &Path, error: &io::Error) -> RunError {
    RunError::new(
        Exit::Environment,
        format!(
            "cannot write the {} in {}: {error}; make room there, or choose another directory with --out DIR",
            kind.noun,
            path.display()
        ),
    )
}

fn unfinished(out: &Path, wanted: &Wanted<'_>) -> Option<(PathBuf, Known)> {
    let name = &wanted.base.scenario.name;
    let entries = fs::read_dir(out).ok()?.flatten();
    let mut found: Vec<(PathBuf, Known)> = entries
        .filter(|entry| !entry.path().is_symlink())
        .filter_map(|entry| {
            let known = Known::read(&entry.path().join(wanted.kind.document))?;
            let same = known.name == *name && known.unfinished();
            same.then(|| (entry.path(), known))
        })
        .collect();
    // Their directories begin with their times.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.pop()
}

fn create(out: &Path, wanted: &Wanted<'_>) -> Result<PathBuf, RunError> {
    let base = wanted.base;
    let directory = RunDirectory::create(out, &base.scenario.name, Timestamp::now())
        .map_err(|error| RunError::new(Exit::Environment, error.to_string()))?;
    let path = directory.path();
    let fill = || {
        write_file(&path.join("scenario.toml"), base.source_text().as_bytes())?;
        write_file(&path.join(EFFECTIVE), base.effective_toml().as_bytes())?;
        write_file(&path.join(PROGRAM), wanted.program.text().as_bytes())?;
        // How far it is stands in its own document.
        fs::remove_file(path.join(INCOMPLETE_MARK))
    };
    fill().map_err(|error: io::Error| unwritable(wanted.kind, &path, &error))?;
    Ok(path)
}

fn lock(kind: Kind, path: &Path) -> Result<File, RunError> {
    let file = File::create(path.join(LOCK)).map_err(|error| unwritable(kind, path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::new(
            Exit::Environment,
            format!(
                "{} goes on in another process: wait for it, or begin another with --fresh",
                path.display()
            ),
        )),
        Err(TryLockError::Error(error)) => Err(unwritable(kind, path, &error)),
    }
}
