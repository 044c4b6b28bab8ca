//! The page of a run, left beside its results.

use std::path::Path;

use crate::record::{Run, write_file};
use crate::report::{REPORT_FILE, RunFiles, report_html};

/// Writes report.html from the run and what its directory holds. Results do not depend on it.
///
/// # Errors
/// A sentence with what is in the way and what writes the page afterwards.
pub(super) fn leave_page(run: &Run, directory: &Path) -> Result<(), String> {
    let write = || -> Result<(), String> {
        let files = RunFiles::of(run, directory).map_err(|error| error.to_string())?;
        write_file(
            &directory.join(REPORT_FILE),
            report_html(&[files]).as_bytes(),
        )
        .map_err(|error| error.to_string())
    };
    write().map_err(|why| {
        let place = directory.display().to_string();
        let quoted = shlex::try_quote(&place).map_or_else(|_| place.clone(), Into::into);
        format!(
            "{REPORT_FILE} could not be written: {why}; once that is put right this writes it: bench report {quoted}"
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_that_cannot_be_written_is_a_warning_with_the_way_to_it() {
        let place = tempfile::tempdir().unwrap();
        let run = Run::default();
        leave_page(&run, place.path()).unwrap();
        let page = place.path().join(REPORT_FILE);
        assert!(page.metadata().unwrap().len() > 1000);
        std::fs::remove_file(&page).unwrap();
        std::fs::create_dir(&page).unwrap();
        let warning = leave_page(&run, place.path()).unwrap_err();
        let remedy = format!("bench report {}", place.path().display());
        assert!(
            warning.contains(REPORT_FILE) && warning.ends_with(&remedy),
            "{warning}"
        );
    }
}
