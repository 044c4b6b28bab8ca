//! `bench saturate`.

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

use super::arguments::SaturateArgs;
use super::output::{self, Output};
use crate::exit::Exit;
use crate::options::{Finished, RunError, RunOptions};
use crate::record::{Environment, INCOMPLETE_MARK, RunDirectory, write_file};
use crate::run::settings;
use crate::saturate::{Objectives, SaturateOptions, saturate, saturate_text};
use crate::scenario::schema::Scenario;
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
            output.refuse(&refused);
            if output.json {
                output.document(&output::refusal(&refused));
            }
            return output.end(Exit::Usage);
        }
        Err(Refused::Expression(message)) => {
            return refuse(output, &RunError::new(Exit::Usage, message));
        }
    };
    let options = match prepare(arguments, base) {
        Ok(options) => options,
        Err(error) => return refuse(output, &error),
    };
    let one = |loaded: &Loaded, out: &Path| {
        run(&RunOptions {
            loaded: loaded.clone(),
            invocation: None,
            out: out.to_owned(),
            history: None,
            attach: None,
            keep_data: false,
            metrics: None,
            display: output.display(arguments.plain),
        })
    };
    let began = Instant::now();
    let ended = saturate(&options, one, || began.elapsed(), |words| output.say(words));
    match ended {
        Ok((document, exit)) => {
            if output.json {
                output.document(&document);
            } else {
                output.text(&saturate_text(&document, output.paint));
            }
            output.end(exit)
        }
        Err(error) => refuse(output, &error),
    }
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

fn prepare(arguments: &SaturateArgs, base: Loaded) -> Result<SaturateOptions, RunError> {
    let Scenario { name, slo, .. } = &base.scenario;
    let objectives_from = match (arguments.slo.is_empty(), slo.objectives.is_empty()) {
        (false, _) => Objectives::CommandLine,
        (true, false) => Objectives::Scenario,
        (true, true) => Objectives::Default,
    };
    let unwritable =
        |error: &dyn std::fmt::Display| RunError::new(Exit::Environment, error.to_string());
    let directory = RunDirectory::create(&arguments.out, name, Timestamp::now())
        .map_err(|error| unwritable(&error))?
        .path();
    let fill = || {
        write_file(
            &directory.join("scenario.toml"),
            base.source_text().as_bytes(),
        )?;
        write_file(
            &directory.join("effective.toml"),
            base.effective_toml().as_bytes(),
        )?;
        // How far the search came stands in its own document.
        std::fs::remove_file(directory.join(INCOMPLETE_MARK))
    };
    fill().map_err(|error| unwritable(&format!("{}: {error}", directory.display())))?;
    Ok(SaturateOptions {
        environment: Environment::gather(settings(&base.scenario, false)),
        objectives_from,
        base,
        repeats: arguments.repeat,
        precision: f64::from(arguments.precision) / 100.0,
        probes_max: arguments.max_probes as usize,
        time_max: arguments.max_time,
        directory,
    })
}

fn refuse(output: &Output, error: &RunError) -> Exit {
    output.complain(&error.message);
    if output.json {
        output.document(&output::failure(error.exit, &error.message));
    }
    output.end(error.exit)
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
