//! A copy of what a replica wrote, taken at some time and put back later: a restored backup, or a disk that lied about what it held.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use network::genesis::{CLUSTER_FILE, REPLICA_KEY};
use replica::evidence::EVIDENCE;
use replica::storage::sqlite::DATA;

use crate::cluster::{COMMITTED_STEM, EXECUTED_STEM};
use crate::scenario::schema::Extent;

/// A directory beside the replica's, with a copy in it. Removed when it is dropped.
#[derive(Debug)]
pub struct Image {
    place: PathBuf,
}

impl Image {
    /// Copies what the replica in `home` wrote to `place`, which must not exist. Nothing may write there meanwhile.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn take(home: &Path, place: PathBuf) -> io::Result<Self> {
        let image = Image { place };
        fs::create_dir(&image.place)?;
        for path in written(home)? {
            copy(&path, &image.place.join(name(&path)))?;
        }
        Ok(image)
    }

    /// Puts the copy back into the directory of a replica that does not run.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn restore(&self, home: &Path, files: Extent) -> io::Result<()> {
        lose(home, files)?;
        match files {
            Extent::Data => copy(&self.place.join(DATA), &home.join(DATA)),
            Extent::Databases => {
                fs::create_dir_all(home.join(DATA))?;
                for path in entries(&self.place.join(DATA))? {
                    if path.extension().is_some_and(|extension| extension == "db") {
                        copy(&path, &home.join(DATA).join(name(&path)))?;
                    }
                }
                Ok(())
            }
            Extent::Everything => {
                for path in entries(&self.place)? {
                    copy(&path, &home.join(name(&path)))?;
                }
                Ok(())
            }
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.place) {
            tracing::warn!("{} stays behind: {error}", self.place.display());
        }
    }
}

/// Removes what the replica in `home` wrote: its data, or also what it keeps beside them to notice their loss. Who it is (its key
/// and the cluster file) is restored with the machine, and the committed logs belong to the run.
///
/// # Errors
/// If something cannot be removed.
pub fn lose(home: &Path, files: Extent) -> io::Result<()> {
    let lost = match files {
        Extent::Data | Extent::Databases => vec![home.join(DATA)],
        Extent::Everything => written(home)?,
    };
    for path in lost {
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path.exists() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// All that a replica ever wrote in its directory.
fn written(home: &Path) -> io::Result<Vec<PathBuf>> {
    let theirs = |path: &PathBuf| {
        let name = name(path);
        // Who it is, and what the run keeps of it.
        let kept = [CLUSTER_FILE, REPLICA_KEY, EVIDENCE].contains(&name.as_str());
        let log = [COMMITTED_STEM, EXECUTED_STEM]
            .iter()
            .any(|stem| name.starts_with(stem));
        !kept && !log
    };
    Ok(entries(home)?.into_iter().filter(theirs).collect())
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        paths.push(entry?.path());
    }
    // In the same order on every file system.
    paths.sort_unstable();
    Ok(paths)
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir_all(to)?;
    for path in entries(from)? {
        copy(&path, &to.join(name(&path)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A replica's directory with one word in every file.
    fn write(home: &Path, word: &str) {
        fs::create_dir_all(home.join(DATA)).unwrap();
        let files = ["log.anchor", "data/log.db", "data/log.db-wal"];
        for file in files {
            fs::write(home.join(file), word).unwrap();
        }
    }

    fn read(home: &Path, file: &str) -> Option<String> {
        fs::read_to_string(home.join(file)).ok()
    }

    #[test]
    fn an_old_copy_comes_back_as_far_as_it_is_asked_for() {
        for (files, anchor, log, wal) in [
            (Extent::Data, "new", Some("old"), Some("old")),
            (Extent::Databases, "new", Some("old"), None),
            (Extent::Everything, "old", Some("old"), Some("old")),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let home = directory.path().join("replica-0");
            write(&home, "old");
            fs::write(home.join(REPLICA_KEY), "key").unwrap();
            let image = Image::take(&home, directory.path().join("copy")).unwrap();
            write(&home, "new");
            image.restore(&home, files).unwrap();
            assert_eq!(read(&home, "log.anchor").as_deref(), Some(anchor));
            assert_eq!(read(&home, "data/log.db").as_deref(), log);
            assert_eq!(read(&home, "data/log.db-wal").as_deref(), wal);
            assert_eq!(read(&home, REPLICA_KEY).as_deref(), Some("key"));
            drop(image);
            assert!(!directory.path().join("copy").exists());
        }
    }

    #[test]
    fn a_lost_disk_leaves_who_the_replica_is_and_what_the_run_needs() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path();
        write(home, "x");
        let kept = [
            CLUSTER_FILE,
            REPLICA_KEY,
            "committed.jsonl",
            "committed.2.jsonl",
            "executed.bin",
            EVIDENCE,
        ];
        for name in kept.into_iter().chain(["LOCK", "founding"]) {
            fs::write(home.join(name), b"x").unwrap();
        }
        lose(home, Extent::Data).unwrap();
        assert!(!home.join(DATA).exists() && home.join("log.anchor").exists());
        lose(home, Extent::Everything).unwrap();
        let mut left: Vec<String> = entries(home)
            .unwrap()
            .iter()
            .map(|path| name(path))
            .collect();
        left.sort_unstable();
        let mut expected = kept.map(str::to_owned);
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
}
