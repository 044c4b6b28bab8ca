//! Judging a run: what its scenario demanded, against what its repeats show.
//!
//! The checks come first: a contradiction is a safety violation whatever else is right, standing still is a liveness
//! violation, and only then do objectives (`[slo]`) and expectations (`[expect]`) count. Every repeat is judged by itself,
//! since a median hides the repeat that went wrong. What cannot be judged counts as missed: silence is no evidence.

mod diagnosis;
mod expectation;
mod miss;
mod objective;

pub use diagnosis::why_nothing_succeeded;
pub use miss::Miss;

use crate::check::Verdict;
use crate::record::{Repeat, RunVerdict};
use crate::scenario::schema::Scenario;

/// What came of a run, with the reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Safety goes before liveness, liveness before objectives.
    pub verdict: RunVerdict,
    /// Everything missed, repeat by repeat, in the order of the scenario.
    pub misses: Vec<Miss>,
    /// What a reader must know about how it was judged, one sentence each.
    pub notes: Vec<String>,
}

/// The result of looking at one thing: what the run shows instead of what was wanted, if it does not.
type Met = Result<(), String>;

/// Judges every repeat by the scenario's checks, objectives and expectations.
///
/// An expectation `verdict = "safety-violation"` demands the violation, but does not excuse it: the run's verdict is what
/// its checks say.
#[must_use]
pub fn judge(scenario: &Scenario, repeats: &[Repeat]) -> Judgement {
    let mut judgement = Judgement::default();
    for (repeat, number) in repeats.iter().zip(1..) {
        judgement.verdict = judgement.verdict.max(repeat.verdict());
        let mut miss = |objective: String, wanted: String, met: Met| {
            if let Err(got) = met {
                judgement.misses.push(Miss {
                    repeat: number,
                    objective,
                    wanted,
                    got,
                });
            }
        };
        if let Some(why) = why_nothing_succeeded(repeat) {
            // Nobody needs to write this down: a run in which nothing succeeded measured nothing.
            miss(
                "operations.ok".to_owned(),
                "> 0".to_owned(),
                Err(format!("0: {why}")),
            );
        }
        for fault in &repeat.faults {
            // Nor this: a run whose faults did not happen as planned answers another question.
            if let Some(why) = &fault.failed {
                miss(
                    format!("fault at {:.1} s", fault.start_s),
                    format!("a {} as planned", fault.kind),
                    Err(why.clone()),
                );
            }
        }
        let resources = &repeat.checks.resources;
        if resources.verdict == Verdict::Fail {
            // Nor this: a replica that needs more than it may falls over somewhere else.
            miss(
                "check.resources".to_owned(),
                "within its bounds".to_owned(),
                Err(resources.detail.clone()),
            );
        }
        for objective in &scenario.slo.objectives {
            miss(
                format!("slo.{}", objective.name()),
                objective.bound.condition(),
                objective::look(objective, repeat),
            );
        }
        for expectation in &scenario.expect.expectations {
            miss(
                format!("expect.{}", expectation.fact.name()),
                expectation::wanted(&expectation.condition),
                expectation::look(expectation, repeat),
            );
            judgement
                .notes
                .extend(expectation::note(expectation.fact, repeat));
        }
    }
    judgement.notes.dedup();
    if judgement.verdict == RunVerdict::Pass && !judgement.misses.is_empty() {
        judgement.verdict = RunVerdict::SloMissed;
    }
    judgement
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
