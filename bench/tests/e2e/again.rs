//! Results looked at again: the list, the summary, and the command that runs a run again.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{command, local, results};

fn says(directory: &Path, arguments: &[&str]) -> String {
    let ended = command::run("bench", directory, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

fn json(directory: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&says(directory, &[arguments, &["--json"]].concat())).unwrap()
}

/// Runs a line as a person would paste it, with this `bench` in the search path.
fn shell(directory: &Path, line: &str) {
    let binary = command::binary("bench");
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("sh")
        .args(["-e", "-c", line])
        .current_dir(directory)
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let shown = String::from_utf8_lossy(&output.stdout);
    // How much the run came to is not what is asked here.
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{line}: {}\n{said}{shown}",
        output.status
    );
}

#[test]
fn the_command_that_show_prints_runs_the_same_experiment_again() {
    let directory = local::directory();
    let place = directory.path();
    let set = local::set(&["load.clients=3", "description=it's a test"]);
    let ended = local::run(place, &[&set[..], &["--seed", "12"]].concat());
    let first = local::latest(place);
    results::assert_passed(&first, &ended);

    let line = says(place, &["show", "@1", "--reproduce"]);
    assert!(
        line.contains("bench run small.toml --set 'load.clients=3'"),
        "{line}"
    );
    shell(place, &line);
    let listed = json(place, &["list"]);
    assert_eq!(listed["runs"].as_array().unwrap().len(), 2, "{listed:#}");
    assert_eq!(listed["runs"][1]["verdict"], "pass");
    let effective = |at: &str| json(place, &["show", at])["scenario"].clone();
    assert_eq!(effective("@1"), effective("@2"));
    assert_eq!(effective("@1")["seed"], 12);

    // A scenario that says something else by now is not what was run.
    let changed = local::SMALL.replace("records = 40", "records = 30");
    std::fs::write(place.join("small.toml"), changed).unwrap();
    let line = says(place, &["show", "@1", "--reproduce"]);
    assert!(line.contains("/effective.toml"), "{line}");
    shell(place, &line);
    assert_eq!(effective("@1"), effective("@3"));

    let id = listed["runs"][1]["id"].as_str().unwrap();
    assert!(says(place, &["show", &id[..id.len() - 2]]).contains("PASS"));
    assert!(says(place, &["show", "@3", "--env"]).contains("durability"));
    assert!(says(place, &["show", "--faults"]).contains("no fault was injected"));
    assert_eq!(says(place, &["list"]).lines().count(), 5);
}
