//! How far a database had come at least, kept apart from it.
//!
//! One small file in the replica's directory, beside the data directory: data that is wiped, or
//! replaced by an older copy, does not take its anchor along. It also names the *lineage* of the
//! database, random bytes drawn when that was created, so that data which was once set aside and is
//! put back is not taken for what came after it.
//!
//! The file is overwritten in place after every commit. It is not synced then: a commit may
//! outrun its anchor, never the other way round. So after a crash the anchor may be a little old, and
//! a database *behind* its anchor has lost what was promised. Written to the page cache it survives
//! the end of the process; it is synced whenever the write-ahead log is copied into the database,
//! which bounds how old it can be after a power cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crypto::Digest;

use super::directory::{io_error, unwritable};
use crate::storage::StorageError;

/// Well below a disk sector (512 bytes), so that a power cut leaves the old or the new content.
const ANCHOR_BYTES: usize = 160;
const MAGIC: [u8; 8] = *b"qt-anch2";

/// What an anchor remembers. All zero but the lineage for a database in which nothing was ever
/// written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Which database.
    pub(super) lineage: Digest,
    /// Incarnation that wrote it.
    pub(super) incarnation: u64,
    /// Grows with everything written to the database.
    pub(super) position: u64,
    /// The last row that `head` covers.
    pub(super) row: u64,
    /// Digest of the content up to `row`.
    pub(super) head: Digest,
    /// Digest of the content that `head` does not cover.
    pub(super) rest: Digest,
}

/// The file.
pub(super) struct AnchorFile {
    file: File,
    path: PathBuf,
}

impl AnchorFile {
    /// Reads the anchor of `database`. If there is none, and no database either, starts one for a
    /// database of `lineage`.
    pub(super) fn open(
        path: PathBuf,
        database: &Path,
        lineage: impl FnOnce() -> Result<Digest, StorageError>,
    ) -> Result<(Self, Anchor), StorageError> {
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => {
                let length = file.metadata().map_err(|e| io_error(&path, &e))?.len();
                if length == 0 && !database.exists() {
                    // The very first start was cut short, before anything else was created.
                    return Self::start(file, path, lineage()?);
                }
                let anchor = read(&file, &path)?;
                Ok((AnchorFile { file, path }, anchor))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if database.exists() {
                    return Err(StorageError::Damaged {
                        what: format!("it is missing although {} exists", database.display()),
                        file: path,
                    });
                }
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(&path);
                match file {
                    Ok(file) => Self::start(file, path, lineage()?),
                    Err(source) => Err(unwritable(&path, source)),
                }
            }
            Err(source) => Err(unwritable(&path, source)),
        }
    }

    fn start(file: File, path: PathBuf, lineage: Digest) -> Result<(Self, Anchor), StorageError> {
        let mut file = AnchorFile { file, path };
        let anchor = Anchor {
            lineage,
            ..Anchor::default()
        };
        file.write(&anchor)?;
        file.sync()?;
        Ok((file, anchor))
    }

    /// Overwrites the anchor; not synced.
    pub(super) fn write(&mut self, anchor: &Anchor) -> Result<(), StorageError> {
        self.file
            .write_all_at(&anchor.encode(), 0)
            .map_err(|error| io_error(&self.path, &error))
    }

    /// Brings it to disk.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file
            .sync_data()
            .map_err(|error| io_error(&self.path, &error))
    }
}

/// Reads the anchor in `file`, which is at `path`.
fn read(file: &File, path: &Path) -> Result<Anchor, StorageError> {
    let damaged = |what: String| StorageError::Damaged {
        file: path.to_owned(),
        what,
    };
    let length = file.metadata().map_err(|e| io_error(path, &e))?.len();
    if length != ANCHOR_BYTES as u64 {
        return Err(damaged(format!("it is {length} bytes long")));
    }
    let mut bytes = [0u8; ANCHOR_BYTES];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|e| io_error(path, &e))?;
    Anchor::decode(&bytes)
        .ok_or_else(|| damaged("its digest does not match its content".to_owned()))
}

impl Anchor {
    /// Whether its database was created but never opened for writing since.
    pub(super) fn is_new(&self) -> bool {
        self.incarnation == 0
    }

    fn encode(&self) -> [u8; ANCHOR_BYTES] {
        let mut bytes = [0u8; ANCHOR_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.position.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.row.to_le_bytes());
        bytes[32..64].copy_from_slice(self.head.as_bytes());
        bytes[64..96].copy_from_slice(self.rest.as_bytes());
        bytes[96..128].copy_from_slice(self.lineage.as_bytes());
        let digest = Digest::of("storage/anchor", &bytes[..128]);
        bytes[128..].copy_from_slice(digest.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ANCHOR_BYTES]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(bytes[at..at + 8].try_into().ok()?));
        let digest = |at: usize| Some(Digest(bytes[at..at + 32].try_into().ok()?));
        let anchor = Anchor {
            incarnation: number(8)?,
            position: number(16)?,
            row: number(24)?,
            head: digest(32)?,
            rest: digest(64)?,
            lineage: digest(96)?,
        };
        // Comparing the whole encoding covers the magic bytes and the digest.
        (anchor.encode() == *bytes).then_some(anchor)
    }
}
