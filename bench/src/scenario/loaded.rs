//! A scenario that was accepted, with the origin of each of its values.

use std::fmt::Write as _;

use toml::Value as Toml;

use super::cells::{self, Cell};
use super::over::{OVER, apply_axis};
use super::problem::{Problem, ScenarioError};
use super::read::{self, sweep::Written};
use super::reading::{Origin, Reading};
use super::schema::{OpKind, Scenario};
use super::source::{QUICKSTART, Source, gather};
use super::tree::{Layers, SET, SourceText, Table, apply_override, merge, parse};

/// Tables that are written on one line.
const INLINE: [&str; 6] = [
    "workload.key",
    "workload.value",
    "workload.mix",
    "check.liveness",
    "network.default",
    "sweep.over",
];

/// The longest line that `explain` aligns its comments behind; longer lines push theirs out.
const ALIGN_COLUMNS_MAX: usize = 64;

/// A scenario that was accepted.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Every key with its final value.
    pub scenario: Scenario,
    /// What is odd about it without being wrong.
    pub warnings: Vec<Problem>,
    layers: Layers,
    origins: Vec<(String, Origin)>,
    /// The merged tree and what the sweep sets in it, if there is one.
    swept: Option<Box<(Table, Written)>>,
}

/// Loads the sources, later ones over earlier ones, each over what it extends, and the `--set` arguments over all.
/// No source at all means the quickstart.
///
/// # Errors
/// Every problem found, each with its place and remedy; to blame is whoever wrote the scenario or the override.
pub fn load(sources: &[Source], overrides: &[String]) -> Result<Loaded, ScenarioError> {
    load_over(sources, overrides, &[])
}

/// As [`load`], with axes of a sweep beside those of the scenario, or in their place: `key=value,value`.
///
/// # Errors
/// As [`load`].
pub fn load_over(
    sources: &[Source],
    overrides: &[String],
    over: &[String],
) -> Result<Loaded, ScenarioError> {
    let quickstart = [Source::Embedded(QUICKSTART)];
    let sources = if sources.is_empty() {
        &quickstart
    } else {
        sources
    };
    let mut layers = gather(sources).map_err(ScenarioError::new)?;
    let files = layers.len();
    layers.extend(overrides.iter().map(|text| SourceText {
        name: SET.to_owned(),
        text: text.clone(),
    }));
    let axes = layers.len();
    layers.extend(over.iter().map(|text| SourceText {
        name: OVER.to_owned(),
        text: text.clone(),
    }));

    let mut root = Table::new();
    for layer in 0..files {
        merge(
            &mut root,
            parse(&layers, layer).map_err(ScenarioError::new)?,
        );
    }
    let mut problems = Vec::new();
    for layer in files..layers.len() {
        let applied = match layer < axes {
            true => apply_override(&layers, layer, &mut root),
            false => apply_axis(&layers, layer, &mut root),
        };
        problems.extend(applied.err().unwrap_or_default());
    }

    let kept = root.contains_key("sweep").then(|| root.clone());
    let mut reading = Reading::new(&layers);
    let scenario = read::scenario(&mut reading, root);
    problems.append(&mut reading.problems);
    let swept = kept.zip(reading.sweep.take());
    if !problems.is_empty() {
        return Err(placed(problems, &layers[files - 1]));
    }
    let Reading {
        warnings, origins, ..
    } = reading;
    let loaded = Loaded {
        scenario,
        warnings,
        origins,
        swept: swept.map(Box::new),
        layers,
    };
    // A sweep is refused before its first cell runs, not at the one that is wrong.
    match loaded.cells() {
        Ok(_) => Ok(loaded),
        Err(error) => Err(placed(error.problems().to_vec(), &loaded.layers[files - 1])),
    }
}

/// A problem that has no place of its own belongs to the file as a whole.
fn placed(problems: Vec<Problem>, top: &SourceText) -> ScenarioError {
    let place = |problem: Problem| match problem.source_name() {
        Some(_) => problem,
        None => problem.at(&top.name, &top.text, 0..0, ""),
    };
    ScenarioError::new(problems.into_iter().map(place).collect())
}

