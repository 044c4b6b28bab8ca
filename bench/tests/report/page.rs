//! The page of a report as text: what is on it, and what cannot be.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::command::report;
use crate::fixture::{Fixture, HOSTILE};

/// Every figure that a complete run of several repeats with a fault and a network has.
pub(crate) const FIGURES: [&str; 19] = [
    "throughput",
    "latency",
    "percentiles",
    "steadiness",
    "views",
    "recovery",
    "lag",
    "transfers",
    "phases",
    "paths",
    "fallbacks",
    "batches",
    "messages",
    "cpu",
    "memory",
    "bytes",
    "fsyncs",
    "round-trips",
    "repeats",
];

/// The page of one run.
pub(crate) fn page_of(directory: &Path, fixture: &Fixture) -> String {
    let run = fixture.leave(directory);
    let ended = report(directory, &[run.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    fs::read_to_string(run.join("report.html")).unwrap()
}

/// The page without what it carries.
fn words(page: &str) -> &str {
    page.split("<script").next().unwrap()
}

fn is_drawn(page: &str, figure: &str) -> bool {
    page.contains(&format!("data-figure=\"{figure}\""))
}

#[test]
fn a_complete_run_has_every_figure_with_a_caption_and_its_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let page = page_of(directory.path(), &Fixture::new("20260101T000000Z_x_0001"));
    for figure in FIGURES {
        assert!(is_drawn(&page, figure), "{figure} is missing");
        let part = page.split(&format!("id=\"{figure}\"")).nth(1).unwrap();
        let part = part.split("</article>").next().unwrap();
        assert!(
            part.contains("class=\"caption\"")
                && part.contains("<details>")
                && part.contains("<tbody>"),
            "{figure}"
        );
    }
    for said in [
        "1,234/s",
        "Kill of replica 0 at 8.0 s",
        "within 512 ms",
        "view changed once in each repeat",
        "All 9 checks passed",
        "bench run",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn words_of_a_scenario_are_words_on_the_page() {
    let directory = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new("20260101T000000Z_x_0001");
    fixture.run["name"] = HOSTILE.into();
    fixture.run["repeats"][0]["faults"][0]["kind"] = HOSTILE.into();
    fixture.run["warnings"] = json!([HOSTILE]);
    let page = page_of(directory.path(), &fixture);
    let scripts: Vec<&str> = page.split("<script").skip(1).collect();
    assert_eq!(scripts.len(), 3, "figures, plots and the page's own");
    assert!(!page.contains("<img") && page.contains("&lt;script&gt;document.title"));
    let figures = scripts[0].split("</script>").next().unwrap();
    assert!(
        !figures.contains("<b>") && !figures[1..].contains('<'),
        "nothing in the data can end it"
    );
}

#[test]
fn nothing_on_the_page_comes_from_elsewhere_and_nothing_else_may_run() {
    let directory = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new("20260101T000000Z_x_0001");
    fixture.run["scenario"]["description"] = "a question".into();
    let page = page_of(directory.path(), &fixture);
    let words = words(&page);
    for outside in ["src=", "http:", "https:", "@import", "url("] {
        assert!(!words.contains(outside), "{outside}");
    }
    assert!(words.contains("default-src 'none'; script-src 'sha256-"));
    let policy = words
        .split("Content-Security-Policy")
        .nth(1)
        .unwrap()
        .split('>')
        .next()
        .unwrap();
    assert!(!policy.contains("unsafe-eval") && !policy.contains("http"));
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
}

#[test]
fn a_run_that_lacks_files_has_reasons_instead_of_figures() {
    let directory = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new("20260101T000000Z_old_0001");
    for repeat in fixture.run["repeats"].as_array_mut().unwrap() {
        for newer in [
            "phases",
            "messages",
            "fallbacks",
            "stationarity",
            "network",
            "resources",
            "faults",
        ] {
            repeat.as_object_mut().unwrap().remove(newer);
        }
    }
    let run = fixture.leave(directory.path());
    for number in 1..=2 {
        fs::remove_dir_all(run.join(format!("repeat-{number}"))).unwrap();
    }
    let ended = report(directory.path(), &[run.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    for figure in FIGURES.iter().filter(|figure| **figure != "repeats") {
        assert!(!is_drawn(&page, figure), "{figure} has no data");
        assert!(
            page.contains(&format!("<li id=\"{figure}\">")),
            "{figure} does not say why"
        );
    }
    assert!(
        page.contains("repeat-1/timeseries.csv is not there.")
            || page.contains("repeat-2/timeseries.csv is not there.")
    );
    assert!(page.contains("No fault struck in this run"));
}

#[test]
fn a_run_that_measured_nothing_is_told_and_not_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new("20260101T000000Z_none_0001");
    fixture.run["repeats"] = json!([]);
    fixture.run["summary"] = json!({});
    fixture.run["status"] = "interrupted".into();
    let page = page_of(directory.path(), &fixture);
    assert!(page.contains("INTERRUPTED, results are partial") && page.contains("answered nothing"));
    assert!(!page.contains("<script"), "there is nothing to draw");
}

#[test]
fn a_violation_comes_first_with_the_slot_and_the_operations() {
    let directory = tempfile::tempdir().unwrap();
    let page = page_of(
        directory.path(),
        &Fixture::violated("20260101T000000Z_x_0001"),
    );
    assert!(
        page.contains("SAFETY VIOLATION")
            && page.contains("FAILED checks: agreement, linearizable.")
    );
    let (violation, service) = (
        page.find("id=\"group-violation\"").unwrap(),
        page.find("id=\"group-service\"").unwrap(),
    );
    assert!(violation < service);
    assert!(is_drawn(&page, "slot") && is_drawn(&page, "counterexample"));
    let slot = page
        .split("id=\"slot\"")
        .nth(1)
        .unwrap()
        .split("</article>")
        .next()
        .unwrap();
    assert!(
        slot.contains(&"bb".repeat(32))
            && slot.contains("replicas/4/committed.jsonl")
            && slot.contains("Slot 7.")
    );
}
