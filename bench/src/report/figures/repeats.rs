//! How far the repeats of a run agree.

use crate::compare::Metric;
use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Mark, Trace};
use crate::report::files::RunFiles;
use crate::report::units;
use crate::statistics::{median, quantile, sorted};

/// Repeats that the table lists.
const ROWS_MAX: usize = 100;

/// What is shown of each repeat.
const METRICS: [Metric; 7] = [
    Metric::Throughput,
    Metric::LatencyP50,
    Metric::LatencyP99,
    Metric::LatencyP999,
    Metric::Cpu,
    Metric::BytesSent,
    Metric::Fsyncs,
];

/// A metric, its values with the repeats that have one, from 0, and their median.
type Column = (Metric, Vec<(usize, f64)>, f64);

/// Each repeat's distance from the median.
pub(super) fn scatter(run: &RunFiles) -> Figure {
    Figure::new(
        "repeats",
        "Scatter of the repeats",
        "One point for each repeat (a fresh cluster), as a distance from the median of its column. A difference between two runs that is smaller than this scatter is no difference.",
        drawing(run),
    )
}

fn drawing(run: &RunFiles) -> Result<Drawing, String> {
    let repeats = &run.run.repeats;
    if repeats.len() < 2 {
        return Err("There is one repeat, so there is no scatter to see: `bench run --repeat 10` makes more.".to_owned());
    }
    let values = |metric: Metric| -> Vec<(usize, f64)> {
        let each = repeats.iter().enumerate();
        each.filter_map(|(index, repeat)| Some((index, metric.of(repeat)?)))
            .collect()
    };
    let shown: Vec<Column> = METRICS
        .into_iter()
        .filter_map(|metric| {
            let values = values(metric);
            let all: Vec<f64> = values.iter().map(|value| value.1).collect();
            Some((metric, values, median(&all).filter(|middle| *middle > 0.0)?))
        })
        .collect();
    let mut points = Vec::new();
    let mut notes = Vec::new();
    for (place, (metric, values, middle)) in (0_u32..).zip(&shown) {
        // Side by side, in their order, so that equal ones can be told apart.
        for (index, value) in values {
            let aside = (*index as f64 + 0.5) / repeats.len() as f64 - 0.5;
            points.push((
                f64::from(place) + aside * 0.5,
                Some((value / middle - 1.0) * 100.0),
            ));
            notes.push(format!(
                "repeat {}: {} {}",
                index + 1,
                metric.title(),
                metric.shown(*value)
            ));
        }
    }
    if points.is_empty() {
        return Err("No repeat has a figure to show.".to_owned());
    }
    let mut header = vec!["repeat", "seed"];
    header.extend(shown.iter().map(|(metric, ..)| metric.title()));
    let mut table = Grid::new(&header);
    let row = |name: String, seed: String, of: &dyn Fn(&Column) -> Option<f64>| {
        let mut row = vec![name, seed];
        row.extend(shown.iter().map(|column| {
            of(column).map_or_else(|| "-".to_owned(), |value| column.0.shown(value))
        }));
        row
    };
    for (index, repeat) in repeats.iter().enumerate().take(ROWS_MAX) {
        table.push(row(
            (index + 1).to_string(),
            repeat.seed.to_string(),
            &|column| {
                column
                    .1
                    .iter()
                    .find(|value| value.0 == index)
                    .map(|value| value.1)
            },
        ));
    }
    table.push(row("median".to_owned(), "-".to_owned(), &|column| {
        Some(column.2)
    }));
    let mut spread = vec!["greatest - least".to_owned(), "-".to_owned()];
    spread.extend(shown.iter().map(|(_, values, middle)| {
        let all: Vec<f64> = sorted(&values.iter().map(|value| value.1).collect::<Vec<_>>());
        match (quantile(&all, 0.0), quantile(&all, 1.0)) {
            (Some(least), Some(most)) => units::share((most - least) / middle),
            _ => "-".to_owned(),
        }
    }));
    table.push(spread);
    Ok(Drawing {
        traces: vec![Trace {
            name: "repeat".to_owned(),
            look: Look::Points,
            points,
            notes,
            colour: Colour::Blue,
            unit: "%",
            ..Trace::default()
        }],
        x: Axis::names(
            "",
            shown.iter().map(|(metric, ..)| metric.title().to_owned()),
        ),
        y: Axis::new("% from the median"),
        marks: vec![Mark {
            at: 0.0,
            level: true,
            label: String::new(),
        }],
        wide: true,
        table,
        ..Drawing::default()
    })
}
