//! Throughput against latency: what more load gives, and from where on it only costs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::record::Run;
use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::RunFiles;
use crate::report::units;

const US_PER_MS: f64 = 1e3;
/// Fewer points have no bend.
const KNEE_POINTS_MIN: usize = 3;

/// Settings that say how much load there is, and those that say nothing about the cluster.
const LOAD: [&str; 4] = ["rate", "clients", "outstanding", "connections"];
const NAMES: [&str; 5] = ["name", "description", "seed", "repeat", "schema"];

/// One setting under more and more load.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct Curve {
    /// What is common to its points; may be empty.
    pub(in crate::report) name: String,
    /// In the order of the load.
    pub(in crate::report) points: Vec<CurvePoint>,
}

/// One load.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct CurvePoint {
    /// What the load was.
    pub(in crate::report) name: String,
    /// How much, to order by.
    pub(in crate::report) load: f64,
    /// Operations answered a second, and the ends of its interval.
    pub(in crate::report) throughput: f64,
    /// Microseconds.
    pub(in crate::report) p50_us: Option<f64>,
    /// Microseconds.
    pub(in crate::report) p99_us: Option<f64>,
    /// Whether it met the objectives, if there were any.
    pub(in crate::report) met: Option<bool>,
}

/// The figure of some curves.
pub(in crate::report) fn curve(curves: &[Curve], why_not: &str) -> Figure {
    let many = curves
        .iter()
        .any(|curve| curve.points.len() >= KNEE_POINTS_MIN);
    let mut caption = "Operations answered a second, and how long they took, for each load. To the right more load still gives more; where the line turns up, it only makes operations wait.".to_owned();
    if many {
        caption.push_str(" The knee is the load with the most throughput for its median latency (throughput / p50).");
    }
    Figure::new(
        "curve",
        "Throughput against latency",
        caption,
        drawing(curves, why_not),
    )
}

fn drawing(curves: &[Curve], why_not: &str) -> Result<Drawing, String> {
    let curves: Vec<&Curve> = curves
        .iter()
        .filter(|curve| curve.points.len() >= 2)
        .collect();
    if curves.is_empty() {
        return Err(why_not.to_owned());
    }
    let mut traces = Vec::new();
    let mut table = Grid::new(&["setting", "load", "throughput", "p50", "p99", ""]);
    for (number, curve) in curves.iter().enumerate() {
        let knee = knee(&curve.points);
        let colour = Colour::of(number);
        let label = |what: &str| match curve.name.is_empty() {
            true => what.to_owned(),
            false => format!("{}, {what}", curve.name),
        };
        for (what, of, look) in [
            (
                "p99",
                (|point| point.p99_us) as fn(&CurvePoint) -> Option<f64>,
                Look::MarkedDash,
            ),
            ("p50", |point| point.p50_us, Look::Marked),
        ] {
            traces.push(Trace {
                name: label(what),
                look,
                points: curve
                    .points
                    .iter()
                    .map(|point| (point.throughput, of(point).map(|us| us / US_PER_MS)))
                    .collect(),
                notes: curve
                    .points
                    .iter()
                    .map(|point| {
                        let time = of(point).map_or_else(|| "not measured".to_owned(), units::time);
                        format!(
                            "{}: {}, {what} {time}",
                            point.name,
                            units::rate(point.throughput)
                        )
                    })
                    .collect(),
                colour,
                unit: "ms",
                ..Trace::default()
            });
        }
        if let Some(knee) = knee.and_then(|knee| curve.points.get(knee)) {
            traces.push(Trace {
                name: label("knee"),
                look: Look::Hollow,
                points: vec![(knee.throughput, knee.p50_us.map(|us| us / US_PER_MS))],
                notes: vec![format!("knee at {}", knee.name)],
                words: vec!["knee".to_owned()],
                colour: Colour::Red,
                ..Trace::default()
            });
        }
        for (index, point) in curve.points.iter().enumerate() {
            let time = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), units::time);
            let met = match point.met {
                Some(true) => "met",
                Some(false) => "missed",
                None => "",
            };
            let remark = match (knee == Some(index), met) {
                (true, "") => "knee".to_owned(),
                (true, met) => format!("knee, {met}"),
                (false, met) => met.to_owned(),
            };
            table.push([
                curve.name.clone(),
                point.name.clone(),
                units::rate(point.throughput),
                time(point.p50_us),
                time(point.p99_us),
                remark,
            ]);
        }
    }
    Ok(Drawing {
        traces,
        x: Axis::from_zero("operations / s"),
        y: Axis::log("ms"),
        height: 360,
        wide: true,
        table,
        ..Drawing::default()
    })
}

