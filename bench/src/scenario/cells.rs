//! The cells of a sweep: its scenario with one variant and one value of each axis, each read as a scenario of its own.

use super::problem::{Problem, ScenarioError};
use super::read::sweep::{Setting, Written};
use super::schema::Scenario;
use super::sweep::{Settings, Sweep};
use super::tree::{Entry, Layers, Node, Table, Value};

/// Cells of a sweep at most: each takes seconds at least.
pub const CELLS_MAX: usize = 1_000;

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// For tables and legends: the variant, then the values.
    pub name: String,
    /// Its directory within the sweep.
    pub directory: String,
    /// The variant, if the sweep has any.
    pub variant: Option<String>,
    /// The values of the axes.
    pub values: Settings,
    /// The scenario.
    pub loaded: super::Loaded,
}

/// What a cell sets, before it is read.
pub(super) struct Planned<'w> {
    pub(super) name: String,
    pub(super) variant: Option<String>,
    pub(super) values: Settings,
    pub(super) settings: Vec<&'w Setting>,
}

/// Every cell that is not left out, in order: variants first, then the axes, the last one fastest.
pub(super) fn plan<'w>(sweep: &Sweep, written: &'w Written) -> Result<Vec<Planned<'w>>, Problem> {
    let product = sweep
        .axes
        .iter()
        .map(|axis| axis.values.len())
        .try_fold(sweep.variants.len().max(1), |cells, values| {
            cells.checked_mul(values)
        });
    if product.is_none_or(|cells| cells > CELLS_MAX) {
        return Err(Problem::new("the sweep has too many cells").help(format!(
            "{CELLS_MAX} at most: take fewer values, or two sweeps"
        )));
    }
    let named = written.variants.iter();
    let mut variants: Vec<(&str, &[Setting])> =
        named.map(|(name, set)| (name.as_str(), &set[..])).collect();
    if variants.is_empty() {
        variants.push(("", &[]));
    }
    let mut cells = Vec::new();
    for (variant, set) in variants {
        let mut combinations: Vec<Vec<usize>> = vec![Vec::new()];
        for axis in &sweep.axes {
            combinations = combinations
                .into_iter()
                .flat_map(|chosen| {
                    (0..axis.values.len()).map(move |value| {
                        let mut chosen = chosen.clone();
                        chosen.push(value);
                        chosen
                    })
                })
                .collect();
        }
        for chosen in combinations {
            let axes = || sweep.axes.iter().zip(&chosen);
            let values = Settings(
                axes()
                    .map(|(axis, at)| (axis.key.clone(), axis.values[*at].clone()))
                    .collect(),
            );
            let left_out = sweep.exclude.iter().any(|exclude| {
                exclude
                    .variant
                    .as_deref()
                    .is_none_or(|name| name == variant)
                    && exclude
                        .values
                        .0
                        .iter()
                        .all(|value| values.0.contains(value))
            });
            if left_out {
                continue;
            }
            let mut words: Vec<String> = Vec::new();
            if !variant.is_empty() {
                words.push(variant.to_owned());
            }
            words.extend(axes().map(|(axis, at)| {
                format!("{}={}", short(sweep, &axis.key), word(&axis.values[*at]))
            }));
            let mut settings: Vec<&Setting> = set.iter().collect();
            settings.extend(
                written
                    .axes
                    .iter()
                    .zip(&chosen)
                    .map(|(axis, at)| &axis[*at]),
            );
            cells.push(Planned {
                name: words.join(" "),
                variant: (!variant.is_empty()).then(|| variant.to_owned()),
                values,
                settings,
            });
        }
    }
    if cells.is_empty() {
        return Err(Problem::new("`sweep.exclude` leaves nothing of the sweep")
            .help("remove an entry of it"));
    }
    Ok(cells)
}

/// The tree of a scenario with the settings of a cell in it, and without the sweep.
pub(super) fn tree(layers: &Layers, root: &Table, cell: &Planned<'_>) -> Result<Table, Problem> {
    let mut root = root.clone();
    root.remove("sweep");
    for setting in &cell.settings {
        set(layers, &mut root, setting)?;
    }
    Ok(root)
}

fn set(layers: &Layers, root: &mut Table, setting: &Setting) -> Result<(), Problem> {
    let mut table = root;
    let mut segments = setting.path.split('.').peekable();
    while let Some(segment) = segments.next() {
        if segments.peek().is_none() {
            let entry = Entry {
                key: setting.key,
                node: setting.node.clone(),
            };
            table.insert(segment.to_owned(), entry);
            return Ok(());
        }
        let fresh = || Entry {
            key: setting.key,
            node: Node {
                value: Value::Table(Table::new()),
                place: setting.key,
            },
        };
        let inside = table.entry(segment.to_owned()).or_insert_with(fresh);
        match &mut inside.node.value {
            Value::Table(inner) => table = inner,
            other => {
                let message = format!(
                    "`{segment}` is {}, so nothing can be set inside it",
                    other.kind()
                );
                let problem =
                    Problem::new(message).help("name a key of a table, such as \"load.rate\"");
                return Err(setting.key.blame(layers, problem, ""));
            }
        }
    }
    Ok(())
}

/// Directories for the cells, no two the same.
pub(super) fn directories(cells: &[Planned<'_>]) -> Vec<String> {
    const BYTES_MAX: usize = 96;
    let mut taken: Vec<String> = Vec::new();
    for cell in cells {
        let plain = |letter: char| match letter {
            ' ' => '_',
            letter if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '=') => {
                letter
            }
            _ => '-',
        };
        let base: String = cell.name.chars().map(plain).take(BYTES_MAX).collect();
        let mut name = base.clone();
        let mut number = 2;
        while taken.contains(&name) {
            name = format!("{base}-{number}");
            number += 1;
        }
        taken.push(name);
    }
    taken
}

/// The last part of a key, unless two axes have the same.
fn short<'k>(sweep: &Sweep, key: &'k str) -> &'k str {
    let last = |key: &'_ str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let same = sweep
        .axes
        .iter()
        .filter(|axis| last(&axis.key) == last(key));
    if same.count() > 1 {
        key
    } else {
        key.rsplit('.').next().unwrap_or(key)
    }
}

/// A value as a legend writes it: strings without their quotes.
fn word(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Problems of several cells, each once: most of them are those of a value that many cells share.
pub(super) fn gathered(problems: Vec<Problem>) -> ScenarioError {
    let mut once: Vec<Problem> = Vec::new();
    for problem in problems {
        let said = problem.to_string();
        if once.iter().all(|known| known.to_string() != said) {
            once.push(problem);
        }
    }
    ScenarioError::new(once)
}

/// Offered operations per second by the plan of a scenario; `None` in a closed loop.
#[must_use]
pub fn planned_rate(scenario: &Scenario) -> Option<f64> {
    match scenario.load.model {
        super::schema::LoadModel::Open { rate, .. } => Some(rate.per_second()),
        super::schema::LoadModel::Closed { .. } => None,
    }
}
