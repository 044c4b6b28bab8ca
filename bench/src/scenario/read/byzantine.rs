//! The `[[byzantine]]` entries. Arguments and conditions are checked one by one against the types of the crate `byzantine`,
//! so that what is wrong is shown at its place.

use byzantine::{Behaviour, Trigger};
use serde_json::{Map, Value as Json, json};

use crate::scenario::byzantine::{Byzantine, Liars, PRIMARY, arguments, conditions};
use crate::scenario::nearest::nearest;
use crate::scenario::problem::Problem;
use crate::scenario::reading::{Origin, Reading};
use crate::scenario::refusal::{Refusal, integer};
use crate::scenario::schema::Scenario;
use crate::scenario::section::Section;
use crate::scenario::tree::{Entry, Node, Table, Value};

/// Entries at most.
const ENTRIES_MAX: usize = 100;

/// Reads all entries.
pub(super) fn read(root: &mut Section<'_, '_>) -> Vec<Byzantine> {
    let Some(Entry { node, .. }) = root.take("byzantine") else {
        return Vec::new();
    };
    let Value::Array(items) = node.value else {
        let refusal = Refusal::kind("a list of tables", &node.value, "[[byzantine]]");
        root.refuse("byzantine", node.place, refusal);
        return Vec::new();
    };
    if items.len() > ENTRIES_MAX {
        let message = format!("{} entries are too many", items.len());
        let refusal = Refusal::new(message, format!("write {ENTRIES_MAX} at most"));
        root.refuse("byzantine", node.place, refusal);
        return Vec::new();
    }
    items
        .into_iter()
        .enumerate()
        .filter_map(|(index, item)| entry(root, index, item))
        .collect()
}

fn entry(
    root: &mut Section<'_, '_>,
    index: usize,
    Node { value, place }: Node,
) -> Option<Byzantine> {
    let path = format!("byzantine.{index}");
    let Value::Table(table) = value else {
        root.refuse(
            &path,
            place,
            Refusal::kind("a table", &value, "[[byzantine]]"),
        );
        return None;
    };
    for (key, example) in [
        ("replica", "replica = \"primary\""),
        ("behavior", "behavior = \"equivocate\""),
    ] {
        if !table.contains_key(key) {
            let problem = Problem::new(format!("a Byzantine replica has no `{key}`"))
                .help(format!("add a line such as {example}"));
            let problem = place.blame(root.reading.layers, problem, "this one");
            root.reading.problems.push(problem);
        }
    }
    root.subtable(&path, table, |table| {
        let replica = table.value("replica", Liars::Primary, liars);
        let behavior = table.value("behavior", None, |value| behaviour(value).map(Some));
        let when = when(table);
        let Some(behavior) = behavior else {
            // Its arguments belong to a behaviour that nobody knows here.
            table.ignore_rest();
            return None;
        };
        let behavior = with_arguments(table, behavior);
        Some(Byzantine {
            replica,
            behavior,
            when,
        })
    })
}

fn liars(value: &Value) -> Result<Liars, Refusal> {
    let id = |value: &Value| integer(value, &(0..=u32::from(u16::MAX)), 0);
    match value {
        Value::Text(word) if word == PRIMARY => Ok(Liars::Primary),
        Value::Text(word) => {
            let refusal = Refusal::new(
                format!("\"{word}\" is unknown"),
                "it is the number of a replica, a list of them, or \"primary\"",
            );
            Err(match nearest(word, &[PRIMARY]) {
                Some(near) => refusal.label(format!("did you mean \"{near}\"?")),
                None => refusal,
            })
        }
        Value::Integer(_) => Ok(Liars::Replicas(vec![id(value)?])),
        Value::Array(items) => {
            let ids = items.iter().map(|item| id(&item.value));
            let mut ids = ids.collect::<Result<Vec<u32>, _>>()?;
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() || ids.len() < items.len() {
                let what = match ids.is_empty() {
                    true => "the list is empty",
                    false => "a replica is named twice",
                };
                return Err(Refusal::new(what, "for example replica = [0, 1]"));
            }
            Ok(Liars::Replicas(ids))
        }
        other => Err(Refusal::kind(
            "a replica, a list of them or \"primary\"",
            other,
            "replica = 0",
        )),
    }
}

fn behaviour(value: &Value) -> Result<Behaviour, Refusal> {
    let help = "`bench fault list` shows all";
    let Value::Text(name) = value else {
        return Err(Refusal::kind(
            "a string",
            value,
            "behavior = \"equivocate\"",
        ));
    };
    Behaviour::named(name).ok_or_else(|| {
        let refusal = Refusal::new(format!("there is no behavior \"{name}\""), help);
        match nearest(name, Behaviour::NAMES) {
            Some(near) => refusal.label(format!("did you mean \"{near}\"?")),
            None => refusal,
        }
    })
}

