//! Key files: one secret key each, readable by its owner alone.
//!
//! A file is one line that says what it is and one line of 64 hexadecimal digits, the Ed25519
//! seed. It is written once and never overwritten; a file that others may read is refused, for
//! its key is no longer a secret. No key goes through arguments, the environment or a log.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::SecretKey;
use crate::digest::hex_array;

/// The first line of every key file.
const HEADER: &str = "quintet secret key, ed25519 seed, keep private";

/// The exact size of a key file: the header, 64 digits, two ends of line.
const FILE_BYTES: usize = HEADER.len().saturating_add(66);

/// Why a key could not be made, stored or loaded. The operator's machine is to blame.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(getrandom::Error),
    /// A key is never overwritten.
    #[error("{} exists and a key is never overwritten: move it away or choose another path", .0.display())]
    Exists(PathBuf),
    /// The file could not be opened, read or written.
    #[error("cannot {action} key file {}: {source}; check the path and the owner", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others than the owner have rights on the file.
    #[error("key file {path} has mode {mode:03o}, so others may use it: run `chmod 600 {path}`, and replace the key if others had access", path = path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not what [`write_secret`] writes.
    #[error("{} is not a key file of Quintet ({reason}): restore it from a backup or generate a new key", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong; never a part of the contents.
        reason: &'static str,
    },
}

/// A new random key.
///
/// # Errors
/// If the operating system has no random bytes.
pub fn generate() -> Result<SecretKey, KeyFileError> {
    let mut seed = Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(KeyFileError::Random)?;
    Ok(SecretKey::from_seed(&seed))
}

/// Bytes that nobody has seen before: a name for one life of a replica, or of its storage.
///
/// # Errors
/// If the operating system has no random bytes.
pub fn fresh<const N: usize>() -> Result<[u8; N], KeyFileError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(KeyFileError::Random)?;
    Ok(bytes)
}

/// Writes `key` to a new file at `path` with mode 0600; file and directory entry are on disk
/// when this returns.
///
/// # Errors
/// If the file exists or cannot be written; a half-written file is removed again.
pub fn write_secret(path: &Path, key: &SecretKey) -> Result<(), KeyFileError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let file = file.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => io_error(path, "create", source),
    })?;
    fill(file, key)
        .and_then(|()| sync_parent(path))
        .map_err(|source| {
            // The write failed already; that removal may fail too adds nothing to the report.
            let _ = std::fs::remove_file(path);
            io_error(path, "write", source)
        })
}

/// Reads the key at `path`.
///
/// # Errors
/// If the file is missing, open to others than its owner, or malformed.
pub fn read_secret(path: &Path) -> Result<SecretKey, KeyFileError> {
    let file = File::open(path).map_err(|source| io_error(path, "open", source))?;
    // Of the open file, not of the path: nobody can exchange it in between.
    let metadata = file
        .metadata()
        .map_err(|source| io_error(path, "inspect", source))?;
    let malformed = |reason| KeyFileError::Malformed {
        path: path.to_owned(),
        reason,
    };
    if !metadata.is_file() {
        return Err(malformed("not a regular file"));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    // One byte more than a key file has shows a longer one; the capacity keeps the buffer from
    // moving, which would leave a copy behind.
    let limit = FILE_BYTES.saturating_add(1);
    let mut contents = Zeroizing::new(Vec::with_capacity(limit.saturating_mul(2)));
    file.take(limit as u64)
        .read_to_end(&mut contents)
        .map_err(|source| io_error(path, "read", source))?;
    parse(&contents).map_err(malformed)
}

fn parse(contents: &[u8]) -> Result<SecretKey, &'static str> {
    let text = std::str::from_utf8(contents).map_err(|_| "not text")?;
    let digits = text
        .strip_prefix(HEADER)
        .and_then(|rest| rest.strip_prefix('\n'))
        .ok_or("the first line is not that of a key file")?;
    let digits = digits
        .strip_suffix('\n')
        .ok_or("the last line is cut short")?;
    let seed = hex_array(digits).ok_or("the second line is not 64 hexadecimal digits")?;
    Ok(SecretKey::from_seed(&Zeroizing::new(seed)))
}

fn fill(mut file: File, key: &SecretKey) -> io::Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES));
    text.push_str(HEADER);
    text.push('\n');
    for byte in key.seed().iter() {
        write!(text, "{byte:02x}").map_err(io::Error::other)?;
    }
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A new name is on disk only when its directory is.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

fn io_error(path: &Path, action: &'static str, source: io::Error) -> KeyFileError {
    KeyFileError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}
