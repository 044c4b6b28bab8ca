//! A replica's directory and the lock that makes it one process's.
//!
//! SQLite's own exclusive lock would do for each database, but it is taken file by file and its
//! message is "database is locked". The lock file says who has the directory, and it lies beside the
//! data, not in it: taking the data away does not let a second process in. The kernel drops the lock
//! with the process, however that ends.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::StorageError;

/// The data directory within a replica's directory.
pub const DATA: &str = "data";
/// The lock file within a replica's directory.
const LOCK: &str = "LOCK";
/// What a lock file is read up to: a process id.
const HOLDER_BYTES_MAX: u64 = 32;

/// A replica's directory, locked for as long as a clone of this lives.
#[derive(Clone)]
pub struct Home {
    path: PathBuf,
    _lock: Arc<File>,
}

impl Home {
    /// Creates the directory if need be (for its owner only) and locks it.
    ///
    /// # Errors
    /// If it cannot be created or written, or another process has it.
    pub fn lock(path: &Path) -> Result<Self, StorageError> {
        create(path)?;
        let lock_path = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|source| unwritable(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StorageError::AlreadyInUse {
                    directory: path.to_owned(),
                    holder: holder(&lock),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(&lock_path, source)),
        }
        let note = format!("{}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.write_all(note.as_bytes()))
            .map_err(|source| io_error(&lock_path, &source))?;
        Ok(Home {
            path: path.to_owned(),
            _lock: Arc::new(lock),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The data directory in it, which may be missing.
    pub fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Creates the data directory if it is missing.
    pub(super) fn create_data(&self) -> Result<(), StorageError> {
        let data = self.data();
        if data.is_dir() {
            return Ok(());
        }
        create(&data)?;
        self.sync()
    }

    /// Makes the names of the files directly in it durable.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync(&self) -> Result<(), StorageError> {
        sync(&self.path)
    }
}

/// Makes the names of the files in `directory` durable.
pub(super) fn sync(directory: &Path) -> Result<(), StorageError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| io_error(directory, &source))
}

fn create(path: &Path) -> Result<(), StorageError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| unwritable(path, source))
}

/// An [`StorageError::Unwritable`] or [`StorageError::Full`] for `path`.
pub(super) fn unwritable(path: &Path, source: io::Error) -> StorageError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => io_error(path, &source),
        _ => StorageError::Unwritable {
            path: path.to_owned(),
            reason: source,
        },
    }
}

/// An [`StorageError::Io`] or [`StorageError::Full`] on `file`.
pub(super) fn io_error(file: &Path, source: &io::Error) -> StorageError {
    let file = file.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full { file },
        _ => StorageError::Io {
            file,
            what: source.to_string(),
        },
    }
}

fn holder(lock: &File) -> String {
    let mut note = String::new();
    match lock.take(HOLDER_BYTES_MAX).read_to_string(&mut note) {
        Ok(_) if !note.trim().is_empty() => format!("process {}", note.trim()),
        _ => "another process".to_owned(),
    }
}
