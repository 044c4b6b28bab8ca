//! `bench saturate`.

use std::path::Path;
use std::time::Instant;

use super::arguments::SaturateArgs;
use super::output::Output;
use crate::campaign::Program;
use crate::exit::Exit;
use crate::options::{Finished, RunError, RunOptions};
use crate::record::Environment;
use crate::run::settings;
use crate::saturate::{Objectives, SaturateOptions, open, saturate, saturate_text};
use crate::scenario::{Loaded, ScenarioError, Source, load};

/// Looks for the highest rate that meets the objective.
pub(super) fn execute(
    arguments: &SaturateArgs,
    output: &Output,
    run: impl Fn(&RunOptions) -> Result<Finished, RunError>,
) -> Exit {
    let base = match read(arguments) {
        Ok(base) => base,
        Err(Refused::Scenario(refused)) => {
            return output.turn_down(&refused);
        }
        Err(Refused::Expression(message)) => {
            return output.fail(Exit::Usage, &message);
        }
    };
    let options = prepare(arguments, base);
    let opened = Program::own()
        .and_then(|program| open(&arguments.out, &options, &program, arguments.fresh));
    let display = output.display(arguments.plain);
    let one = |loaded: &Loaded, out: &Path| run(&RunOptions::one_of_many(loaded, out, display));
    let began = Instant::now();
    let ended = opened.and_then(|campaign| {
        if campaign.resumed {
            output.say(&format!(
                "going on with {}: what it has measured is not run again",
                campaign.path.display()
            ));
        }
        let say = |words: &str| output.say(words);
        saturate(&options, &campaign, one, || began.elapsed(), say)
    });
    output.campaign(ended, |document| &document.directory, saturate_text)
}

enum Refused {
    Scenario(ScenarioError),
    Expression(String),
}

/// The scenario in an open loop, with the objectives of the command line in the place of its own if there are any.
fn read(arguments: &SaturateArgs) -> Result<Loaded, Refused> {
    let mut overrides = arguments.set.clone();
    // Each run has a rate of its own.
    overrides.extend(["load.model=open", "load.rate=1/s", "repeat=1"].map(str::to_owned));
    if !arguments.slo.is_empty() {
        overrides.push("slo={}".to_owned());
    }
    for expression in &arguments.slo {
        overrides.push(objective(expression).map_err(Refused::Expression)?);
    }
    Source::find(&arguments.scenario)
        .and_then(|source| load(&[source], &overrides))
        .map_err(Refused::Scenario)
}

/// `p99 < 50ms` as an override.
fn objective(expression: &str) -> Result<String, String> {
    let (key, condition) = expression
        .find(['<', '>', '=', '!'])
        .map(|at| expression.split_at(at))
        .filter(|(key, _)| !key.trim().is_empty())
        .ok_or_else(|| {
            format!("--slo {expression:?} is no objective: write a key of [slo] and a condition, such as 'p99 < 50ms'")
        })?;
    let condition = toml::Value::from(condition.trim());
    Ok(format!("slo.{}={condition}", key.trim()))
}

fn prepare(arguments: &SaturateArgs, base: Loaded) -> SaturateOptions {
    let objectives = &base.scenario.slo.objectives;
    let objectives_from = match (arguments.slo.is_empty(), objectives.is_empty()) {
        (false, _) => Objectives::CommandLine,
        (true, false) => Objectives::Scenario,
        (true, true) => Objectives::Default,
    };
    SaturateOptions {
        environment: Environment::gather(settings(&base.scenario, false)),
        objectives_from,
        base,
        repeats: arguments.repeat,
        precision: f64::from(arguments.precision) / 100.0,
        probes_max: arguments.max_probes as usize,
        time_max: arguments.max_time,
    }
}

#[cfg(test)]
mod tests {
    use super::objective;

    #[test]
    fn an_objective_is_a_key_and_a_condition() {
        let read = |text| objective(text).ok();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("p99 < 50ms"), some("slo.p99=\"< 50ms\""));
        assert_eq!(read("read.p999<=1s"), some("slo.read.p999=\"<=1s\""));
        assert_eq!(read("errors == 0%"), some("slo.errors=\"== 0%\""));
        for wrong in ["", "p99", "< 50ms", "p99 50ms"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
