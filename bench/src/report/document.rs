//! The content of a summary, apart from how it is drawn.

use std::path::Path;

/// A summary, top to bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    /// What was run.
    pub(super) name: String,
    /// What came of it.
    pub(super) outcome: String,
    /// How good that is.
    pub(super) tone: Tone,
    /// The question that the scenario answers.
    pub(super) question: String,
    /// The rest.
    pub(super) sections: Vec<Section>,
}

/// A part of a summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// A word or two; none for the opening facts.
    pub(crate) heading: &'static str,
    /// How good its content is.
    pub(crate) tone: Tone,
    /// A remark behind the heading.
    pub(crate) remark: String,
    /// Names and values.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// Columns, the first a name and the others numbers.
    pub(crate) table: Option<Table>,
    /// Sentences.
    pub(crate) items: Vec<String>,
    /// A line to copy.
    pub(crate) command: Option<String>,
}

impl Section {
    /// Where the page with figures is.
    pub(crate) fn page(file: &Path) -> Self {
        Section {
            heading: "Page",
            remark: file.display().to_string(),
            ..Section::default()
        }
    }

    /// Items under a heading; nothing without items.
    pub(crate) fn list(heading: &'static str, tone: Tone, items: Vec<String>) -> Option<Self> {
        (!items.is_empty()).then(|| Section {
            heading,
            tone,
            items,
            ..Section::default()
        })
    }
}

/// A table; every row is as long as the header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) header: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// How good something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Neither good nor bad.
    #[default]
    Neutral,
    /// As it should be.
    Good,
    /// To be looked at.
    Doubtful,
    /// Wrong.
    Bad,
}
