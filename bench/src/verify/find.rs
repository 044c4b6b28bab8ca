//! Which run is meant: a directory, an id, the beginning of one, or `@1` for the newest.

use std::path::{Path, PathBuf};

/// Finds a run among the results in `out`; `option` is what chooses another place on the caller's command line.
///
/// # Errors
/// A sentence with what there is.
pub fn find_run(out: &Path, name: &str, option: &str) -> Result<PathBuf, String> {
    let direct = Path::new(name);
    if direct.join("run.json").is_file() {
        return Ok(direct.to_owned());
    }
    let mut ids: Vec<String> = std::fs::read_dir(out)
        .map_err(|error| {
            format!(
                "there is no run {name}, and {} cannot be read: {error}",
                out.display()
            )
        })?
        .flatten()
        .filter(|entry| entry.path().join("run.json").is_file() && !entry.path().is_symlink())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    // They begin with their times.
    ids.sort_unstable();
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
        [] => Err(format!(
            "there is no run {name} in {}; choose another place with {option} DIR",
            out.display()
        )),
        [first, second, ..] => Err(format!(
            "{} runs begin with {name}, such as {first} and {second}: write more of it",
            meant.len()
        )),
    }
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
        assert_eq!(
            find_run(Path::new("nowhere"), direct.to_str().unwrap(), "--out").unwrap(),
            direct
        );
        for wrong in ["@0", "@3", "@x", "2026", "x"] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
    }
}
