//! A report in Chromium: every figure is drawn, no script complains, and nothing is asked of any network.
//!
//! These tests need Debian's `chromium` and are run by `.ci/run`: `cargo test --workspace --test report -- --ignored`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::{CELL_FIGURES, report, search, sweep};
use crate::fixture::Fixture;
use crate::page::FIGURES;

/// What a browser made of a page.
struct Seen {
    /// The document after its scripts have run.
    dom: String,
    /// What scripts and policies complained about.
    complaints: Vec<String>,
    /// What was asked of a network.
    requests: Vec<String>,
}

/// Names under which the browser is known.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn open(page: &Path) -> Seen {
    let profile = tempfile::tempdir().unwrap();
    let net_log = profile.path().join("net-log.json");
    let run = |browser: &str| {
        Command::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args([
                "--disable-default-apps",
                "--disable-extensions",
                "--disable-domain-reliability",
                "--no-pings",
            ])
            .args([
                "--enable-logging=stderr",
                "--window-size=1280,1000",
                "--virtual-time-budget=60000",
                "--dump-dom",
            ])
            // Whatever the browser itself wants to know: no name has an address here.
            .arg("--host-resolver-rules=MAP * ~NOTFOUND")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--log-net-log={}", net_log.display()))
            .arg(format!("file://{}", page.display()))
            .output()
    };
    let output = BROWSERS
        .iter()
        .find_map(|browser| run(browser).ok())
        .expect("this test needs a browser: install Debian's package `chromium` (apt-get install chromium)");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "the browser failed: {stderr}");
    // Lines that it logs of a page begin with this word and the level.
    let complaints = stderr
        .lines()
        .filter(|line| line.contains(":CONSOLE"))
        .map(str::to_owned)
        .collect();
    let log = fs::read_to_string(&net_log).unwrap_or_default();
    assert!(
        log.contains("constants"),
        "the browser wrote no log of the network"
    );
    let requests = log.lines().filter_map(asked_by_a_page).collect();
    Seen {
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaints,
        requests,
    }
}

/// The address in a line of the log of the network, if a page asked for it: the browser itself, which asks for updates and the time, is no origin.
fn asked_by_a_page(line: &str) -> Option<String> {
    let field = |name: &str| {
        line.split(&format!("\"{name}\":\""))
            .nth(1)?
            .split('"')
            .next()
    };
    let (initiator, url) = (field("initiator")?, field("url")?);
    let remote = ["http", "ws"].iter().any(|scheme| url.starts_with(scheme));
    (remote && initiator != "not an origin").then(|| url.to_owned())
}

/// The page has these figures, each drawn with a size, and nothing else happened.
fn assert_drawn(page: &Path, figures: &[&str]) {
    let Seen {
        dom,
        complaints,
        requests,
    } = open(page);
    assert_eq!(complaints, [] as [String; 0]);
    assert_eq!(requests, [] as [String; 0]);
    assert!(
        dom.contains(&format!("data-drawn=\"{}\"", figures.len())),
        "{} figures were to be drawn",
        figures.len()
    );
    for figure in figures {
        let place = dom.split(&format!("data-figure=\"{figure}\"")).nth(1);
        let place = place.unwrap_or_else(|| panic!("{figure} has no place"));
        let place = place.split("</article>").next().unwrap();
        let drawing = place
            .split("class=\"main-svg\"")
            .nth(1)
            .unwrap_or_else(|| panic!("{figure} was not drawn"));
        let drawing = drawing.split('>').next().unwrap();
        let size = |name: &str| -> f64 {
            let value = drawing
                .split(&format!(" {name}=\""))
                .nth(1)
                .unwrap_or_else(|| panic!("{figure} has no {name}"));
            value.split('"').next().unwrap().parse().unwrap()
        };
        assert!(
            size("width") > 200.0 && size("height") > 100.0,
            "{figure}: {} x {}",
            size("width"),
            size("height")
        );
        let shapes = ["class=\"trace", "class=\"point", "class=\"js-line"];
        assert!(
            shapes.iter().any(|shape| place.contains(shape)),
            "{figure} is empty"
        );
    }
}

