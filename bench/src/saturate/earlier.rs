//! Runs that a search made before it was stopped.

use std::path::Path;

use crate::archive::read_run;
use crate::record::{Run, RunStatus};
use crate::scenario::Loaded;

/// For each wanted scenario the complete run of it in `folder`, if there is one. Seed and load tell it from others.
pub(super) fn runs(folder: &Path, wanted: impl Iterator<Item = Loaded>) -> Vec<Option<Run>> {
    let entries = std::fs::read_dir(folder);
    let mut there: Vec<Run> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| !entry.path().is_symlink())
        .filter_map(|entry| read_run(&entry.path()).ok())
        .filter(|run| run.status == RunStatus::Completed)
        .collect();
    let mut take = |loaded: &Loaded| {
        let scenario = &loaded.scenario;
        let load = serde_json::to_value(&scenario.load).ok()?;
        let same = |run: &Run| {
            run.repeats.first().map(|repeat| repeat.seed) == Some(scenario.seed)
                && run.scenario.get("load") == Some(&load)
        };
        let place = there.iter().position(same)?;
        Some(there.swap_remove(place))
    };
    wanted.map(|loaded| take(&loaded)).collect()
}
