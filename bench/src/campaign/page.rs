//! The page of a campaign, left when it ends as `bench run` leaves that of a run.

use std::path::{Path, PathBuf};

use crate::record::write_file;
use crate::report::{REPORT_FILE, SweepFiles, sweep_html};

/// Writes report.html from what the directory holds, and says where it is. Results do not depend on it.
///
/// # Errors
/// A sentence with what is in the way and what writes the page afterwards.
pub fn leave_page(directory: &Path) -> Result<PathBuf, String> {
    let file = directory.join(REPORT_FILE);
    let write = || -> Result<(), String> {
        let files = match SweepFiles::read(directory) {
            Some(files) => files.map_err(|error| error.to_string())?,
            None => return Err("there is nothing to report".to_owned()),
        };
        write_file(&file, sweep_html(&files).as_bytes()).map_err(|error| error.to_string())
    };
    match write() {
        Ok(()) => Ok(file),
        Err(why) => {
            let place = directory.display().to_string();
            let quoted = shlex::try_quote(&place).map_or_else(|_| place.clone(), Into::into);
            Err(format!(
                "the page could not be written: {why}; everything else is there, and once that is put right this writes it: bench report {quoted}"
            ))
        }
    }
}
