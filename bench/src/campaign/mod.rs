//! A campaign: many runs in one directory, with a document that says what came of them.
//!
//! ```text
//!   bench sweep SCENARIO ───► sweep.json     ─┐
//!                                             ├─► <out>/<UTC time>_<name>_<4 hex>/, gone on with after an interruption
//!   bench saturate SCENARIO ► saturate.json  ─┘
//! ```
//!
//! One that was stopped is found again by its name, and goes on if scenario, settings, machine and program are what they were.

mod directory;
mod known;
mod page;
mod program;

pub use directory::{Campaign, Wanted, open};
pub use page::leave_page;
pub use program::Program;

use std::path::Path;

use crate::report::REPORT_FILE;
use crate::sweep::SCORECARD_SCHEMA;

/// What kind of campaign a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its document in the directory.
    pub document: &'static str,
    /// The `schema` of that.
    pub schema: &'static str,
    /// What it is called.
    pub noun: &'static str,
    /// The table that was printed, as markdown.
    pub table: &'static str,
    /// Its page.
    pub page: &'static str,
}

/// `bench sweep` of one scenario.
pub const SWEEP: Kind = Kind {
    document: "sweep.json",
    schema: "bench.sweep/v1",
    noun: "sweep",
    table: "sweep.md",
    page: REPORT_FILE,
};

/// `bench saturate`.
pub const SEARCH: Kind = Kind {
    document: "saturate.json",
    schema: "bench.saturate/v1",
    noun: "search",
    table: "saturate.md",
    page: REPORT_FILE,
};

/// `bench sweep` of several scenarios: it is run in one go, and has a page of its own making.
pub const SCORECARD: Kind = Kind {
    document: "scorecard.json",
    schema: SCORECARD_SCHEMA,
    noun: "scorecard",
    table: "scorecard.md",
    page: "scorecard.html",
};

/// All of them.
pub const KINDS: [Kind; 3] = [SWEEP, SEARCH, SCORECARD];

impl Kind {
    /// That of a directory; `None` if it holds none.
    #[must_use]
    pub fn of(directory: &Path) -> Option<Self> {
        KINDS
            .into_iter()
            .find(|kind| directory.join(kind.document).is_file())
    }
}

#[cfg(test)]
mod tests;
