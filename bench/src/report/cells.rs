//! What each cell of a sweep gave and cost, cell beside cell: for sweeps over something that is no load, where there is no line to draw.

use super::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use super::units;
use crate::record::Estimate;

const US_PER_MS: f64 = 1_000.0;

/// A cell, as far as its figures need it.
pub(super) struct CellFigures<'a> {
    /// As the axis names it.
    pub(super) name: &'a str,
    /// Medians over its repeats.
    pub(super) measured: &'a Measured,
    /// How many repeats there are.
    pub(super) repeats: usize,
}

/// Medians over the repeats of one load.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Measured {
    pub(super) throughput_ops_s: Option<Estimate>,
    pub(super) p50_us: Option<Estimate>,
    pub(super) p99_us: Option<Estimate>,
    pub(super) cpu_us_per_op: Option<Estimate>,
    pub(super) fast_path_share: Option<Estimate>,
}

/// One kind of bar.
struct Bars {
    name: &'static str,
    colour: Colour,
    of: fn(&Measured) -> Option<Estimate>,
}

/// What the bars of a figure have in common.
struct Scale {
    /// What the axis counts, in this unit.
    axis: &'static str,
    unit: &'static str,
    /// How many of what was measured make one of it.
    divisor: f64,
    /// A value as the table says it.
    shown: fn(f64) -> String,
}

