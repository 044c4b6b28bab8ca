//! How clients were served: throughput and latency over time, and the latency curve.

use super::faults;
use super::windows::{self, at, greatest, least, or_dash};
use crate::record::LatencySummary;
use crate::report::figure::{Axis, Colour, Dash, Drawing, Figure, Grid, Look, Mark, Trace, nines};
use crate::report::files::{
    Columns, Percentile, RepeatFiles, RunFiles, WANTED_PERCENTILES, percentile_at,
};
use crate::report::units;
use crate::statistics::median;

/// Buckets of timeseries.csv in a second.
const BUCKETS_A_SECOND: usize = 10;
const US_PER_MS: f64 = 1e3;
/// Repeats whose curves are drawn.
const CURVES_MAX: usize = 8;

/// Operations answered each second, with faults and views.
pub(super) fn throughput(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "throughput",
        "Throughput over time",
        "Operations answered a second: each 100 ms (faint), and the mean of the second up to it. Shaded: faults; dotted: new views. Look for gaps and for how soon the line is back.",
        throughput_drawing(repeat),
    )
}

/// When each bucket of timeseries.csv begins, seconds into the measured phase.
fn times(series: &Columns) -> Result<Vec<f64>, String> {
    let times = series.numbers("t_s")?;
    Ok(times.iter().map(|t| t.unwrap_or_default()).collect())
}

fn throughput_drawing(repeat: &RepeatFiles<'_>) -> Result<Drawing, String> {
    let series = repeat.series()?;
    let times = times(&series)?;
    let ok = series.numbers("ok")?;
    // Answers that come after the measured phase belong to operations of it, but to no second of it.
    let within = times
        .iter()
        .take_while(|t| **t < repeat.repeat.duration_s.max(0.1))
        .count();
    let (times, ok) = (&times[..within], &ok[..within.min(ok.len())]);
    let rate = |count: Option<f64>| count.map(|count| count * BUCKETS_A_SECOND as f64);
    let line = |name: &str, look, values: Vec<Option<f64>>, colour| Trace {
        name: name.to_owned(),
        look,
        points: times.iter().copied().zip(values).collect(),
        colour,
        unit: "/s",
        ..Trace::default()
    };
    let mut traces = vec![
        line(
            "each 100 ms",
            Look::Faint,
            ok.iter().map(|count| rate(*count)).collect(),
            Colour::Blue,
        ),
        line("answered", Look::Line, smooth(ok), Colour::Blue),
    ];
    let mut columns = vec!["answered", "worst second", "best second"];
    let mut more = Vec::new();
    let open = repeat
        .run()
        .run
        .scenario
        .pointer("/load/model")
        .is_some_and(|model| model == "open");
    for (name, title, colour, wanted) in [
        ("offered", "offered", Colour::Grey, open),
        ("failed", "failed (condition false)", Colour::Violet, false),
        ("dropped", "dropped", Colour::Red, false),
    ] {
        let Ok(column) = series.numbers(name) else {
            continue;
        };
        let column = &column[..within.min(column.len())];
        if wanted
            || column
                .iter()
                .flatten()
                .any(|count| *count > 0.0 && name != "offered")
        {
            let dash = if name == "offered" {
                Dash::Dashed
            } else {
                Dash::Dotted
            };
            traces.push(Trace {
                dash,
                ..line(title, Look::Line, smooth(column), colour)
            });
            columns.push(title);
            more.push(column.to_vec());
        }
    }
    let smoothed = smooth(ok);
    let per_second = |column: &[Option<f64>], places: &[usize]| {
        let values = at(column, places);
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        or_dash(
            (!values.is_empty()).then_some(mean * BUCKETS_A_SECOND as f64),
            units::rate,
        )
    };
    let table = windows::table(times, &columns, &|places| {
        let seconds = at(&smoothed, places);
        let mut row = vec![
            per_second(ok, places),
            or_dash(least(&seconds), units::rate),
            or_dash(greatest(&seconds), units::rate),
        ];
        row.extend(more.iter().map(|column| per_second(column, places)));
        row
    });
    Ok(Drawing {
        traces,
        x: Axis::seconds(repeat.repeat.duration_s),
        y: Axis::from_zero("operations / s"),
        bands: faults::bands(repeat),
        marks: faults::new_views(&repeat.happenings().unwrap_or_default()),
        height: 340,
        wide: true,
        table,
        ..Drawing::default()
    })
}

