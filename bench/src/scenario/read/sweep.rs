//! The `[sweep]` table. Its values keep the places where they were written, so that one which the scenario refuses is shown there.

use crate::scenario::problem::Problem;
use crate::scenario::refusal::Refusal;
use crate::scenario::section::Section;
use crate::scenario::sweep::{Axis, Exclude, Settings, Sweep, Variant};
use crate::scenario::tree::{ATOMIC, Entry, Node, Place, Table, Value, join};

/// Values of one axis at most; a sweep has a bound of its own on cells.
const VALUES_MAX: usize = 100;
/// Variants at most, and exclusions.
const VARIANTS_MAX: usize = 100;
/// Characters of a variant's name at most.
const NAME_MAX: usize = 32;

/// A value for a key, with the places of both.
#[derive(Clone, Debug)]
pub(in crate::scenario) struct Setting {
    pub(in crate::scenario) path: String,
    pub(in crate::scenario) key: Place,
    pub(in crate::scenario) node: Node,
}

/// A sweep whose values know where they were written.
#[derive(Clone, Debug, Default)]
pub(in crate::scenario) struct Written {
    pub(in crate::scenario) axes: Vec<Vec<Setting>>,
    pub(in crate::scenario) variants: Vec<(String, Vec<Setting>)>,
}

pub(super) fn read(root: &mut Section<'_, '_>) -> Option<(Sweep, Written)> {
    if !root.has("sweep") {
        // Declared all the same, so that a slip of the keyboard finds it.
        let _ = root.take("sweep");
        return None;
    }
    root.table("sweep", |table| {
        let mut sweep = Sweep::default();
        let mut written = Written::default();
        over(table, &mut sweep, &mut written);
        variants(table, &mut sweep, &mut written);
        excludes(table, &mut sweep);
        Some((sweep, written))
    })
}

fn over(table: &mut Section<'_, '_>, sweep: &mut Sweep, written: &mut Written) {
    let path = table.path("over");
    let Some(entry) = table.take("over") else {
        return;
    };
    let Value::Table(axes) = entry.node.value else {
        let example = "over = { load.rate = [\"500/s\", \"1000/s\"] }";
        let refusal = Refusal::kind(
            "a table of keys and lists of values",
            &entry.node.value,
            example,
        );
        return table.refuse(&path, entry.node.place, refusal);
    };
    for setting in flat(axes) {
        let Setting {
            path: key,
            key: place,
            node,
        } = setting;
        let shown = join(&path, &key);
        let refuse = |message: String, help: String| Refusal::new(message, help);
        let Value::Array(values) = node.value else {
            let example = format!("\"{key}\" = [..., ...]");
            let refusal = Refusal::kind("a list of values", &node.value, &example);
            table.refuse(&shown, node.place, refusal);
            continue;
        };
        if values.is_empty() || values.len() > VALUES_MAX {
            let message = format!("{} values", values.len());
            let help = format!("write 1 to {VALUES_MAX} values, or remove the key");
            table.refuse(&shown, node.place, refuse(message, help));
            continue;
        }
        let mut known: Vec<toml::Value> = Vec::new();
        let mut settings = Vec::new();
        for value in values {
            match plain(&value.value) {
                Err(what) => table.refuse(
                    &shown,
                    value.place,
                    refuse(what, "write a string".to_owned()),
                ),
                Ok(found) if known.contains(&found) => {
                    let message = format!("{found} stands there twice");
                    table.refuse(
                        &shown,
                        value.place,
                        refuse(message, "remove one".to_owned()),
                    );
                }
                Ok(found) => {
                    known.push(found);
                    settings.push(Setting {
                        path: key.clone(),
                        key: place,
                        node: value,
                    });
                }
            }
        }
        table.note(&shown, node.place);
        sweep.axes.push(Axis { key, values: known });
        written.axes.push(settings);
    }
}

