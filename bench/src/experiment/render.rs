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
            "medians of {repeats} that took turns; durability {}",
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
    if let [first, second, ..] = &document.cells[..] {
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

fn row(cell: &CellDocument) -> Vec<String> {
    let summary = cell.summary.as_ref();
    let shown = |value: Option<Option<Estimate>>, unit: fn(f64) -> String| {
        let median = value.flatten().map(|estimate| estimate.median);
        median.map_or_else(|| "-".to_owned(), unit)
    };
    let worst = cell.runs.iter().map(|run| run.verdict).max();
    vec![
        cell.name.clone(),
        cell.runs.len().to_string(),
        shown(summary.map(|one| one.offered_ops_s), units::rate),
        shown(summary.map(|one| one.throughput_ops_s), units::rate),
        shown(summary.map(|one| one.p50_us), units::time),
        shown(summary.map(|one| one.p99_us), units::time),
        shown(summary.map(|one| one.fast_path_share), units::share),
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
