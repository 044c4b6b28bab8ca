//! The scorecard as text, Markdown and a page that opens from disk.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use comfy_table::{CellAlignment, Table, presets};

use super::score::{Card, Row};
use crate::record::RunVerdict;
use crate::report::units::counted;

const HEADER: [&str; 14] = [
    "attack",
    "verdict",
    "kept",
    "of honest",
    "of before",
    "after",
    "10 s on",
    "worst 1 s",
    "p99",
    "first",
    "95 %",
    "views",
    "culprit",
    "memory",
];

const LEGEND: &str = "kept: throughput while the fault lasts, of the same load without faults in the same session; \
of honest: of what the same faults leave in the same seconds while nobody lies; \
of before: of the same run's throughput before the first fault; after: from a second after the last one, of the same; ~: these two differ by much, so that the harm stays or the machine changed its pace; \
10 s on: from 10 s after its beginning; worst 1 s: the worst second of it; p99: of the whole run, by that without faults; \
first: to the first answer to an operation sent after the fault; 95 %: back to that much of the throughput before; \
views: entered; culprit: convicted by signed proofs; memory: the largest replica.";

/// As many answers after the faults as before them.
const STEADY: RangeInclusive<f64> = 0.8..=1.25;

/// For a terminal or a pipe.
pub fn card_text(card: &Card) -> String {
    let mut drawing = Table::new();
    drawing.load_style(presets::NOTHING).force_no_tty();
    drawing.set_header(HEADER);
    for row in &card.rows {
        drawing.add_row(cells(row));
    }
    for column in drawing.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text: String = drawing
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    let _ = writeln!(text, "\n{}", summary(card));
    for line in notes(card) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// For a repository or an issue.
pub fn card_markdown(card: &Card) -> String {
    let mut text = String::from("# Resilience scorecard\n\n");
    let _ = writeln!(text, "{}\n", summary(card));
    let _ = writeln!(text, "| {} |", HEADER.join(" | "));
    let _ = writeln!(text, "|{}|", ["---"; HEADER.len()].join("|"));
    for row in &card.rows {
        let cells = cells(row).map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text.push('\n');
    for line in notes(card) {
        let _ = writeln!(text, "{line}\n");
    }
    text.push_str("## The questions\n\n");
    for row in &card.rows {
        let _ = writeln!(text, "* **{}**: {}", row.name, row.question);
    }
    text
}

/// A page without anything from elsewhere.
pub fn card_html(card: &Card) -> String {
    let mut body = String::new();
    for row in &card.rows {
        let class = match row.verdict {
            RunVerdict::Pass => "pass",
            RunVerdict::SloMissed => "missed",
            RunVerdict::LivenessViolation | RunVerdict::SafetyViolation => "violation",
        };
        let _ = write!(body, "<tr class=\"{class}\">");
        for (number, cell) in cells(row).iter().enumerate() {
            let cell = escaped(cell);
            let _ = match number {
                0 => write!(
                    body,
                    "<th scope=\"row\">{cell}<small>{}</small></th>",
                    escaped(&row.question)
                ),
                1 => write!(
                    body,
                    "<td>{cell}<small>{}</small></td>",
                    escaped(&row.misses.join("; "))
                ),
                _ => write!(body, "<td class=\"number\">{cell}</td>"),
            };
        }
        body.push_str("</tr>\n");
    }
    let header: String = HEADER
        .iter()
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .collect();
    let notes: String = notes(card)
        .iter()
        .map(|line| format!("<p>{}</p>\n", escaped(line)))
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Resilience scorecard</title>\n<style>{STYLE}</style></head>\n<body>\
         <h1>Resilience scorecard</h1>\n<p>{}</p>\n<div class=\"wide\"><table>\n<thead><tr>{header}</tr></thead>\n\
         <tbody>\n{body}</tbody></table></div>\n{notes}</body></html>\n",
        escaped(&summary(card))
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--pass:#1a7f37;--missed:#9a6700;--bad:#cf222e}\
@media(prefers-color-scheme:dark){:root{--pass:#3fb950;--missed:#d29922;--bad:#f85149}}\
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}\
th,td{padding:.4rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}\
thead th{position:sticky;top:0;background:Canvas}td.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
th small,td small{display:block;font-weight:normal;opacity:.7;max-width:34rem}\
tr.pass td:nth-child(2){color:var(--pass)}tr.missed td:nth-child(2){color:var(--missed)}tr.violation td:nth-child(2){color:var(--bad);font-weight:bold}\
@media print{body{max-width:none;font-size:10px}thead th{position:static}}";

fn cells(row: &Row) -> [String; 14] {
    let share =
        |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{:.0} %", v * 100.0));
    let time = |value: Option<f64>| match value {
        None => "-".to_owned(),
        Some(ms) if ms >= 1000.0 => format!("{:.1} s", ms / 1000.0),
        Some(ms) => format!("{ms:.0} ms"),
    };
    let verdict = match row.verdict {
        RunVerdict::Pass => "pass",
        RunVerdict::SloMissed => "missed",
        RunVerdict::LivenessViolation => "LIVENESS",
        RunVerdict::SafetyViolation => "SAFETY",
    };
    let culprits: Vec<String> = row.culprits.iter().map(|id| format!("r{id}")).collect();
    [
        row.name.clone(),
        verdict.to_owned(),
        share(row.kept),
        share(row.kept_of_honest),
        format!("{}{}", doubtful(row), share(row.kept_of_before)),
        share(row.after_of_before),
        share(row.kept_after_10_s),
        share(row.kept_worst_second),
        row.p99_ratio
            .map_or("-".to_owned(), |ratio| format!("x {ratio:.1}")),
        time(row.first_answer_ms),
        time(row.recovered_ms),
        row.views.to_string(),
        if culprits.is_empty() {
            "-".to_owned()
        } else {
            culprits.join(" ")
        },
        format!("{} MiB", row.memory_bytes >> 20),
    ]
}

/// A mark before a share of what was before the faults, if what came after them is something else.
fn doubtful(row: &Row) -> &'static str {
    match (row.kept_of_before, row.after_of_before) {
        (Some(_), Some(after)) if !STEADY.contains(&after) => "~",
        _ => "",
    }
}

fn summary(card: &Card) -> String {
    let count = |verdict| {
        card.rows
            .iter()
            .filter(|row| row.verdict == verdict)
            .count()
    };
    format!(
        "{}: {} passed, {} missed an expectation, {} liveness violations, {} safety violations, {} could not be run.",
        counted(card.rows.len() as u64, "scenario"),
        count(RunVerdict::Pass),
        count(RunVerdict::SloMissed),
        count(RunVerdict::LivenessViolation),
        count(RunVerdict::SafetyViolation),
        card.failures.len()
    )
}

fn notes(card: &Card) -> Vec<String> {
    let mut notes = vec![LEGEND.to_owned()];
    for (number, reference) in card.references.iter().enumerate() {
        notes.push(format!(
            "Reference {}: {}, median {:.0} operations a second, spread {:.0} %, p99 {:.1} ms, {} view changes.",
            number + 1,
            counted(reference.throughputs.len() as u64, "run"),
            reference.throughput(),
            reference.spread() * 100.0,
            reference.p99() / 1000.0,
            reference.view_changes
        ));
    }
    for row in card.rows.iter().filter(|row| !row.misses.is_empty()) {
        notes.push(format!("{}: {}", row.name, row.misses.join("; ")));
    }
    notes.extend(
        card.failures
            .iter()
            .map(|failure| format!("Not run: {failure}")),
    );
    notes
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        let row = Row {
            name: "bp01-equivocate".to_owned(),
            question: "does <it> hold | or \"not\"?".to_owned(),
            kept: Some(0.876),
            kept_of_honest: Some(0.994),
            kept_of_before: Some(0.861),
            after_of_before: Some(1.032),
            p99_ratio: Some(3.21),
            recovered_ms: Some(1234.0),
            culprits: vec![0, 3],
            memory_bytes: 100 << 20,
            ..Row::default()
        };
        let missed = Row {
            name: "bb02".to_owned(),
            verdict: RunVerdict::SloMissed,
            misses: vec!["view_changes is 2, expected 0".to_owned()],
            ..Row::default()
        };
        Card {
            rows: vec![row, missed],
            failures: vec!["q01: no port".to_owned()],
            ..Card::default()
        }
    }

    #[test]
    fn a_row_says_what_the_attack_cost_and_who_it_was() {
        let text = card_text(&card());
        for word in [
            "88 %", "99 %", "86 %", "103 %", "x 3.2", "1.2 s", "r0 r3", "100 MiB", "missed",
        ] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        assert!(text.contains("2 scenarios: 1 passed, 1 missed an expectation"));
        assert!(text.contains("view_changes is 2, expected 0") && text.contains("no port"));
        for whole in [text, card_html(&card()), card_markdown(&card())] {
            assert_eq!(whole.matches("2 scenarios: 1 passed").count(), 1, "{whole}");
        }
        let mut one = card();
        one.rows.truncate(1);
        assert!(card_text(&one).contains("\n1 scenario: 1 passed"));
    }

    #[test]
    fn a_share_of_a_pace_that_did_not_last_is_marked() {
        let marked = |before, after| {
            let row = Row {
                kept_of_before: before,
                after_of_before: after,
                ..Row::default()
            };
            cells(&row)[4].clone()
        };
        assert_eq!(marked(Some(0.9), Some(1.1)), "90 %");
        assert_eq!(marked(Some(0.9), Some(1.4)), "~90 %");
        assert_eq!(marked(Some(0.9), Some(0.7)), "~90 %");
        assert_eq!(marked(Some(0.9), None), "90 %", "it lasts to the end");
        assert_eq!(marked(None, Some(0.7)), "-");
    }

    #[test]
    fn words_of_a_scenario_are_no_markup() {
        let page = card_html(&card());
        assert!(page.contains("does &lt;it&gt; hold | or &quot;not&quot;?"));
        assert!(!page.contains("http"), "nothing from elsewhere");
        assert!(
            card_markdown(&card())
                .contains("| bp01-equivocate | pass | 88 % | 99 % | 86 % | 103 % |")
        );
        assert!(card_markdown(&card()).contains("| bb02 | missed | - | - |"));
        assert!(page.contains("<td class=\"number\">99 %</td>"));
        assert!(page.contains("of honest: of what the same faults leave"));
    }
}
