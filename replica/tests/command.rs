//! The command `replica` as a script sees it: output, exit codes, refusals.

#![allow(clippy::unwrap_used)]

mod cluster;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cluster::{found, replica, start};

/// Exit code and message of a run that is expected to end by itself.
fn refused(directory: &Path, options: &[&str]) -> (i32, String) {
    let output = replica()
        .args(["--quiet", "run", "--dir"])
        .arg(directory)
        .args(options)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_replica_stops_when_its_standard_input_ends_and_starts_again() {
    let (_cluster, directory) = found();
    for _ in 0..2 {
        let (mut child, _) = start(&directory, &[]);
        child.stdin.as_mut().unwrap().write_all(b"ignored").unwrap();
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn an_occupied_port_is_named_and_the_environment_is_to_blame() {
    let (_cluster, directory) = found();
    let (mut child, _) = start(&directory, &[]);
    let (code, message) = refused(&directory, &[]);
    assert_eq!(code, 6, "{message}");
    assert!(message.contains("is taken"), "{message}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs a replica until it is ready and says how it ended, with everything that it said.
fn said(directory: &Path, options: &[&str]) -> String {
    let mut child = replica()
        .args(["--quiet", "run", "--exit-with-stdin", "--dir"])
        .arg(directory)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        line.starts_with("ready ") && output.status.success(),
        "{line:?} {errors}"
    );
    errors
}

#[test]
fn a_replica_that_has_forgotten_its_promises_says_so_and_comes_back_without_a_vote() {
    let learner = "this replica has no vote until it is renewed";
    let (_cluster, in_memory) = found();
    assert_eq!(said(&in_memory, &["--storage", "memory"]), "");
    for engine in ["memory", "sqlite"] {
        let errors = said(&in_memory, &["--storage", engine]);
        assert!(
            errors.contains("holds no records although the replica has run"),
            "{errors}"
        );
        assert!(errors.contains(learner), "{errors}");
    }

    let (_cluster, unsynced) = found();
    let (mut child, _) = start(&unsynced, &["--durability", "off"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let errors = said(&unsynced, &[]);
    assert!(
        errors.contains("--durability off and did not stop cleanly"),
        "{errors}"
    );
    assert!(errors.contains(learner), "{errors}");

    let (_cluster, damaged) = found();
    assert_eq!(said(&damaged, &[]), "");
    let anchor = damaged.join("log.anchor");
    let mut bytes = std::fs::read(&anchor).unwrap();
    bytes[40] ^= 1;
    std::fs::write(anchor, bytes).unwrap();
    let errors = said(&damaged, &[]);
    assert!(errors.contains("log.anchor is damaged"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(damaged.join("data.damaged-1/log.db").exists());
    let (_, page, _) = run_command(&["inspect"], &damaged);
    assert!(
        page.contains("learner") && page.contains("data.damaged-1"),
        "{page}"
    );
}

#[test]
fn impossible_clusters_and_missing_directories_are_refused_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let output = replica()
        .args(["genesis", "-f", "1", "-n", "3f", "-o"])
        .arg(directory.path().join("cluster"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("n must be at least 4")
    );
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "nothing is left"
    );

    let (code, message) = refused(directory.path(), &[]);
    assert_eq!(code, 1);
    assert!(message.contains("replica genesis"), "{message}");
}

fn run_command(arguments: &[&str], directory: &Path) -> (i32, String, String) {
    let output = replica().args(arguments).arg(directory).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Every file of a replica but the lock, which says who had it last.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for place in [directory.to_owned(), directory.join("data")] {
        for entry in std::fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with("LOCK") {
                found.push((path.clone(), std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn inspect_and_fsck_say_what_is_there_and_change_nothing() {
    let (_cluster, directory) = found();
    let (code, text, _) = run_command(&["fsck"], &directory);
    assert_eq!(code, 0);
    assert!(text.contains("has never run"), "{text}");
    assert!(!directory.join("data").exists());

    let (mut child, _) = start(&directory, &[]);
    let (code, _, message) = run_command(&["fsck"], &directory);
    assert_eq!(code, 6, "{message}");
    assert!(
        message.contains(&format!("process {}", child.id())),
        "{message}"
    );
    child.kill().unwrap();
    child.wait().unwrap();

    let before = contents(&directory);
    let (code, text, _) = run_command(&["inspect"], &directory);
    assert_eq!(code, 0);
    assert!(
        text.contains("member") && text.contains("no clean stop"),
        "{text}"
    );
    let (code, text, _) = run_command(&["fsck"], &directory);
    assert!(code == 0 && text.contains("add up"), "{text}");
    let (_, text, _) = run_command(&["--json", "inspect"], &directory);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["standing"], "member");
    assert_eq!(document["memory"]["incarnation"], 1);
    assert!(contents(&directory) == before, "nothing has changed");

    let anchor = directory.join("log.anchor");
    let mut bytes = std::fs::read(&anchor).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&anchor, bytes).unwrap();
    let before = contents(&directory);
    let (code, _, message) = run_command(&["fsck"], &directory);
    assert_eq!(code, 1);
    assert!(message.contains("log.anchor is damaged"), "{message}");
    let (code, text, _) = run_command(&["inspect"], &directory);
    assert!(code == 0 && text.contains("its records are lost"), "{text}");
    assert!(contents(&directory) == before, "nothing has changed");
}

#[test]
fn places_where_nothing_can_be_written_are_named() {
    let (_cluster, directory) = found();
    // A path through a file: refused to every user, root included.
    std::fs::write(directory.join("data"), "not a directory").unwrap();
    let (code, message) = refused(&directory, &[]);
    assert_eq!(code, 1);
    assert!(message.contains("replica-0/data"), "{message}");
    assert!(directory.join("founding").exists(), "it has not run");
    // D10: a file system on which nobody may write, root included.
    std::fs::remove_file(directory.join("data")).unwrap();
    std::os::unix::fs::symlink("/proc", directory.join("data")).unwrap();
    let (code, message) = refused(&directory, &[]);
    assert_eq!(code, 1, "{message}");
    assert!(message.contains("replica-0/data"), "{message}");
    assert!(directory.join("founding").exists(), "it has not run");
}
