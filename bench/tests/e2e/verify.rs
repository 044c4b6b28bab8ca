//! A run judged once more from its files: what was altered in them is found, and so is what a liar signed.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{command, local, results};

/// What `bench verify` says of the newest run, and how it ends.
fn verify(directory: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let run = local::latest(directory);
    let mut line = vec!["verify", run.to_str().unwrap(), "--json"];
    line.extend(arguments);
    let ended = command::run("bench", directory, &line);
    let document = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", ended.stdout, ended.stderr));
    (ended.code, document)
}

/// Lets the second half of the file say something else.
fn alter(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    let at = text[text.len() / 2..].find(from).unwrap() + text.len() / 2;
    fs::write(
        path,
        format!("{}{to}{}", &text[..at], &text[at + from.len()..]),
    )
    .unwrap();
}

#[test]
fn what_was_altered_in_the_files_of_a_run_is_found_afterwards() {
    let directory = local::directory();
    let enough = |_: &Path, repeat: &Value| {
        let state = &repeat["checks"]["state"];
        state["answers_compared"].as_u64() > Some(40)
            && state["checkpoints_executed_again"].as_u64() >= Some(1)
    };
    let ended = local::run_until(directory.path(), &[], enough);
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    assert!(enough(&run, &json["repeats"][0]), "{json:#}");
    let checks = &json["repeats"][0]["checks"];
    for check in ["integrity", "evidence", "resources", "read_back"] {
        assert_eq!(checks[check]["verdict"], "pass", "{checks}");
    }

    assert_eq!(checks["resources"]["bad_signatures_per_s_max"], 0.0);
    let counted = fs::read_to_string(run.join("repeat-1/signatures.csv")).unwrap();
    let peers: Vec<Vec<&str>> = counted
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(peers.len(), 5 * 4, "each for each other one: {counted}");
    for peer in &peers {
        assert_eq!((peer[3], peer[6]), ("peer", "0"), "{counted}");
        assert!(peer[5].parse::<u64>().unwrap() > 0, "{counted}");
    }

    let (code, honest) = verify(directory.path(), &[]);
    assert_eq!(code, Some(0), "{honest:#}");
    let again = &honest["repeats"][0]["checks"]["resources"];
    assert_eq!(
        again["peer_lead_per_s_max"],
        checks["resources"]["peer_lead_per_s_max"]
    );
    let checks = honest["repeats"][0]["checks"].as_object().unwrap();
    assert_eq!(checks.len(), 9);
    for (name, check) in checks {
        assert_eq!(check["verdict"], "pass", "{name}: {check}");
    }
    let signatures = &checks["integrity"];
    assert_eq!(
        signatures["signatures"], signatures["requests"],
        "all of them"
    );

    // An answer that nobody gave.
    let history = run.join("repeat-1/history.jsonl");
    alter(&history, r#""status":"fail""#, r#""status":"ok""#);
    let (code, altered) = verify(directory.path(), &["--check", "state,agreement"]);
    assert_eq!(code, Some(4), "{altered:#}");
    let repeat = &altered["repeats"][0];
    assert_eq!(repeat["checks"]["state"]["verdict"], "fail", "{altered:#}");
    assert_eq!(
        repeat["checks"]["agreement"]["verdict"], "pass",
        "{altered:#}"
    );
    assert_eq!(
        repeat["recorded"]["state"], "pass",
        "what the run itself said"
    );
}

#[test]
fn a_primary_that_equivocates_leaves_its_own_signatures_as_a_proof() {
    let directory = local::directory();
    let liar = r#"byzantine=[{ replica = 0, behavior = "equivocate" }]"#;
    let values = [liar, "load.duration=2s", "expect.culprits=[0]"];
    let ended = local::run_until(directory.path(), &local::set(&values), |_, repeat| {
        repeat["evidence"][0]["culprit"] == 0
    });
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    let evidence = &json["repeats"][0]["evidence"][0];
    assert_eq!(evidence["culprit"], 0, "{json}");
    let file = run
        .join("repeat-1")
        .join(evidence["file"].as_str().unwrap());
    let (code, verified) = verify(directory.path(), &["--check", "evidence"]);
    assert_eq!(code, Some(0), "{verified:#}");

    // The same against somebody else is no proof.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(r#""culprit": 0"#, r#""culprit": 1"#)).unwrap();
    let (code, verified) = verify(directory.path(), &["--check", "evidence"]);
    assert_eq!(code, Some(4), "{verified:#}");
}