#[test]
#[ignore = "needs chromium; .ci/run has it"]
fn every_figure_of_a_run_is_drawn_without_complaint_or_network() {
    let directory = tempfile::tempdir().unwrap();
    let run = Fixture::new("20260101T000000Z_x_0001").leave(directory.path());
    assert_eq!(report(directory.path(), &[run.to_str().unwrap()]).code, 0);
    assert_drawn(&run.join("report.html"), &FIGURES);
}

#[test]
#[ignore = "needs chromium; .ci/run has it"]
fn a_violation_and_several_runs_are_drawn_too() {
    let directory = tempfile::tempdir().unwrap();
    let violated = Fixture::violated("20260101T000000Z_x_0001").leave(directory.path());
    let mut other = Fixture::new("20260102T000000Z_x_0002");
    other.run["scenario"]["load"]["clients"] = 16.into();
    let other = other.leave(directory.path());
    let (violated, other) = (violated.to_str().unwrap(), other.to_str().unwrap());
    assert_eq!(report(directory.path(), &[violated]).code, 0);
    let mut figures = vec!["slot", "counterexample"];
    figures.extend(FIGURES);
    assert_drawn(&Path::new(violated).join("report.html"), &figures);
    let page = directory.path().join("both.html");
    assert_eq!(
        report(
            directory.path(),
            &[violated, other, "-o", page.to_str().unwrap()]
        )
        .code,
        0
    );
    assert_drawn(
        &page,
        &["throughputs", "curve", "throughput", "percentiles"],
    );
    let page = directory.path().join("compared.html");
    let ended = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["compare", violated, other, "--force", "--format", "html"])
        .arg("-o")
        .arg(&page)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_drawn(&page, &["changes", "repeats"]);
}

#[test]
#[ignore = "needs chromium; .ci/run has it"]
fn sweeps_and_searches_are_drawn_too() {
    let directory = tempfile::tempdir().unwrap();
    for (place, figures) in [
        (search(directory.path()), vec!["curve"]),
        (
            sweep(directory.path()),
            [&["curve"], &CELL_FIGURES[..]].concat(),
        ),
    ] {
        assert_eq!(report(directory.path(), &[place.to_str().unwrap()]).code, 0);
        assert_drawn(&place.join("report.html"), &figures);
    }
}

#[test]
#[ignore = "needs chromium; .ci/run has it"]
fn a_script_that_somebody_smuggled_in_does_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let run = Fixture::new("20260101T000000Z_x_0001").leave(directory.path());
    assert_eq!(report(directory.path(), &[run.to_str().unwrap()]).code, 0);
    let file = run.join("report.html");
    let page = fs::read_to_string(&file).unwrap();
    let smuggled = "<script>document.documentElement.dataset.taken = 'yes'</script><img src=x onerror=\"document.documentElement.dataset.taken = 'yes'\"></body>";
    fs::write(&file, page.replace("</body>", smuggled)).unwrap();
    let seen = open(&file);
    assert!(
        !seen.dom.contains("data-taken"),
        "the policy lets others' scripts run"
    );
    assert!(
        seen.complaints
            .iter()
            .any(|line| line.contains("Content Security Policy")),
        "{:?}",
        seen.complaints
    );
}

#[test]
#[ignore = "needs chromium; .ci/run has it"]
fn a_page_that_asked_elsewhere_or_failed_would_be_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("page.html");
    fs::write(&file, "<!doctype html><img src='http://elsewhere.invalid/x.png'><script>no_such_function()</script>").unwrap();
    let seen = open(&file);
    assert!(
        seen.requests
            .contains(&"http://elsewhere.invalid/x.png".to_owned()),
        "{:?}",
        seen.requests
    );
    assert!(
        seen.complaints
            .iter()
            .any(|line| line.contains("no_such_function")),
        "{:?}",
        seen.complaints
    );
}
