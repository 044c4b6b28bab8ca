//! Which run is meant: a directory, an id, the beginning of one, or `@1` for the newest.
//!
//! A sweep, a search or a scorecard is named in the same way, and what lies in it by a path behind that name: `@1/probes/03`.

use std::path::{Path, PathBuf};

use crate::campaign::Kind;
use crate::record::INCOMPLETE_MARK;

/// The file that a directory of results has when its run came to an end.
pub(super) const RUN_FILE: &str = "run.json";

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The directory of a run.
    Run(PathBuf),
    /// The directory of many.
    Several(PathBuf, Kind),
}

/// Finds a run, or a directory of many, among the results in `out`; `option` is what chooses another place on the caller's
/// command line.
///
/// # Errors
/// A sentence with what there is.
pub fn find(out: &Path, name: &str, option: &str) -> Result<Found, String> {
    let place = find_place(out, name, option)?;
    if place.join(RUN_FILE).is_file() {
        return Ok(Found::Run(place));
    }
    match Kind::of(&place) {
        Some(kind) => Ok(Found::Several(place, kind)),
        None if place.join(INCOMPLETE_MARK).is_file() => Err(unfinished(&place)),
        None => Err(format!("{} holds no results", place.display())),
    }
}

/// Finds one run.
///
/// # Errors
/// As [`find`]; or the name stands for several runs.
pub fn find_run(out: &Path, name: &str, option: &str) -> Result<PathBuf, String> {
    match find(out, name, option)? {
        Found::Run(directory) => Ok(directory),
        Found::Several(directory, kind) => {
            let id = directory.file_name().unwrap_or_default().to_string_lossy();
            let such = example(&directory).map_or_else(String::new, |inside| {
                format!(", such as {}", inside.display())
            });
            Err(format!(
                "{name} is the {} {id}, which holds several runs, and {} says what came of them: name a run in it{such}",
                kind.noun, kind.document
            ))
        }
    }
}

/// The directory that a name stands for, whatever it holds.
///
/// # Errors
/// A sentence with what there is.
pub fn find_place(out: &Path, name: &str, option: &str) -> Result<PathBuf, String> {
    let direct = Path::new(name);
    if direct.is_file() && direct.file_name().is_some_and(|file| file == RUN_FILE) {
        // Beside a bare `run.json` the parent is the empty path, which is no directory.
        let parent = direct.parent().filter(|parent| *parent != Path::new(""));
        return Ok(parent.unwrap_or(Path::new(".")).to_owned());
    }
    let results = |place: &Path| {
        [RUN_FILE, INCOMPLETE_MARK]
            .iter()
            .any(|file| place.join(file).is_file())
            || Kind::of(place).is_some()
    };
    if results(direct) {
        return Ok(direct.to_owned());
    }
    if let Some((outer, inner)) = name.split_once('/')
        && let Ok(outer) = named(out, outer, option)
    {
        let place = outer.join(inner);
        return match place.is_dir() {
            true => Ok(place),
            false => Err(format!("there is no {inner} in {}", outer.display())),
        };
    }
    named(out, name, option)
}

/// The directory in `out` with a number, an id, or the beginning of one.
fn named(out: &Path, name: &str, option: &str) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(out).map_err(|error| {
        format!(
            "there is no run {name}, and {} cannot be read: {error}; choose another place with {option} DIR",
            out.display()
        )
    })?;
    let (ids, cut) = ids(entries);
    if let Some(back) = name.strip_prefix('@') {
        let back: usize = back.parse().map_err(|_| {
            format!("{name} is no run: write @1 for the newest, @2 for the one before")
        })?;
        let index = ids.len().checked_sub(back).filter(|_| back > 0);
        return match index.and_then(|index| ids.get(index)) {
            Some(id) => Ok(out.join(id)),
            None => Err(format!(
                "{} has {} runs, so there is no {name}",
                out.display(),
                ids.len()
            )),
        };
    }
    let meant: Vec<&String> = ids.iter().filter(|id| id.starts_with(name)).collect();
    match meant[..] {
        _ if name.is_empty() => Err("an empty word names no run".to_owned()),
        [id] => Ok(out.join(id)),
        [] => match cut.iter().find(|id| id.starts_with(name)) {
            Some(id) => Ok(out.join(id)),
            None => Err(format!(
                "there is no run {name} in {}; choose another place with {option} DIR",
                out.display()
            )),
        },
        [first, second, ..] => Err(format!(
            "{} runs begin with {name}, such as {first} and {second}: write more of it",
            meant.len()
        )),
    }
}

/// The ids of runs and of directories of many that say what came of them, and of runs that do not, the oldest first: they
/// begin with their times.
pub(super) fn ids(entries: std::fs::ReadDir) -> (Vec<String>, Vec<String>) {
    let (mut ended, mut cut) = (Vec::new(), Vec::new());
    for entry in entries.flatten() {
        let path = entry.path();
        // `latest` points to one of the others.
        if path.is_symlink() {
            continue;
        }
        let id = entry.file_name().to_string_lossy().into_owned();
        if path.join(RUN_FILE).is_file() || Kind::of(&path).is_some() {
            ended.push(id);
        } else if path.join(INCOMPLETE_MARK).is_file() {
            cut.push(id);
        }
    }
    ended.sort_unstable();
    cut.sort_unstable();
    (ended, cut)
}

