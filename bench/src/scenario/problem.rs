//! What is wrong with a scenario, where, and what to do about it.
//!
//! A [`Problem`] points at the offending text of one file or one `--set` argument. A scenario is refused with all
//! the problems found in one go.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity,
    SourceCode, SourceSpan,
};

/// The text that a problem points into.
#[derive(Clone, Debug)]
struct Spot {
    text: NamedSource<String>,
    start: usize,
    length: usize,
    label: String,
}

/// One thing that is wrong, or (as a warning) odd.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    help: Option<String>,
    spot: Option<Box<Spot>>,
    severity: Severity,
}

impl Problem {
    /// A problem without a place.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            spot: None,
            severity: Severity::Error,
        }
    }

    /// With the remedy.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With the place: the source's name and text, and a range of bytes in it.
    pub(super) fn at(
        mut self,
        name: &str,
        text: &str,
        span: std::ops::Range<usize>,
        label: impl Into<String>,
    ) -> Self {
        let start = span.start.min(text.len());
        let length = span.end.min(text.len()).saturating_sub(start);
        let text = NamedSource::new(name, text.to_owned()).with_language("TOML");
        self.spot = Some(Box::new(Spot {
            text,
            start,
            length,
            label: label.into(),
        }));
        self
    }

    /// As a warning: the scenario is accepted.
    pub(super) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// What is wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The short text beside the offending one.
    pub fn label(&self) -> Option<&str> {
        self.spot
            .as_ref()
            .map(|spot| spot.label.as_str())
            .filter(|label| !label.is_empty())
    }

    /// The file, or `--set`.
    pub fn source_name(&self) -> Option<&str> {
        self.spot.as_ref().map(|spot| spot.text.name())
    }

    /// Line and column, both from 1; the column counts characters.
    pub fn position(&self) -> Option<(usize, usize)> {
        let spot = self.spot.as_ref()?;
        Some(position(spot.text.inner(), spot.start))
    }

    /// The offending text itself.
    pub fn offending(&self) -> Option<&str> {
        let spot = self.spot.as_ref()?;
        spot.text.inner().get(spot.start..spot.start + spot.length)
    }

    pub(super) fn order(&self) -> (Option<String>, usize) {
        (
            self.source_name().map(str::to_owned),
            self.spot.as_ref().map_or(0, |spot| spot.start),
        )
    }
}

/// Line and column of a byte, both from 1.
pub(super) fn position(text: &str, byte: usize) -> (usize, usize) {
    let mut end = byte.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

impl fmt::Display for Problem {
    /// One line: `file:line:column: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(name), Some((line, column))) = (self.source_name(), self.position()) {
            write!(f, "{name}:{line}:{column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// As [`Problem`], but the message without its place, which the report draws itself.
#[derive(Debug)]
struct Drawn<'a>(&'a Problem);

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(self.0.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0
            .help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0
            .spot
            .as_ref()
            .map(|spot| &spot.text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let spot = self.0.spot.as_ref()?;
        let label = (!spot.label.is_empty()).then(|| spot.label.clone());
        let span = SourceSpan::from((spot.start, spot.length));
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            label, span,
        ))))
    }
}

/// Why a scenario was refused: every problem that was found, in the order of the text.
#[derive(Clone, Debug)]
pub struct ScenarioError {
    problems: Vec<Problem>,
}

impl ScenarioError {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::order);
        Self { problems }
    }

    /// Every problem found; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The whole diagnosis, drawn for a person: excerpts with the offending text marked, and remedies.
    pub fn render(&self, style: Style) -> String {
        render(&self.problems, style)
    }
}

impl From<Problem> for ScenarioError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
            if let Some(help) = &problem.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ScenarioError {}

/// How a diagnosis is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// ASCII without colour: for files, pipes and tests.
    Plain,
    /// Unicode lines without colour: `NO_COLOR` on a terminal.
    Unicode,
    /// Unicode lines and ANSI colours.
    Colour,
}

/// Columns that a diagnosis is wrapped to.
const DIAGNOSIS_COLUMNS: usize = 110;

/// Draws problems or warnings one below the other.
pub fn render(problems: &[Problem], style: Style) -> String {
    let mut theme = match style {
        Style::Plain => GraphicalTheme::none(),
        Style::Unicode => GraphicalTheme::unicode_nocolor(),
        Style::Colour => GraphicalTheme::unicode(),
    };
    if style == Style::Plain {
        theme.characters.error = "error:".to_owned();
        theme.characters.warning = "warning:".to_owned();
    }
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(DIAGNOSIS_COLUMNS)
        .with_context_lines(1)
        .with_links(false)
        .without_syntax_highlighting();
    let mut text = String::new();
    for problem in problems {
        if handler.render_report(&mut text, &Drawn(problem)).is_err() {
            // Drawing into a String fails only for a broken excerpt; the plain line always works.
            text.push_str(&problem.to_string());
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}
