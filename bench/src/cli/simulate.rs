//! `bench simulate` and `bench replay`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::arguments::{ReplayArgs, SimulateArgs};
use super::output::{self, Output};
use crate::exit::Exit;
use crate::options::Display;
use crate::run::stop_flag;
use crate::scenario::{Quantity as _, ScenarioError, Source, load};
use crate::simulate::{self, Kind, Plan, Progress, Replay};

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(2);

pub(super) fn execute(arguments: &SimulateArgs, output: &Output) -> Exit {
    let plan = plan(
        arguments.scenario.as_deref(),
        &arguments.set,
        arguments.virtual_time,
        output,
    );
    let Some(plan) = plan else {
        return output.end(Exit::Usage);
    };
    let stop = match stop_flag() {
        Ok(stop) => stop,
        Err(error) => {
            output.complain(&error.message);
            return output.end(error.exit);
        }
    };
    let jobs = arguments
        .jobs
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let quiet = output.display(true) == Display::Quiet;
    let wanted = arguments.seeds.0.end - arguments.seeds.0.start;
    let began = Instant::now();
    let mut shown = began;
    let swept = simulate::sweep(
        &plan,
        arguments.seeds.0.clone(),
        jobs,
        &stop,
        // At once: who waits for a long sweep wants to know.
        |failure| message(&simulate::failed(&plan, failure)),
        |progress| {
            if !quiet && shown.elapsed() >= PROGRESS {
                shown = Instant::now();
                message(&line(progress, wanted, began.elapsed()));
            }
        },
    );
    if output.json {
        output.document(&simulate::json(&plan, &swept));
    } else {
        output.text(&simulate::text(&plan, &swept));
    }
    output.end(match swept.gravest() {
        Some(kind) => exit(kind),
        None if swept.stopped => Exit::Interrupted,
        None => Exit::Ok,
    })
}

pub(super) fn replay(arguments: &ReplayArgs, output: &Output) -> Exit {
    let plan = plan(
        arguments.scenario.as_deref(),
        &arguments.set,
        arguments.virtual_time,
        output,
    );
    let Some(plan) = plan else {
        return output.end(Exit::Usage);
    };
    let chart = simulate::replay(
        &plan,
        arguments.seed,
        Replay {
            until: arguments.until,
            lines_max: arguments.lines,
            heartbeats: arguments.heartbeats,
        },
    );
    let outcome = &chart.outcome;
    let config = plan.config(arguments.seed);
    if output.json {
        output.document(&json!({
            "schema": "bench.replay/v1",
            "seed": arguments.seed,
            "n": config.n,
            "f": config.f,
            "trace": format!("{:016x}", outcome.trace),
            "violations": outcome.violations,
            "omitted_lines": chart.omitted,
            "lines": chart.lines,
        }));
    } else {
        let mut text = String::new();
        if chart.omitted > 0 {
            text.push_str(&format!(
                "... {} earlier lines are left out (--lines N shows more)\n",
                chart.omitted
            ));
        }
        for line in &chart.lines {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&format!(
            "\nseed {}: n = {}, f = {}, {} slots in {:.3} s of virtual time, trace {:016x}\n",
            arguments.seed,
            config.n,
            config.f,
            outcome.stats.slots,
            outcome.stats.virtual_time.as_secs_f64(),
            outcome.trace
        ));
        for violation in &outcome.violations {
            text.push_str(&format!("violation: {violation}\n"));
        }
        output.text(&text);
    }
    output.end(Kind::of(outcome).map_or(Exit::Ok, exit))
}

const fn exit(kind: Kind) -> Exit {
    match kind {
        Kind::Safety => Exit::Safety,
        Kind::Liveness => Exit::Liveness,
    }
}

/// What is simulated; `None` if the scenario is wrong, and it was said.
fn plan(
    scenario: Option<&str>,
    set: &[String],
    virtual_time: Option<Duration>,
    output: &Output,
) -> Option<Plan> {
    let refuse = |error: &ScenarioError| {
        output.refuse(error);
        if output.json {
            output.document(&output::refusal(error));
        }
    };
    let Some(name) = scenario else {
        if !set.is_empty() {
            output.complain("--set changes a scenario: name one");
            return None;
        }
        return Some(Plan {
            scenario: None,
            named: Vec::new(),
            virtual_time,
        });
    };
    match Source::find(name).and_then(|source| load(&[source], set)) {
        Ok(loaded) => {
            output.warn(&loaded.warnings);
            let sets = set.iter().map(|set| format!("--set {}", quoted(set)));
            Some(Plan {
                scenario: Some(Box::new(loaded.scenario)),
                named: std::iter::once(quoted(name)).chain(sets).collect(),
                virtual_time,
            })
        }
        Err(error) => {
            refuse(&error);
            None
        }
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+,:%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn line(progress: &Progress, wanted: u64, elapsed: Duration) -> String {
    let speed = progress.virtual_time.as_secs_f64() / progress.busy.as_secs_f64().max(1e-9);
    format!(
        "t={}s seeds={}/{wanted} failed={} virtual={:.0}s speed={speed:.0}x\n",
        elapsed.as_secs(),
        progress.done,
        progress.failed,
        progress.virtual_time.as_secs_f64()
    )
}

/// Nobody may be reading messages, and that is no reason to stop.
fn message(text: &str) {
    let _ = write!(std::io::stderr().lock(), "{text}");
}

/// A time with its unit, as in scenarios.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    Duration::parse(text)
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::Written;
    use super::*;

    fn arguments(seeds: std::ops::Range<u64>) -> SimulateArgs {
        SimulateArgs {
            scenario: None,
            seeds: simulate::Seeds(seeds),
            jobs: Some(1),
            virtual_time: Some(Duration::from_millis(300)),
            set: Vec::new(),
        }
    }

    #[test]
    fn a_sweep_is_one_json_document_and_its_seeds_replay_to_the_same_trace() {
        let written = Written::default();
        let output = Output::to(written.clone(), true);
        assert_eq!(execute(&arguments(1..3), &output), Exit::Ok);
        let sweep: serde_json::Value = serde_json::from_str(&written.text()).unwrap_or_default();
        assert_eq!(sweep["schema"], "bench.simulate/v1");
        assert_eq!(sweep["seeds"]["done"], 2);

        let trace = |heartbeats| {
            let written = Written::default();
            let output = Output::to(written.clone(), true);
            let arguments = ReplayArgs {
                seed: 1,
                scenario: None,
                set: Vec::new(),
                virtual_time: Some(Duration::from_millis(300)),
                until: None,
                lines: 10,
                heartbeats,
            };
            assert_eq!(replay(&arguments, &output), Exit::Ok);
            let json: serde_json::Value = serde_json::from_str(&written.text()).unwrap_or_default();
            assert_eq!(json["lines"].as_array().map(Vec::len), Some(10));
            json["trace"].clone()
        };
        assert_eq!(trace(false), trace(true), "looking changes nothing");
    }

    #[test]
    fn overrides_without_a_scenario_are_refused() {
        let output = Output::to(Written::default(), false);
        let arguments = SimulateArgs {
            set: vec!["cluster.f=2".to_owned()],
            ..arguments(0..1)
        };
        assert_eq!(execute(&arguments, &output), Exit::Usage);
    }

    #[test]
    fn a_command_that_is_printed_can_be_typed() {
        assert_eq!(quoted("cluster.f=2"), "cluster.f=2");
        assert_eq!(quoted("fault=[]"), "'fault=[]'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
