//! The directory of a run: `<out>/<UTC time>_<name>_<4 hex>/`, and `<out>/latest`, which points to the newest finished one.
//!
//! While the run is under way the directory holds a file `INCOMPLETE`; whoever finds it there later knows that the run was cut off.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{write_file, write_json};

/// The file that marks a run which is not finished.
pub const INCOMPLETE_MARK: &str = "INCOMPLETE";

/// Tries to find a free name before giving up; two runs of one name within a second collide with a chance of one in 65,536.
const NAME_TRIES: usize = 16;

const SCENARIO_NAME_BYTES_MAX: usize = 64;

/// The results cannot be written: the environment's fault, exit code 6.
#[derive(Debug, thiserror::Error)]
#[error("cannot write results to {}: {source}; choose a writable directory with --out DIR, or free space there", path.display())]
pub struct DirectoryError {
    /// The directory.
    pub path: PathBuf,
    /// What the file system said.
    pub source: io::Error,
}

/// Makes sure that results can be written under `out`, by creating it and a file in it. Call it before anything is started.
///
/// # Errors
/// [`DirectoryError`] with the remedy.
pub fn check_writable(out: &Path) -> Result<(), DirectoryError> {
    let attempt = || {
        fs::create_dir_all(out)?;
        tempfile::NamedTempFile::new_in(out).map(drop)
    };
    attempt().map_err(|source| DirectoryError {
        path: out.to_owned(),
        source,
    })
}

/// The directory of one run.
#[derive(Debug)]
pub struct RunDirectory {
    out: PathBuf,
    id: String,
}

/// The directory of one repeat within a run.
#[derive(Debug, Clone)]
pub struct RepeatDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Creates the directory of a run that starts `now`.
    ///
    /// # Errors
    /// [`DirectoryError`] with the remedy.
    pub fn create(out: &Path, name: &str, now: Timestamp) -> Result<Self, DirectoryError> {
        let fail = |source| DirectoryError {
            path: out.to_owned(),
            source,
        };
        fs::create_dir_all(out).map_err(fail)?;
        let mut tries = 0;
        let directory = loop {
            // A fresh hasher's keys are random: four hex digits need no better source.
            let nonce = RandomState::new().hash_one(name) & 0xffff;
            let id = format!(
                "{}_{}_{nonce:04x}",
                now.strftime("%Y%m%dT%H%M%SZ"),
                file_name(name)
            );
            tries += 1;
            match fs::create_dir(out.join(&id)) {
                Ok(()) => {
                    break Self {
                        out: out.to_owned(),
                        id,
                    };
                }
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && tries < NAME_TRIES => {}
                Err(error) => return Err(fail(error)),
            }
        };
        write_file(
            &directory.join(INCOMPLETE_MARK),
            b"This run has not finished, or was cut off: its files may be incomplete.\n",
        )
        .map_err(fail)?;
        Ok(directory)
    }

    /// The name of the directory, which is the id of the run.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id without the scenario's name: start time and four random digits.
    #[must_use]
    pub fn short_id(&self) -> String {
        let ends = [self.id.split('_').next(), self.id.rsplit('_').next()];
        ends.into_iter().flatten().collect::<Vec<_>>().join("-")
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.out.join(&self.id)
    }

    /// A path in the directory.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Creates `repeat-<number>` (from 1) with its subdirectories.
    ///
    /// # Errors
    /// [`DirectoryError`] with the remedy.
    pub fn repeat(&self, number: u32) -> Result<RepeatDirectory, DirectoryError> {
        let path = self.join(&format!("repeat-{number}"));
        let create = || {
            ["latency", "replicas", "evidence", "logs"]
                .iter()
                .try_for_each(|name| fs::create_dir_all(path.join(name)))
        };
        create().map_err(|source| DirectoryError {
            path: path.clone(),
            source,
        })?;
        Ok(RepeatDirectory { path })
    }

    /// Ends the run: writes `run.json`, removes the mark of an unfinished run, and lets `latest` point here. An interrupted run ends this way as well, with
    /// the status `interrupted` in its `run.json`.
    ///
    /// # Errors
    /// [`DirectoryError`] with the remedy.
    pub fn finish(&self, run: &super::Run) -> Result<(), DirectoryError> {
        let finish = || {
            write_json(&self.join("run.json"), run)?;
            fs::remove_file(self.join(INCOMPLETE_MARK))?;
            self.point_latest_here()
        };
        finish().map_err(|source| DirectoryError {
            path: self.path(),
            source,
        })
    }

    /// A link beside the old one, renamed over it: `latest` is never missing in between.
    fn point_latest_here(&self) -> io::Result<()> {
        let new = self.out.join(format!(".latest-{}", self.id));
        std::os::unix::fs::symlink(&self.id, &new)?;
        fs::rename(&new, self.out.join("latest")).inspect_err(|_| {
            let _gone = fs::remove_file(&new);
        })
    }
}

