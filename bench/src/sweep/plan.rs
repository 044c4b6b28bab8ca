//! What a sweep runs: files, folders, names, and the values of `--over`.

use std::path::Path;

use serde::Serialize;

use crate::scenario::schema::Scenario;
use crate::scenario::{Loaded, Problem, ScenarioError, Source, embedded_below, load};

/// Scenarios of a sweep at most: each takes seconds.
const ENTRIES_MAX: usize = 1_000;
/// A file that others extend, and no question of its own.
const BASE: &str = "base";

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Files, folders, names of scenarios or of folders of them that the program carries.
    pub named: Vec<String>,
    /// `key=v1,v2`: each scenario once with each value.
    pub over: Vec<String>,
    /// `key=value` for all.
    pub set: Vec<String>,
    /// No references and no honest twins.
    pub alone: bool,
}

/// One scenario of a sweep.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name, with the values of `--over`.
    pub name: String,
    /// The scenario.
    pub loaded: Loaded,
    /// Its reference, by place in [`Plan::references`]; none if nothing goes wrong in it.
    pub reference: Option<usize>,
    /// Its honest twin, by place in [`Plan::twins`]; none unless it has liars and other faults, too.
    pub twin: Option<usize>,
}

/// A sweep.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In the order in which they run.
    pub entries: Vec<Entry>,
    /// The same without faults, each once.
    pub references: Vec<Loaded>,
    /// The same with their faults, but without liars, each once.
    pub twins: Vec<Loaded>,
    reference_keys: Vec<String>,
    twin_keys: Vec<String>,
}

/// Why a sweep cannot begin: all that is wrong with its scenarios.
#[derive(Debug, thiserror::Error)]
#[error("{} scenarios are refused", .0.len())]
pub struct PlanError(pub Vec<ScenarioError>);

impl From<Problem> for PlanError {
    fn from(problem: Problem) -> Self {
        PlanError(vec![problem.into()])
    }
}

impl Plan {
    /// Reads every scenario before anything runs.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn new(targets: &Targets) -> Result<Self, PlanError> {
        let mut sources = Vec::new();
        for target in &targets.named {
            sources.extend(sources_of(target)?);
        }
        let variants = variants(&targets.over)?;
        if sources.len() * variants.len() > ENTRIES_MAX {
            return Err(Problem::new(format!(
                "{} scenarios are too many",
                sources.len() * variants.len()
            ))
            .help(format!("a sweep has {ENTRIES_MAX} at most"))
            .into());
        }
        let mut plan = Plan::default();
        let mut refused = Vec::new();
        for source in &sources {
            for variant in &variants {
                let set: Vec<String> = targets.set.iter().chain(variant).cloned().collect();
                match load(std::slice::from_ref(source), &set) {
                    Ok(loaded) if loaded.scenario.sweep.is_some() => refused.push(alone(source)),
                    Ok(loaded) => plan.add(source, loaded, variant, &set, targets.alone),
                    Err(error) => refused.push(error),
                }
            }
        }
        if refused.is_empty() {
            Ok(plan)
        } else {
            Err(PlanError(refused))
        }
    }

    fn add(
        &mut self,
        source: &Source,
        loaded: Loaded,
        variant: &[String],
        set: &[String],
        alone: bool,
    ) {
        let scenario = &loaded.scenario;
        let mut name = scenario.name.clone();
        for value in variant {
            name.push_str(&format!(" {value}"));
        }
        let faulty = !scenario.faults.is_empty() || !scenario.byzantine.is_empty();
        let both = !scenario.faults.is_empty() && !scenario.byzantine.is_empty();
        let reference = match faulty && !alone {
            true => self.reference_of(source, &loaded, set),
            false => None,
        };
        let twin = match both && !alone {
            true => self.twin_of(source, &loaded, set),
            false => None,
        };
        self.entries.push(Entry {
            name,
            loaded,
            reference,
            twin,
        });
    }

    /// The same scenario with nothing going wrong, and nothing expected of it.
    fn reference_of(&mut self, source: &Source, loaded: &Loaded, set: &[String]) -> Option<usize> {
        let key = serde_json::to_string(&usual(&loaded.scenario)).ok()?;
        if let Some(at) = self.reference_keys.iter().position(|known| *known == key) {
            return Some(at);
        }
        let without = ["fault=[]", "byzantine=[]"];
        let name = format!("reference-{}", self.references.len() + 1);
        let reference = load_without(source, set, &without, &name)?;
        self.reference_keys.push(key);
        self.references.push(reference);
        Some(self.references.len() - 1)
    }

    /// The same scenario with its faults, but nobody lying. None where a fault makes no sense without the liar.
    fn twin_of(&mut self, source: &Source, loaded: &Loaded, set: &[String]) -> Option<usize> {
        let scenario = &loaded.scenario;
        let key = serde_json::to_string(&(usual(scenario), &scenario.faults)).ok()?;
        if let Some(at) = self.twin_keys.iter().position(|known| *known == key) {
            return Some(at);
        }
        let name = format!("honest-{}", self.twins.len() + 1);
        let twin = load_without(source, set, &["byzantine=[]"], &name)?;
        self.twin_keys.push(key);
        self.twins.push(twin);
        Some(self.twins.len() - 1)
    }
}

/// What has to be equal for two runs to be compared, faults aside.
fn usual(scenario: &Scenario) -> impl Serialize + '_ {
    (
        &scenario.cluster,
        &scenario.workload,
        &scenario.load,
        &scenario.network,
    )
}

