//! `bench sweep`: many scenarios in one session, each beside the same workload without its faults,
//! and one table over all of them: the resilience scorecard.
//!
//! What an attack costs is a ratio of two runs on the same machine in the same session. So each
//! scenario with faults is paired with its *reference*: the same cluster, workload and load with
//! nothing going wrong. Scenarios whose references are the same share one, and it is run again
//! after every few attacks, so that a machine which changes in between shows.
//!
//! Where a replica lies while another one is killed, most of the cost is that of the kill. Such a
//! scenario has an *honest twin* beside its reference: the same faults, and nobody lies.

mod plan;
mod render;
mod score;
mod series;

pub use plan::{Entry, Plan, PlanError, Targets};
pub use render::{card_html, card_markdown, card_text};
pub use score::{Card, Reference, Row, SCORECARD_SCHEMA, Twin};

use crate::exit::Exit;
use crate::options::{Finished, RunError};
use series::Series;

/// Runs of a reference or a twin are repeated after this many attacks.
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
    let mut since_reference = vec![ATTACKS_PER_REFERENCE; plan.references.len()];
    let mut since_twin = vec![ATTACKS_PER_REFERENCE; plan.twins.len()];
    let total = plan.entries.len();
    for (number, entry) in plan.entries.iter().enumerate() {
        let companions = [
            entry.reference.map(Companion::Reference),
            entry.twin.map(Companion::Twin),
        ];
        for companion in companions.into_iter().flatten() {
            let (loaded, since) = match companion {
                Companion::Reference(at) => (&plan.references[at], &mut since_reference[at]),
                Companion::Twin(at) => (&plan.twins[at], &mut since_twin[at]),
            };
            if *since < ATTACKS_PER_REFERENCE {
                *since += 1;
                continue;
            }
            *since = 1;
            let what = companion.of(&entry.name);
            progress(number, total, &what);
            match run(loaded) {
                Ok(finished) => {
                    let exit = finished.exit();
                    match companion {
                        Companion::Reference(at) => card.add_reference(at, &finished),
                        Companion::Twin(at) => {
                            card.add_twin(at, &finished, Series::read(&finished.directory));
                        }
                    }
                    if exit == Exit::Interrupted {
                        return (card, exit);
                    }
                    gravest = gravest.max(exit);
                }
                Err(error) => {
                    card.failed(&what, &error);
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
                let twin = entry.twin.and_then(|index| card.twin(index));
                let row = Row::new(entry, &finished, &series, reference, twin);
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
    }
    (card, gravest)
}

/// What is run before a scenario, to be compared with it.
#[derive(Clone, Copy)]
enum Companion {
    /// By place in [`Plan::references`].
    Reference(usize),
    /// By place in [`Plan::twins`].
    Twin(usize),
}

impl Companion {
    fn of(self, name: &str) -> String {
        match self {
            Companion::Reference(_) => format!("reference of {name}"),
            Companion::Twin(_) => format!("honest twin of {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;

    use super::*;
    use crate::record::{Run, RunStatus, RunVerdict};
    use crate::scenario::{Loaded, Source, load};

    fn loaded(name: &str) -> Loaded {
        load(&[Source::Embedded("quickstart")], &[format!("name={name}")]).unwrap()
    }

    /// As many attacks that share a reference, and one scenario without any.
    fn plan(attacks: usize) -> Plan {
        let entry = |name: String, reference| Entry {
            loaded: loaded(&name),
            name,
            reference,
            twin: None,
        };
        let mut entries = vec![entry("calm".to_owned(), None)];
        entries.extend((0..attacks).map(|number| entry(format!("a{number}"), Some(0))));
        let mut plan = Plan::default();
        (plan.entries, plan.references) = (entries, vec![loaded("reference")]);
        plan
    }

    /// The names in the order in which they ran.
    fn swept(
        plan: &Plan,
        end: impl Fn(&str) -> Result<Run, RunError>,
    ) -> (Vec<String>, Card, Exit) {
        let order = RefCell::new(Vec::new());
        let run = |loaded: &Loaded| {
            let name = loaded.scenario.name.clone();
            order.borrow_mut().push(name.clone());
            Ok(Finished {
                run: end(&name)?,
                directory: "none".into(),
            })
        };
        let (card, exit) = sweep(plan, run, |_, _, _| {});
        (order.into_inner(), card, exit)
    }

    #[test]
    fn a_reference_is_run_again_after_every_eight_attacks() {
        let (order, card, exit) = swept(&plan(17), |_| Ok(Run::default()));
        let places: Vec<usize> = (0..order.len())
            .filter(|place| order[*place] == "reference")
            .collect();
        assert_eq!(places, [1, 10, 19], "{order:?}");
        assert_eq!(
            (order[0].as_str(), card.rows.len(), exit),
            ("calm", 18, Exit::Ok)
        );
    }

    #[test]
    fn an_honest_twin_runs_directly_before_the_first_scenario_that_needs_it() {
        let mut plan = plan(3);
        plan.twins = vec![loaded("honest")];
        for needs in [2, 3] {
            plan.entries[needs].twin = Some(0);
        }
        let (order, card, _) = swept(&plan, |_| Ok(Run::default()));
        assert_eq!(order, ["calm", "reference", "a0", "honest", "a1", "a2"]);
        assert_eq!((card.references.len(), card.twins.len()), (1, 1));
    }

    #[test]
    fn the_gravest_end_counts_a_failure_stops_nothing_and_an_interruption_all() {
        let (order, card, exit) = swept(&plan(3), |name| match name {
            "a0" => Err(RunError::new(Exit::Environment, "a port is taken")),
            "a1" => Ok(Run {
                verdict: RunVerdict::SafetyViolation,
                ..Run::default()
            }),
            _ => Ok(Run::default()),
        });
        assert_eq!((order.len(), card.rows.len(), exit), (5, 3, Exit::Safety));
        assert_eq!(card.failures, ["a0: a port is taken"]);
        let (order, card, exit) = swept(&plan(3), |name| {
            Ok(Run {
                status: match name {
                    "a1" => RunStatus::Interrupted,
                    _ => RunStatus::Completed,
                },
                ..Run::default()
            })
        });
        assert_eq!(
            (order.len(), card.rows.len(), exit),
            (4, 3, Exit::Interrupted)
        );
    }
}