/// The mean of the second that ends with each bucket, as a rate: nothing shows before it happened.
fn smooth(counts: &[Option<f64>]) -> Vec<Option<f64>> {
    (0..counts.len())
        .map(|index| {
            let window = &counts[(index + 1).saturating_sub(BUCKETS_A_SECOND)..=index];
            let known: Vec<f64> = window.iter().flatten().copied().collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            (!known.is_empty()).then_some(mean * BUCKETS_A_SECOND as f64)
        })
        .collect()
}

/// p50 and p99 of the answers in each 100 ms.
pub(super) fn latency(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "latency",
        "Latency over time",
        "p50 and p99 of what was answered in each 100 ms, from the intended start. Shaded: faults; dotted: new views. A gap: nothing was answered. Look for what a fault leaves behind, and for a slope.",
        latency_drawing(repeat),
    )
}

fn latency_drawing(repeat: &RepeatFiles<'_>) -> Result<Drawing, String> {
    let series = repeat.series()?;
    let times = times(&series)?;
    let ms = |name| {
        let column = series.numbers(name)?;
        let ms = column
            .iter()
            .map(|us| us.map(|us| us / US_PER_MS))
            .collect();
        Ok::<Vec<Option<f64>>, String>(ms)
    };
    let (p50, p99) = (ms("p50_us")?, ms("p99_us")?);
    let line = |name: &str, values: &[Option<f64>], colour| Trace {
        name: name.to_owned(),
        points: times.iter().copied().zip(values.iter().copied()).collect(),
        colour,
        unit: "ms",
        ..Trace::default()
    };
    let show = |ms: f64| units::time(ms * US_PER_MS);
    let table = windows::table(
        &times,
        &["middle of the p50s", "middle of the p99s", "greatest p99"],
        &|places| {
            let (p50, p99) = (at(&p50, places), at(&p99, places));
            vec![
                or_dash(median(&p50), show),
                or_dash(median(&p99), show),
                or_dash(greatest(&p99), show),
            ]
        },
    );
    Ok(Drawing {
        traces: vec![
            line("p99", &p99, Colour::Orange),
            line("p50", &p50, Colour::Blue),
        ],
        x: Axis::seconds(repeat.repeat.duration_s),
        y: Axis::log("ms"),
        bands: faults::bands(repeat),
        marks: faults::new_views(&repeat.happenings().unwrap_or_default())
            .into_iter()
            .map(|mark| Mark {
                label: String::new(),
                ..mark
            })
            .collect(),
        wide: true,
        table,
        ..Drawing::default()
    })
}

/// The latency curve on an axis of nines.
pub(super) fn percentiles(run: &RunFiles, repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "percentiles",
        "Latency by percentile",
        "How long all but so many operations took: each step to the right is ten times as rare. From the intended start, and from sending on; where the two part, operations \
         waited to be sent. The right end of a line is its maximum.",
        percentile_drawing(run, repeat),
    )
}

