//! A figure apart from how it is drawn: what it shows, or why it is not there, and the same numbers as a table.
//!
//! ```text
//!   files of a run ─► Figure ─┬─► plotly ─► page
//!                             ├─► table  ─► page, markdown
//!                             └─► series ─► bench.report/v1
//! ```

mod axis;
mod plotly;
mod thin;
mod trace;

pub(crate) use axis::{Axis, AxisKind, nines};
pub(crate) use plotly::plotly;
pub(crate) use thin::thinned;
pub(crate) use trace::{Colour, Dash, Look, Point, Trace};

/// A figure of a report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// Its name in links and documents: lower case, with dashes.
    pub(crate) id: &'static str,
    /// Its heading.
    pub(crate) title: &'static str,
    /// One or two sentences: what is drawn, and what to look for.
    pub(crate) caption: String,
    /// What is drawn, or one sentence why nothing is.
    pub(crate) body: Result<Drawing, String>,
}

/// What a figure shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Drawing {
    /// Lines, bars and points.
    pub(crate) traces: Vec<Trace>,
    /// The horizontal axis.
    pub(crate) x: Axis,
    /// The vertical axis.
    pub(crate) y: Axis,
    /// Spans of the horizontal axis that are shaded.
    pub(crate) bands: Vec<Band>,
    /// Places that a line crosses.
    pub(crate) marks: Vec<Mark>,
    /// Whether bars of one place stand on each other.
    pub(crate) stacked: bool,
    /// Height in pixels; 0 is the usual one.
    pub(crate) height: u32,
    /// Whether it needs the whole width of a page.
    pub(crate) wide: bool,
    /// The same numbers.
    pub(crate) table: Grid,
}

/// A shaded span of the horizontal axis: a fault.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Band {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// A word or two; may be empty.
    pub(crate) label: String,
}

/// A line across the plot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) at: f64,
    /// Whether it crosses the vertical axis, as a limit does, or the horizontal one, as a moment does.
    pub(crate) level: bool,
    /// A word or two; may be empty.
    pub(crate) label: String,
}

/// A table; every row is as long as the header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Figure {
    /// A figure whose drawing may have failed for want of data.
    pub(crate) fn new(
        id: &'static str,
        title: &'static str,
        caption: impl Into<String>,
        body: Result<Drawing, String>,
    ) -> Self {
        let mut figure = Self {
            id,
            title,
            caption: caption.into(),
            body,
        };
        if let Ok(drawing) = &mut figure.body
            && let Some(windows) = drawing.thin()
        {
            figure.caption.push_str(&format!(
                " There are more values than a plot can show: each of {windows} windows of a line shows its least, middle and greatest."
            ));
        }
        figure
    }
}

impl Drawing {
    /// Bounds the points of each line; `Some` with the number of windows if any was cut down.
    fn thin(&mut self) -> Option<usize> {
        let mut windows = None;
        for trace in &mut self.traces {
            if trace.look.is_line()
                && let Some((points, count)) = thinned(&trace.points)
            {
                trace.points = points;
                trace.notes.clear();
                windows = windows.max(Some(count));
            }
        }
        windows
    }
}

impl Grid {
    /// A table with this header and no rows.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|cell| (*cell).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = row.into_iter().collect();
        debug_assert_eq!(row.len(), self.header.len(), "{:?}", self.header);
        row.resize(self.header.len(), "-".to_owned());
        self.rows.push(row);
    }
}
