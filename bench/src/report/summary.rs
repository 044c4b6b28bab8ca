//! The summary of a run: verdict first, then what was run, the numbers, what they cost, and how to run it again.

use super::document::{Document, Section, Table, Tone};
use super::faults::faults;
use super::measurements::{consensus, cost, latency, throughput};
use super::network::network;
use super::paint::Paint;
use super::setup::{Setup, machine};
use super::slots::slots;
use super::{doubts, markdown, text, units};
use crate::check::{CheckResult, Verdict};
use crate::options::Finished;
use crate::record::{Checks, Repeat, Run, RunStatus, RunVerdict};

/// For a terminal or a pipe.
#[must_use]
pub fn summary_text(finished: &Finished, paint: Paint) -> String {
    let directory = finished.directory.display().to_string();
    text::draw(&document(&finished.run, &directory), paint)
}

/// For `summary.md`, which lies in the run's directory.
#[must_use]
pub fn summary_markdown(run: &Run) -> String {
    markdown::draw(&document(run, "."))
}

/// The machine and the program of a run, and what it promised: for a terminal or a pipe.
#[must_use]
pub fn environment_text(run: &Run, paint: Paint) -> String {
    let environment = &run.environment;
    let facts = vec![
        ("machine", machine(environment)),
        ("durability", Setup::of(run).durability(environment)),
        ("authentication", environment.authentication.clone()),
        ("version", environment.version.clone()),
        ("commit", environment.commit.clone()),
    ];
    let section = Section {
        facts,
        ..Section::default()
    };
    text::page(&format!("{}: environment", run.id), &[section], paint)
}

/// The faults of a run one by one, or that there were none: for a terminal or a pipe.
#[must_use]
pub fn faults_text(run: &Run, paint: Paint) -> String {
    match faults(run) {
        Some(section) => text::page(&format!("{}: faults", run.id), &[section], paint),
        None => format!("{}: no fault was injected\n", run.id),
    }
}

pub(super) fn document(run: &Run, directory: &str) -> Document {
    let (outcome, tone) = outcome(run);
    let all = [
        Some(what_was_run(run)),
        Some(throughput(run)),
        repeats(run),
        latency(run),
        faults(run),
        network(run),
        Some(consensus(run)),
        slots(run),
        cost(run),
        checks(run),
        misses(run),
        warnings(run),
        Some(again(run, directory)),
    ];
    Document {
        name: run.name.clone(),
        outcome,
        tone,
        question: run
            .scenario
            .pointer("/description")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        sections: all.into_iter().flatten().collect(),
    }
}

/// The verdict in capitals, and how good it is.
pub(super) fn outcome(run: &Run) -> (String, Tone) {
    let (verdict, tone) = match run.verdict {
        RunVerdict::Pass => ("PASS", Tone::Good),
        RunVerdict::SloMissed => ("SLO MISSED", Tone::Doubtful),
        RunVerdict::LivenessViolation => ("LIVENESS VIOLATION", Tone::Bad),
        RunVerdict::SafetyViolation => ("SAFETY VIOLATION", Tone::Bad),
    };
    let partial = |word: &str| match run.verdict {
        // What a run that was cut short did not reach proves nothing.
        RunVerdict::Pass | RunVerdict::SloMissed => {
            (format!("{word}, results are partial"), Tone::Doubtful)
        }
        _ => (format!("{verdict}, {word}, results are partial"), Tone::Bad),
    };
    match run.status {
        RunStatus::Completed => (verdict.to_owned(), tone),
        RunStatus::Interrupted => partial("INTERRUPTED"),
        RunStatus::Failed => partial("FAILED"),
    }
}

fn what_was_run(run: &Run) -> Section {
    let setup = Setup::of(run);
    let environment = &run.environment;
    let mut facts = vec![
        ("cluster", setup.cluster()),
        ("durability", setup.durability(environment)),
        ("authentication", environment.authentication.clone()),
        ("load", setup.load()),
        ("workload", setup.workload()),
        ("measured", setup.measured(run)),
        ("machine", machine(environment)),
    ];
    if let Some(attached) = &run.attached {
        facts.insert(
            1,
            (
                "attached to",
                format!("{attached}, a cluster that this run did not start"),
            ),
        );
    }
    Section {
        facts,
        ..Section::default()
    }
}

