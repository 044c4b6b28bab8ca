//! Whether the measured phase was steady: figures of its windows, and the trend through them.

use serde::Deserialize;

use super::windows::or_dash;
use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::RepeatFiles;

/// `stationarity` of run.json, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stationarity {
    verdict: String,
    detail: String,
    window_s: f64,
    throughput_ops_s: Option<Trend>,
    p50_us: Option<Trend>,
    p99_us: Option<Trend>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Trend {
    values: Vec<Option<f64>>,
    change: Option<f64>,
    p_value: Option<f64>,
    drifts: bool,
}

/// Throughput and latency window by window, each as a share of its median.
pub(super) fn steadiness(repeat: &RepeatFiles<'_>) -> Figure {
    let fact: Result<Stationarity, String> = repeat.fact("stationarity");
    let said = fact.as_ref().map_or(String::new(), |fact| {
        format!(" {}: {}", fact.verdict, fact.detail)
    });
    Figure::new(
        "steadiness",
        "Was it steady?",
        format!(
            "The measured phase in windows, each figure as a share of its median: a slope says that the run was not long enough, or that something grew.{said}"
        ),
        fact.and_then(|fact| drawing(&fact)),
    )
}

fn drawing(fact: &Stationarity) -> Result<Drawing, String> {
    let mut traces = Vec::new();
    let mut table = Grid::new(&["figure", "change over the phase", "p", "drifts"]);
    for (name, trend, colour) in [
        ("throughput", &fact.throughput_ops_s, Colour::Blue),
        ("p50", &fact.p50_us, Colour::Green),
        ("p99", &fact.p99_us, Colour::Orange),
    ] {
        let Some(trend) = trend else {
            continue;
        };
        let known: Vec<f64> = trend.values.iter().flatten().copied().collect();
        let Some(middle) = crate::statistics::median(&known).filter(|middle| *middle > 0.0) else {
            continue;
        };
        let points = trend.values.iter().zip(0_u32..);
        traces.push(Trace {
            name: name.to_owned(),
            look: Look::Marked,
            points: points
                .map(|(value, window)| {
                    let at = (f64::from(window) + 0.5) * fact.window_s;
                    (at, value.map(|value| value / middle * 100.0))
                })
                .collect(),
            colour,
            unit: "%",
            ..Trace::default()
        });
        table.push([
            name.to_owned(),
            or_dash(trend.change, |change| format!("{:+.1} %", change * 100.0)),
            or_dash(trend.p_value, |p| format!("{p:.3}")),
            if trend.drifts { "yes" } else { "no" }.to_owned(),
        ]);
    }
    match traces.is_empty() {
        true => Err(format!("It could not be judged: {}", fact.detail)),
        false => Ok(Drawing {
            traces,
            x: Axis::new("seconds into the measured phase"),
            y: Axis::from_zero("% of the median"),
            table,
            ..Drawing::default()
        }),
    }
}

impl Trend {
    #[cfg(test)]
    fn of(values: &[f64]) -> Self {
        Self {
            values: values.iter().copied().map(Some).collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_shares_of_the_median_and_what_was_not_judged_says_so() {
        let fact = Stationarity {
            window_s: 2.0,
            throughput_ops_s: Some(Trend::of(&[50.0, 100.0, 200.0])),
            ..Stationarity::default()
        };
        let drawn = drawing(&fact).expect("three windows");
        assert_eq!(drawn.traces[0].points[2], (5.0, Some(200.0)));
        let skipped = Stationarity {
            detail: "a fault struck.".to_owned(),
            ..Stationarity::default()
        };
        assert_eq!(
            drawing(&skipped),
            Err("It could not be judged: a fault struck.".to_owned())
        );
    }
}
