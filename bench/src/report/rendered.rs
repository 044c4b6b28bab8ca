//! A report in each of its formats.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::document::{Document, Section, Table, Tone};
use super::figure::{Figure, Look, Trace};
use super::figures::{self, Group};
use super::files::RunFiles;
use super::headline;
use super::html as page;
use super::story::story;
use super::summary::document;
use super::{markdown, units};
use crate::check::Verdict;
use crate::compare::Metric;

/// The value of the field `schema` of the JSON document.
pub const REPORT_SCHEMA: &str = "bench.report/v1";

/// The page in a run's directory.
pub const REPORT_FILE: &str = "report.html";

/// Runs that share a report at most.
pub const RUNS_MAX: usize = 64;

/// One page that needs nothing else. Runs without repeats are shown with what they have.
#[must_use]
pub fn report_html(runs: &[RunFiles]) -> String {
    match runs {
        [run] => page_of_run(run),
        runs => page_of_several(runs),
    }
}

fn page_of_run(files: &RunFiles) -> String {
    let run = &files.run;
    let document = document(run, &place(files));
    let groups = figures::of_run(files);
    let (first, rest) = parts(&document);
    let content = html! {
        (page::opening(&document.name, &document.outcome, document.tone, &document.question, &story(run)))
        (page::tiles(&headline::tiles(run)))
        (page::sections(first))
        (page::groups(&groups))
        h2 { "What was run, and all figures as text" }
        div .texts {
            (page::sections(proofs(files).iter()))
            (page::sections(rest))
        }
        (footer(&[files]))
    };
    let title = format!("{}: {}", document.name, document.outcome);
    page::page(&title, &content, &all(&groups))
}

fn page_of_several(runs: &[RunFiles]) -> String {
    let groups = figures::of_several(runs);
    let worst = runs
        .iter()
        .map(|files| super::summary::outcome(&files.run))
        .max_by_key(|(_, tone)| match tone {
            Tone::Good => 0,
            Tone::Neutral => 1,
            Tone::Doubtful => 2,
            Tone::Bad => 3,
        });
    let (outcome, tone) = worst.unwrap_or_default();
    let name = format!("{} runs", runs.len());
    let outcome = if tone == Tone::Good {
        "ALL PASS".to_owned()
    } else {
        format!("WORST: {outcome}")
    };
    let overview = overview(runs);
    let content = html! {
        (page::opening(&name, &outcome, tone, "", ""))
        (page::sections([&overview]))
        (page::groups(&groups))
        h2 { "Each run" }
        @for (number, files) in runs.iter().enumerate() { (brief(number, files)) }
        (footer(&runs.iter().collect::<Vec<_>>()))
    };
    page::page(&name, &content, &all(&groups))
}

/// The page of a comparison: what is wrong with it first, then figures, then the rest.
pub(crate) fn comparison_page(
    title: &str,
    conclusion: &str,
    (outcome, tone): (&str, Tone),
    figures: Vec<Figure>,
    sections: &[Section],
) -> String {
    let groups = [Group {
        title: "Figures",
        remark: String::new(),
        figures,
    }];
    // Whatever could be quoted stands below what forbids to.
    let (first, rest): (Vec<&Section>, Vec<&Section>) = sections
        .iter()
        .partition(|section| matches!(section.heading, "Not comparable" | "Warnings"));
    let content = html! {
        (page::opening(title, outcome, tone, "", conclusion))
        (page::sections(first))
        (page::groups(&groups))
        (page::sections(rest))
    };
    page::page(&format!("compare {title}"), &content, &all(&groups))
}

/// A run among others: the page of its own has its figures.
fn brief(number: usize, files: &RunFiles) -> Markup {
    let document = document(&files.run, &place(files));
    let (first, rest) = parts(&document);
    html! {
        article .run {
            (page::brief(&format!("{}: {}", number + 1, document.name), &document.outcome, document.tone, &document.question, &story(&files.run)))
            (page::sections(first))
            details { summary { "Setting, figures and command" } (page::sections(rest)) }
        }
    }
}

/// What has to be seen before any figure, and the rest.
fn parts(document: &Document) -> (Vec<&Section>, Vec<&Section>) {
    let urgent = |section: &&Section| {
        matches!(section.heading, "Missed" | "Warnings")
            || (section.heading == "Checks" && section.tone == Tone::Bad)
    };
    document.sections.iter().partition(urgent)
}

fn all(groups: &[Group]) -> Vec<&Figure> {
    groups.iter().flat_map(|group| &group.figures).collect()
}

fn place(files: &RunFiles) -> String {
    files.directory().display().to_string()
}

/// Whom signed proofs convict, and where they are.
fn proofs(files: &RunFiles) -> Option<Section> {
    let rows: Vec<Vec<String>> = (1..)
        .zip(&files.run.repeats)
        .flat_map(|(number, repeat)| {
            repeat.evidence.iter().map(move |fact| {
                let file = format!("repeat-{number}/{}", fact.file);
                vec![format!("replica {}", fact.culprit), fact.kind.clone(), file]
            })
        })
        .take(100)
        .collect();
    (!rows.is_empty()).then(|| Section {
        heading: "Proofs",
        remark: "Two contents that one replica signed for one place: anybody with the public keys can check them.".to_owned(),
        table: Some(Table { header: vec!["culprit", "what", "file"], rows }),
        ..Section::default()
    })
}