fn with_arguments(table: &mut Section<'_, '_>, honest: Behaviour) -> Behaviour {
    let name = honest.name();
    let known: Vec<String> = arguments(&honest).into_iter().map(|one| one.name).collect();
    let parse = |args: Map<String, Json>| {
        serde_json::from_value::<Behaviour>(json!({ "behavior": name, "args": args }))
            .map_err(|error| error.to_string())
    };
    let what = format!("an argument of \"{name}\"");
    let help = format!("`bench fault describe {name}` explains its arguments");
    typed(table, "args", &known, &what, &help, parse).unwrap_or(honest)
}

fn when(table: &mut Section<'_, '_>) -> Trigger {
    let known: Vec<String> = conditions().into_iter().map(|one| one.name).collect();
    let parse = |conditions: Map<String, Json>| {
        let trigger = serde_json::from_value::<Trigger>(conditions.into())
            .map_err(|error| error.to_string())?;
        trigger.check().map(|()| trigger)
    };
    let help = "for example when = { from = \"4s\", to = \"8s\" }";
    typed(table, "when", &known, "a condition", help, parse).unwrap_or_default()
}

/// A table whose keys are those of a type elsewhere. Each is tried alone, and then all of them together.
fn typed<T>(
    section: &mut Section<'_, '_>,
    key: &'static str,
    known: &[String],
    what: &str,
    help: &str,
    parse: impl Fn(Map<String, Json>) -> Result<T, String>,
) -> Option<T> {
    let path = section.path(key);
    let Some(Entry { node, .. }) = section.take(key) else {
        section.reading.origins.push((path, Origin::Default));
        return None;
    };
    let written = Origin::Written(node.place);
    section.reading.origins.push((path.clone(), written));
    let Value::Table(table) = &node.value else {
        let refusal = Refusal::kind("a table", &node.value, &format!("{key} = {{ ... }}"));
        section.refuse(&path, node.place, refusal);
        return None;
    };
    let before = section.reading.problems.len();
    for (name, entry) in table {
        let inner = format!("{path}.{name}");
        if !known.contains(name) {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            let refusal = Refusal::new(format!("that is not {what}"), help);
            let refusal = match nearest(name, &names) {
                Some(near) => refusal.label(format!("did you mean `{near}`?")),
                None if names.is_empty() => refusal.label("it has none"),
                None => refusal.label(format!("known here: {}", names.join(", "))),
            };
            section.refuse(&inner, entry.key, refusal);
            continue;
        }
        let alone = Map::from_iter([(name.clone(), json_of(&entry.node.value))]);
        if let Err(message) = parse(alone) {
            section.refuse(&inner, entry.node.place, Refusal::new(message, help));
        }
    }
    if section.reading.problems.len() > before {
        return None;
    }
    match parse(json_table(table)) {
        Ok(value) => Some(value),
        Err(message) => {
            section.refuse(&path, node.place, Refusal::new(message, help));
            None
        }
    }
}

fn json_table(table: &Table) -> Map<String, Json> {
    let entry = |(key, entry): (&String, &Entry)| (key.clone(), json_of(&entry.node.value));
    table.iter().map(entry).collect()
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Bool(flag) => json!(flag),
        // Nothing takes a date; the type's own message says what it wants.
        Value::Date => Json::Null,
        Value::Array(items) => items.iter().map(|item| json_of(&item.value)).collect(),
        Value::Table(table) => json_table(table).into(),
    }
}

/// Rules that need the rest of the scenario: replicas that exist, and windows within the load.
pub(super) fn check(reading: &mut Reading<'_>, scenario: &Scenario) {
    let n = scenario.cluster.n;
    let load = scenario.load.duration;
    for (index, entry) in scenario.byzantine.iter().enumerate() {
        let path = |key: &str| format!("byzantine.{index}.{key}");
        if let Some(stranger) = entry.replica.ids().iter().find(|id| **id >= n) {
            let message = format!(
                "`{}`: there is no replica {stranger} among {n}",
                path("replica")
            );
            let problem = Problem::new(message).help(format!("replicas are 0 to {}", n - 1));
            reading.blame(&[&path("replica")], problem, "");
        }
        let (from, to) = entry.window();
        if from >= load || to.is_some_and(|to| to > load) {
            let message = format!(
                "`{}`: it does not lie within the load ({})",
                path("when"),
                crate::scenario::fault::spoken(load)
            );
            let help = "times count from the beginning of the measured phase: write less, or a longer load.duration";
            let problem = Problem::new(message).help(help);
            reading.blame(&[&path("when")], problem, "");
        }
    }
    for id in scenario.byzantine_replicas() {
        if let Some(plan) = scenario.byzantine_plan(id, 0)
            && let Err(message) = plan.check()
        {
            let problem = Problem::new(format!("`byzantine`: replica {id}: {message}"));
            reading.blame(&["byzantine.0.replica"], problem, "");
        }
    }
}
