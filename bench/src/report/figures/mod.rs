//! The figures of a run, in the order in which they are read: how clients were served, what the protocol did, what faults
//! did to it, what it cost, and how far repeats agree.

mod batches;
mod cost;
mod course;
mod curve;
mod faults;
mod lag;
mod messages;
mod network;
mod paths;
mod phases;
mod repeats;
mod several;
mod slot;
mod steadiness;
mod timeline;
mod violation;
mod windows;

pub(super) use curve::{Curve, CurvePoint, curve};
pub(super) use several::{named, of_several};

use super::figure::Figure;
use super::files::RunFiles;

/// Figures that belong together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// A word or two.
    pub(super) title: &'static str,
    /// A remark that holds for all of them; may be empty.
    pub(super) remark: String,
    pub(super) figures: Vec<Figure>,
}

/// Every figure of a run; nothing for a run without repeats.
pub(super) fn of_run(run: &RunFiles) -> Vec<Group> {
    let Some(repeat) = run.shown() else {
        return Vec::new();
    };
    let several = run.run.repeats.len() > 1;
    let remark = match several {
        true => format!(
            "Figures over time show repeat {} of {}, {}.",
            repeat.number(),
            run.run.repeats.len(),
            if repeat.repeat.verdict() > crate::record::RunVerdict::SloMissed {
                "the first that went wrong"
            } else {
                "the one in the middle by throughput"
            }
        ),
        false => String::new(),
    };
    let group = |title, figures| Group {
        title,
        remark: String::new(),
        figures,
    };
    let mut groups = vec![
        Group {
            remark,
            ..group(
                "Service",
                vec![
                    course::throughput(&repeat),
                    course::latency(&repeat),
                    course::percentiles(run, &repeat),
                    steadiness::steadiness(&repeat),
                ],
            )
        },
        group(
            "Faults and recovery",
            vec![
                timeline::views(&repeat),
                faults::recovery(run),
                lag::lag(&repeat),
                lag::transfers(&repeat),
            ],
        ),
        group(
            "Consensus",
            vec![
                phases::phases(&repeat),
                paths::share(&repeat),
                paths::fallbacks(&repeat),
                batches::sizes(&repeat),
                messages::counts(&repeat),
            ],
        ),
        group(
            "Cost",
            vec![
                cost::cpu(&repeat),
                cost::memory(&repeat),
                cost::bytes(&repeat),
                cost::fsyncs(&repeat),
            ],
        ),
        group("Network", vec![network::round_trips(&repeat)]),
        group("Repeats", vec![repeats::scatter(run)]),
    ];
    let wrong = violation::violations(&repeat);
    if !wrong.is_empty() {
        groups.insert(
            0,
            Group {
                remark: "After a violation no other figure of the run means anything.".to_owned(),
                ..group("Violation", wrong)
            },
        );
    }
    groups
}
