//! Where the time of a slot goes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::record::LatencySummary;
use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::RepeatFiles;
use crate::report::units;

const US_PER_MS: f64 = 1e3;

/// In the order in which a request meets them, with their names on the page.
const PHASES: [(&str, &str); 7] = [
    ("queue", "queue"),
    ("pre_prepare", "pre-prepare"),
    ("prepare", "prepare"),
    ("commit", "commit"),
    ("execute", "execute"),
    ("fsync", "fsync"),
    ("reply", "reply"),
];

/// `phases` of run.json, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Phases {
    #[serde(default)]
    all: BTreeMap<String, LatencySummary>,
}

/// How long each phase took.
pub(super) fn phases(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "phases",
        "Phases of a slot",
        "How long correct replicas spent in each phase. A request meets queue, pre-prepare, prepare, commit (only where the fast path failed), execute and reply, and the network between them; \
         fsync lies within prepare. The longest bar is where time can be won.",
        repeat.fact("phases").and_then(|phases| drawing(&phases)),
    )
}

fn drawing(phases: &Phases) -> Result<Drawing, String> {
    let known: Vec<(&str, &LatencySummary)> = PHASES
        .iter()
        .filter_map(|(key, name)| Some((*name, phases.all.get(*key)?)))
        .filter(|(_, summary)| summary.count > 0)
        .collect();
    if known.is_empty() {
        return Err("No replica went through any phase.".to_owned());
    }
    let trace = |name: &str, of: fn(&LatencySummary) -> f64, colour| Trace {
        name: name.to_owned(),
        look: Look::Bars,
        points: (0_u32..)
            .zip(&known)
            .map(|(place, (_, summary))| (f64::from(place), Some(of(summary) / US_PER_MS)))
            .collect(),
        colour,
        unit: "ms",
        ..Trace::default()
    };
    let mut table = Grid::new(&["phase", "count", "mean", "p50", "p90", "p99", "max"]);
    for (name, summary) in &known {
        let times = [
            summary.mean,
            summary.p50,
            summary.p90,
            summary.p99,
            summary.max,
        ];
        let mut row = vec![(*name).to_owned(), units::count(summary.count)];
        row.extend(times.map(units::time));
        table.push(row);
    }
    Ok(Drawing {
        traces: vec![
            trace("p50", |summary| summary.p50, Colour::Blue),
            trace("p99", |summary| summary.p99, Colour::Orange),
        ],
        x: Axis::names("", known.iter().map(|(name, _)| (*name).to_owned())),
        y: Axis::from_zero("ms"),
        table,
        ..Drawing::default()
    })
}
