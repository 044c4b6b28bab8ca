//! The command that runs a run again.
//!
//! What stood on the command line is given back only if it still means the same: a scenario file may have changed since. Else
//! it is the effective scenario in the run's own directory, in which every value stands.

use std::path::Path;

use serde::Serialize;

use crate::record::Run;
use crate::scenario::{Source, load};

/// The `schema` of the document.
pub const REPRODUCE_SCHEMA: &str = "bench.reproduce/v1";

/// The scenario with every value, in the directory of a run.
const EFFECTIVE: &str = "effective.toml";

/// How to run a run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reproduction {
    /// [`REPRODUCE_SCHEMA`].
    pub schema: &'static str,
    /// The id of the run.
    pub run: String,
    /// The command, quoted for a shell.
    pub command: String,
    /// The same word by word.
    pub arguments: Vec<String>,
    /// Commit of the program that ran it; `unknown` where that was not known.
    pub commit: String,
    /// Whether that program had changes which no commit holds.
    pub dirty: bool,
    /// What else must be known, one sentence each.
    pub notes: Vec<String>,
}

/// Makes the command for the run in `directory`.
///
/// # Errors
/// The directory has no effective scenario, or one that cannot be read.
pub fn reproduce(run: &Run, directory: &Path) -> Result<Reproduction, String> {
    let effective = directory.join(EFFECTIVE);
    let text = std::fs::read_to_string(&effective).map_err(|error| {
        format!(
            "{}: {error}; without it nobody knows what was run",
            effective.display()
        )
    })?;
    let mut notes = Vec::new();
    let environment = &run.environment;
    notes.push(match environment.commit.as_str() {
        "unknown" | "" => "which commit the program was built from is not known".to_owned(),
        commit => format!("{} build of commit {commit}", environment.build),
    });
    if environment.dirty {
        notes.push(
            "that program had changes which no commit holds: the commit alone does not give the same one"
                .to_owned(),
        );
    }
    let arguments = match given(run, &text) {
        Some(arguments) => arguments,
        None => {
            if let Some(invocation) = &run.invocation {
                notes.push(format!(
                    "`{}` no longer means what it meant then: this is the scenario that was run",
                    invocation.scenario
                ));
            }
            let mut arguments = words(&["bench", "run"]);
            arguments.push(effective.display().to_string());
            arguments.extend(fixed(run));
            arguments
        }
    };
    if run.attached.is_some() {
        notes.push("it measured a cluster that ran elsewhere, which has to run again".to_owned());
    }
    let quoted = shlex::try_join(arguments.iter().map(String::as_str))
        .map_err(|_| "the command has a NUL in it, which no shell takes".to_owned())?;
    Ok(Reproduction {
        schema: REPRODUCE_SCHEMA,
        run: run.id.clone(),
        command: quoted,
        arguments,
        commit: environment.commit.clone(),
        dirty: environment.dirty,
        notes,
    })
}

impl Reproduction {
    /// For a shell: the command behind its comments.
    #[must_use]
    pub fn text(&self) -> String {
        let comments: String = self
            .notes
            .iter()
            .map(|note| format!("# {note}\n"))
            .collect();
        format!("{comments}{}\n", self.command)
    }
}

/// The command line as it was given, with seed and repeats, if it still gives the same scenario.
fn given(run: &Run, effective: &str) -> Option<Vec<String>> {
    let invocation = run.invocation.as_ref()?;
    let fixed = fixed(run);
    let mut overrides = invocation.set.clone();
    overrides.extend(number(run, "repeat").map(|repeat| format!("repeat={repeat}")));
    overrides.extend(number(run, "seed").map(|seed| format!("seed={seed}")));
    // Quoted, as `bench run --name` does it.
    let name = invocation.name.as_deref();
    overrides.extend(name.map(|name| format!("name={}", toml::Value::from(name))));
    let source = Source::find(&invocation.scenario).ok()?;
    let again = load(&[source], &overrides).ok()?;
    if again.effective_toml() != effective {
        return None;
    }
    let mut arguments = words(&["bench", "run", &invocation.scenario]);
    for set in &invocation.set {
        arguments.extend(words(&["--set", set]));
    }
    if let Some(name) = name {
        arguments.extend(words(&["--name", name]));
    }
    arguments.extend(fixed);
    Some(arguments)
}

/// Options that are said also where they are the usual ones, so that the line says all.
fn fixed(run: &Run) -> Vec<String> {
    let mut arguments = Vec::new();
    for key in ["seed", "repeat"] {
        if let Some(value) = number(run, key) {
            arguments.extend([format!("--{key}"), value.to_string()]);
        }
    }
    let history = run.invocation.as_ref().and_then(|given| given.history);
    if let Some(history) = history {
        arguments.extend(words(&["--history", history.name()]));
    }
    if let Some(cluster) = &run.attached {
        arguments.extend(words(&["--attach", cluster]));
    }
    arguments
}

fn number(run: &Run, key: &str) -> Option<u64> {
    run.scenario.get(key)?.as_u64()
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::{Environment, HistoryMode, Invocation};
    use crate::scenario::Loaded;

    fn loaded(set: &[&str]) -> Loaded {
        load(&[Source::Embedded("quickstart")], &words(set)).unwrap()
    }

    /// A run of the quickstart with these overrides, and its directory.
    fn run(given: &[&str], effective: &Loaded) -> (Run, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(EFFECTIVE), effective.effective_toml()).unwrap();
        let run = Run {
            scenario: serde_json::to_value(&effective.scenario).unwrap(),
            invocation: Some(Invocation {
                scenario: "quickstart".to_owned(),
                set: words(given),
                name: None,
                history: Some(HistoryMode::Full),
            }),
            environment: Environment {
                commit: "c0ffee".to_owned(),
                build: "release".to_owned(),
                dirty: true,
                ..Environment::default()
            },
            ..Run::default()
        };
        (run, directory)
    }

    #[test]
    fn the_command_line_comes_back_with_seed_and_repeats() {
        let set = ["load.clients=8", "description=it's"];
        let (run, directory) = run(&set, &loaded(&set));
        let again = reproduce(&run, directory.path()).unwrap();
        assert_eq!(
            again.arguments[..],
            words(&[
                "bench",
                "run",
                "quickstart",
                "--set",
                "load.clients=8",
                "--set",
                "description=it's",
                "--seed",
                "7",
                "--repeat",
                "1",
                "--history",
                "full"
            ])
        );
        assert_eq!(
            shlex::split(&again.command).unwrap(),
            again.arguments,
            "a shell reads the same words"
        );
        let text = again.text();
        assert!(
            text.contains("# release build of commit c0ffee\n"),
            "{text}"
        );
        assert!(text.contains("no commit holds"), "{text}");
    }

    #[test]
    fn a_scenario_that_changed_since_is_taken_from_the_results() {
        let (run, directory) = run(&[], &loaded(&["load.clients=9", "seed=3"]));
        let again = reproduce(&run, directory.path()).unwrap();
        let effective = directory.path().join(EFFECTIVE);
        assert_eq!(again.arguments[2], effective.display().to_string());
        assert_eq!(again.arguments[3..5], words(&["--seed", "3"]));
        assert!(again.text().contains("no longer means what it meant"));
    }

    #[test]
    fn without_the_effective_scenario_there_is_no_command() {
        let (run, directory) = run(&[], &loaded(&[]));
        std::fs::remove_file(directory.path().join(EFFECTIVE)).unwrap();
        let message = reproduce(&run, directory.path()).unwrap_err();
        assert!(message.contains(EFFECTIVE), "{message}");
    }
}