impl RepeatDirectory {
    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// A path in the directory.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// `latency/`.
    #[must_use]
    pub fn latency(&self) -> PathBuf {
        self.join("latency")
    }

    /// `logs/`.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.join("logs")
    }

    /// Creates and returns `replicas/<id>/`.
    ///
    /// # Errors
    /// [`DirectoryError`] with the remedy.
    pub fn replica(&self, id: u32) -> Result<PathBuf, DirectoryError> {
        let path = self.path.join("replicas").join(id.to_string());
        fs::create_dir_all(&path).map_err(|source| DirectoryError {
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }
}

/// A scenario's name as part of a file name.
fn file_name(name: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.') {
            letter
        } else {
            '-'
        }
    };
    let name: String = name
        .chars()
        .map(plain)
        .take(SCENARIO_NAME_BYTES_MAX)
        .collect();
    if name.is_empty() {
        "run".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Run;
    use super::*;

    #[test]
    fn a_run_is_marked_until_it_is_finished_and_latest_follows_the_newest() {
        let out = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-20T21:22:41Z".parse().unwrap();
        let first = RunDirectory::create(out.path(), "fast path/wan", now).unwrap();
        assert!(
            first.id().starts_with("20261120T212241Z_fast-path-wan_"),
            "{}",
            first.id()
        );
        assert_eq!(first.id().rsplit('_').next().unwrap().len(), 4);
        assert!(first.join(INCOMPLETE_MARK).exists());
        assert!(!out.path().join("latest").exists());

        first.finish(&Run::default()).unwrap();
        assert!(!first.join(INCOMPLETE_MARK).exists());
        let second = RunDirectory::create(out.path(), "fast path/wan", now).unwrap();
        assert_ne!(first.id(), second.id());
        assert_eq!(
            fs::read_link(out.path().join("latest")).unwrap(),
            Path::new(first.id())
        );
        second.finish(&Run::default()).unwrap();
        assert_eq!(
            fs::read_link(out.path().join("latest")).unwrap(),
            Path::new(second.id())
        );
        assert_eq!(
            fs::read_dir(out.path()).unwrap().count(),
            3,
            "nothing temporary is left"
        );
    }

    #[test]
    fn a_repeat_has_its_subdirectories() {
        let out = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(out.path(), "x", Timestamp::UNIX_EPOCH).unwrap();
        let repeat = run.repeat(1).unwrap();
        assert!(
            repeat.latency().is_dir() && repeat.logs().is_dir() && repeat.join("evidence").is_dir()
        );
        assert!(repeat.replica(4).unwrap().ends_with("repeat-1/replicas/4"));
    }

    #[test]
    fn an_unwritable_place_is_refused_with_its_name_and_a_remedy() {
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join("results");
        fs::write(&file, b"in the way").unwrap();
        let message = check_writable(&file).unwrap_err().to_string();
        assert!(
            message.contains(&file.display().to_string()) && message.contains("--out DIR"),
            "{message}"
        );
        check_writable(&out.path().join("new/results")).unwrap();
        assert_eq!(
            fs::read_dir(out.path().join("new/results"))
                .unwrap()
                .count(),
            0
        );
    }
}
