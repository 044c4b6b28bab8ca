//! Whether a campaign that was stopped is the one that is asked for.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::directory::{EFFECTIVE, PROGRAM, Wanted};
use super::program::Program;
use crate::exit::Exit;
use crate::options::RunError;
use crate::record::Environment;

/// How a document says that nothing is left to do.
const COMPLETED: &str = "completed";
/// A commit that nobody knows.
const UNKNOWN: &str = "unknown";

/// What of its document tells a campaign from others.
#[derive(Deserialize)]
pub(super) struct Known {
    pub(super) name: String,
    status: String,
    environment: Environment,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Known {
    /// Reads the document of a directory, if it has one of the kind.
    pub(super) fn read(document: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(document).ok()?).ok()
    }

    /// Whether something is left to do.
    pub(super) fn unfinished(&self) -> bool {
        self.status != COMPLETED
    }

    /// Runs of two scenarios, programs or machines under one roof would be compared as if they were of one.
    pub(super) fn refuse_another(&self, wanted: &Wanted<'_>, path: &Path) -> Result<(), RunError> {
        let differs = scenario(wanted, path)
            .or_else(|| self.setting(wanted))
            .or_else(|| self.machine(wanted.environment))
            .or_else(|| self.program(wanted, path));
        match differs {
            None => Ok(()),
            Some(what) => Err(RunError::new(
                Exit::Usage,
                format!(
                    "{} was stopped before its end, and {what}: put that back to go on with it, or begin a new {} with --fresh",
                    path.display(),
                    wanted.kind.noun
                ),
            )),
        }
    }

    fn setting(&self, wanted: &Wanted<'_>) -> Option<String> {
        let differs = |(key, option, now): &(&str, &str, Value)| {
            let before = self.rest.get(*key).unwrap_or(&Value::Null);
            let said = match before {
                Value::Null => "not known".to_owned(),
                before => before.to_string(),
            };
            (before != now).then(|| format!("{option} was {said} and is {now} now"))
        };
        wanted.settings.iter().find_map(differs)
    }

    fn machine(&self, now: &Environment) -> Option<String> {
        let of = |environment: &Environment| {
            [
                ("CPU", environment.cpu.clone()),
                ("number of cores", environment.cores.to_string()),
                ("memory", environment.memory_bytes.to_string()),
            ]
        };
        of(&self.environment)
            .into_iter()
            .zip(of(now))
            .find(|((_, before), (_, now))| before != now)
            .map(|((what, before), (_, now))| format!("the {what} was {before} and is {now} now"))
    }

    /// A file of other bytes is another program, unless both were made of one commit and nothing else in the same way.
    fn program(&self, wanted: &Wanted<'_>, path: &Path) -> Option<String> {
        let before = Program::read(&fs::read_to_string(path.join(PROGRAM)).unwrap_or_default());
        let same_file = before.digest == wanted.program.digest;
        let made_alike =
            before.flags == wanted.program.flags && alike(&self.environment, wanted.environment);
        (!same_file && !made_alike).then(|| {
            format!(
                "the program is another one now (it was built from {}, this one from {})",
                origin(&self.environment, &before),
                origin(wanted.environment, wanted.program)
            )
        })
    }
}

/// Whether two programs were compiled from one and the same tree by one compiler.
fn alike(one: &Environment, other: &Environment) -> bool {
    let clean = |of: &Environment| !of.dirty && !of.commit.is_empty() && of.commit != UNKNOWN;
    clean(one)
        && clean(other)
        && one.commit == other.commit
        && one.rustc == other.rustc
        && one.build == other.build
}

fn origin(environment: &Environment, program: &Program) -> String {
    let changed = if environment.dirty { ", changed" } else { "" };
    let flags = match program.flags.as_str() {
        "" => String::new(),
        flags => format!(", {flags}"),
    };
    format!("{}{changed}{flags}", environment.commit)
}

fn scenario(wanted: &Wanted<'_>, path: &Path) -> Option<String> {
    let before = fs::read_to_string(path.join(EFFECTIVE)).unwrap_or_default();
    let now = wanted.base.effective_toml();
    if before == now {
        return None;
    }
    let mut lines = before.lines().zip(now.lines());
    Some(match lines.find(|(before, now)| before != now) {
        Some((before, now)) => {
            format!("the scenario has changed since: it said `{before}`, and now says `{now}`")
        }
        None => "the scenario has changed since: it has more or fewer lines".to_owned(),
    })
}