/// The point with the most throughput for its median latency: Kleinrock's power (1979). `None` for fewer than three
/// points.
pub(in crate::report) fn knee(points: &[CurvePoint]) -> Option<usize> {
    let powers = points.iter().enumerate().filter_map(|(index, point)| {
        let us = point.p50_us.filter(|us| *us > 0.0)?;
        Some((index, point.throughput / us))
    });
    let best = powers.clone().max_by(|a, b| a.1.total_cmp(&b.1));
    (powers.count() >= KNEE_POINTS_MIN).then_some(best?.0)
}

/// Runs that differ in nothing but their load, as curves.
pub(in crate::report) fn curves_of_runs(runs: &[RunFiles]) -> Vec<Curve> {
    let mut settings: BTreeMap<String, Vec<&Run>> = BTreeMap::new();
    for run in runs.iter().map(|files| &files.run) {
        let mut scenario = run.scenario.clone();
        if let Some(all) = scenario.as_object_mut() {
            NAMES.iter().for_each(|name| drop(all.remove(*name)));
            if let Some(load) = all.get_mut("load").and_then(Value::as_object_mut) {
                LOAD.iter().for_each(|name| drop(load.remove(*name)));
            }
        }
        let key = format!("{}\n{scenario}", run.environment.commit);
        settings.entry(key).or_default().push(run);
    }
    settings
        .into_values()
        .map(|runs| Curve {
            name: runs.first().map_or(String::new(), |run| run.name.clone()),
            points: points(&runs),
        })
        .collect()
}

fn points(runs: &[&Run]) -> Vec<CurvePoint> {
    let mut points: Vec<CurvePoint> = runs
        .iter()
        .filter(|run| run.summary.throughput_ops_s.median > 0.0)
        .map(|run| {
            let load = |name: &str| run.scenario.pointer(&format!("/load/{name}"));
            let number = |name: &str| load(name).and_then(Value::as_f64).unwrap_or(1.0);
            let known = |us: f64| (us > 0.0).then_some(us);
            let open = load("model").is_some_and(|model| model == "open");
            let offered = run.repeats.first().map_or(0.0, |repeat| {
                repeat.operations.offered as f64 / repeat.duration_s.max(f64::MIN_POSITIVE)
            });
            CurvePoint {
                name: match open {
                    true => load("rate")
                        .and_then(Value::as_str)
                        .map_or_else(|| units::rate(offered), str::to_owned),
                    false => format!(
                        "{} clients, {} outstanding",
                        number("clients"),
                        number("outstanding")
                    ),
                },
                load: if open {
                    offered
                } else {
                    number("clients") * number("outstanding")
                },
                throughput: run.summary.throughput_ops_s.median,
                p50_us: known(run.summary.p50_us.median),
                p99_us: known(run.summary.p99_us.median),
                met: None,
            }
        })
        .collect();
    points.sort_by(|a, b| a.load.total_cmp(&b.load));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_where_throughput_for_latency_is_most() {
        let point = |throughput: f64, p50_us: f64| CurvePoint {
            throughput,
            p50_us: Some(p50_us),
            ..CurvePoint::default()
        };
        let points = [
            point(100.0, 1.0),
            point(190.0, 1.1),
            point(250.0, 2.0),
            point(260.0, 9.0),
        ];
        assert_eq!(knee(&points), Some(1));
        assert_eq!(knee(&points[..2]), None);
    }
}
