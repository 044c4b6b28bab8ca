//! What a run says to its replicas while they run: one JSON document a line on their standard input. Each line says how
//! something *is* from now on, so the latest line of a kind is all that a replica which is started again has to know.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::disk::Condition;
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
    /// How the replica's disk is.
    Disk(Condition),
    /// How often the port from which this replica dials its peers has changed.
    Moved {
        /// Counts from the start of the run.
        times: u64,
    },
}

impl ControlLine {
    /// What it is about: a line replaces the one of its kind before it.
    pub fn kind(&self) -> &'static str {
        match self {
            ControlLine::Begin { .. } => "begin",
            ControlLine::Links(_) => "links",
            ControlLine::Disk(_) => "disk",
            ControlLine::Moved { .. } => "moved",
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
            ControlLine::Disk(condition) => ControlLine::Disk(*condition),
            ControlLine::Moved { times } => ControlLine::Moved { times: *times },
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

/// What a Byzantine replica says on its standard output: how often each behaviour of its plan has struck since its process
/// began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deeds {
    /// In the order of the plan.
    pub counts: Vec<u64>,
    /// Whether it knows that it has been found out.
    pub detected: bool,
}

/// The first word of the line.
const DEEDS: &str = "deeds ";

impl Deeds {
    /// As it travels, without an end of line.
    pub fn to_line(&self) -> String {
        let json = serde_json::to_string(self).expect("deeds have no key that is not text");
        format!("{DEEDS}{json}")
    }

    /// What a replica said, if it is about its deeds.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(DEEDS)?).ok()
    }

    /// With those of another life.
    pub fn and(mut self, other: &Deeds) -> Self {
        self.counts
            .resize(self.counts.len().max(other.counts.len()), 0);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.detected |= other.detected;
        self
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
    fn deeds_of_several_lives_add_up() {
        let deeds = |counts: &[u64], detected| Deeds {
            counts: counts.to_vec(),
            detected,
        };
        let first = deeds(&[3], false);
        assert_eq!(Deeds::parse(&first.to_line()), Some(first.clone()));
        assert_eq!(Deeds::parse("ready {}"), None);
        let both = first.and(&deeds(&[1, 2], true));
        assert_eq!(both, deeds(&[4, 2], true));
    }

    #[test]
    fn a_beginning_lies_further_back_the_later_it_is_told() {
        let begin = ControlLine::Begin { ago_ms: -500 };
        let later = begin.later(Duration::from_millis(1_200));
        assert_eq!(later, ControlLine::Begin { ago_ms: 700 });
    }
}
