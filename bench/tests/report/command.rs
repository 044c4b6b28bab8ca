//! `bench report`: what it prints, where it writes, what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fixture::Fixture;
use crate::program::{Ended, bench_in, bench_with};

pub(crate) fn report(directory: &Path, arguments: &[&str]) -> Ended {
    bench_in(directory, &[&["report"], arguments].concat())
}

const FIRST: &str = "20260101T000000Z_kill-primary_0001";
const SECOND: &str = "20260102T000000Z_kill-primary_0002";

/// Two runs in `results`.
fn results() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let results = directory.path().join("results");
    Fixture::new(FIRST).leave(&results);
    let mut second = Fixture::new(SECOND);
    second.run["scenario"]["load"]["clients"] = 16.into();
    second.leave(&results);
    directory
}

#[test]
fn a_page_goes_to_the_run_and_other_formats_are_printed() {
    let results = results();
    let ended = report(results.path(), &["@1"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let page = results.path().join(ended.stdout.trim());
    assert!(
        page.ends_with(format!("{SECOND}/report.html")),
        "{}",
        page.display()
    );
    assert!(
        fs::read_to_string(&page)
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );

    let markdown = report(results.path(), &["2026010", "--format", "md"]);
    assert_eq!(markdown.code, 2, "two runs begin so");
    let markdown = report(results.path(), &["20260101", "--format", "md"]);
    assert!(markdown.stdout.starts_with("# kill-primary: PASS"));
    assert!(
        markdown
            .stdout
            .contains("| percentile | from the intended start | from sending |")
    );

    let document: Value =
        serde_json::from_str(&report(results.path(), &["@2", "--format", "json"]).stdout).unwrap();
    assert_eq!(document["schema"], "bench.report/v1");
    let figures = document["runs"][0]["figures"].as_array().unwrap();
    let throughput = figures
        .iter()
        .find(|figure| figure["id"] == "throughput")
        .unwrap();
    assert_eq!(throughput["series"][0]["points"][0][1], 1200.0);
}

#[test]
fn a_table_of_repeats_has_numbers_where_something_was_measured_and_nothing_where_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new(FIRST);
    fixture.run["repeats"][1]["latency_us"] = serde_json::json!({});
    fixture.leave(&directory.path().join("results"));
    let ended = report(directory.path(), &["@1", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(ended.stdout.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        let column = header.iter().position(|cell| cell == name).unwrap();
        rows[row][column].to_owned()
    };
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (
            cell(0, "throughput_ops_s").as_str(),
            cell(0, "latency_p99_us").as_str()
        ),
        ("1220", "9000")
    );
    assert_eq!(
        (
            cell(1, "throughput_ops_s").as_str(),
            cell(1, "latency_p99_us").as_str()
        ),
        ("1240", "")
    );
}

#[test]
fn several_runs_share_a_page_beside_them() {
    let results = results();
    let ended = report(results.path(), &["@1", "@2"]);
    assert_eq!(
        (ended.code, ended.stdout.trim()),
        (0, "results/report.html"),
        "{}",
        ended.stderr
    );
    let page = fs::read_to_string(results.path().join("results/report.html")).unwrap();
    assert!(page.contains("Side by side") && page.contains("16 clients, 2 outstanding"));
    let ended = report(
        results.path(),
        &["@1", "@2", "-o", "elsewhere.html", "--json"],
    );
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["file"], "elsewhere.html");
    assert!(results.path().join("elsewhere.html").exists());
}

#[test]
fn what_is_no_result_is_refused_with_the_file_and_the_remedy() {
    let results = results();
    let place = |name: &str| results.path().join("results").join(name);
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        let ended = report(results.path(), arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (code, ""),
            "{arguments:?}"
        );
        for word in words {
            assert!(
                ended.stderr.contains(word),
                "{word} is missing in {}",
                ended.stderr
            );
        }
    };
    refused(
        &["2027"],
        2,
        &["there is no run 2027 in results", "--results DIR"],
    );
    refused(
        &["@1", "--format", "md", "--open"],
        2,
        &["--open shows a page"],
    );
    fs::create_dir(place("20260103T000000Z_cut_0003")).unwrap();
    refused(
        &["results/20260103T000000Z_cut_0003"],
        1,
        &["run.json", "cannot be read", "`bench run`"],
    );
    fs::write(place("20260103T000000Z_cut_0003/INCOMPLETE"), "").unwrap();
    refused(
        &["results/20260103T000000Z_cut_0003"],
        1,
        &[
            "was cut off before its results",
            "bench run results/20260103T000000Z_cut_0003/effective.toml",
        ],
    );
    fs::create_dir(place("20260104T000000Z_other_0004")).unwrap();
    for (text, words) in [
        (
            "{\"schema\": \"bench.compare/v1\"}",
            "has the schema \"bench.compare/v1\"",
        ),
        (
            "{\"schema\": \"bench.run/v1\"}",
            "has no `id`, which every result has",
        ),
        ("{\"schema\"", "is no result of `bench run`"),
    ] {
        fs::write(place("20260104T000000Z_other_0004/run.json"), text).unwrap();
        refused(
            &["20260104"],
            1,
            &["20260104T000000Z_other_0004/run.json", words],
        );
    }
    refused(
        &["20260101", "-o", "no/such/folder/x.html"],
        1,
        &["no/such/folder/x.html", "--out FILE"],
    );
}

