//! A comparison as a page.

use super::comparison::{Comparison, Pair};
use super::judge::{MetricComparison, Verdict};
use super::render::sections;
use super::words::conclusion;
use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Mark, Trace};
use crate::report::{Tone, comparison_page};

const PERCENT: f64 = 100.0;

/// One page that needs nothing else: the conclusion, the change of each metric with its interval, every repeat, and what differs.
#[must_use]
pub fn comparison_html(comparison: &Comparison) -> String {
    let outcome = if !comparison.forced.is_empty() {
        ("NOT COMPARABLE", Tone::Bad)
    } else if comparison.any(Verdict::Worse) && comparison.any(Verdict::Better) {
        ("WORSE AND BETTER", Tone::Doubtful)
    } else if comparison.any(Verdict::Worse) {
        ("WORSE", Tone::Bad)
    } else if comparison.any(Verdict::Better) {
        ("BETTER", Tone::Good)
    } else if comparison.any(Verdict::Inconclusive) {
        ("UNDECIDED", Tone::Neutral)
    } else {
        ("THE SAME", Tone::Neutral)
    };
    let names: Vec<String> = comparison
        .sides
        .iter()
        .map(|side| format!("{}: {}", side.label, side.first().name))
        .collect();
    let mut figures = vec![changes(comparison)];
    figures.extend(
        comparison
            .pairs
            .first()
            .map(|pair| repeats(comparison, pair)),
    );
    comparison_page(
        &names.join(", "),
        &conclusion(comparison),
        outcome,
        figures,
        &sections(comparison),
    )
}

/// The change of each metric with its interval, beside the threshold.
fn changes(comparison: &Comparison) -> Figure {
    let mut table = Grid::new(&["candidate", "metric", "change", "from", "to", "verdict"]);
    let percent = |share: f64| format!("{:+.1} %", share * PERCENT);
    let mut traces = Vec::new();
    let several = comparison.pairs.len() > 1;
    let count = comparison.pairs.len().max(1) as f64;
    for (number, pair) in comparison.pairs.iter().enumerate() {
        let label = comparison.sides[pair.candidate].label;
        let known: Vec<(f64, &MetricComparison, f64)> = (0_u32..)
            .zip(&pair.metrics)
            .filter_map(|(place, one)| {
                let aside = ((number as f64 + 0.5) / count - 0.5) * 0.6;
                Some((f64::from(place) + aside, one, one.change()?))
            })
            .collect();
        for (_, one, change) in &known {
            let end = |side: usize| {
                one.ratio_interval
                    .map_or_else(|| "-".to_owned(), |ends| percent(ends[side] - 1.0))
            };
            table.push([
                label.to_owned(),
                one.metric.title().to_owned(),
                percent(*change),
                end(0),
                end(1),
                one.verdict.word().to_owned(),
            ]);
        }
        let colour = |one: &MetricComparison| match one.verdict {
            Verdict::Better => Colour::Green,
            Verdict::Worse => Colour::Red,
            Verdict::Same => Colour::Blue,
            Verdict::Inconclusive => Colour::Grey,
        };
        let word = |one: &MetricComparison, change: f64| {
            format!(
                "{label}: {} {}, {}",
                one.metric.title(),
                percent(change),
                one.verdict.word()
            )
        };
        traces.push(Trace {
            name: if several {
                label.to_owned()
            } else {
                String::new()
            },
            look: Look::Points,
            points: known
                .iter()
                .map(|(place, _, change)| (*place, Some(change * PERCENT)))
                .collect(),
            intervals: known
                .iter()
                .map(|(_, one, change)| {
                    let [low, high] = one.ratio_interval.unwrap_or([change + 1.0; 2]);
                    ((low - 1.0) * PERCENT, (high - 1.0) * PERCENT)
                })
                .collect(),
            notes: known
                .iter()
                .map(|(_, one, change)| word(one, *change))
                .collect(),
            colours: known.iter().map(|(_, one, _)| colour(one)).collect(),
            colour: Colour::Grey,
            unit: "%",
            ..Trace::default()
        });
    }
    let threshold = comparison.options.threshold * PERCENT;
    let level = |at: f64, label: &str| Mark {
        at,
        level: true,
        label: label.to_owned(),
    };
    let names = comparison.pairs.first().map(|pair| {
        pair.metrics
            .iter()
            .map(|one| one.metric.title().to_owned())
            .collect::<Vec<_>>()
    });
    let body = match traces.iter().all(|trace| trace.points.is_empty()) {
        true => Err("No metric was measured on both sides.".to_owned()),
        false => Ok(Drawing {
            traces,
            x: Axis::names("", names.unwrap_or_default()),
            y: Axis::new("change, %"),
            marks: vec![
                level(0.0, ""),
                level(threshold, "threshold"),
                level(-threshold, ""),
            ],
            height: 360,
            wide: true,
            table,
            ..Drawing::default()
        }),
    };
    Figure::new(
        "changes",
        "Change of each metric",
        "The median against the baseline's, with its 95 % interval where there are three repeats a side. Green: better, red: worse, blue: the same, grey: not decided. Between the dashed lines a change does not matter; where the noise of this machine is known to be wider, that counts instead.",
        body,
    )
}

/// Every repeat of both sides, as a share of the baseline's median.
fn repeats(comparison: &Comparison, pair: &Pair) -> Figure {
    let (baseline, candidate) = (
        comparison.baseline().label,
        comparison.sides[pair.candidate].label,
    );
    let mut table = Grid::new(&["metric", "side", "repeats", "median"]);
    let mut sides = vec![
        Trace {
            name: format!("{baseline} (baseline)"),
            look: Look::Points,
            colour: Colour::Blue,
            unit: "%",
            ..Trace::default()
        },
        Trace {
            name: candidate.to_owned(),
            look: Look::Hollow,
            colour: Colour::Orange,
            unit: "%",
            ..Trace::default()
        },
    ];
    for (place, one) in (0_u32..).zip(&pair.metrics) {
        for (side, sample) in [&one.baseline, &one.candidate].into_iter().enumerate() {
            let values: Vec<String> = sample
                .values
                .iter()
                .map(|value| one.metric.shown(*value))
                .collect();
            let label = [baseline, candidate][side];
            table.push([
                one.metric.title().to_owned(),
                label.to_owned(),
                values.join(" "),
                one.metric.shown(sample.median),
            ]);
            if one.baseline.median <= 0.0 {
                continue;
            }
            for (value, shown) in sample.values.iter().zip(values) {
                let aside = if side == 0 { -0.14 } else { 0.14 };
                sides[side].points.push((
                    f64::from(place) + aside,
                    Some((value / one.baseline.median - 1.0) * PERCENT),
                ));
                sides[side]
                    .notes
                    .push(format!("{label}: {} {shown}", one.metric.title()));
            }
        }
    }
    let body = match sides.iter().all(|side| side.points.is_empty()) {
        true => Err("The baseline has no median to compare with.".to_owned()),
        false => Ok(Drawing {
            traces: sides,
            x: Axis::names(
                "",
                pair.metrics.iter().map(|one| one.metric.title().to_owned()),
            ),
            y: Axis::new("% from the baseline's median"),
            wide: true,
            table,
            ..Drawing::default()
        }),
    };
    Figure::new(
        "repeats",
        "Every repeat",
        "One point for each repeat. Where the two sides overlap, chance explains much.",
        body,
    )
}
