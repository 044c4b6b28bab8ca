//! Short runs of `bench run` on clusters of its own.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::command::{Ended, Running};
use super::results;

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
liveness = { max_stall = "60s", after_heal = "60s" }
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

/// Runs it to its end; see [`run_until`].
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Ended {
    run_until(directory, arguments, |_, _| true)
}

/// How many times as long a run takes that has to be repeated.
const LONGER: [u64; 2] = [4, 16];
/// And no longer than this.
const LONGEST_MS: u64 = 60_000;
/// Fewer operations say nothing of anything.
const OPERATIONS_MIN: u64 = 40;

/// Runs it to its end, and once more for longer if it came to so little that there is nothing to test: a machine can stand
/// still for as long as a run lasts. `enough` looks at the run's directory and at its only repeat, for what had to happen in
/// between and must not be asked for by any time; what a run means is for the caller to judge by the last one.
pub(crate) fn run_until(
    directory: &Path,
    arguments: &[&str],
    enough: impl Fn(&Path, &Value) -> bool,
) -> Ended {
    let mut ended = start(directory, arguments).wait();
    for times in LONGER {
        // Whatever else is wrong is no question of time.
        if !matches!(ended.code, Some(0 | 3)) {
            break;
        }
        let run = latest(directory);
        let json = results::run_json(&run);
        let mut repeats = json["repeats"].as_array().unwrap().iter();
        if repeats.all(|repeat| is_telling(repeat) && enough(&run, repeat)) {
            break;
        }
        fs::remove_dir_all(run).unwrap();
        let longer = (planned_ms(arguments) * times).min(LONGEST_MS);
        let duration = format!("load.duration={longer}ms");
        ended = start(directory, &[arguments, &["--set", &duration]].concat()).wait();
    }
    ended
}

fn is_telling(repeat: &Value) -> bool {
    repeat["operations"]["sent"].as_u64() >= Some(OPERATIONS_MIN)
        && repeat["operations"]["ok"].as_u64() >= Some(1)
        && repeat["checks"]["agreement"]["verdict"] != "skipped"
}

/// What the last of these arguments says of the duration, or else [`SMALL`].
fn planned_ms(arguments: &[&str]) -> u64 {
    let mut said = arguments
        .iter()
        .rev()
        .filter_map(|argument| argument.strip_prefix("load.duration="));
    let Some(said) = said.next() else {
        return 1_000;
    };
    let number = |unit| {
        said.strip_suffix(unit)
            .and_then(|digits| digits.parse().ok())
    };
    number("ms")
        .or_else(|| number("s").map(|seconds: u64| seconds * 1_000))
        .unwrap_or_else(|| panic!("a test of a duration in other words: {said}"))
}

#[test]
fn a_run_in_which_too_little_happened_is_repeated_for_longer_and_leaves_no_trace() {
    let directory = directory();
    let long = |repeat: &Value| repeat["duration_s"].as_f64() >= Some(0.4);
    let brief = set(&["load.duration=100ms"]);
    let ended = run_until(directory.path(), &brief, |_, repeat| long(repeat));
    let run = latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    assert!(long(&json["repeats"][0]), "{json:#}");
    assert_eq!(runs(directory.path()).len(), 1);
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