#[test]
fn open_hands_the_page_to_the_desktop() {
    let results = results();
    let bin = results.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let opener = bin.join("xdg-open");
    let seen = results.path().join("seen");
    fs::write(
        &opener,
        format!(
            "#!/bin/sh\necho \"$1\" > {}.partial\nmv {0}.partial {0}\n",
            seen.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let ended = bench_with(results.path(), &["report", "@1", "--open"], &path);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told = (0..1_000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        fs::read_to_string(&seen).ok()
    });
    assert!(told.is_some_and(|told| told.trim().ends_with("report.html")));
}

fn estimate(median: f64) -> Value {
    serde_json::json!({"median": median, "ci95": [median * 0.9, median * 1.1], "repeats": 3, "method": "bca"})
}

/// A finished search for saturation.
pub(crate) fn search(results: &Path) -> PathBuf {
    let probe = |rate: f64, met: bool| {
        serde_json::json!({"number": 1, "stage": "doubling", "rate_ops_s": rate, "met": met, "why": ["p99 was 61 ms"],
            "throughput_ops_s": estimate(rate), "p50_us": estimate(2000.0), "p99_us": estimate(9000.0)})
    };
    let document = serde_json::json!({"schema": "bench.saturate/v1", "id": "x", "name": "rate", "status": "completed",
        "conclusion": "the cluster takes 500/s", "limit_ops_s": 500.0, "limited_by": "cluster", "objectives": ["p99 < 50ms"],
        "probes": [probe(250.0, true), probe(500.0, true), probe(1000.0, false)]});
    leave(
        results,
        "20260101T000000Z_rate_0001",
        "saturate.json",
        &document,
    )
}

/// A finished sweep over something that is no load.
pub(crate) fn sweep(results: &Path) -> PathBuf {
    let cell = |name: &str, rate: f64| {
        serde_json::json!({"name": name, "values": {"cluster.f": 1}, "rate_ops_s": null, "runs": [{}, {}, {}],
            "summary": {"throughput_ops_s": estimate(rate), "p50_us": estimate(2000.0), "p99_us": estimate(9000.0),
                "cpu_us_per_op": estimate(160.0), "fast_path_share": estimate(0.9)}})
    };
    let document = serde_json::json!({"schema": "bench.sweep/v1", "id": "y", "name": "path", "status": "completed",
        "cells": [cell("fast", 900.0), cell("classic", 600.0)]});
    leave(
        results,
        "20260102T000000Z_path_0002",
        "sweep.json",
        &document,
    )
}

fn leave(results: &Path, id: &str, file: &str, document: &Value) -> PathBuf {
    let place = results.join(id);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(file), document.to_string()).unwrap();
    place
}

#[test]
fn a_search_has_a_page_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let place = search(&directory.path().join("results"));
    let ended = report(directory.path(), &["20260101T000000Z_rate_0001"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let page = fs::read_to_string(place.join("report.html")).unwrap();
    assert!(page.contains("the cluster takes 500/s") && page.contains("missed: p99 was 61 ms"));
    assert!(page.contains("data-figure=\"curve\""));
    assert!(page.contains("2.00 ms -10/+10 %"), "intervals are shown");
    let refused = report(
        directory.path(),
        &["20260101T000000Z_rate_0001", "--format", "csv"],
    );
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("leave out --format"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_sweep_has_a_page_with_a_figure_for_each_of_its_questions() {
    let directory = tempfile::tempdir().unwrap();
    let place = sweep(&directory.path().join("results"));
    let ended = report(directory.path(), &["20260102T000000Z_path_0002"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let page = fs::read_to_string(place.join("report.html")).unwrap();
    for figure in CELL_FIGURES {
        assert!(
            page.contains(&format!("data-figure=\"{figure}\"")),
            "{figure}"
        );
    }
    assert!(page.contains("810/s to 990/s"), "intervals are shown");
}

/// What the page of a sweep shows beside its curve.
pub(crate) const CELL_FIGURES: [&str; 4] =
    ["cells", "cells-latency", "cells-cost", "cells-fast-path"];
