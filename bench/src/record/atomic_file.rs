//! Files that appear complete or not at all: written as `<name>.partial`, renamed when done.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A file under its temporary name. Dropped without [`AtomicFile::commit`], it is removed.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    partial: PathBuf,
    writer: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// Opens `<path>.partial`.
    ///
    /// # Errors
    /// The file system's, with the path in the message.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|error| naming(&partial, &error))?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            writer: Some(BufWriter::with_capacity(64 * 1024, file)),
        })
    }

    /// Writes out what is buffered and gives the file its name, replacing an older one.
    ///
    /// # Errors
    /// The file system's, with the path in the message.
    pub fn commit(mut self) -> io::Result<()> {
        let renamed = self
            .open()
            .and_then(|writer| writer.flush())
            .and_then(|()| fs::rename(&self.partial, &self.path));
        if renamed.is_ok() {
            self.writer = None;
        }
        renamed.map_err(|error| naming(&self.path, &error))
    }

    fn open(&mut self) -> io::Result<&mut BufWriter<File>> {
        self.writer
            .as_mut()
            .ok_or_else(|| io::Error::other("written after commit"))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // What is buffered is not worth writing to a file that goes away.
            drop(writer.into_parts());
            let _gone = fs::remove_file(&self.partial);
        }
    }
}

/// Writes a whole file at once.
///
/// # Errors
/// The file system's, with the path in the message.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Writes a value as indented JSON.
///
/// # Errors
/// The file system's, with the path in the message.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    serde_json::to_writer_pretty(&mut file, value)?;
    file.write_all(b"\n")?;
    file.commit()
}

pub(super) fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_appears_complete_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.json");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        write_file(&path, b"first").unwrap();
        write_file(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_error_names_the_file() {
        let error = write_file(Path::new("/nonexistent/run.json"), b"").unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/run.json"),
            "{error}"
        );
    }
}