fn overview(runs: &[RunFiles]) -> Section {
    let row = |(number, files): (usize, &RunFiles)| {
        let run = &files.run;
        let summary = &run.summary;
        let known = |us: f64| {
            if us > 0.0 {
                units::time(us)
            } else {
                "-".to_owned()
            }
        };
        vec![
            figures::named(number, files),
            super::summary::outcome(run).0,
            run.repeats.len().to_string(),
            units::rate(summary.throughput_ops_s.median),
            known(summary.p50_us.median),
            known(summary.p99_us.median),
            run.environment.durability.clone(),
            run.environment.commit.chars().take(12).collect(),
        ]
    };
    Section {
        heading: "Runs",
        table: Some(Table {
            header: vec![
                "run",
                "outcome",
                "repeats",
                "throughput",
                "p50",
                "p99",
                "durability",
                "commit",
            ],
            rows: runs.iter().enumerate().map(row).collect(),
        }),
        ..Section::default()
    }
}

fn footer(runs: &[&RunFiles]) -> Markup {
    html! {
        footer {
            p {
                "Latency counts from the moment when an operation should have been sent, by successful operations only. "
                "Figures of another machine, durability or commit are another experiment. "
                "This page needs no network; it was made by Quintet bench " (env!("CARGO_PKG_VERSION")) " from"
                @for files in runs { " " code { (files.run.id) } }
                "."
            }
        }
    }
}

/// The same as Markdown: story, tables of every figure, and what is missing.
#[must_use]
pub fn report_markdown(runs: &[RunFiles]) -> String {
    let mut text = String::new();
    let several = runs.len() > 1;
    if several {
        text.push_str(&format!("# {} runs\n", runs.len()));
        markdown::draw_figures(&mut text, &all(&figures::of_several(runs)));
    }
    for files in runs {
        text.push_str(&markdown::draw(&document(&files.run, &place(files))));
        text.push_str(&format!("\n{}\n", markdown::escaped(&story(&files.run))));
        if !several {
            markdown::draw_figures(&mut text, &all(&figures::of_run(files)));
        }
    }
    text
}

/// One line for each repeat of each run, with a header; what was not measured is empty.
///
/// # Errors
/// Never in practice: memory takes it all.
pub fn report_csv(runs: &[RunFiles]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header = vec![
        "run",
        "name",
        "status",
        "verdict",
        "commit",
        "durability",
        "repeat",
        "seed",
        "duration_s",
    ];
    header.extend(["offered", "sent", "ok", "failed", "unknown", "dropped"]);
    header.extend(Metric::ALL.map(Metric::name));
    header.extend([
        "slots",
        "fast_path_share",
        "view_changes",
        "state_transfers",
        "checks_failed",
        "checks_skipped",
    ]);
    writer.write_record(&header)?;
    for files in runs {
        let run = &files.run;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for (number, repeat) in (1_usize..).zip(&run.repeats) {
            let counts = &repeat.operations;
            let checks = super::summary::named_checks(&repeat.checks);
            let with = |verdict| {
                checks
                    .iter()
                    .filter(|(_, check)| check.verdict == verdict)
                    .count()
                    .to_string()
            };
            let mut row = vec![
                run.id.clone(),
                run.name.clone(),
                word(&json!(run.status)),
                word(&json!(run.verdict)),
                run.environment.commit.clone(),
                run.environment.durability.clone(),
                number.to_string(),
                repeat.seed.to_string(),
                repeat.duration_s.to_string(),
            ];
            row.extend(
                [
                    counts.offered,
                    counts.sent,
                    counts.ok,
                    counts.failed,
                    counts.unknown,
                    counts.dropped,
                ]
                .map(|count| count.to_string()),
            );
            row.extend(Metric::ALL.map(|metric| {
                metric
                    .of(repeat)
                    .map_or_else(String::new, |value| value.to_string())
            }));
            let consensus = &repeat.consensus;
            let decided = consensus.fast_path_slots + consensus.slow_path_slots > 0;
            row.extend([
                consensus.slots.to_string(),
                if decided {
                    consensus.fast_path_share.to_string()
                } else {
                    String::new()
                },
                consensus.view_changes.to_string(),
                consensus.state_transfers.to_string(),
                with(Verdict::Fail),
                with(Verdict::Skipped),
            ]);
            writer.write_record(&row)?;
        }
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(std::io::Error::other(error.to_string())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Everything as one document: the story of each run, and each figure with its points or why it is not there.
#[must_use]
pub fn report_json(runs: &[RunFiles]) -> Value {
    let one = |files: &RunFiles| {
        let run = &files.run;
        json!({
            "id": run.id, "name": run.name, "status": run.status, "verdict": run.verdict,
            "directory": place(files),
            "story": story(run),
            "figures": figures::of_run(files).iter().flat_map(|group| &group.figures).map(figure).collect::<Value>(),
        })
    };
    let several = if runs.len() > 1 {
        figures::of_several(runs)
    } else {
        Vec::new()
    };
    json!({
        "schema": REPORT_SCHEMA,
        "runs": runs.iter().map(one).collect::<Value>(),
        "figures": several.iter().flat_map(|group| &group.figures).map(figure).collect::<Value>(),
    })
}

fn figure(figure: &Figure) -> Value {
    let mut made = json!({"id": figure.id, "title": figure.title, "caption": figure.caption});
    match &figure.body {
        Err(why) => made["missing"] = why.as_str().into(),
        Ok(drawing) => {
            made["x"] = drawing.x.title.as_str().into();
            made["y"] = drawing.y.title.as_str().into();
            made["series"] = drawing.traces.iter().map(series).collect();
            made["table"] = json!({"header": drawing.table.header, "rows": drawing.table.rows});
        }
    }
    made
}

fn series(trace: &Trace) -> Value {
    let mut made = json!({"name": trace.name, "unit": trace.unit, "points": trace.points});
    if trace.look == Look::Spans {
        made["from"] = json!(trace.bases);
    }
    made
}
