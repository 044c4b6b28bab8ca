//! `events.jsonl`: what happened besides operations.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::unused;

/// Events that are kept; what comes later is left out of figures, which say so.
pub(crate) const HAPPENINGS_MAX: usize = 20_000;

/// Events that come with every checkpoint and say nothing that a figure shows.
const ROUTINE: [&str; 1] = ["checkpoint"];

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Happening {
    /// Seconds since the measured phase began, negative before it.
    pub(crate) t_s: f64,
    /// What: `view-change`, `fault`, ...
    pub(crate) event: String,
    /// The rest.
    #[serde(flatten)]
    pub(crate) fields: Map<String, Value>,
}

impl Happening {
    /// The replica that it happened to.
    pub(crate) fn replica(&self) -> Option<u32> {
        u32::try_from(self.number("replica")?).ok()
    }

    /// A field that is a whole number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.fields.get(name)?.as_u64()
    }
}

/// Reads the events in the order of time, without those that are routine; a line that was cut off ends it.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn read(path: &Path) -> Result<Vec<Happening>, String> {
    let file = std::fs::File::open(path).map_err(|error| unused(path, &error))?;
    let mut all: Vec<Happening> = BufReader::new(file)
        .lines()
        .map_while(Result::ok)
        .map_while(|line| serde_json::from_str(&line).ok())
        .filter(|one: &Happening| !ROUTINE.contains(&one.event.as_str()))
        .take(HAPPENINGS_MAX)
        .collect();
    all.sort_by(|a, b| a.t_s.total_cmp(&b.t_s));
    Ok(all)
}
