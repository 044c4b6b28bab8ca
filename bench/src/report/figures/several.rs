//! Several runs side by side.

use super::Group;
use super::curve::{curve, curves_of_runs};
use super::windows::or_dash;
use crate::report::figure::{Axis, Colour, Dash, Drawing, Figure, Grid, Look, Trace, nines};
use crate::report::files::{RunFiles, WANTED_PERCENTILES, percentile_at};
use crate::report::setup::Setup;
use crate::report::units;
use crate::statistics::median;

const US_PER_MS: f64 = 1e3;

/// The figures of several runs.
pub(in crate::report) fn of_several(runs: &[RunFiles]) -> Vec<Group> {
    let curves = curves_of_runs(runs);
    vec![Group {
        title: "Side by side",
        remark: "Whether a difference is more than chance is what `bench compare` answers."
            .to_owned(),
        figures: vec![
            throughputs(runs),
            curve(
                &curves,
                "No two of these runs differ in nothing but their load.",
            ),
            course(runs),
            percentiles(runs),
        ],
    }]
}

/// Names of runs that can be told apart: `1: quickstart`.
pub(in crate::report) fn named(number: usize, run: &RunFiles) -> String {
    format!("{}: {}", number + 1, run.run.name)
}

fn throughputs(runs: &[RunFiles]) -> Figure {
    let mut table = Grid::new(&[
        "run",
        "load",
        "throughput",
        "95 % interval",
        "repeats",
        "p50",
        "p99",
    ]);
    let each = || runs.iter().enumerate();
    for (number, run) in each() {
        let summary = &run.run.summary;
        let rate = &summary.throughput_ops_s;
        let known = |us: f64| or_dash((us > 0.0).then_some(us), units::time);
        table.push([
            named(number, run),
            Setup::of(&run.run).load(),
            units::rate(rate.median),
            rate.interval().map_or_else(
                || "-".to_owned(),
                |[low, high]| format!("{} to {}", units::rate(low), units::rate(high)),
            ),
            rate.repeats.to_string(),
            known(summary.p50_us.median),
            known(summary.p99_us.median),
        ]);
    }
    let whiskers = runs
        .iter()
        .all(|run| run.run.summary.throughput_ops_s.interval().is_some());
    let rates = || runs.iter().map(|run| &run.run.summary.throughput_ops_s);
    Figure::new(
        "throughputs",
        "Throughput of each run",
        "Median over the repeats of each run; whiskers are 95 % intervals, if every run has three repeats or more.",
        Ok(Drawing {
            traces: vec![Trace {
                name: "throughput".to_owned(),
                look: Look::Bars,
                points: (0_u32..)
                    .zip(rates())
                    .map(|(place, rate)| (f64::from(place), Some(rate.median)))
                    .collect(),
                intervals: rates()
                    .filter(|_| whiskers)
                    .map(|rate| (rate.ci95[0], rate.ci95[1]))
                    .collect(),
                colour: Colour::Blue,
                unit: "/s",
                ..Trace::default()
            }],
            x: Axis::names("", each().map(|(number, run)| named(number, run))),
            y: Axis::from_zero("operations / s"),
            table,
            wide: true,
            ..Drawing::default()
        }),
    )
}

fn course(runs: &[RunFiles]) -> Figure {
    let mut traces = Vec::new();
    let mut table = Grid::new(&["run", "worst second", "middle second", "best second"]);
    let mut why = String::new();
    for (number, run) in runs.iter().enumerate() {
        let name = named(number, run);
        let seconds = match run
            .shown()
            .ok_or_else(|| "it has no repeats".to_owned())
            .and_then(|repeat| {
                let series = repeat.series()?;
                let counts: Vec<f64> = series
                    .numbers("ok")?
                    .iter()
                    .map(|ok| ok.unwrap_or_default())
                    .collect();
                let whole = (repeat.repeat.duration_s.floor() as usize).min(counts.len() / 10);
                let seconds = counts
                    .chunks(10)
                    .take(whole)
                    .map(|second| second.iter().sum::<f64>());
                Ok(seconds.collect::<Vec<f64>>())
            }) {
            Ok(seconds) => seconds,
            Err(reason) => {
                why = format!("{name}: {reason}");
                continue;
            }
        };
        let most = seconds.iter().copied().reduce(f64::max);
        let least = seconds.iter().copied().reduce(f64::min);
        table.push([
            name.clone(),
            or_dash(least, units::rate),
            or_dash(median(&seconds), units::rate),
            or_dash(most, units::rate),
        ]);
        traces.push(Trace {
            name,
            points: (0_u32..)
                .zip(seconds)
                .map(|(second, ok)| (f64::from(second) + 0.5, Some(ok)))
                .collect(),
            colour: Colour::of(number),
            dash: Dash::of(number),
            unit: "/s",
            ..Trace::default()
        });
    }
    let body = match traces.iter().all(|trace| trace.points.is_empty()) {
        true => Err(format!("No run has a whole second to draw. {why}")),
        false => Ok(Drawing {
            traces,
            x: Axis::new("seconds into the measured phase"),
            y: Axis::from_zero("operations / s"),
            height: 340,
            wide: true,
            table,
            ..Drawing::default()
        }),
    };
    Figure::new(
        "throughput",
        "Throughput over time",
        "Operations answered in each second, one line for each run: of several repeats the one in the middle by throughput.",
        body,
    )
}

fn percentiles(runs: &[RunFiles]) -> Figure {
    let mut traces = Vec::new();
    let mut header = vec!["run"];
    header.extend(WANTED_PERCENTILES.map(|(_, name)| name));
    let mut table = Grid::new(&header);
    let mut why = String::new();
    for (number, run) in runs.iter().enumerate() {
        let name = named(number, run);
        let repeat = run.shown().ok_or_else(|| "it has no repeats".to_owned());
        let steps = match repeat.and_then(|repeat| repeat.percentiles(false)) {
            Ok(steps) => steps,
            Err(reason) => {
                why = format!("{name}: {reason}");
                continue;
            }
        };
        let mut row = vec![name.clone()];
        row.extend(WANTED_PERCENTILES.map(|(share, _)| {
            or_dash(percentile_at(&steps, share), |ms| {
                units::time(ms * US_PER_MS)
            })
        }));
        table.push(row);
        let rarest = 1.0 - 1.0 / steps.last().map_or(1, |step| step.count).max(1) as f64;
        traces.push(Trace {
            name,
            points: steps
                .iter()
                .map(|step| (nines(step.share.min(rarest)).max(0.0), Some(step.ms)))
                .collect(),
            colour: Colour::of(number),
            dash: Dash::of(number),
            unit: "ms",
            ..Trace::default()
        });
    }
    let place_max = traces
        .iter()
        .flat_map(|trace| &trace.points)
        .map(|point| point.0)
        .fold(1.0, f64::max);
    let body = match traces.is_empty() {
        true => Err(format!("No run has a latency curve. {why}")),
        false => Ok(Drawing {
            traces,
            x: Axis::nines(place_max),
            y: Axis::log("ms"),
            height: 340,
            wide: true,
            table,
            ..Drawing::default()
        }),
    };
    Figure::new(
        "percentiles",
        "Latency by percentile",
        "From the intended start; each step to the right is ten times as rare. The right end of a line is its maximum.",
        body,
    )
}