fn percentile_drawing(run: &RunFiles, repeat: &RepeatFiles<'_>) -> Result<Drawing, String> {
    let shown = repeat.percentiles(false)?;
    let mut traces = Vec::new();
    let count = run.run.repeats.len();
    for other in (0..count)
        .filter_map(|index| run.repeat(index))
        .take(CURVES_MAX)
    {
        if other.number() != repeat.number()
            && let Ok(steps) = other.percentiles(false)
        {
            traces.push(Trace {
                name: format!("repeat {}", other.number()),
                look: Look::Faint,
                ..curve(&steps, "", Colour::Grey)
            });
        }
    }
    let suffix = if count > 1 {
        format!(", repeat {}", repeat.number())
    } else {
        String::new()
    };
    let service = repeat.percentiles(true);
    let summary = repeat
        .repeat
        .service_latency_us
        .get("all")
        .filter(|summary| summary.count > 0);
    let from_sending = format!("from sending{suffix}");
    match (&service, summary) {
        (Ok(steps), _) => traces.push(Trace {
            dash: Dash::Dashed,
            ..curve(steps, &from_sending, Colour::Teal)
        }),
        (Err(_), Some(summary)) => traces.push(Trace {
            name: from_sending,
            look: Look::Points,
            points: of_summary(summary)
                .map(|(share, ms)| (nines(share), Some(ms)))
                .collect(),
            notes: of_summary(summary)
                .map(|(share, ms)| {
                    format!("{:.2} %: {}", share * 100.0, units::time(ms * US_PER_MS))
                })
                .collect(),
            colour: Colour::Teal,
            unit: "ms",
            ..Trace::default()
        }),
        (Err(_), None) => {}
    }
    traces.push(curve(
        &shown,
        &format!("from the intended start{suffix}"),
        Colour::Blue,
    ));
    let place_max = traces
        .iter()
        .flat_map(|trace| &trace.points)
        .map(|point| point.0);
    let place_max = place_max.fold(1.0, f64::max);
    let mut table = Grid::new(&["percentile", "from the intended start", "from sending"]);
    let show = |ms: Option<f64>| or_dash(ms, |ms| units::time(ms * US_PER_MS));
    for (share, name) in WANTED_PERCENTILES {
        let sending = match (&service, summary) {
            (Ok(steps), _) => percentile_at(steps, share),
            (Err(_), Some(summary)) => of_summary(summary)
                .find(|(at, _)| *at == share)
                .map(|(_, ms)| ms),
            (Err(_), None) => None,
        };
        table.push([
            name.to_owned(),
            show(percentile_at(&shown, share)),
            show(sending),
        ]);
    }
    let end = |steps: &[Percentile]| steps.last().map(|step| step.ms);
    let sending = match &service {
        Ok(steps) => end(steps),
        Err(_) => summary.map(|summary| summary.max / US_PER_MS),
    };
    table.push(["max".to_owned(), show(end(&shown)), show(sending)]);
    Ok(Drawing {
        traces,
        x: Axis::nines(place_max),
        y: Axis::log("ms"),
        table,
        wide: true,
        ..Drawing::default()
    })
}

fn curve(steps: &[Percentile], name: &str, colour: Colour) -> Trace {
    let count = steps.last().map_or(1, |step| step.count).max(1) as f64;
    // The maximum stands for the rarest of so many operations.
    let place = |step: &Percentile| nines(step.share.min(1.0 - 1.0 / count)).max(0.0);
    Trace {
        name: name.to_owned(),
        points: steps
            .iter()
            .map(|step| (place(step), Some(step.ms)))
            .collect(),
        notes: steps
            .iter()
            .map(|step| {
                format!(
                    "{name}: {:.5} % within {}",
                    step.share * 100.0,
                    units::time(step.ms * US_PER_MS)
                )
            })
            .collect(),
        colour,
        unit: "ms",
        ..Trace::default()
    }
}

/// Shares and milliseconds of a summary.
fn of_summary(summary: &LatencySummary) -> impl Iterator<Item = (f64, f64)> + use<> {
    let values = [
        (0.0, summary.min),
        (0.5, summary.p50),
        (0.9, summary.p90),
        (0.99, summary.p99),
        (0.999, summary.p999),
        (0.9999, summary.p9999),
    ];
    let count = summary.count as f64;
    values
        .into_iter()
        .filter(move |(share, _)| (1.0 - share) * count >= 1.0)
        .map(|(share, us)| (share, us / US_PER_MS))
}
