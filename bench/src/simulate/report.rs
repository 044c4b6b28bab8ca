//! What a sweep came to, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json as document};

use super::{Failure, Plan, Sweep};

/// The value of the field `schema`.
const SCHEMA: &str = "bench.simulate/v1";
/// Columns of text.
const WIDTH: usize = 100;

/// For a person: the verdict first, then what was reached, then every failing seed with its command.
#[must_use]
pub fn text(plan: &Plan, sweep: &Sweep) -> String {
    let verdict = match sweep.gravest() {
        None if sweep.stopped => "STOPPED, no seed failed so far",
        None => "PASS",
        Some(kind) => match kind {
            super::Kind::Safety => "SAFETY VIOLATION",
            super::Kind::Liveness => "LIVENESS VIOLATION",
        },
    };
    let stats = &sweep.stats;
    let mut text = format!("simulate {}: {verdict}\n\n", what(plan));
    let mut line = |name: &str, value: String| {
        text.push_str(&wrapped(name, &value));
    };
    line(
        "seeds",
        format!(
            "{} of {}..{}, {} failed",
            sweep.done,
            sweep.seeds.start,
            sweep.seeds.end,
            sweep.failures.len()
        ),
    );
    line(
        "time",
        format!(
            "{} simulated in {} on {} threads: {:.0} times real time a core",
            hours(stats.virtual_time),
            hours(sweep.elapsed),
            sweep.jobs,
            sweep.speed()
        ),
    );
    line(
        "decided",
        format!(
            "{} slots, {:.1} a simulated second; the longest wait after the last fault was {:.1} s",
            stats.slots,
            stats.slots_per_second(),
            stats.longest_wait.as_secs_f64()
        ),
    );
    let (reached, missed): (Vec<_>, Vec<_>) = stats
        .counts()
        .into_iter()
        .partition(|(_, count)| *count > 0);
    let reached: Vec<String> = reached
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    line("reached", reached.join(", "));
    if !missed.is_empty() {
        let missed: Vec<&str> = missed.iter().map(|(name, _)| *name).collect();
        line("never", missed.join(", "));
    }
    for failure in &sweep.failures {
        text.push_str(&format!("\n{}", failed(plan, failure)));
    }
    text
}

/// A failing seed: what it violates, and the command that shows it again.
pub(crate) fn failed(plan: &Plan, failure: &Failure) -> String {
    let mut text = format!(
        "seed {} violates {}; again:\n  {}\n",
        failure.seed,
        failure.kind.name(),
        plan.replay_command(failure.seed)
    );
    for violation in &failure.violations {
        text.push_str(&format!("  - {violation}\n"));
    }
    text
}

/// For scripts, schema `bench.simulate/v1`.
#[must_use]
pub fn json(plan: &Plan, sweep: &Sweep) -> Value {
    let failures = sweep.failures.iter().map(|failure| {
        document!({
            "seed": failure.seed,
            "kind": failure.kind.name(),
            "violations": failure.violations,
            "trace": format!("{:016x}", failure.trace),
            "command": plan.replay_command(failure.seed),
        })
    });
    let reached: serde_json::Map<String, Value> = sweep
        .stats
        .counts()
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect();
    document!({
        "schema": SCHEMA,
        "scenario": plan.scenario.as_ref().map(|scenario| scenario.name.clone()),
        "verdict": sweep.gravest().map_or("pass".to_owned(), |kind| format!("{}-violation", kind.name())),
        "status": if sweep.stopped { "interrupted" } else { "completed" },
        "seeds": { "from": sweep.seeds.start, "to": sweep.seeds.end, "done": sweep.done },
        "failures": failures.collect::<Vec<_>>(),
        "virtual_s": sweep.stats.virtual_time.as_secs_f64(),
        "busy_s": sweep.busy.as_secs_f64(),
        "elapsed_s": sweep.elapsed.as_secs_f64(),
        "jobs": sweep.jobs,
        "times_real_time_a_core": sweep.speed(),
        "slots_per_virtual_s": sweep.stats.slots_per_second(),
        "longest_wait_s": sweep.stats.longest_wait.as_secs_f64(),
        "reached": reached,
    })
}

fn what(plan: &Plan) -> &str {
    match &plan.scenario {
        Some(scenario) => &scenario.name,
        None => "everything",
    }
}

fn hours(time: Duration) -> String {
    let s = time.as_secs_f64();
    match s {
        s if s >= 7_200.0 => format!("{:.1} h", s / 3_600.0),
        s if s >= 120.0 => format!("{:.1} min", s / 60.0),
        s => format!("{s:.1} s"),
    }
}

/// A name and its value, wrapped at spaces.
fn wrapped(name: &str, value: &str) -> String {
    const INDENT: usize = 11;
    let mut text = format!("  {name:<width$}", width = INDENT - 2);
    let mut column = INDENT;
    for word in value.split(' ') {
        if column > INDENT && column + 1 + word.len() > WIDTH {
            text.push_str(&format!("\n{:INDENT$}", ""));
            column = INDENT;
        } else if column > INDENT {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn failing() -> (Plan, Sweep) {
        let plan = Plan {
            scenario: None,
            named: Vec::new(),
            virtual_time: None,
        };
        let sweep = Sweep {
            seeds: 0..100,
            done: 40,
            failures: vec![Failure {
                seed: 17,
                kind: Kind::Safety,
                violations: vec!["agreement: replica 1 ...".to_owned()],
                trace: 0xabc,
            }],
            stats: simulator::Stats::default(),
            busy: Duration::from_secs(2),
            elapsed: Duration::from_secs(1),
            jobs: 2,
            stopped: false,
        };
        (plan, sweep)
    }

    #[test]
    fn a_failing_seed_stands_with_the_command_that_repeats_it() {
        let (plan, sweep) = failing();
        let text = text(&plan, &sweep);
        assert!(
            text.starts_with("simulate everything: SAFETY VIOLATION\n"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "\nseed 17 violates safety; again:\n  bench replay 17\n  - agreement: replica 1 ...\n"
            ),
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        let json = json(&plan, &sweep);
        assert_eq!(json["verdict"], "safety-violation");
        assert_eq!(json["failures"][0]["command"], "bench replay 17");
        assert_eq!(json["reached"]["slots"], 0);
    }
}
