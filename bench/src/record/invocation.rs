//! What stood on the command line of a run, so that it can be said again.

use serde::{Deserialize, Serialize};

use super::HistoryMode;

/// The parts of a command line that decide what is run. Seed and repeats are part of the effective scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Invocation {
    /// The scenario as it was named: a file, relative to where the command was given, or a name.
    pub scenario: String,
    /// Each `--set`, in their order.
    pub set: Vec<String>,
    /// `--name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `--history`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryMode>,
}
