//! One side of a comparison: all repeats of one thing.

use std::path::{Path, PathBuf};

use super::metric::Metric;
use super::read::Measured;
use crate::record::Repeat;

/// What the sides are called, the baseline first.
pub const LABELS: [&str; 26] = [
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S",
    "T", "U", "V", "W", "X", "Y", "Z",
];

/// A side: a run, or several runs of one thing whose repeats are taken together.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its letter.
    pub label: &'static str,
    /// What was given: a run or a folder of runs.
    pub place: PathBuf,
    /// Its runs, at least one, the oldest first; each with at least one repeat.
    pub runs: Vec<Measured>,
}

impl Side {
    /// The run that stands for all of them.
    #[must_use]
    pub fn first(&self) -> &Measured {
        // Made by `read_sides`, which refuses a side without runs.
        &self.runs[0]
    }

    /// All repeats.
    pub fn repeats(&self) -> impl Iterator<Item = &Repeat> {
        self.runs.iter().flat_map(|run| &run.repeats)
    }

    /// The values of a metric, one for each repeat in which it was measured.
    #[must_use]
    pub fn values(&self, metric: Metric) -> Vec<f64> {
        self.repeats()
            .filter_map(|repeat| metric.of(repeat))
            .collect()
    }

    /// What to give to `bench run` to make more of it: the effective scenario if it is there, else the scenario's name.
    #[must_use]
    pub fn scenario(&self) -> String {
        let directory = match &self.first().directory {
            Some(directory) => directory,
            None => Path::new(""),
        };
        let file = directory.join("effective.toml");
        if file.is_file() {
            file.display().to_string()
        } else {
            self.first().name.clone()
        }
    }
}