impl Loaded {
    /// The text of the scenario file as it was written (of the last one when several were laid over each other).
    pub fn source_text(&self) -> &str {
        self.top().map_or("", |source| source.text.as_str())
    }

    /// The name of that file.
    pub fn source_name(&self) -> &str {
        self.top().map_or("", |source| source.name.as_str())
    }

    fn top(&self) -> Option<&SourceText> {
        let mut files = self.layers.iter().rev();
        files.find(|source| source.name != SET && source.name != OVER)
    }

    /// The cells of its sweep, each a scenario of its own; none if it has no sweep.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, at the place where the sweep says it.
    pub fn cells(&self) -> Result<Vec<Cell>, ScenarioError> {
        let (Some(swept), Some(sweep)) = (&self.swept, &self.scenario.sweep) else {
            return Ok(Vec::new());
        };
        let (root, written) = &**swept;
        let planned = cells::plan(sweep, written)?;
        let directories = cells::directories(&planned);
        let mut all = Vec::new();
        let mut problems = Vec::new();
        for (planned, directory) in planned.into_iter().zip(directories) {
            let tree = match cells::tree(&self.layers, root, &planned) {
                Ok(tree) => tree,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let mut reading = Reading::new(&self.layers);
            let set = planned.settings.iter();
            reading.settings = set.flat_map(|set| [set.key, set.node.place]).collect();
            let scenario = read::scenario(&mut reading, tree);
            problems.append(&mut reading.problems);
            let Reading {
                warnings, origins, ..
            } = reading;
            all.push(Cell {
                name: planned.name,
                directory,
                variant: planned.variant,
                values: planned.values,
                loaded: Loaded {
                    scenario,
                    warnings,
                    origins,
                    layers: self.layers.clone(),
                    swept: None,
                },
            });
        }
        if problems.is_empty() {
            Ok(all)
        } else {
            Err(cells::gathered(problems))
        }
    }

    /// The whole scenario with nothing left to defaults; loading it gives the same scenario.
    pub fn effective_toml(&self) -> String {
        let mut text = String::new();
        for line in self.lines() {
            text.push_str(&line.text);
            text.push('\n');
        }
        text
    }

    /// The effective file with the origin of each value as a comment.
    pub fn explain(&self) -> String {
        let lines = self.lines();
        let lengths = lines
            .iter()
            .filter(|line| line.origin.is_some())
            .map(|line| line.text.chars().count());
        let width = lengths
            .filter(|length| *length <= ALIGN_COLUMNS_MAX)
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for Line { text: code, origin } in lines {
            match origin {
                Some(origin) => writeln!(text, "{code:width$}  # {origin}"),
                None => writeln!(text, "{code}"),
            }
            .expect("writing to a String cannot fail");
        }
        text
    }

    /// The effective file line by line, in the order of the file format.
    fn lines(&self) -> Vec<Line> {
        let tree = Toml::try_from(&self.scenario)
            .expect("a scenario consists of TOML's own kinds of values");
        let mut lines = Vec::new();
        let mut table = String::new();
        let mut inline_done: Vec<&str> = Vec::new();
        for (path, _) in &self.origins {
            let inline = INLINE.into_iter().find(|table| {
                path.strip_prefix(table)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            // Arguments belong to an entry of a list, where a table of their own would have no name.
            let arguments = path.find(".args.").map(|at| &path[..at + ".args".len()]);
            let inline = inline.or(arguments);
            let shown = match inline {
                Some(done) if inline_done.contains(&done) => continue,
                Some(fresh) => {
                    inline_done.push(fresh);
                    fresh
                }
                None => path,
            };
            let Some(value) = lookup(&tree, shown) else {
                continue;
            };
            let (parent, key) = shown.rsplit_once('.').unwrap_or(("", shown));
            if parent != table {
                parent.clone_into(&mut table);
                lines.push(Line {
                    text: String::new(),
                    origin: None,
                });
                lines.push(Line {
                    text: match parent.rsplit_once('.') {
                        Some((list, index)) if index.parse::<usize>().is_ok() => {
                            format!("[[{list}]]")
                        }
                        _ => format!("[{parent}]"),
                    },
                    origin: None,
                });
            }
            let value = match inline {
                Some(_) => self.inline(&tree, shown, value),
                None => value.to_string(),
            };
            lines.push(Line {
                text: format!("{key} = {value}"),
                origin: Some(self.origin(shown)),
            });
        }
        lines
    }

    /// A table on one line, its keys in the order of the file format.
    fn inline(&self, tree: &Toml, shown: &str, table: &Toml) -> String {
        let prefix = format!("{shown}.");
        let entry = |path: &str| {
            let value = lookup(tree, path)?;
            Some(format!("{} = {value}", path.strip_prefix(&prefix)?))
        };
        let mut entries: Vec<String> = self
            .origins
            .iter()
            .filter_map(|(path, _)| entry(path))
            .collect();
        // A mix that nobody wrote has one origin for all of it.
        if entries.is_empty() && shown == "workload.mix" {
            let paths = OpKind::ALL.map(|kind| format!("{prefix}{}", kind.name()));
            entries = paths.iter().filter_map(|path| entry(path)).collect();
        }
        if entries.is_empty() {
            table.to_string()
        } else {
            format!("{{ {} }}", entries.join(", "))
        }
    }

    /// Where the value at a path, or the values inside it, came from.
    fn origin(&self, shown: &str) -> String {
        let inside = |path: &str| {
            path.strip_prefix(shown)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut origins: Vec<String> = Vec::new();
        for (_, origin) in self.origins.iter().filter(|(path, _)| inside(path)) {
            let described = match origin {
                Origin::Default => "default".to_owned(),
                Origin::Derived(from) => from.clone(),
                Origin::Written(place) => place.describe(&self.layers),
            };
            if !origins.contains(&described) {
                origins.push(described);
            }
        }
        // Shares that a mix does not name are no news.
        if shown == "workload.mix" && origins.len() > 1 {
            origins.retain(|origin| origin != "default");
        }
        origins.join(", ")
    }
}

/// A line of the effective file and the origin of its value.
struct Line {
    text: String,
    origin: Option<String>,
}

fn lookup<'t>(tree: &'t Toml, path: &str) -> Option<&'t Toml> {
    path.split('.').try_fold(tree, |value, key| match value {
        Toml::Array(items) => items.get(key.parse::<usize>().ok()?),
        table => table.get(key),
    })
}

/// The effective file with the origin of each value as a comment: `bench scenario explain`.
pub fn explain(loaded: &Loaded) -> String {
    loaded.explain()
}

/// Checks one scenario and says in one line what it would run: `bench scenario check`.
///
/// # Errors
/// As [`load`].
pub fn check(
    source: &Source,
    overrides: &[String],
) -> Result<(String, Vec<Problem>), ScenarioError> {
    let loaded = load(std::slice::from_ref(source), overrides)?;
    let Scenario {
        name,
        cluster,
        faults,
        byzantine,
        ..
    } = &loaded.scenario;
    let strikes: usize = faults.iter().map(|fault| fault.strikes().count()).sum();
    let line = format!(
        "{}: ok, {name}, n = {}, f = {}{}{}{}",
        source.name(),
        cluster.n,
        cluster.f,
        match byzantine.len() {
            0 => "",
            _ => ", Byzantine",
        },
        match strikes {
            0 => String::new(),
            1 => ", 1 fault".to_owned(),
            many => format!(", {many} faults"),
        },
        match loaded.cells()?.len() {
            0 => String::new(),
            cells => format!(", a sweep of {cells} cells"),
        }
    );
    Ok((line, loaded.warnings))
}