/// The repeats one by one, if there are several.
fn repeats(run: &Run) -> Option<Section> {
    if run.repeats.len() < 2 {
        return None;
    }
    let row = |(number, repeat): (usize, &Repeat)| {
        let latency = repeat
            .latency_us
            .get("all")
            .filter(|latency| latency.count > 0);
        let time = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), units::time);
        vec![
            number.to_string(),
            repeat.seed.to_string(),
            units::rate(repeat.throughput_ops_s),
            time(latency.map(|latency| latency.p50)),
            time(latency.map(|latency| latency.p99)),
            units::share(repeat.consensus.fast_path_share),
            match repeat.verdict() {
                RunVerdict::Pass | RunVerdict::SloMissed => "ok",
                RunVerdict::LivenessViolation => "LIVENESS",
                RunVerdict::SafetyViolation => "SAFETY",
            }
            .to_owned(),
        ]
    };
    Some(Section {
        heading: "Repeats",
        table: Some(Table {
            header: vec!["repeat", "seed", "ok", "p50", "p99", "fast path", "checks"],
            rows: (1..).zip(&run.repeats).map(row).collect(),
        }),
        ..Section::default()
    })
}

fn checks(run: &Run) -> Option<Section> {
    let several = run.repeats.len() > 1;
    let mut worst = Tone::Good;
    let mut facts = Vec::new();
    let mut judged = 0;
    for (number, repeat) in (1..).zip(&run.repeats) {
        let named = named_checks(&repeat.checks);
        judged = named.len();
        for (name, check) in named {
            // Of several repeats only what did not pass is spelled out.
            if several && check.verdict == Verdict::Pass {
                continue;
            }
            let word = match check.verdict {
                Verdict::Pass => "pass",
                Verdict::Skipped => "skipped",
                Verdict::Fail => {
                    worst = Tone::Bad;
                    "FAIL"
                }
            };
            let place = if several {
                format!(" in repeat {number}")
            } else {
                String::new()
            };
            let detail = if check.detail.is_empty() {
                String::new()
            } else {
                format!(": {}", check.detail)
            };
            facts.push((name, format!("{word}{place}{detail}")));
        }
    }
    let remark = if several {
        "what did not pass in every repeat"
    } else {
        ""
    };
    let items = if facts.is_empty() && several {
        let checks = units::counted(judged as u64, "check");
        vec![format!("all of {checks} passed in every repeat")]
    } else {
        Vec::new()
    };
    (!run.repeats.is_empty()).then(|| Section {
        heading: "Checks",
        tone: worst,
        remark: if items.is_empty() {
            remark.to_owned()
        } else {
            String::new()
        },
        facts,
        items,
        ..Section::default()
    })
}

/// Each check with its name.
pub(super) fn named_checks(checks: &Checks) -> [(&'static str, &CheckResult); 9] {
    [
        ("agreement", &checks.agreement),
        ("linearizable", &checks.linearizable),
        ("exactly once", &checks.exactly_once),
        ("state", &checks.state),
        ("integrity", &checks.integrity),
        ("evidence", &checks.evidence),
        ("liveness", &checks.liveness),
        ("read back", &checks.read_back),
        ("resources", &checks.resources),
    ]
}

fn misses(run: &Run) -> Option<Section> {
    Section::list(
        "Missed",
        Tone::Bad,
        run.misses.iter().map(ToString::to_string).collect(),
    )
}

fn warnings(run: &Run) -> Option<Section> {
    let all = run.warnings.iter().cloned().chain(doubts::of(run));
    Section::list("Warnings", Tone::Doubtful, all.collect())
}

fn again(run: &Run, directory: &str) -> Section {
    let (place, file) = match directory {
        "." => ("this directory".to_owned(), "effective.toml".to_owned()),
        directory => (directory.to_owned(), format!("{directory}/effective.toml")),
    };
    let attach = match &run.attached {
        Some(cluster) => format!(" --attach {}", quoted(cluster)),
        None => String::new(),
    };
    Section {
        heading: "Results",
        remark: format!("{place}; the same run again:"),
        command: Some(format!("bench run {}{attach}", quoted(&file))),
        ..Section::default()
    }
}

/// As a shell reads it as one word; a NUL, which no shell takes, stays as it is.
fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