/// The first run inside, one or two levels below.
fn example(directory: &Path) -> Option<PathBuf> {
    let inside = |place: &Path| {
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !path.is_symlink())
            .collect();
        folders.sort_unstable();
        folders
    };
    let is_run = |place: &PathBuf| place.join(RUN_FILE).is_file();
    let deep = |levels: u32| {
        let mut folders = vec![directory.to_owned()];
        for _ in 0..levels {
            folders = folders.iter().flat_map(|folder| inside(folder)).collect();
        }
        folders.into_iter().find(is_run)
    };
    (1..=3).find_map(deep)
}

fn unfinished(directory: &Path) -> String {
    format!(
        "{} has no {RUN_FILE}: that run goes on, or was cut off before it could write its results",
        directory.display()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_is_found_by_path_beginning_and_age() {
        let out = tempfile::tempdir().unwrap();
        for id in ["20260101T000000Z_a_0001", "20260102T000000Z_b_0002"] {
            std::fs::create_dir(out.path().join(id)).unwrap();
            std::fs::write(out.path().join(id).join("run.json"), "{}").unwrap();
        }
        let found = |name: &str| {
            let run = find_run(out.path(), name, "--out")?;
            Ok::<_, String>(run.file_name().unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(found("@1").unwrap(), "20260102T000000Z_b_0002");
        assert_eq!(found("@2").unwrap(), "20260101T000000Z_a_0001");
        assert_eq!(found("20260101").unwrap(), "20260101T000000Z_a_0001");
        let direct = out.path().join("20260101T000000Z_a_0001");
        for path in [direct.clone(), direct.join("run.json")] {
            assert_eq!(
                find_run(Path::new("nowhere"), path.to_str().unwrap(), "--out").unwrap(),
                direct
            );
        }
        for wrong in ["@0", "@3", "@x", "2026", "x", ""] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
    }

    /// A sweep with a run in a cell, a search with one at a rate, and a scorecard.
    fn several(out: &Path) {
        for (id, file, run) in [
            (
                "20260104T000000Z_s_0004",
                "sweep.json",
                "cell=1/20260104T000001Z_s_1",
            ),
            (
                "20260105T000000Z_q_0005",
                "saturate.json",
                "probes/01/20260105T000001Z_q_1",
            ),
            (
                "20260106T000000Z_sweep",
                "scorecard.json",
                "20260106T000001Z_x_1",
            ),
        ] {
            let place = out.join(id);
            std::fs::create_dir_all(place.join(run)).unwrap();
            std::fs::write(place.join(file), "{}").unwrap();
            std::fs::write(place.join(run).join(RUN_FILE), "{}").unwrap();
        }
    }

    #[test]
    fn sweeps_and_searches_are_named_as_runs_are_and_are_none() {
        let out = tempfile::tempdir().unwrap();
        several(out.path());
        let found = |name: &str| find(out.path(), name, "--results");
        for (name, noun) in [
            ("@1", "scorecard"),
            ("@2", "search"),
            ("@3", "sweep"),
            ("20260104", "sweep"),
            ("20260105T000000Z_q", "search"),
        ] {
            let Ok(Found::Several(_, kind)) = found(name) else {
                panic!("{name} is {:?}", found(name));
            };
            assert_eq!(kind.noun, noun, "{name}");
            let message = find_run(out.path(), name, "--results").unwrap_err();
            for words in [noun, "holds several runs", "such as", kind.document] {
                assert!(message.contains(words), "{message}");
            }
        }
    }

    #[test]
    fn what_lies_in_a_sweep_is_named_behind_it() {
        let out = tempfile::tempdir().unwrap();
        several(out.path());
        let run = find_run(out.path(), "@2/probes/01/20260105T000001Z_q_1", "--results").unwrap();
        assert!(run.join(RUN_FILE).is_file());
        let cell = find_place(out.path(), "20260104/cell=1", "--results").unwrap();
        assert!(cell.ends_with("20260104T000000Z_s_0004/cell=1"));
        let message = find_place(out.path(), "@3/cell=2", "--results").unwrap_err();
        assert!(message.contains("there is no cell=2 in"), "{message}");
        assert!(find(out.path(), "@3/cell=1", "--results").is_err());
    }

    #[test]
    fn a_run_without_an_end_is_told_from_one_that_never_was() {
        let out = tempfile::tempdir().unwrap();
        let cut = out.path().join("20260103T000000Z_c_0003");
        std::fs::create_dir(&cut).unwrap();
        std::fs::write(cut.join(INCOMPLETE_MARK), "").unwrap();
        for name in ["20260103", cut.to_str().unwrap()] {
            let message = find_run(out.path(), name, "--out").unwrap_err();
            assert!(message.contains("was cut off"), "{message}");
        }
        assert!(
            find_run(out.path(), "@1", "--out").is_err(),
            "it is no result"
        );
    }
}