fn variants(table: &mut Section<'_, '_>, sweep: &mut Sweep, written: &mut Written) {
    for (path, place, entries) in tables(table, "variant") {
        let mut name = String::new();
        let mut set = Vec::new();
        table.subtable(&path, entries, |entry| {
            name = entry.value("name", String::new(), |value| match value {
                Value::Text(name) if is_name(name) => Ok(name.clone()),
                Value::Text(name) => Err(Refusal::new(
                    format!("\"{name}\" cannot name a directory of results"),
                    format!("use 1 to {NAME_MAX} letters, digits, \"-\", \"_\" and \".\", the first a letter, digit or \"_\""),
                )),
                other => Err(Refusal::kind("a string", other, "name = \"fast\"")),
            });
            entry.forget("name");
            let shown = entry.path("set");
            match entry.take("set") {
                None => {}
                Some(Entry { node: Node { value: Value::Table(inside), .. }, .. }) => set = flat(inside),
                Some(Entry { node, .. }) => {
                    let example = "set = { cluster.fast_quorum = \"off\" }";
                    entry.refuse(&shown, node.place, Refusal::kind("a table", &node.value, example));
                }
            }
        });
        if name.is_empty() {
            if !table.reading.refused(&join(&path, "name")) {
                let help = "add a line such as name = \"fast\"";
                table.refuse(&path, place, Refusal::new("a variant without a name", help));
            }
            continue;
        }
        if sweep.variants.iter().any(|known| known.name == name) {
            let help = "give each variant a name of its own";
            table.refuse(
                &path,
                place,
                Refusal::new(format!("\"{name}\" stands there twice"), help),
            );
            continue;
        }
        let set: Vec<Setting> = set
            .into_iter()
            .filter(|setting| values_of(table, &path, setting).is_some())
            .collect();
        let plain = set
            .iter()
            .filter_map(|one| Some((one.path.clone(), plain(&one.node.value).ok()?)));
        sweep.variants.push(Variant {
            name: name.clone(),
            set: Settings(plain.collect()),
        });
        written.variants.push((name, set));
    }
}

fn excludes(table: &mut Section<'_, '_>, sweep: &mut Sweep) {
    for (path, place, entries) in tables(table, "exclude") {
        let mut exclude = Exclude {
            variant: None,
            values: Settings::default(),
        };
        for setting in flat(entries) {
            let Some(value) = values_of(table, &path, &setting) else {
                continue;
            };
            let names: Vec<&str> = sweep.variants.iter().map(|one| one.name.as_str()).collect();
            let keys: Vec<&str> = sweep.axes.iter().map(|axis| axis.key.as_str()).collect();
            let axis = sweep.axes.iter().find(|axis| axis.key == setting.path);
            let refusal = match (setting.path.as_str(), &value, axis) {
                ("variant", toml::Value::String(name), _) if names.contains(&name.as_str()) => {
                    exclude.variant = Some(name.clone());
                    continue;
                }
                ("variant", ..) => Refusal::new(
                    format!("{value} is no variant of this sweep"),
                    format!("it is one of {}", names.join(", ")),
                ),
                (_, _, Some(axis)) if axis.values.contains(&value) => {
                    exclude.values.0.push((setting.path, value));
                    continue;
                }
                (key, _, Some(axis)) => {
                    let all: Vec<String> = axis.values.iter().map(ToString::to_string).collect();
                    let message = format!("{value} is no value of `{key}` in this sweep");
                    Refusal::new(message, format!("it is one of {}", all.join(", ")))
                }
                (key, _, None) => Refusal::new(
                    format!("this sweep does not go over `{key}`"),
                    format!("it goes over {}", keys.join(", ")),
                ),
            };
            table.refuse(&path, setting.node.place, refusal);
        }
        if exclude.variant.is_none() && exclude.values.0.is_empty() {
            if !table.reading.refused(&path) {
                let help = "name the values of the cells that are left out, or remove it";
                table.refuse(&path, place, Refusal::new("it names nothing", help));
            }
            continue;
        }
        sweep.exclude.push(exclude);
    }
}

