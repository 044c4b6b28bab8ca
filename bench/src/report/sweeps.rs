//! The page of a sweep, or of a search for saturation: what each load gave, and what it cost in latency.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use maud::html;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::cells::{self, CellFigures, Measured};
use super::document::{Section, Table, Tone};
use super::figure::{Figure, Mark};
use super::figures::{Curve, CurvePoint, Group, curve};
use super::files::ReportError;
use super::rendered::REPORT_FILE;
use super::{html as page, units};
use crate::campaign::Kind;
use crate::record::Estimate;

/// What the last part of a key says if the key is about how much load there is.
const LOAD: [&str; 3] = ["rate", "clients", "outstanding"];

/// A sweep or a search, as far as its page needs it.
#[derive(Debug)]
pub struct SweepFiles {
    document: Sweep,
    directory: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sweep {
    schema: String,
    id: String,
    name: String,
    description: String,
    status: String,
    conclusion: String,
    limit_ops_s: Option<f64>,
    limited_by: String,
    objectives: Vec<String>,
    cells: Vec<Cell>,
    probes: Vec<Probe>,
    failures: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cell {
    name: String,
    variant: Option<String>,
    values: Map<String, Value>,
    rate_ops_s: Option<f64>,
    summary: Option<Measured>,
    runs: Vec<Value>,
}

/// A load of a search.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Probe {
    stage: String,
    rate_ops_s: f64,
    met: Option<bool>,
    why: Vec<String>,
    #[serde(flatten)]
    figures: Measured,
}

impl SweepFiles {
    /// Reads the document of a directory that has one; `None` for any other directory.
    #[must_use]
    pub fn read(directory: &Path) -> Option<Result<Self, ReportError>> {
        let kind = Kind::of(directory).filter(|kind| kind.page == REPORT_FILE)?;
        let schema = kind.schema;
        let path = directory.join(kind.document);
        let read = || {
            let text = std::fs::read(&path).map_err(|error| format!("cannot be read: {error}"))?;
            let document: Sweep = serde_json::from_slice(&text)
                .map_err(|error| format!("is not what `bench` left: {error}"))?;
            match document.schema == schema {
                true => Ok(document),
                false => Err(format!(
                    "has the schema {:?}, not {schema:?}",
                    document.schema
                )),
            }
        };
        let read = read().map(|document| Self {
            document,
            directory: directory.to_owned(),
        });
        Some(read.map_err(|reason| ReportError::Unreadable {
            path: path.clone(),
            reason: format!("{reason}; run it again"),
        }))
    }

