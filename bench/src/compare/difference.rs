//! What differs between two runs: settings, machine, build.

use std::collections::BTreeMap;

use serde_json::Value;

use super::read::Measured;

/// Keys of a scenario that say nothing about what is measured: names, chance, and how often.
const APART: [&str; 5] = ["schema", "name", "description", "seed", "repeat"];

/// The facts of the environment that come from the machine.
pub(super) const MACHINE: [&str; 5] = ["cpu", "cores", "memory_bytes", "platform", "kernel"];

/// The commit, in the digits that people quote.
const COMMIT_DIGITS: usize = 12;

/// A fact that two runs do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// A key of the scenario as `--set` takes it (`load.clients`, `fault.0.at`), or a fact of the environment (`commit`).
    pub key: String,
    /// Its value in the baseline, if it has one.
    pub baseline: Option<String>,
    /// Its value in the candidate, if it has one.
    pub candidate: Option<String>,
}

/// What differs, settings first.
#[must_use]
pub fn differences(baseline: &Measured, candidate: &Measured) -> Vec<Difference> {
    let mut all = unlike(&settings(baseline), &settings(candidate));
    all.extend(unlike(&environment(baseline), &environment(candidate)));
    all
}

fn unlike(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<Difference> {
    let only_other = other.keys().filter(|key| !one.contains_key(*key));
    let mut keys: Vec<&String> = one.keys().chain(only_other).collect();
    keys.sort_unstable();
    keys.into_iter()
        .filter(|key| one.get(*key) != other.get(*key))
        .map(|key| Difference {
            key: key.clone(),
            baseline: one.get(key).cloned(),
            candidate: other.get(key).cloned(),
        })
        .collect()
}

/// The scenario, one entry for each value.
fn settings(run: &Measured) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    flatten(&run.scenario, String::new(), &mut all);
    all.retain(|key, _| !APART.contains(&key.as_str()));
    // The environment says the same.
    if !run.environment.durability.is_empty() {
        all.remove("cluster.storage.durability");
    }
    all
}

fn flatten(value: &Value, key: String, all: &mut BTreeMap<String, String>) {
    let below = |name: &str| match key.as_str() {
        "" => name.to_owned(),
        key => format!("{key}.{name}"),
    };
    match value {
        Value::Object(entries) => {
            for (name, entry) in entries {
                flatten(entry, below(name), all);
            }
        }
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                flatten(entry, below(&index.to_string()), all);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            all.insert(key, text.clone());
        }
        other => {
            all.insert(key, other.to_string());
        }
    }
}

fn environment(run: &Measured) -> BTreeMap<String, String> {
    let environment = &run.environment;
    let mut commit: String = environment.commit.chars().take(COMMIT_DIGITS).collect();
    if environment.dirty {
        commit += " with uncommitted changes";
    }
    let number = |number: u64| match number {
        0 => String::new(),
        number => number.to_string(),
    };
    let facts = [
        ("cpu", environment.cpu.clone()),
        ("cores", number(environment.cores)),
        ("memory_bytes", number(environment.memory_bytes)),
        ("platform", environment.platform.clone()),
        ("kernel", environment.kernel.clone()),
        ("commit", commit),
        ("rustc", environment.rustc.clone()),
        ("build", environment.build.clone()),
        ("version", environment.version.clone()),
        ("durability", environment.durability.clone()),
        ("authentication", environment.authentication.clone()),
        ("attached", run.attached.clone().unwrap_or_default()),
    ];
    facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn found(one: &Measured, other: &Measured) -> Vec<(String, String, String)> {
        let word = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        differences(one, other)
            .into_iter()
            .map(|found| (found.key, word(found.baseline), word(found.candidate)))
            .collect()
    }

    #[test]
    fn settings_are_compared_value_by_value_and_names_are_left_out() {
        let run = |scenario: Value| Measured {
            scenario,
            ..Measured::default()
        };
        let one = run(
            json!({"name": "x", "seed": 1, "repeat": 3, "load": {"clients": 16, "rate": null},
            "fault": [{"at": "5s"}]}),
        );
        let other = run(
            json!({"name": "y", "seed": 2, "repeat": 5, "load": {"clients": 64, "model": "open"},
            "fault": [{"at": "6s"}, {"at": "9s"}]}),
        );
        let all = found(&one, &other);
        let all: Vec<(&str, &str, &str)> = all
            .iter()
            .map(|(key, one, other)| (key.as_str(), one.as_str(), other.as_str()))
            .collect();
        assert_eq!(
            all,
            [
                ("fault.0.at", "5s", "6s"),
                ("fault.1.at", "-", "9s"),
                ("load.clients", "16", "64"),
                ("load.model", "-", "open"),
            ]
        );
        assert!(found(&one, &one).is_empty());
    }

    #[test]
    fn the_build_and_the_machine_count_and_durability_is_named_once() {
        let run = |commit: &str, dirty, cores, durability: &str| {
            let mut run = Measured {
                scenario: json!({"cluster": {"storage": {"durability": durability}}}),
                ..Measured::default()
            };
            run.environment.commit = commit.to_owned();
            run.environment.dirty = dirty;
            run.environment.cores = cores;
            run.environment.durability = durability.to_owned();
            run
        };
        let one = run("0123456789abcdef", false, 2, "full");
        let other = run("0123456789abcdef", true, 4, "off");
        let keys: Vec<String> = found(&one, &other)
            .into_iter()
            .map(|(key, ..)| key)
            .collect();
        assert_eq!(keys, ["commit", "cores", "durability"]);
        assert_eq!(
            found(&one, &other).first().unwrap().2,
            "0123456789ab with uncommitted changes"
        );
    }
}
