//! A sweep as a table: for a terminal, and as markdown.

use std::path::Path;

use super::document::{CellDocument, SweepDocument, SweepStatus};
use crate::record::{Estimate, RunVerdict};
use crate::report::{Paint, Section, Table, Tone, page_markdown, page_text, units};

/// For a terminal or a pipe; `page` is where its page was written.
#[must_use]
pub fn sweep_text(document: &SweepDocument, page: Option<&Path>, paint: Paint) -> String {
    let mut sections = sections(document);
    sections.extend(page.map(Section::page));
    page_text(&opening(document), &sections, paint)
}

/// sweep.md.
#[must_use]
pub fn sweep_markdown(document: &SweepDocument) -> String {
    page_markdown(&opening(document), &sections(document))
}

fn opening(document: &SweepDocument) -> String {
    let have: usize = document.cells.iter().map(|cell| cell.runs.len()).sum();
    let all = document.cells.len() * document.repeats as usize;
    let far = match document.status {
        SweepStatus::Completed => "completed".to_owned(),
        SweepStatus::Running => format!("{have} of {all} runs so far"),
        SweepStatus::Interrupted => {
            format!("INTERRUPTED after {have} of {all} runs; the same command goes on")
        }
        SweepStatus::Failed => {
            format!("{have} of {all} runs; the same command tries the others once more")
        }
    };
    format!("{}: {far}. {}", document.name, document.description)
}

fn sections(document: &SweepDocument) -> Vec<Section> {
    let repeats = units::counted(u64::from(document.repeats), "repeat");
    let mut all = vec![Section {
        heading: "Cells",
        remark: format!(
            "medians of {repeats} that took turns, from three on with 95 % intervals; durability {}",
            document.environment.durability
        ),
        table: Some(Table {
            header: vec![
                "cell",
                "runs",
                "offered",
                "ok",
                "p50",
                "p99",
                "fast path",
                "CPU/op",
                "checks",
            ],
            rows: document.cells.iter().map(row).collect(),
        }),
        ..Section::default()
    }];
    all.extend(Section::list(
        "Without figures",
        Tone::Bad,
        document.failures.clone(),
    ));
    if let Some((first, second)) = worth_comparing(&document.cells) {
        let quoted = |cell: &CellDocument| {
            let path = format!("{}/{}", document.directory, cell.directory);
            shlex::try_quote(&path).map_or_else(|_| path.clone(), Into::into)
        };
        all.push(Section {
            heading: "Results",
            remark: format!(
                "{}, and sweep.csv in it; two cells compared:",
                document.directory
            ),
            command: Some(format!(
                "bench compare {} {}",
                quoted(first),
                quoted(second)
            )),
            ..Section::default()
        });
    }
    all
}

/// The first cell and another one: of the same load if there is such a variant.
fn worth_comparing(cells: &[CellDocument]) -> Option<(&CellDocument, &CellDocument)> {
    let (first, others) = cells.split_first()?;
    let variant = others.iter().find(|other| other.values == first.values);
    Some((first, variant.or(others.first())?))
}

fn row(cell: &CellDocument) -> Vec<String> {
    let summary = cell.summary.as_ref();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let shown = |value: Option<Option<Estimate>>, unit: fn(f64) -> String| {
        or_dash(
            value
                .flatten()
                .map(|estimate| units::with_interval(&estimate, unit)),
        )
    };
    let worst = cell.runs.iter().map(|run| run.verdict).max();
    vec![
        cell.name.clone(),
        cell.runs.len().to_string(),
        shown(summary.map(|one| one.offered_ops_s), units::rate),
        shown(summary.map(|one| one.throughput_ops_s), units::rate),
        shown(summary.map(|one| one.p50_us), units::time),
        shown(summary.map(|one| one.p99_us), units::time),
        // A share is in per cent itself.
        or_dash(
            summary
                .and_then(|one| one.fast_path_share)
                .map(|of| units::share(of.median)),
        ),
        shown(summary.map(|one| one.cpu_us_per_op), units::time),
        match worst {
            None => "-",
            Some(RunVerdict::Pass) => "pass",
            Some(RunVerdict::SloMissed) => "SLO missed",
            Some(RunVerdict::LivenessViolation) => "LIVENESS",
            Some(RunVerdict::SafetyViolation) => "SAFETY",
        }
        .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Map, Value};

    use super::*;

    fn cell(variant: &str, clients: u64) -> CellDocument {
        CellDocument {
            name: format!("{variant} clients={clients}"),
            directory: format!("{variant}_{clients}"),
            variant: Some(variant.to_owned()),
            values: Map::from_iter([("load.clients".to_owned(), Value::from(clients))]),
            rate_ops_s: None,
            summary: None,
            runs: Vec::new(),
        }
    }

    #[test]
    fn what_is_offered_for_comparison_is_another_variant_under_the_same_load() {
        let named = |cells: &[CellDocument]| {
            worth_comparing(cells).map(|(one, other)| (one.name.clone(), other.name.clone()))
        };
        let cells = [
            cell("fast", 4),
            cell("fast", 16),
            cell("classic", 4),
            cell("classic", 16),
        ];
        let pair = ("fast clients=4".to_owned(), "classic clients=4".to_owned());
        assert_eq!(named(&cells), Some(pair));
        let pair = ("fast clients=4".to_owned(), "fast clients=16".to_owned());
        assert_eq!(named(&cells[..2]), Some(pair), "no variants");
        assert_eq!(named(&cells[..1]), None);
    }
}
