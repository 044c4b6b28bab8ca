//! `bench run`.

use serde::Serialize;
use serde_json::Value;

use super::arguments::RunArgs;
use super::output::{self, Output};
use crate::exit::Exit;
use crate::options::{Finished, RunError, RunOptions};
use crate::prom::LoadMetrics;
use crate::record::{Invocation, Run};
use crate::report::summary_text;
use crate::scenario::{Loaded, QUICKSTART, ScenarioError, Source, load};

/// Runs the scenarios one after the other. All are read before the first starts, so that a wrong one starts nothing.
pub(super) fn execute(
    arguments: &RunArgs,
    output: &Output,
    run: impl Fn(&RunOptions) -> Result<Finished, RunError>,
) -> Exit {
    let display = match arguments.tui {
        false => output.display(arguments.plain),
        true => match output.screen() {
            Ok(screen) => screen,
            Err(message) => {
                output.complain(&message);
                return output.end(Exit::Usage);
            }
        },
    };
    let loaded = match load_all(arguments) {
        Ok(loaded) => loaded,
        Err(refused) => {
            refused.iter().for_each(|error| output.refuse(error));
            if output.json {
                let documents = refused.iter().map(output::refusal).map(Document::Failure);
                document(output, &documents.collect::<Vec<_>>());
            }
            return output.end(Exit::Usage);
        }
    };
    // One server for all of them: what it counts goes on from one to the next.
    let serving = match arguments.prom.map(LoadMetrics::serve).transpose() {
        Ok(serving) => serving,
        Err(error) => {
            return output.fail(error.exit, &error.message);
        }
    };
    let mut gravest = Exit::Ok;
    let mut documents = Vec::new();
    for (position, (word, loaded)) in loaded.into_iter().enumerate() {
        output.warn(&loaded.warnings);
        if loaded.scenario.sweep.is_some() {
            output.say(&format!(
                "{word} varies something, and `bench run` runs it once as it stands: bench sweep {word}"
            ));
        }
        let name = loaded.scenario.name.clone();
        let result = run(&RunOptions {
            loaded,
            invocation: Some(Invocation {
                scenario: word,
                set: arguments.set.clone(),
                name: arguments.name.clone(),
                history: arguments.history.map(Into::into),
            }),
            out: arguments.out.clone(),
            history: arguments.history.map(Into::into),
            attach: arguments.attach.clone(),
            keep_data: arguments.keep_data,
            metrics: serving.as_ref().map(|serving| serving.metrics().clone()),
            display,
        });
        let exit = match result {
            Ok(finished) => {
                if !output.json {
                    let gap = if position > 0 { "\n" } else { "" };
                    output.text(&format!("{gap}{}", summary_text(&finished, output.paint)));
                }
                let exit = finished.exit();
                documents.push(Document::Run(Box::new(finished.run)));
                exit
            }
            Err(error) => {
                output.complain(&format!("{name}: {error}"));
                documents.push(Document::Failure(output::failure(
                    error.exit,
                    &error.message,
                )));
                error.exit
            }
        };
        gravest = gravest.max(exit);
        // Who stops one run wants none of the others.
        if exit == Exit::Interrupted {
            break;
        }
    }
    if output.json {
        document(output, &documents);
    }
    output.end(gravest)
}

/// Every scenario by the word that names it, with the overrides, or all that is wrong with any of them.
fn load_all(arguments: &RunArgs) -> Result<Vec<(String, Loaded)>, Vec<ScenarioError>> {
    let quickstart = [QUICKSTART.to_owned()];
    let names = if arguments.scenarios.is_empty() {
        &quickstart[..]
    } else {
        &arguments.scenarios
    };
    let overrides = overrides(arguments);
    let mut all = Vec::new();
    let mut refused = Vec::new();
    for name in names {
        match Source::find(name).and_then(|source| load(&[source], &overrides)) {
            Ok(loaded) => all.push((name.clone(), loaded)),
            Err(error) => refused.push(error),
        }
    }
    if refused.is_empty() {
        Ok(all)
    } else {
        Err(refused)
    }
}

/// `--set` in their order, then the options that have a name of their own: those are the more deliberate ones.
fn overrides(arguments: &RunArgs) -> Vec<String> {
    let RunArgs {
        set,
        repeat,
        seed,
        name,
        ..
    } = arguments;
    // Quoted, so that a name which looks like a number stays a name.
    let name = name
        .as_deref()
        .map(|name| toml::Value::from(name).to_string());
    let own = [
        repeat.map(|repeat| format!("repeat={repeat}")),
        seed.map(|seed| format!("seed={seed}")),
        name.map(|name| format!("name={name}")),
    ];
    set.iter()
        .cloned()
        .chain(own.into_iter().flatten())
        .collect()
}

/// What `--json` prints for one scenario.
#[derive(Serialize)]
#[serde(untagged)]
enum Document {
    /// The content of run.json.
    Run(Box<Run>),
    /// Why there is none.
    Failure(Value),
}

/// One scenario gives its document, several an array.
fn document(output: &Output, documents: &[Document]) {
    match documents {
        [one] => output.document(one),
        all => output.document(&all),
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
