//! The data directory and the lock that makes it one replica's.
//!
//! SQLite's own exclusive lock would do for each database, but it is taken file by file and its
//! message is "database is locked". The lock file says who has the directory. The kernel drops the
//! lock with the process, however that ends.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::StorageError;

/// What a lock file is read up to: a process id.
const HOLDER_BYTES_MAX: u64 = 32;

/// A data directory, locked for as long as a clone of this lives.
#[derive(Clone)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: Arc<File>,
}

impl Directory {
    /// Creates the directory if need be (for its owner only) and locks it.
    pub(super) fn lock(path: &Path) -> Result<Self, StorageError> {
        let unwritable = |path: &Path, source| StorageError::Unwritable {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| unwritable(path, source))?;
        let lock_path = path.join("LOCK");
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
            .map_err(|source| unwritable(&lock_path, source))?;
        Ok(Directory {
            path: path.to_owned(),
            _lock: Arc::new(lock),
        })
    }

    /// The path of a file in it.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the names of files created in it durable.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        File::open(&self.path)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| io_error(&self.path, &source))
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
