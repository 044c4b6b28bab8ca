//! By which path slots were decided, and why not by the fast one.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::faults;
use super::windows;
use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::{Groups, RepeatFiles};
use crate::report::units;

/// Bars that can be told apart.
const BARS_MAX: f64 = 240.0;

/// Slots decided by each path.
pub(super) fn share(repeat: &RepeatFiles<'_>) -> Figure {
    let facts = &repeat.repeat.consensus;
    let share = match facts.fast_path_slots + facts.slow_path_slots {
        0 => String::new(),
        slots => format!(
            " Of {} slots {} took the fast path.",
            units::count(slots),
            units::share(facts.fast_path_share)
        ),
    };
    Figure::new(
        "paths",
        "Fast path and COMMITs",
        format!(
            "Slots decided a second by one round of votes, and by a second one. Orange grows where a replica is slow, silent or overloaded.{share}"
        ),
        decided(repeat).and_then(|decided| share_drawing(repeat, &decided)),
    )
}

/// Slots decided by each path since the look before, by time.
struct Decided {
    times: Vec<f64>,
    fast: Vec<Option<f64>>,
    slow: Vec<Option<f64>>,
}

/// As one replica counted them, the one that decided most: counters of different replicas have no difference. Where that was not recorded, as
/// the cluster's series has it.
fn decided(repeat: &RepeatFiles<'_>) -> Result<Decided, String> {
    if let Ok(columns) = repeat.replicas()
        && let (Ok(mut fast), Ok(mut slow)) = (
            columns.grouped("replica", "t_s", "fast"),
            columns.grouped("replica", "t_s", "slow"),
        )
    {
        let total = |id: &u32| -> f64 {
            let last = |groups: &Groups| {
                groups
                    .get(id)
                    .and_then(|points| points.last()?.1)
                    .unwrap_or_default()
            };
            last(&fast) + last(&slow)
        };
        let most = fast
            .keys()
            .copied()
            .max_by(|a, b| total(a).total_cmp(&total(b)));
        if let Some((fast, slow)) = most.and_then(|id| Some((fast.remove(&id)?, slow.remove(&id)?)))
        {
            return Ok(Decided {
                times: fast.iter().map(|point| point.0).collect(),
                fast: increments(&fast),
                slow: increments(&slow),
            });
        }
    }
    let series = repeat.series()?;
    Ok(Decided {
        times: series
            .numbers("t_s")?
            .iter()
            .map(|t| t.unwrap_or_default())
            .collect(),
        fast: series.numbers("fast")?.to_vec(),
        slow: series.numbers("slow")?.to_vec(),
    })
}

fn increments(totals: &[(f64, Option<f64>)]) -> Vec<Option<f64>> {
    let mut before = 0.0;
    totals
        .iter()
        .map(|(_, total)| {
            let now = (*total)?;
            let more = (now - before).max(0.0);
            before = now;
            Some(more)
        })
        .collect()
}

fn share_drawing(repeat: &RepeatFiles<'_>, decided: &Decided) -> Result<Drawing, String> {
    let Decided { times, fast, slow } = decided;
    let width = (repeat.repeat.duration_s / BARS_MAX).max(1.0).ceil();
    let binned = |column: &[Option<f64>]| {
        let mut bins: BTreeMap<u64, f64> = BTreeMap::new();
        for (time, slots) in times.iter().zip(column) {
            *bins.entry((time / width) as u64).or_default() += slots.unwrap_or_default();
        }
        let place = |bin: u64| (bin as f64 + 0.5) * width;
        bins.into_iter()
            .map(|(bin, slots)| (place(bin), Some(slots / width)))
            .collect()
    };
    let trace = |name: &str, column, colour| Trace {
        name: name.to_owned(),
        look: Look::Bars,
        points: binned(column),
        colour,
        unit: "slots/s",
        ..Trace::default()
    };
    let sum =
        |column: &[Option<f64>], places: &[usize]| windows::at(column, places).iter().sum::<f64>();
    let table = windows::table(
        times,
        &["fast path", "by COMMITs", "share of the fast path"],
        &|places| {
            let (fast, slow) = (sum(fast, places), sum(slow, places));
            let share = (fast + slow > 0.0).then(|| fast / (fast + slow));
            vec![
                units::counted(fast as u64, "slot"),
                units::counted(slow as u64, "slot"),
                windows::or_dash(share, units::share),
            ]
        },
    );
    Ok(Drawing {
        traces: vec![
            trace("fast path", fast, Colour::Green),
            trace("by COMMITs", slow, Colour::Orange),
        ],
        x: Axis::seconds(repeat.repeat.duration_s),
        y: Axis::from_zero("slots / s"),
        bands: faults::bands(repeat),
        stacked: true,
        table,
        ..Drawing::default()
    })
}

/// `fallbacks` of run.json, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fallbacks {
    slots: u64,
    missing: Vec<Missing>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Missing {
    replica: u32,
    times: u64,
}

/// Whose votes were missing when replicas gave the fast path up.
pub(super) fn fallbacks(repeat: &RepeatFiles<'_>) -> Figure {
    let caption = "Whose PREPARE was missing when a correct replica gave up the fast path and sent its COMMIT. One high bar: that replica is slow or silent; even bars: all of them are held up.";
    Figure::new(
        "fallbacks",
        "Reasons of fallback",
        caption,
        repeat
            .fact("fallbacks")
            .and_then(|fact| fallback_drawing(&fact)),
    )
}

fn fallback_drawing(fact: &Fallbacks) -> Result<Drawing, String> {
    if fact.slots == 0 {
        return Err("No correct replica gave the fast path up.".to_owned());
    }
    let names = || fact.missing.iter().map(|one| format!("r{}", one.replica));
    let mut table = Grid::new(&["replica", "its vote was missing", "of the fallbacks"]);
    for (one, name) in fact.missing.iter().zip(names()) {
        table.push([
            name,
            units::counted(one.times, "time"),
            units::share(one.times as f64 / fact.slots as f64),
        ]);
    }
    Ok(Drawing {
        traces: vec![Trace {
            name: "vote missing".to_owned(),
            look: Look::Bars,
            points: (0_u32..)
                .zip(&fact.missing)
                .map(|(place, one)| (f64::from(place), Some(one.times as f64)))
                .collect(),
            colour: Colour::Orange,
            unit: "times",
            ..Trace::default()
        }],
        x: Axis::names("replica", names()),
        y: Axis::from_zero("times"),
        table,
        ..Drawing::default()
    })
}
