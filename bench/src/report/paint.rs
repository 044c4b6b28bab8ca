//! What the place that a text goes to can show.

use std::io::IsTerminal;

use super::document::Tone;
use crate::scenario::Style;

/// Which signs and colours may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// ANSI colours.
    pub colour: bool,
    /// Lines beyond ASCII.
    pub unicode: bool,
}

impl Paint {
    /// ASCII without colour: for files, pipes and tests.
    pub const PLAIN: Self = Self {
        colour: false,
        unicode: false,
    };

    /// For a stream: lines on terminals, colour unless `NO_COLOR` is set (https://no-color.org); neither on a terminal that says it is dumb.
    #[must_use]
    pub fn of(stream: &impl IsTerminal) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let able = stream.is_terminal() && !dumb;
        Self {
            colour: able && !set("NO_COLOR"),
            unicode: able,
        }
    }

    /// The same for diagnoses of scenarios.
    #[must_use]
    pub const fn style(self) -> Style {
        match (self.unicode, self.colour) {
            (_, true) => Style::Colour,
            (true, false) => Style::Unicode,
            (false, false) => Style::Plain,
        }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrapped("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrapped("2", text)
    }

    pub(super) fn toned(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Neutral => self.bold(text),
            Tone::Good => self.wrapped("1;32", text),
            Tone::Doubtful => self.wrapped("1;33", text),
            Tone::Bad => self.wrapped("1;31", text),
        }
    }

    fn wrapped(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
