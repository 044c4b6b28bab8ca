//! Where scenarios come from: files, and the ones that the program carries within itself.

use std::path::{Path, PathBuf};

use super::nearest::nearest;
use super::problem::{Problem, ScenarioError};
use super::tree::{Layers, SourceText, Table, Value, parse};

/// Name and text of every embedded scenario: all files below scenarios/, as the build script found them.
const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// The scenario that is run when none is named.
pub const QUICKSTART: &str = "quickstart";

/// Files that may extend one another in a chain; a longer one is a mistake.
const EXTENDS_MAX: usize = 16;

/// Bytes of a scenario file at most; a larger file is not a scenario.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A scenario to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// One of the scenarios in the program.
    Embedded(&'static str),
    /// A text at hand, with the name that messages give it.
    Text {
        /// What messages call it.
        name: String,
        /// The TOML.
        text: String,
    },
}

impl Source {
    /// What a user means by a word on the command line: a file if there is one of that path, else an embedded scenario.
    ///
    /// # Errors
    /// There is neither; the message names the nearest scenario.
    pub fn find(argument: &str) -> Result<Self, ScenarioError> {
        if Path::new(argument).is_file() {
            return Ok(Self::File(PathBuf::from(argument)));
        }
        if let Some((name, _)) = embedded(argument) {
            return Ok(Self::Embedded(name));
        }
        let kind = if Path::new(argument).is_dir() {
            "is a directory, not a scenario file"
        } else {
            "is neither a file nor a scenario of this program"
        };
        let names: Vec<&str> = EMBEDDED.iter().map(|(name, _)| *name).collect();
        let help = match nearest(stem(argument), &names) {
            Some(near) => format!("did you mean {near}? `bench scenario list` shows all"),
            None => "`bench scenario list` shows the scenarios of this program".to_owned(),
        };
        Err(Problem::new(format!("\"{argument}\" {kind}"))
            .help(help)
            .into())
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Embedded(name) => format!("scenarios/{name}.toml"),
            Self::Text { name, .. } => name.clone(),
        }
    }

    fn read(&self) -> Result<SourceText, Problem> {
        let name = self.name();
        let text = match self {
            Self::File(path) => read_file(path)?,
            Self::Embedded(wanted) => match embedded(wanted) {
                Some((_, text)) => text.to_owned(),
                None => {
                    return Err(Problem::new(format!(
                        "this program carries no scenario \"{wanted}\""
                    )));
                }
            },
            Self::Text { text, .. } => text.clone(),
        };
        Ok(SourceText { name, text })
    }

    /// The same for two sources which are the same text.
    fn identity(&self) -> String {
        match self {
            Self::File(path) => path
                .canonicalize()
                .unwrap_or_else(|_| path.clone())
                .display()
                .to_string(),
            other => other.name(),
        }
    }

    /// What `extends = "wanted"` in this source means: a path relative to the file, else an embedded scenario.
    fn extended(&self, wanted: &str) -> Option<Self> {
        if let Self::File(path) = self {
            let relative = path.parent().unwrap_or(Path::new("")).join(wanted);
            if relative.is_file() {
                return Some(Self::File(relative));
            }
        }
        if let Self::Embedded(name) = self
            && let Some((folder, _)) = name.rsplit_once('/')
            && let Some((name, _)) = embedded(&format!("{folder}/{wanted}"))
        {
            return Some(Self::Embedded(name));
        }
        embedded(wanted).map(|(name, _)| Self::Embedded(name))
    }
}

/// The names of the embedded scenarios in a folder, such as `attacks` or `scenarios/attacks/`.
pub fn embedded_below(folder: &str) -> Vec<&'static str> {
    let folder = folder.trim_end_matches('/');
    let folder = folder.strip_prefix("scenarios/").unwrap_or(folder);
    let inside = |name: &&str| {
        name.rsplit_once('/')
            .is_some_and(|(parent, _)| parent == folder)
    };
    EMBEDDED
        .iter()
        .map(|(name, _)| *name)
        .filter(inside)
        .collect()
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let name = path.display();
    let failed = |error: std::io::Error| Problem::new(format!("cannot read {name}: {error}"));
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(Problem::new(format!(
            "{name} has {bytes} bytes: a scenario has {FILE_BYTES_MAX} at most"
        ))
        .help("is this the right file?"));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| {
        Problem::new(format!("{name} is not UTF-8 text")).help("is this the right file?")
    })
}

