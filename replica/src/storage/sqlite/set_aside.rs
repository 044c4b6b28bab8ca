//! Data that can no longer be trusted is set aside, not deleted: whoever looks for the cause finds it.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::directory::{DATA, Home, io_error, unwritable};
use super::schema::{LOG, STATE};
use crate::storage::StorageError;

/// How many sets of old data are kept; the oldest goes when there would be one more.
pub const SET_ASIDE_MAX: usize = 2;

/// Moves the data directory to `data.damaged-<n>`, n ascending, and removes the anchors, so that the
/// next opening creates new storage. Returns where the data is now, if there was any.
///
/// A crash in between leaves anchors without data, or neither: the first is damage again, the second
/// is new storage, which by itself gives nobody a vote.
///
/// # Errors
/// If the disk refuses.
pub fn set_aside(home: &Home) -> Result<Option<PathBuf>, StorageError> {
    let data = home.data();
    let moved = match fs::read_dir(&data).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            let earlier = numbered(home)?;
            let number = earlier.last().map_or(1, |(last, _)| last.saturating_add(1));
            let surplus = (earlier.len() + 1).saturating_sub(SET_ASIDE_MAX);
            for (_, oldest) in earlier.into_iter().take(surplus) {
                fs::remove_dir_all(&oldest).map_err(|source| unwritable(&oldest, source))?;
            }
            let aside = home.path().join(format!("{DATA}.damaged-{number}"));
            fs::rename(&data, &aside).map_err(|source| unwritable(&data, source))?;
            Some(aside)
        }
        Ok(false) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(unwritable(&data, source)),
    };
    home.sync()?;
    for kind in [&LOG, &STATE] {
        let anchor = kind.anchor(home.path());
        match fs::remove_file(&anchor) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(unwritable(&anchor, source));
            }
            _ => {}
        }
    }
    home.sync()?;
    Ok(moved)
}

/// Where data was set aside, oldest first.
///
/// # Errors
/// If the directory cannot be read.
pub fn aside(home: &Home) -> Result<Vec<PathBuf>, StorageError> {
    let found = numbered(home)?;
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn numbered(home: &Home) -> Result<Vec<(u64, PathBuf)>, StorageError> {
    let mut found = Vec::new();
    let failed = |error: io::Error| io_error(home.path(), &error);
    for entry in fs::read_dir(home.path()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(DATA)?.strip_prefix(".damaged-"))
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            found.push((number, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}
