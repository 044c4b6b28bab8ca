//! `bench sweep` of one scenario: every combination of what its `[sweep]` varies, in turns, as one table.
//!
//! ```text
//!   [sweep] ─► cells ─► repeat 1 of each, repeat 2 of each, ... ─► rows ─┬─► sweep.json, sweep.csv, sweep.md
//!                                                                        └─► a folder of runs for each cell
//! ```
//!
//! Cells take turns (A B C, A B C, ...), so that what a machine goes through meanwhile is shared out among them. What has been
//! measured lies on disk after each run; a sweep that was stopped goes on where it was.

mod directory;
mod document;
mod render;
mod row;
mod tidy;

pub use directory::{Opened, open};
pub use document::{CellDocument, CellSummary, SweepDocument, SweepStatus, document};
pub use render::{sweep_markdown, sweep_text};
pub use row::Row;
pub use tidy::csv_text;

use std::path::Path;

use crate::campaign::SWEEP;
use crate::exit::Exit;
use crate::options::{Finished, RunError};
use crate::record::{RunStatus, write_file, write_json};
use crate::scenario::{Cell, Loaded};

/// A sweep as it is run.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The scenario with its `[sweep]`.
    pub base: Loaded,
    /// Its cells.
    pub cells: Vec<Cell>,
    /// Runs of each cell.
    pub repeats: u32,
}

/// What has come of a sweep so far.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// By cell, then by repeat; `None` until it has been measured.
    pub rows: Vec<Vec<Option<Row>>>,
    /// Runs that left no figures, one sentence each.
    pub failures: Vec<String>,
    /// How far it is.
    pub status: SweepStatus,
    /// The gravest end of its runs.
    pub exit: Exit,
}

impl Experiment {
    /// The scenario of one repeat (from 1) of a cell: a run of its own, with the seed that the repeat has in every cell.
    #[must_use]
    pub fn scenario(&self, cell: usize, repeat: u32) -> Loaded {
        let mut loaded = self.cells[cell].loaded.clone();
        loaded.scenario.repeat = 1;
        loaded.scenario.seed = self.seed(cell, repeat);
        loaded
    }

    fn seed(&self, cell: usize, repeat: u32) -> u64 {
        let seed = self.cells[cell].loaded.scenario.seed;
        seed.wrapping_add(u64::from(repeat) - 1)
    }
}

/// Runs what the directory does not have yet, and writes the documents after each run. `run` does one run into a folder;
/// `progress` hears of each before it starts.
///
/// # Errors
/// The documents cannot be written.
pub fn run_experiment(
    experiment: &Experiment,
    opened: &Opened,
    run: impl Fn(&Loaded, &Path) -> Result<Finished, RunError>,
    progress: impl Fn(usize, usize, &str),
) -> Result<(SweepDocument, Exit), RunError> {
    let mut outcome = Outcome {
        rows: opened.rows.clone(),
        failures: Vec::new(),
        status: SweepStatus::Running,
        exit: Exit::Ok,
    };
    for row in outcome.rows.iter().flatten().flatten() {
        outcome.exit = outcome.exit.max(row.exit());
    }
    let total = experiment.cells.len() * experiment.repeats as usize;
    write(experiment, opened, &outcome)?;
    let mut number = 0;
    'all: for repeat in 1..=experiment.repeats {
        for (index, cell) in experiment.cells.iter().enumerate() {
            number += 1;
            let slot = (repeat - 1) as usize;
            if outcome.rows[index][slot].is_some() {
                continue;
            }
            progress(number, total, &format!("{}, repeat {repeat}", cell.name));
            let folder = opened.campaign.path.join(&cell.directory);
            match run(&experiment.scenario(index, repeat), &folder) {
                Ok(finished) => {
                    let exit = finished.exit();
                    match finished.run.status {
                        RunStatus::Completed => {
                            let place = format!("{}/{}", cell.directory, finished.run.id);
                            outcome.rows[index][slot] = Row::of(&finished.run, repeat, &place);
                        }
                        RunStatus::Interrupted => {
                            opened.campaign.set_aside(&finished.directory)?;
                            outcome.status = SweepStatus::Interrupted;
                        }
                        RunStatus::Failed => {
                            opened.campaign.set_aside(&finished.directory)?;
                            let why = finished.run.warnings.last().cloned().unwrap_or_default();
                            outcome
                                .failures
                                .push(format!("{}, repeat {repeat}: {why}", cell.name));
                        }
                    }
                    outcome.exit = outcome.exit.max(exit);
                }
                Err(error) => {
                    outcome
                        .failures
                        .push(format!("{}, repeat {repeat}: {error}", cell.name));
                    outcome.exit = outcome.exit.max(error.exit);
                }
            }
            if outcome.status == SweepStatus::Interrupted {
                break 'all;
            }
            write(experiment, opened, &outcome)?;
        }
    }
    if outcome.status == SweepStatus::Running {
        let all = outcome.rows.iter().flatten().all(Option::is_some);
        outcome.status = match all {
            true => SweepStatus::Completed,
            // What is missing is run when the sweep is asked for again.
            false => SweepStatus::Failed,
        };
    }
    let document = write(experiment, opened, &outcome)?;
    Ok((document, outcome.exit))
}

fn write(
    experiment: &Experiment,
    opened: &Opened,
    outcome: &Outcome,
) -> Result<SweepDocument, RunError> {
    let document = document(experiment, opened, outcome);
    let write = || {
        write_file(
            &opened.campaign.path.join("sweep.csv"),
            csv_text(experiment, outcome)?.as_bytes(),
        )?;
        write_file(
            &opened.campaign.path.join(SWEEP.table),
            sweep_markdown(&document).as_bytes(),
        )?;
        write_json(&opened.campaign.path.join(SWEEP.document), &document)
    };
    write().map_err(|error: std::io::Error| opened.campaign.unwritable(&error))?;
    Ok(document)
}

#[cfg(test)]
mod tests;
