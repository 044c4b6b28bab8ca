//! An objective or expectation that a run missed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One objective or expectation that one repeat missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Miss {
    /// The repeat, from 1.
    pub repeat: u32,
    /// The scenario's key, such as `slo.read.p99` or `expect.view_changes`.
    pub objective: String,
    /// The condition as the scenario writes it.
    pub wanted: String,
    /// What the run shows instead, with its unit, and why where that is known.
    pub got: String,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            repeat,
            objective,
            wanted,
            got,
        } = self;
        write!(
            f,
            "{objective}: wanted {wanted}, got {got} (repeat {repeat})"
        )
    }
}
