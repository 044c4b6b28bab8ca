//! Short runs of `bench run` on clusters of its own.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::command::{Ended, Running};

/// As little as a run can be: everything else is added with `--set`. No time-out of the protocol and no objective decides a test on a busy machine.
pub(crate) const SMALL: &str = r#"
schema = 1
name = "small"
[cluster.storage]
checkpoint_interval = 16
log_window = 64
[cluster.timeouts]
view_change = "20s"
heartbeat = "20s"
client = "5s"
[workload]
kind = "crud"
records = 40
key = { dist = "zipfian", theta = 0.99 }
mix = { create = 0.1, read = 0.3, update = 0.2, put = 0.1, delete = 0.1, cas = 0.2 }
[load]
model = "closed"
clients = 4
outstanding = 2
warmup = "200ms"
duration = "1s"
[check]
linearizable = "full"
liveness = { max_stall = "60s" }
"#;

/// A directory with the scenario in it.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("small.toml"), SMALL).unwrap();
    directory
}

/// Starts `bench run small.toml` with these arguments. Results are in `results`.
pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Running {
    let out = directory.join("results");
    let mut line = vec!["run", "small.toml", "--plain", "--out"];
    line.push(out.to_str().unwrap());
    line.extend(arguments);
    Running::start("bench", directory, "bench", &line)
}

/// Runs it to its end.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Ended {
    start(directory, arguments).wait()
}

/// `--set` before each.
pub(crate) fn set<'a>(values: &[&'a str]) -> Vec<&'a str> {
    values.iter().flat_map(|value| ["--set", value]).collect()
}

/// Attacks one after the other, each for so long, as a list of faults and the duration that it takes. `more`: keys that each
/// of them has besides.
pub(crate) fn in_turns(kind: &str, attacks: &[&str], each_ms: usize, more: &str) -> [String; 2] {
    let fault = |(index, attack): (usize, &&str)| {
        let at = 200 + index * each_ms;
        let until = at + each_ms;
        format!(
            r#"{{ at = "{at}ms", until = "{until}ms", kind = "{kind}", attack = "{attack}"{more} }}"#
        )
    };
    let faults: Vec<String> = attacks.iter().enumerate().map(fault).collect();
    [
        format!("fault=[{}]", faults.join(",")),
        format!("load.duration={}ms", 800 + attacks.len() * each_ms),
    ]
}

/// The directory of the newest finished run.
pub(crate) fn latest(directory: &Path) -> PathBuf {
    let latest = fs::canonicalize(directory.join("results/latest"));
    latest.unwrap_or_else(|error| {
        let said = fs::read_to_string(directory.join("bench.stderr")).unwrap_or_default();
        panic!("no finished run ({error}): {said}")
    })
}

/// The run directories that are there, finished or not.
pub(crate) fn runs(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("results"))
        .into_iter()
        .flatten();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.is_symlink())
        .collect()
}