/// The tables of a list, with their paths and places; declares the key and notes its origin.
fn tables(table: &mut Section<'_, '_>, key: &'static str) -> Vec<(String, Place, Table)> {
    let path = table.path(key);
    let Some(entry) = table.take(key) else {
        return Vec::new();
    };
    table.note(&path, entry.node.place);
    let items = match entry.node.value {
        Value::Array(items) if items.len() <= VARIANTS_MAX => items,
        Value::Array(items) => {
            let message = format!("{} entries", items.len());
            let help = format!("write {VARIANTS_MAX} at most");
            table.refuse(&path, entry.node.place, Refusal::new(message, help));
            return Vec::new();
        }
        other => {
            let example = format!("[[{path}]]");
            table.refuse(
                &path,
                entry.node.place,
                Refusal::kind("a list of tables", &other, &example),
            );
            return Vec::new();
        }
    };
    let mut all = Vec::new();
    for (index, node) in items.into_iter().enumerate() {
        let path = format!("{path}.{index}");
        match node.value {
            Value::Table(inside) => all.push((path, node.place, inside)),
            other => table.refuse(
                &path,
                node.place,
                Refusal::kind("a table", &other, "{ ... }"),
            ),
        }
    }
    all
}

/// The value as TOML, or a problem.
fn values_of(table: &mut Section<'_, '_>, path: &str, setting: &Setting) -> Option<toml::Value> {
    match plain(&setting.node.value) {
        Ok(value) => Some(value),
        Err(what) => {
            let refusal = Refusal::new(what, "write a string");
            table.refuse(&join(path, &setting.path), setting.node.place, refusal);
            None
        }
    }
}

/// Every value with its dotted path, in the order of the text. Tables that mean one thing together stay whole.
fn flat(table: Table) -> Vec<Setting> {
    fn walk(path: &str, table: Table, into: &mut Vec<Setting>) {
        for (key, entry) in table {
            let path = join(path, &key);
            match entry.node.value {
                Value::Table(inside) if !ATOMIC.contains(&path.as_str()) => {
                    walk(&path, inside, into)
                }
                value => into.push(Setting {
                    path,
                    key: entry.key,
                    node: Node {
                        value,
                        place: entry.node.place,
                    },
                }),
            }
        }
    }
    let mut all = Vec::new();
    walk("", table, &mut all);
    all.sort_by_key(|setting| (setting.key.layer, setting.key.start));
    all
}

/// The value without its places.
fn plain(value: &Value) -> Result<toml::Value, String> {
    Ok(match value {
        Value::Text(text) => toml::Value::String(text.clone()),
        Value::Integer(number) => toml::Value::Integer(*number),
        Value::Float(number) => toml::Value::Float(*number),
        Value::Bool(flag) => toml::Value::Boolean(*flag),
        Value::Date => return Err("no key of a scenario takes a date".to_owned()),
        Value::Array(items) => {
            let items = items.iter().map(|item| plain(&item.value));
            toml::Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Table(table) => {
            let entries = table
                .iter()
                .map(|(key, entry)| Ok((key.clone(), plain(&entry.node.value)?)));
            toml::Value::Table(entries.collect::<Result<_, String>>()?)
        }
    })
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=NAME_MAX).contains(&name.len())
        && name.chars().all(allowed)
        && !name.starts_with(['.', '-'])
}

/// A sweep that varies nothing.
pub(super) fn judge(root: &mut Section<'_, '_>, sweep: &Sweep) {
    let refused = root
        .reading
        .refused
        .iter()
        .any(|path| path.starts_with("sweep"));
    if sweep.axes.is_empty() && sweep.variants.is_empty() && !refused {
        let problem = Problem::new("`sweep` varies nothing")
            .help("write over = { load.rate = [\"500/s\", \"1000/s\"] }, or [[sweep.variant]] tables, or remove it");
        root.reading.problems.push(problem);
    }
}
