//! What the directory of a sweep holds already.

use std::fs;
use std::path::Path;

use super::{Experiment, Row};
use crate::archive::read_run;
use crate::campaign::{self, Campaign, Program, SWEEP, Wanted};
use crate::options::RunError;
use crate::record::{Environment, RunStatus};
use crate::scenario::Cell;

/// The directory of a sweep that may be written to.
#[derive(Debug)]
pub struct Opened {
    /// Where it is.
    pub campaign: Campaign,
    /// The machine and the program.
    pub environment: Environment,
    /// What it holds already, by cell and repeat.
    pub(super) rows: Vec<Vec<Option<Row>>>,
}

/// Finds the newest sweep of this name in `out` that did not come to its end, or makes a new one. `fresh` never looks.
///
/// # Errors
/// The one that was stopped is of another scenario, program or machine, or goes on; or nothing can be written.
pub fn open(
    out: &Path,
    experiment: &Experiment,
    environment: Environment,
    program: &Program,
    fresh: bool,
) -> Result<Opened, RunError> {
    let wanted = Wanted {
        kind: SWEEP,
        base: &experiment.base,
        settings: Vec::new(),
        environment: &environment,
        program,
    };
    let campaign = campaign::open(out, &wanted, fresh)?;
    Ok(Opened {
        rows: measured(&campaign.path, experiment),
        campaign,
        environment,
    })
}

impl Opened {
    /// Runs that it held when it was opened.
    #[must_use]
    pub fn measured(&self) -> usize {
        self.rows.iter().flatten().flatten().count()
    }
}

/// What the folders of the cells hold.
fn measured(path: &Path, experiment: &Experiment) -> Vec<Vec<Option<Row>>> {
    let of_cell = |(index, cell): (usize, &Cell)| {
        let mut rows = vec![None; experiment.repeats as usize];
        let entries = fs::read_dir(path.join(&cell.directory));
        for entry in entries.into_iter().flatten().flatten() {
            if entry.path().is_symlink() {
                continue;
            }
            let Ok(run) = read_run(&entry.path()) else {
                continue;
            };
            let seed = run.repeats.first().map(|repeat| repeat.seed);
            let number = (1..=experiment.repeats)
                .find(|number| seed == Some(experiment.seed(index, *number)));
            if let (Some(number), RunStatus::Completed) = (number, run.status) {
                let place = format!("{}/{}", cell.directory, run.id);
                rows[(number - 1) as usize] = Row::of(&run, number, &place);
            }
        }
        rows
    };
    experiment.cells.iter().enumerate().map(of_cell).collect()
}