/// `scenarios/x.toml`, `../x.toml` and `x` are all the embedded scenario `x`.
fn stem(name: &str) -> &str {
    let mut name = name;
    while let Some(rest) = name
        .strip_prefix("../")
        .or_else(|| name.strip_prefix("./"))
        .or_else(|| name.strip_prefix("scenarios/"))
    {
        name = rest;
    }
    name.strip_suffix(".toml").unwrap_or(name)
}

/// The embedded scenario of that name: name and text.
pub fn embedded(name: &str) -> Option<(&'static str, &'static str)> {
    EMBEDDED
        .iter()
        .copied()
        .find(|(known, _)| *known == stem(name))
}

/// Name and text of every embedded scenario.
pub fn all_embedded() -> &'static [(&'static str, &'static str)] {
    EMBEDDED
}

/// Reads the sources and all that they extend, the lowest layer first.
pub(super) fn gather(sources: &[Source]) -> Result<Layers, Vec<Problem>> {
    let mut layers = Layers::new();
    for source in sources {
        layers.extend(chain(source)?);
    }
    Ok(layers)
}

/// One source and what it extends, the lowest layer first.
fn chain(source: &Source) -> Result<Layers, Vec<Problem>> {
    let mut layers = Layers::new();
    let mut seen = vec![source.identity()];
    let mut source = source.clone();
    loop {
        layers.push(source.read().map_err(|problem| vec![problem])?);
        let layer = layers.len() - 1;
        let table = parse(&layers, layer)?;
        let Some((wanted, blame)) = extends(&layers, &table)? else {
            layers.reverse();
            return Ok(layers);
        };
        let Some(next) = source.extended(&wanted) else {
            let names: Vec<&str> = EMBEDDED.iter().map(|(name, _)| *name).collect();
            let help = match nearest(stem(&wanted), &names) {
                Some(near) => format!("did you mean \"{near}.toml\"? A path is relative to this file"),
                None => "a path is relative to this file; `bench scenario list` shows the scenarios of this program".to_owned(),
            };
            return Err(vec![blame(
                &layers,
                Problem::new(format!(
                    "cannot extend \"{wanted}\": there is no such file or scenario"
                ))
                .help(help),
            )]);
        };
        if seen.contains(&next.identity()) {
            let problem = Problem::new(format!("\"{wanted}\" extends itself in a circle"));
            return Err(vec![blame(
                &layers,
                problem.help("remove one `extends` of the circle"),
            )]);
        }
        if layers.len() >= EXTENDS_MAX {
            let problem = Problem::new(format!("more than {EXTENDS_MAX} files extend one another"));
            return Err(vec![blame(&layers, problem.help("make the chain shorter"))]);
        }
        seen.push(next.identity());
        source = next;
    }
}

type Blame = Box<dyn Fn(&Layers, Problem) -> Problem>;

/// The value of `extends`, and how to blame its place.
fn extends(layers: &Layers, table: &Table) -> Result<Option<(String, Blame)>, Vec<Problem>> {
    let Some(entry) = table.get("extends") else {
        return Ok(None);
    };
    let place = entry.node.place;
    let blame: Blame = Box::new(move |layers, problem| place.blame(layers, problem, ""));
    match &entry.node.value {
        Value::Text(path) => Ok(Some((path.clone(), blame))),
        other => {
            let problem = Problem::new(format!("`extends` must be a string, not {}", other.kind()));
            Err(vec![blame(
                layers,
                problem.help("write extends = \"other.toml\""),
            )])
        }
    }
}
