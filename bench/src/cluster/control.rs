//! What a run says to its replicas while they run: one JSON document a line on their standard input. Each line says how
//! something *is* from now on, so the latest line of a kind is all that a replica which is started again has to know.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::emulation::Links;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ControlLine {
    /// When the measured phase begins; all triggers and all times of a scenario count from it.
    Begin {
        /// Milliseconds since then; negative while it is still to come.
        ago_ms: i64,
    },
    /// What the links of this replica do, all of them.
    Links(Links),
}

impl ControlLine {
    /// What it is about: a line replaces the one of its kind before it.
    pub fn kind(&self) -> &'static str {
        match self {
            ControlLine::Begin { .. } => "begin",
            ControlLine::Links(_) => "links",
        }
    }

    /// The line as it must read this much later to mean the same.
    pub fn later(&self, by: Duration) -> Self {
        match self {
            ControlLine::Begin { ago_ms } => {
                let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
                ControlLine::Begin {
                    ago_ms: ago_ms.saturating_add(by),
                }
            }
            ControlLine::Links(links) => ControlLine::Links(links.clone()),
        }
    }

    /// As it travels, without an end of line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a control line has no key that is not text")
    }

    /// What a replica was told.
    ///
    /// # Errors
    /// If it is no line that this program knows.
    pub fn parse(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_was_and_an_unknown_one_is_an_error() {
        let begin = ControlLine::Begin { ago_ms: -2_000 };
        assert_eq!(begin.to_json(), r#"{"begin":{"ago_ms":-2000}}"#);
        assert_eq!(ControlLine::parse(&begin.to_json()).ok(), Some(begin));
        for unknown in [
            r#"{"begun":{"ago_ms":1}}"#,
            r#"{"begin":{"ago_ms":1,"by":2}}"#,
            "begin",
            "",
        ] {
            assert!(ControlLine::parse(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_beginning_lies_further_back_the_later_it_is_told() {
        let begin = ControlLine::Begin { ago_ms: -500 };
        let later = begin.later(Duration::from_millis(1_200));
        assert_eq!(later, ControlLine::Begin { ago_ms: 700 });
    }
}
