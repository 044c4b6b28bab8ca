//! The scenarios at hand, and the beginning of a new one.

use std::path::{Path, PathBuf};

use super::loaded::load;
use super::problem::{Problem, ScenarioError};
use super::source::{QUICKSTART, Source, all_embedded, embedded};

/// The folder in which `list` looks for scenarios of one's own.
pub const FOLDER: &str = "scenarios";

/// Folders that `list` descends at most, and files it shows at most.
const DEPTH_MAX: usize = 4;
const FILES_MAX: usize = 1_000;

/// A scenario that `bench run` can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What to write after `bench run`.
    pub name: String,
    /// Whether the program carries it, or a file holds it.
    pub embedded: bool,
    /// The question it answers, or why it is refused.
    pub description: String,
    /// Whether it is a valid scenario.
    pub valid: bool,
}

/// The embedded scenarios, then the files below `folder` that are none of them.
pub fn list(folder: &Path) -> Vec<Listed> {
    let mut listed: Vec<Listed> = all_embedded()
        .iter()
        .map(|(name, _)| describe((*name).to_owned(), &Source::Embedded(name)))
        .collect();
    let mut files = Vec::new();
    collect(folder, 0, &mut files);
    files.sort();
    for path in files {
        let is_copy = std::fs::read_to_string(&path)
            .is_ok_and(|text| all_embedded().iter().any(|(_, known)| *known == text));
        if !is_copy {
            listed.push(describe(path.display().to_string(), &Source::File(path)));
        }
    }
    listed
}

/// The list as lines for a person.
pub fn list_text(listed: &[Listed]) -> String {
    let width = listed
        .iter()
        .map(|one| one.name.chars().count())
        .max()
        .unwrap_or(0);
    let line = |one: &Listed| format!("{:width$}  {}\n", one.name, one.description);
    listed.iter().map(line).collect()
}

fn describe(name: String, source: &Source) -> Listed {
    let embedded = matches!(source, Source::Embedded(_));
    match load(std::slice::from_ref(source), &[]) {
        Ok(loaded) => Listed {
            name,
            embedded,
            description: loaded.scenario.description,
            valid: true,
        },
        Err(error) => {
            let first = error
                .problems()
                .first()
                .map(Problem::message)
                .unwrap_or_default();
            Listed {
                name,
                embedded,
                description: format!("(refused: {first})"),
                valid: false,
            }
        }
    }
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if files.len() >= FILES_MAX {
            return;
        }
        if path.is_dir() && depth < DEPTH_MAX {
            collect(&path, depth + 1, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
}

/// The text of a new scenario: one which extends an embedded one and names what is most often changed.
///
/// # Errors
/// There is no scenario of that name; the message names the nearest.
pub fn new_scenario(from: Option<&str>) -> Result<String, ScenarioError> {
    let wanted = from.unwrap_or(QUICKSTART);
    let base = match embedded(wanted) {
        Some((name, _)) => Source::Embedded(name),
        None => Source::find(wanted)?,
    };
    let extends = match &base {
        Source::Embedded(name) => format!("{name}.toml"),
        other => other.name(),
    };
    let loaded = load(std::slice::from_ref(&base), &[])?;
    let scenario = &loaded.scenario;
    let extends = toml::Value::from(extends);
    let question = toml::Value::from(format!("like {}, but ...", scenario.name));
    Ok(format!(
        "schema = 1\n\
         name = \"my-{name}\"\n\
         description = {question}\n\
         extends = {extends}\n\
         \n\
         # Only what differs from the extended scenario is written here;\n\
         # `bench scenario explain FILE` shows every key with its value and where it comes from.\n\
         \n\
         [cluster]\n\
         f = {f}\n\
         \n\
         [load]\n\
         clients = {clients}\n\
         duration = \"{duration}\"\n",
        name = scenario.name,
        f = scenario.cluster.f,
        clients = scenario.load.clients,
        duration = super::units::Quantity::render(&scenario.load.duration),
    ))
}