    /// Where it lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// One page that needs nothing else.
#[must_use]
pub fn sweep_html(files: &SweepFiles) -> String {
    let sweep = &files.document;
    let tone = match sweep.status.as_str() {
        "completed" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Doubtful,
    };
    let mut curve = curve(
        &curves(sweep),
        "No two loads have figures, so there is no line to draw.",
    );
    if let (Ok(drawing), Some(limit)) = (&mut curve.body, sweep.limit_ops_s) {
        drawing.marks.push(Mark {
            at: limit,
            level: false,
            label: "limit".to_owned(),
        });
    }
    let mut figures = vec![curve];
    if !sweep.cells.is_empty() {
        let known = sweep.cells.iter().filter_map(|cell| {
            Some(CellFigures {
                name: &cell.name,
                measured: cell.summary.as_ref()?,
                repeats: cell.runs.len(),
            })
        });
        figures.extend(cells::figures(&known.collect::<Vec<_>>()));
    }
    let groups = [Group {
        title: "Load",
        remark: "Medians over the repeats of each load.".to_owned(),
        figures,
    }];
    let sections = sections(sweep);
    let content = html! {
        (page::opening(&sweep.name, &sweep.status.to_uppercase(), tone, &sweep.description, &sweep.conclusion))
        (page::sections(&sections))
        (page::groups(&groups))
        footer { p { "Made by Quintet bench " (env!("CARGO_PKG_VERSION")) " from " code { (sweep.id) } ". Each run below it has a report of its own." } }
    };
    let all: Vec<&Figure> = groups.iter().flat_map(|group| &group.figures).collect();
    page::page(&format!("{}: {}", sweep.name, sweep.status), &content, &all)
}

/// One line for each setting, in the order of the load.
fn curves(sweep: &Sweep) -> Vec<Curve> {
    let mut settings: BTreeMap<String, Vec<CurvePoint>> = BTreeMap::new();
    for (order, cell) in sweep.cells.iter().enumerate() {
        let is_load = |key: &str| LOAD.contains(&key.rsplit('.').next().unwrap_or_default());
        let about = |load: bool| -> Vec<String> {
            let values = cell.values.iter().filter(|(key, _)| is_load(key) == load);
            values
                .map(|(key, value)| format!("{key} = {}", plain(value)))
                .collect()
        };
        let mut name: Vec<String> = cell.variant.iter().cloned().collect();
        name.extend(about(false));
        let load = cell.rate_ops_s.unwrap_or(order as f64);
        let label = match about(true) {
            of if of.is_empty() => cell.name.clone(),
            of => of.join(", "),
        };
        if let Some(point) = cell
            .summary
            .as_ref()
            .and_then(|figures| point(figures, label, load))
        {
            settings.entry(name.join(", ")).or_default().push(point);
        }
    }
    let probes = sweep.probes.iter().filter_map(|probe| {
        let point = point(
            &probe.figures,
            units::rate(probe.rate_ops_s),
            probe.rate_ops_s,
        )?;
        Some(CurvePoint {
            met: probe.met,
            ..point
        })
    });
    let probes: Vec<CurvePoint> = probes.collect();
    if !probes.is_empty() {
        settings.insert(String::new(), probes);
    }
    settings
        .into_iter()
        .map(|(name, mut points)| {
            points.sort_by(|a, b| a.load.total_cmp(&b.load));
            Curve { name, points }
        })
        .collect()
}

fn point(figures: &Measured, name: String, load: f64) -> Option<CurvePoint> {
    Some(CurvePoint {
        name,
        load,
        throughput: figures.throughput_ops_s?.median,
        p50_us: figures.p50_us.map(|us| us.median),
        p99_us: figures.p99_us.map(|us| us.median),
        met: None,
    })
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn sections(sweep: &Sweep) -> Vec<Section> {
    let mut all = Vec::new();
    if !sweep.probes.is_empty() {
        let shown = |of: Option<Estimate>, unit: fn(f64) -> String| {
            of.map_or_else(|| "-".to_owned(), |of| units::with_interval(&of, unit))
        };
        let row = |probe: &Probe| {
            vec![
                units::rate(probe.rate_ops_s),
                probe.stage.clone(),
                match probe.met {
                    Some(true) => "met".to_owned(),
                    Some(false) => format!("missed: {}", probe.why.join("; ")),
                    None => "-".to_owned(),
                },
                shown(probe.figures.throughput_ops_s, units::rate),
                shown(probe.figures.p50_us, units::time),
                shown(probe.figures.p99_us, units::time),
            ]
        };
        all.push(Section {
            heading: "Loads that were tried",
            remark: format!(
                "objectives: {}; limited by: {}",
                sweep.objectives.join(", "),
                sweep.limited_by
            ),
            table: Some(Table {
                header: vec!["rate", "stage", "objectives", "ok", "p50", "p99"],
                rows: sweep.probes.iter().map(row).collect(),
            }),
            ..Section::default()
        });
    }
    all.extend(Section::list(
        "Without figures",
        Tone::Bad,
        sweep.failures.clone(),
    ));
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_setting_is_a_line_in_the_order_of_its_load() {
        let cell = |fast: &str, clients: u64, rate: f64| {
            serde_json::json!({"name": "x", "variant": fast, "values": {"load.clients": clients}, "rate_ops_s": null,
                "summary": {"throughput_ops_s": {"median": rate, "ci95": [rate, rate], "repeats": 1, "method": "single-run"}, "p50_us": null}})
        };
        let text = serde_json::json!({"schema": "bench.sweep/v1", "name": "s", "status": "completed",
            "cells": [cell("a", 1, 100.0), cell("b", 1, 90.0), cell("a", 4, 300.0), {"name": "none", "summary": null}]});
        let folder = tempfile::tempdir().unwrap();
        assert!(SweepFiles::read(folder.path()).is_none());
        std::fs::write(folder.path().join("sweep.json"), text.to_string()).unwrap();
        let files = SweepFiles::read(folder.path()).unwrap().unwrap();
        let curves = curves(&files.document);
        let shape: Vec<(&str, Vec<f64>)> = curves
            .iter()
            .map(|curve| {
                (
                    curve.name.as_str(),
                    curve.points.iter().map(|point| point.throughput).collect(),
                )
            })
            .collect();
        assert_eq!(shape, [("a", vec![100.0, 300.0]), ("b", vec![90.0])]);
        assert!(sweep_html(&files).contains("data-figure=\"curve\""));
        std::fs::write(folder.path().join("sweep.json"), "{\"schema\": \"other\"}").unwrap();
        let refused = SweepFiles::read(folder.path())
            .unwrap()
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("sweep.json has the schema \"other\""),
            "{refused}"
        );
    }
}
