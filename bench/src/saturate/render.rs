//! A search for a terminal, and as markdown.

use std::path::Path;

use super::document::{LimitedBy, Objectives, SaturateDocument};
use super::probe::{Probe, Stage};
use crate::campaign::SEARCH;
use crate::record::Estimate;
use crate::report::{Paint, Section, Table, Tone, page_markdown, page_text, units};

/// For a terminal or a pipe; `page` is where its page was written.
#[must_use]
pub fn saturate_text(document: &SaturateDocument, page: Option<&Path>, paint: Paint) -> String {
    let mut sections = sections(document);
    sections.extend(page.map(Section::page));
    page_text(&opening(document), &sections, paint)
}

/// saturate.md.
#[must_use]
pub fn saturate_markdown(document: &SaturateDocument) -> String {
    page_markdown(&opening(document), &sections(document))
}

fn opening(document: &SaturateDocument) -> String {
    let conclusion = match document.conclusion.as_str() {
        "" => "the search goes on, or was cut off",
        words => words,
    };
    format!("{}: {conclusion}.", document.name)
}

fn sections(document: &SaturateDocument) -> Vec<Section> {
    let from = match document.objectives_from {
        Objectives::CommandLine => "from --slo",
        Objectives::Scenario => "from [slo] of the scenario",
        Objectives::Default => "neither --slo nor [slo] says any",
    };
    let tone = match document.limited_by {
        Some(LimitedBy::Cluster) => Tone::Good,
        _ => Tone::Doubtful,
    };
    let mut rows: Vec<&Probe> = document.probes.iter().collect();
    rows.sort_by(|one, other| one.rate_ops_s.total_cmp(&other.rate_ops_s));
    let mut all = vec![
        Section {
            heading: "Objective",
            remark: from.to_owned(),
            items: document.objectives.clone(),
            ..Section::default()
        },
        Section {
            heading: "Rates",
            tone,
            remark: format!(
                "by rate; medians of their runs, from three on with 95 % intervals, and most of them decide; durability {}",
                document.environment.durability
            ),
            table: Some(Table {
                header: vec!["tried", "offered", "ok", "p50", "p99", "runs", "objective"],
                rows: rows.into_iter().map(row).collect(),
            }),
            ..Section::default()
        },
    ];
    let why = |probe: &Probe| {
        let generator = match probe.generator_limited {
            true => " (the load generator was behind)",
            false => "",
        };
        (!probe.why.is_empty()).then(|| {
            format!(
                "{}: {}{generator}",
                units::rate(probe.rate_ops_s),
                probe.why.join("; ")
            )
        })
    };
    let why: Vec<String> = document.probes.iter().filter_map(why).collect();
    all.extend(Section::list("Missed", Tone::Doubtful, why));
    all.push(Section {
        heading: "Results",
        remark: format!("{}, and {} in it", document.directory, SEARCH.document),
        ..Section::default()
    });
    all
}

fn row(probe: &Probe) -> Vec<String> {
    let shown = |value: &Option<Estimate>, unit: fn(f64) -> String| {
        let with_interval = |estimate| units::with_interval(estimate, unit);
        value.as_ref().map_or_else(|| "-".to_owned(), with_interval)
    };
    let tried = match (probe.stage, probe.share) {
        (Stage::Share, Some(share)) => format!(
            "{} ({} of the limit)",
            units::rate(probe.rate_ops_s),
            units::share(share)
        ),
        _ => units::rate(probe.rate_ops_s),
    };
    let met = probe.repeats.iter().filter(|run| run.met).count();
    vec![
        tried,
        shown(&probe.offered_ops_s, units::rate),
        shown(&probe.throughput_ops_s, units::rate),
        shown(&probe.p50_us, units::time),
        shown(&probe.p99_us, units::time),
        format!("{met} of {}", probe.repeats.len()),
        if probe.met { "met" } else { "missed" }.to_owned(),
    ]
}
