//! `bench sweep`: many scenarios in one session, each beside the same workload without its faults,
//! and one table over all of them: the resilience scorecard.
//!
//! What an attack costs is a ratio of two runs on the same machine in the same session. So each
//! scenario with faults is paired with its *reference*: the same cluster, workload and load with
//! nothing going wrong. Scenarios whose references are the same share one, and it is run again
//! after every few attacks, so that a machine which changes in between shows.

mod plan;
mod render;
mod score;

pub use plan::{Entry, Plan, PlanError, Targets};
pub use render::{card_html, card_markdown, card_text};
pub use score::{Card, Reference, Row, SCORECARD_SCHEMA};

use crate::exit::Exit;
use crate::options::{Finished, RunError};
use score::Series;

/// Runs of a reference are repeated after this many attacks.
const ATTACKS_PER_REFERENCE: usize = 8;

/// Runs everything in the plan's order and scores it. `run` does one scenario; `progress` hears of
/// each before it starts. Ends early if a run was interrupted.
pub fn sweep(
    plan: &Plan,
    run: impl Fn(&crate::scenario::Loaded) -> Result<Finished, RunError>,
    progress: impl Fn(usize, usize, &str),
) -> (Card, Exit) {
    let mut card = Card::default();
    let mut gravest = Exit::Ok;
    let mut since = vec![ATTACKS_PER_REFERENCE; plan.references.len()];
    let total = plan.entries.len();
    for (number, entry) in plan.entries.iter().enumerate() {
        if let Some(reference) = entry.reference
            && since[reference] >= ATTACKS_PER_REFERENCE
        {
            since[reference] = 0;
            let loaded = &plan.references[reference];
            progress(number, total, &format!("reference of {}", entry.name));
            match run(loaded) {
                Ok(finished) => {
                    let exit = finished.exit();
                    card.add_reference(reference, &finished);
                    if exit == Exit::Interrupted {
                        return (card, exit);
                    }
                    gravest = gravest.max(exit);
                }
                Err(error) => {
                    card.failed(&format!("reference of {}", entry.name), &error);
                    gravest = gravest.max(error.exit);
                }
            }
        }
        progress(number, total, &entry.name);
        match run(&entry.loaded) {
            Ok(finished) => {
                let exit = finished.exit();
                let series = Series::read(&finished.directory);
                let reference = entry.reference.and_then(|index| card.reference(index));
                let row = Row::new(entry, &finished, &series, reference);
                card.rows.push(row);
                gravest = gravest.max(exit);
                if exit == Exit::Interrupted {
                    return (card, exit);
                }
            }
            Err(error) => {
                card.failed(&entry.name, &error);
                gravest = gravest.max(error.exit);
            }
        }
        if let Some(reference) = entry.reference {
            since[reference] += 1;
        }
    }
    (card, gravest)
}
