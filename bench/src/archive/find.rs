//! Which run is meant: a directory, an id, the beginning of one, or `@1` for the newest.

use std::path::{Path, PathBuf};

use crate::record::INCOMPLETE_MARK;

/// The file that a directory of results has when its run came to an end.
pub(super) const RUN_FILE: &str = "run.json";
/// What directories have that hold runs and are none.
const OTHERS: [&str; 2] = ["sweep.json", "saturate.json"];

/// Finds a run among the results in `out`; `option` is what chooses another place on the caller's command line.
///
/// # Errors
/// A sentence with what there is.
pub fn find_run(out: &Path, name: &str, option: &str) -> Result<PathBuf, String> {
    let direct = Path::new(name);
    if direct.join(RUN_FILE).is_file() {
        return Ok(direct.to_owned());
    }
    if direct.is_file() && direct.file_name().is_some_and(|file| file == RUN_FILE) {
        // Beside a bare `run.json` the parent is the empty path, which is no directory.
        let parent = direct.parent().filter(|parent| *parent != Path::new(""));
        return Ok(parent.unwrap_or(Path::new(".")).to_owned());
    }
    if direct.join(INCOMPLETE_MARK).is_file() {
        return Err(unfinished(direct));
    }
    if let Some(other) = OTHERS.iter().find(|file| direct.join(file).is_file()) {
        return Err(format!(
            "{name} holds several runs, and {other} says what came of them: name a run or a folder in it"
        ));
    }
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
        [id] => Ok(out.join(id)),
        [] => Err(match cut.iter().find(|id| id.starts_with(name)) {
            Some(id) => unfinished(&out.join(id)),
            None => format!(
                "there is no run {name} in {}; choose another place with {option} DIR",
                out.display()
            ),
        }),
        [first, second, ..] => Err(format!(
            "{} runs begin with {name}, such as {first} and {second}: write more of it",
            meant.len()
        )),
    }
}

/// The ids of the runs that came to an end, and of those that did not, the oldest first: they begin with their times.
pub(super) fn ids(entries: std::fs::ReadDir) -> (Vec<String>, Vec<String>) {
    let (mut ended, mut cut) = (Vec::new(), Vec::new());
    for entry in entries.flatten() {
        let path = entry.path();
        // `latest` points to one of the others.
        if path.is_symlink() {
            continue;
        }
        let id = entry.file_name().to_string_lossy().into_owned();
        if path.join(RUN_FILE).is_file() {
            ended.push(id);
        } else if path.join(INCOMPLETE_MARK).is_file() {
            cut.push(id);
        }
    }
    ended.sort_unstable();
    cut.sort_unstable();
    (ended, cut)
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
        for wrong in ["@0", "@3", "@x", "2026", "x"] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
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
