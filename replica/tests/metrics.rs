//! The admin port of a real replica: what it shows Prometheus is what docs/metrics.md and the dashboard name, and nothing else.

#![allow(clippy::unwrap_used)]

mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Status, content type and text of a page.
fn page(admin: SocketAddr, path: &str) -> (u16, String, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(format!("http://{admin}{path}")).call().unwrap();
    let kind = response.headers().get("content-type").unwrap();
    let kind = kind.to_str().unwrap().to_owned();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), kind, text)
}

/// Runs one replica of five for as long as `look` takes.
fn with_replica(look: impl FnOnce(SocketAddr)) {
    let (_folder, directory) = cluster::found();
    let (mut child, ready) = cluster::start(&directory, &["--admin", "127.0.0.1:0"]);
    look(ready.admin.unwrap());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The types of an exposition by the metrics' names.
fn types(text: &str) -> BTreeMap<&str, &str> {
    let mut types = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(types.insert(name, kind), None, "{name} comes twice");
        }
    }
    types
}

/// The name under which one asks for a metric of this type.
fn asked_for(name: &str, kind: &str) -> String {
    match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    }
}

/// Words of a text that look like metrics of a replica.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = |word: &&str| {
        (word.starts_with("quintet_") && !word.starts_with("quintet_load_"))
            || word.starts_with("process_")
    };
    words.filter(ours).map(str::to_owned).collect()
}

fn read(path: &str) -> String {
    let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn docs_and_dashboard_name_what_is_shown_and_nothing_shown_is_left_unexplained() {
    with_replica(|admin| {
        let (code, kind, text) = page(admin, "/metrics");
        assert_eq!(code, 200);
        assert_eq!(
            kind,
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        let types = types(&text);
        let shown: BTreeSet<String> = types
            .iter()
            .map(|(name, kind)| asked_for(name, kind))
            .collect();
        assert_eq!(named(&read("docs/metrics.md")), shown);

        let mut samples = shown;
        for (name, _) in types.iter().filter(|(_, kind)| **kind == "histogram") {
            samples.remove(*name);
            samples.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
        let dashboard: serde_json::Value =
            serde_json::from_str(&read("docs/grafana/quintet.json")).unwrap();
        let mut asked = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                asked.extend(named(target["expr"].as_str().unwrap()));
            }
        }
        assert!(asked.len() > 20, "{asked:?}");
        let unknown: Vec<&String> = asked.difference(&samples).collect();
        assert!(unknown.is_empty(), "no replica shows {unknown:?}");
    });
}

#[test]
fn names_follow_prometheus_conventions_and_no_sample_comes_twice() {
    with_replica(|admin| {
        let (_, _, text) = page(admin, "/metrics");
        assert!(text.ends_with("# EOF\n"));
        let mut seen = BTreeSet::new();
        let mut family = ("", "");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split_once(' ').unwrap();
                let (name, _) = family;
                assert!(!name.ends_with("_total"), "the type says so: {name}");
                for unit in [
                    "_ms", "_us", "_micros", "_millis", "_kib", "_mib", "_percent",
                ] {
                    assert!(!name.contains(unit), "{name} is not in a base unit");
                }
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                let (name, unit) = rest.split_once(' ').unwrap();
                assert!(["seconds", "bytes"].contains(&unit), "{rest}");
                assert!(name.ends_with(unit), "{rest}");
            } else if !line.starts_with('#') {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(seen.insert(sample.to_owned()), "{sample} comes twice");
                assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
                let suffixes: &[&str] = match family.1 {
                    "counter" => &["_total"],
                    "info" => &["_info"],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    "gauge" => &[""],
                    other => panic!("{other}: {line}"),
                };
                let name = sample.split('{').next().unwrap();
                let suffix = name.strip_prefix(family.0).unwrap();
                assert!(suffixes.contains(&suffix), "{line} among {family:?}");
            }
        }
        assert!(seen.len() > 100, "{}", seen.len());
    });
}

#[test]
fn a_replica_without_company_answers_and_is_not_ready() {
    with_replica(|admin| {
        let (code, kind, text) = page(admin, "/health");
        assert_eq!((code, kind.as_str()), (503, "application/json"));
        let health: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(health["status"], "isolated");
        assert!(
            health["detail"].as_str().unwrap().contains("needs 3"),
            "{health}"
        );
        assert_eq!(page(admin, "/healthz").0, 200);
        let (code, _, text) = page(admin, "/status");
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, &status["replica"]), (200, &0.into()));
    });
}
