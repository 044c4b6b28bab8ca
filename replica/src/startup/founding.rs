//! The mark of a replica that has never run (`network::genesis::FOUNDING_MARK`).
//!
//! A replica without records may vote only if it never promised anything. An empty directory does not
//! say so, for a wiped one looks the same; the mark does. It lies beside the data, so wiping the data
//! does not bring it back, and it is removed, durably, before the first message leaves. Between the
//! two a crash does no harm:
//!
//! ```text
//! mark, no data     ──▶ create data ──▶ record Role(Member) ──▶ remove mark ──▶ run
//!   never run             never run        never run              member
//! ```

use std::fs;
use std::io;
use std::path::PathBuf;

use network::genesis::FOUNDING_MARK;

use super::StartupError;
use crate::storage::sqlite::Home;

pub(super) struct FoundingMark<'h> {
    home: &'h Home,
    path: PathBuf,
}

impl<'h> FoundingMark<'h> {
    pub(super) fn of(home: &'h Home) -> Self {
        FoundingMark {
            home,
            path: home.path().join(FOUNDING_MARK),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Removes it durably; says whether it was there.
    pub(super) fn remove(&self) -> Result<bool, StartupError> {
        match fs::remove_file(&self.path) {
            Ok(()) => {
                self.home.sync()?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StartupError::Marker {
                path: self.path.clone(),
                action: "remove",
                reason: source,
            }),
        }
    }
}