/// Throughput, latency and cost.
pub(super) fn figures(cells: &[CellFigures<'_>]) -> Vec<Figure> {
    let figure = |id, title, caption: &str, scale: &Scale, bars: &[Bars]| {
        Figure::new(id, title, caption, drawing(cells, scale, bars))
    };
    vec![
        figure(
            "cells",
            "Throughput of each cell",
            "Median over the repeats, which took turns; whiskers are 95 % intervals. Whether two cells differ by more than chance is what `bench compare` answers.",
            &Scale {
                axis: "operations / s",
                unit: "/s",
                divisor: 1.0,
                shown: units::rate,
            },
            &[Bars {
                name: "throughput",
                colour: Colour::Blue,
                of: |of| of.throughput_ops_s,
            }],
        ),
        figure(
            "cells-latency",
            "Latency of each cell",
            "Medians over the repeats of the median and of the 99th percentile, with 95 % intervals. In a closed loop cells differ in load, too: whoever answers faster is asked more.",
            &Scale {
                axis: "ms",
                unit: "ms",
                divisor: US_PER_MS,
                shown: units::time,
            },
            &[
                Bars {
                    name: "p50",
                    colour: Colour::Blue,
                    of: |of| of.p50_us,
                },
                Bars {
                    name: "p99",
                    colour: Colour::Orange,
                    of: |of| of.p99_us,
                },
            ],
        ),
        figure(
            "cells-cost",
            "What an operation costs in each cell",
            "Processor time of all replicas together for each successful operation, with 95 % intervals; the load generator's is not in it.",
            &Scale {
                axis: "us / operation",
                unit: "us",
                divisor: 1.0,
                shown: units::time,
            },
            &[Bars {
                name: "processor time",
                colour: Colour::Violet,
                of: |of| of.cpu_us_per_op,
            }],
        ),
        figure(
            "cells-fast-path",
            "Fast path in each cell",
            "Part of the slots that were decided by one round of votes, with 95 % intervals.",
            &Scale {
                axis: "% of the slots",
                unit: "%",
                divisor: 0.01,
                shown: units::share,
            },
            &[Bars {
                name: "fast path",
                colour: Colour::Green,
                of: |of| of.fast_path_share,
            }],
        ),
    ]
}

/// Bars for the cells that have any of these figures.
fn drawing(cells: &[CellFigures<'_>], scale: &Scale, bars: &[Bars]) -> Result<Drawing, String> {
    let known: Vec<&CellFigures<'_>> = cells
        .iter()
        .filter(|cell| bars.iter().any(|each| (each.of)(cell.measured).is_some()))
        .collect();
    if known.is_empty() {
        return Err("Nothing of this was measured yet.".to_owned());
    }
    let mut header = vec!["cell".to_owned()];
    for each in bars {
        header.extend([
            each.name.to_owned(),
            format!("95 % interval of {}", each.name),
        ]);
    }
    header.push("repeats".to_owned());
    let mut table = Grid {
        header,
        rows: Vec::new(),
    };
    for cell in &known {
        let mut row = vec![cell.name.to_owned()];
        for each in bars {
            let found = (each.of)(cell.measured);
            let median = found.map(|found| (scale.shown)(found.median));
            let interval = found
                .and_then(|found| found.interval())
                .map(|ends| ends.map(scale.shown))
                .map(|[low, high]| format!("{low} to {high}"));
            row.extend([median, interval].map(|cell| cell.unwrap_or_else(|| "-".to_owned())));
        }
        row.push(cell.repeats.to_string());
        table.rows.push(row);
    }
    let traces = bars.iter().map(|each| trace(&known, scale, each));
    Ok(Drawing {
        traces: traces.collect(),
        x: Axis::names("", known.iter().map(|cell| cell.name.to_owned())),
        y: Axis::from_zero(scale.axis),
        wide: true,
        table,
        ..Drawing::default()
    })
}

fn trace(cells: &[&CellFigures<'_>], scale: &Scale, bars: &Bars) -> Trace {
    let found: Vec<(f64, Estimate)> = (0_u32..)
        .zip(cells)
        .filter_map(|(place, cell)| Some((f64::from(place), (bars.of)(cell.measured)?)))
        .collect();
    let scaled = |value: f64| value / scale.divisor;
    Trace {
        name: bars.name.to_owned(),
        look: Look::Bars,
        points: found
            .iter()
            .map(|(place, of)| (*place, Some(scaled(of.median))))
            .collect(),
        intervals: found
            .iter()
            .map(|(_, of)| of.interval().unwrap_or([of.median; 2]).map(scaled))
            .map(|[low, high]| (low, high))
            .collect(),
        colour: bars.colour,
        unit: scale.unit,
        ..Trace::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn estimate(median: f64) -> Option<Estimate> {
        let text = serde_json::json!({"median": median, "ci95": [median * 0.9, median * 1.1], "repeats": 3, "method": "bca"});
        Some(serde_json::from_value(text).unwrap())
    }

    #[test]
    fn each_cell_has_its_bars_and_what_nobody_measured_is_said() {
        let (fast, slow) = (
            Measured {
                throughput_ops_s: estimate(1_000.0),
                p50_us: estimate(2_000.0),
                p99_us: estimate(9_000.0),
                ..Measured::default()
            },
            Measured {
                throughput_ops_s: estimate(500.0),
                p50_us: estimate(4_000.0),
                ..Measured::default()
            },
        );
        let cell = |name, measured| CellFigures {
            name,
            measured,
            repeats: 3,
        };
        let figures = figures(&[cell("fast", &fast), cell("slow", &slow)]);
        let latency = figures[1].body.as_ref().unwrap();
        let points = |trace: &Trace| trace.points.clone();
        let shown: Vec<(&str, _)> = latency
            .traces
            .iter()
            .map(|trace| (trace.name.as_str(), points(trace)))
            .collect();
        assert_eq!(
            shown,
            [
                ("p50", vec![(0.0, Some(2.0)), (1.0, Some(4.0))]),
                ("p99", vec![(0.0, Some(9.0))])
            ]
        );
        assert_eq!(latency.traces[0].intervals[1], (3.6, 4.4));
        assert_eq!(latency.table.rows[1][3..], ["-", "-", "3"]);
        let cost = figures[2].body.as_ref().unwrap_err();
        assert_eq!(cost, "Nothing of this was measured yet.");
    }
}