/// The scenario without some of it, once, and nothing expected of it.
fn load_without(source: &Source, set: &[String], without: &[&str], name: &str) -> Option<Loaded> {
    let nothing_expected = ["expect={}", "slo={}", "repeat=1"];
    let set: Vec<String> = set
        .iter()
        .cloned()
        .chain(without.iter().map(|key| (*key).to_owned()))
        .chain(nothing_expected.map(str::to_owned))
        .chain([format!("name={name}")])
        .collect();
    load(std::slice::from_ref(source), &set).ok()
}

/// A scenario that varies something is a table of its own.
fn alone(source: &Source) -> ScenarioError {
    let name = source.name();
    Problem::new(format!(
        "{name} has a [sweep], which goes with no other scenario"
    ))
    .help(format!("bench sweep {name}"))
    .into()
}

/// A file, everything in a folder, or what the program carries under that name.
fn sources_of(target: &str) -> Result<Vec<Source>, PlanError> {
    let path = Path::new(target);
    if !path.is_dir() {
        let carried = embedded_below(target);
        if !carried.is_empty() && !path.is_file() {
            return Ok(carried
                .into_iter()
                .filter(|name| stem(Path::new(name)) != BASE)
                .map(Source::Embedded)
                .collect());
        }
        return Source::find(target)
            .map(|source| vec![source])
            .map_err(|error| PlanError(vec![error]));
    }
    let unreadable = |error: std::io::Error| {
        PlanError::from(
            Problem::new(format!("cannot read {target}: {error}"))
                .help("name a folder of scenarios that you may read"),
        )
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|end| end == "toml") && stem(&path) != BASE {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Problem::new(format!("{target} holds no scenario"))
            .help("a scenario is a file that ends in .toml")
            .into());
    }
    Ok(files.into_iter().map(Source::File).collect())
}

fn stem(path: &Path) -> &str {
    path.file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default()
}

/// The cross product of all `key=v1,v2`, each as overrides.
fn variants(over: &[String]) -> Result<Vec<Vec<String>>, PlanError> {
    let mut variants = vec![Vec::new()];
    for axis in over {
        let Some((key, values)) = axis.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Problem::new(format!("--over {axis} has no values"))
                .help("write --over key=value,value, for example --over load.clients=1,8,64")
                .into());
        };
        variants = variants
            .into_iter()
            .flat_map(|variant: Vec<String>| {
                values.split(',').map(move |value| {
                    let mut variant = variant.clone();
                    variant.push(format!("{key}={value}"));
                    variant
                })
            })
            .collect();
    }
    Ok(variants)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn targets(named: &[&str], over: &[&str]) -> Targets {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Targets {
            named: owned(named),
            over: owned(over),
            ..Targets::default()
        }
    }

    #[test]
    fn a_folder_is_all_its_scenarios_and_those_that_can_share_a_reference_do() {
        let plan = Plan::new(&targets(&["attacks"], &[])).unwrap();
        assert!(plan.entries.len() >= 60, "{}", plan.entries.len());
        assert!(plan.entries.iter().all(|entry| entry.name != BASE));
        assert!(plan.references.len() * 2 < plan.entries.len());
        for reference in &plan.references {
            let scenario = &reference.scenario;
            assert!(scenario.faults.is_empty() && scenario.byzantine.is_empty());
        }
        let of = |name: &str| {
            let entry = plan.entries.iter().find(|entry| entry.name == name);
            entry.unwrap().reference
        };
        assert_eq!(of("bp01-equivocate"), of("bb01-double-vote"));
    }

    #[test]
    fn a_liar_beside_a_kill_has_a_twin_with_the_kill_and_without_the_liar() {
        let plan = Plan::new(&targets(&["attacks"], &[])).unwrap();
        let twin = |name: &str| {
            let entry = plan.entries.iter().find(|entry| entry.name == name);
            entry.unwrap().twin
        };
        let at = twin("bb05-bogus-view-change").unwrap();
        let honest = &plan.twins[at].scenario;
        assert!(honest.byzantine.is_empty() && honest.expect.expectations.is_empty());
        assert_eq!(honest.faults.len(), 1, "the primary is killed there, too");
        assert_eq!(
            twin("bb07-forged-new-view"),
            Some(at),
            "the same kill in the same cluster"
        );
        assert_ne!(twin("bb09-lying-transfer"), Some(at));
        assert_eq!(twin("bp01-equivocate"), None, "a lie and nothing else");
        assert_eq!(twin("p01-kill-primary"), None, "no lie");
        let both = |entry: &&Entry| {
            let scenario = &entry.loaded.scenario;
            !scenario.faults.is_empty() && !scenario.byzantine.is_empty()
        };
        assert!(
            plan.entries
                .iter()
                .filter(both)
                .all(|one| one.twin.is_some())
        );
        let mut alone = targets(&["attacks"], &[]);
        alone.alone = true;
        assert!(Plan::new(&alone).unwrap().twins.is_empty());
    }

    #[test]
    fn values_of_several_keys_make_a_cross_product() {
        let over = ["load.clients=1,2", "load.outstanding=1,4,8"];
        let plan = Plan::new(&targets(&["quickstart"], &over)).unwrap();
        assert_eq!(plan.entries.len(), 6);
        assert_eq!(
            plan.entries[5].name,
            "quickstart load.clients=2 load.outstanding=8"
        );
        assert!(plan.references.is_empty(), "nothing goes wrong in it");
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_runs() {
        let refused = |named: &[&str], over: &[&str]| Plan::new(&targets(named, over)).is_err();
        assert!(refused(&["no-such-scenario"], &[]));
        assert!(refused(&["quickstart"], &["load.clients"]));
        assert!(refused(&["quickstart"], &["load.clients=one,2"]));
    }
}
