//! The command `client`: what it refuses, and what it does with replicas that answer.

use std::path::Path;
use std::process::Output;

use crate::fake::{Behaviour, FakeCluster, client_key};
use assert_cmd::Command;

/// Runs `client` in `directory`; returns its exit code, stdout and stderr.
fn run(directory: &Path, args: &[&str], stdin: &str) -> (i32, String, String) {
    let mut command = Command::cargo_bin("client").unwrap();
    command
        .current_dir(directory)
        .env_remove("QUINTET_CLUSTER")
        .args(args);
    let Output {
        status,
        stdout,
        stderr,
    } = command.write_stdin(stdin).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A cluster with its files in a directory, as `replica genesis` lays them out.
fn cluster_in(directory: &Path) -> FakeCluster {
    let cluster = FakeCluster::start(1);
    cluster.file.write(&directory.join("cluster.toml")).unwrap();
    std::fs::create_dir(directory.join("clients")).unwrap();
    let key = directory.join("clients/client-0.key");
    crypto::files::write_secret(&key, &client_key(0)).unwrap();
    cluster
}

#[test]
fn wrong_usage_is_exit_code_2_with_the_remedy_on_stderr() {
    let nowhere = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&[] as &[&str], "Usage"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["get"], "<KEY>"),
        (&["get", "a", "--colour"], "--colour"),
        (&["put", "a"], "<VALUE>"),
        (&["get", "a", "--timeout", "5"], "250ms, 5s, 2m"),
        (&["cas", "a", "1"], "--expect"),
        (
            &["cas", "a", "1", "--absent", "--expect", "2"],
            "cannot be used with",
        ),
        (&["cas", "a", "1", "--expect-version", "7"], "slot.rank"),
        (&["scan", "--limit", "0"], "1..=1000000"),
        (&["scan", "a", "--prefix", "b"], "cannot be used with"),
        (&["get", "a", "--log", "=="], "--log"),
    ] {
        let (code, stdout, stderr) = run(nowhere.path(), args, "");
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
}

#[test]
fn missing_and_malformed_files_are_named_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let (code, _, stderr) = run(directory.path(), &["get", "a"], "");
    assert_eq!(code, 1);
    assert!(
        stderr.contains("no cluster file cluster.toml") && stderr.contains("--cluster"),
        "{stderr}"
    );
    std::fs::write(directory.path().join("bad.toml"), "f = one").unwrap();
    let (code, stdout, stderr) = run(
        directory.path(),
        &["--cluster", "bad.toml", "--json", "get", "a"],
        "",
    );
    assert_eq!(code, 1);
    assert!(stderr.contains("bad.toml"), "{stderr}");
    assert!(stdout.starts_with("{\"error\":"), "{stdout}");
}

#[test]
fn help_has_examples() {
    let nowhere = tempfile::tempdir().unwrap();
    let (code, stdout, _) = run(nowhere.path(), &["--help"], "");
    assert!(code == 0 && stdout.contains("Examples:") && stdout.contains("client cas"));
    let (code, stdout, _) = run(nowhere.path(), &["txn", "--help"], "");
    assert!(code == 0 && stdout.contains("\"compare\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_print_data_on_stdout_and_fail_with_exit_code_1() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = cluster_in(directory.path());
    cluster.behave(2, Behaviour::Lying);
    let run = |args: &[&str], stdin: &str| {
        tokio::task::block_in_place(|| run(directory.path(), args, stdin))
    };
    // Quiet, because the liar may be caught in time to be warned of.
    assert_eq!(
        run(&["-q", "get", "truth"], ""),
        (0, "truth\n".into(), String::new())
    );
    assert_eq!(run(&["get", "truth", "--hex"], "").1, "7472757468\n");
    let (code, stdout, stderr) = run(&["-q", "get", "absent"], "");
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (1, "", "error: no key \"absent\"\n")
    );
    let (code, stdout, _) = run(&["get", "k", "--json"], "");
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, &document["value"], &document["version"]),
        (0, &"k".into(), &"1.0".into())
    );
    assert_eq!(run(&["put", "a", "-"], "from stdin").1, "1.0\n");
    assert_eq!(run(&["put", "a", "0"], "").1, "1.0\n");
    assert_eq!(run(&["put", "a", "zz", "--hex"], "").0, 2);
    let (code, _, stderr) = run(&["create", "a", "1"], "");
    assert!(code == 1 && stderr.contains("exists already"), "{stderr}");
    let (code, _, stderr) = run(&["delete", "a"], "");
    assert!(code == 1 && stderr.contains("does not exist"), "{stderr}");
    let long = "k".repeat(2000);
    let (code, _, stderr) = run(&["get", &long], "");
    assert!(code == 2 && stderr.contains("1 to 1024 bytes"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prompt_reads_lines_from_a_pipe_and_says_when_one_failed() {
    let directory = tempfile::tempdir().unwrap();
    let _cluster = cluster_in(directory.path());
    let run = |stdin: &str| tokio::task::block_in_place(|| run(directory.path(), &["repl"], stdin));
    let (code, stdout, _) = run("# comment\n\nget 'a key'\nput b \"1 2\"\nquit\nget never\n");
    assert_eq!((code, stdout.as_str()), (0, "a key\n2.0\n"));
    let (code, stdout, stderr) = run("get 'a\nfrob\nput a -\nget last");
    assert_eq!((code, stdout.as_str()), (1, "last\n"));
    for part in [
        "a quote is not closed",
        "frob",
        "cannot be read from stdin",
        "3 lines failed",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_every_replica_also_those_that_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = cluster_in(directory.path());
    cluster.kill(4);
    let run = |args: &[&str]| tokio::task::block_in_place(|| run(directory.path(), args, ""));
    let (code, stdout, stderr) = run(&["status"]);
    assert_eq!((code, stdout.lines().count()), (0, 6), "{stdout}{stderr}");
    assert!(stdout.lines().nth(1).unwrap().contains("yes"), "{stdout}");
    assert!(
        stdout.lines().nth(5).unwrap().contains("not connected: "),
        "{stdout}"
    );
    cluster.kill(3);
    let (code, stdout, stderr) = run(&["status", "--json", "--timeout", "500ms"]);
    assert!(
        code == 1 && stderr.contains("only 3 of 5 replicas"),
        "{stderr}"
    );
    let first = stdout.lines().next().unwrap();
    let document: serde_json::Value = serde_json::from_str(first).unwrap();
    assert_eq!(document["replicas"][3]["connected"], false);
    assert_eq!(document["replicas"][0]["view"], 0);
    let (code, _, stderr) = run(&["get", "a", "--timeout", "500ms"]);
    let address = cluster.file.replicas[3].client.to_string();
    assert!(code == 1 && stderr.contains(&address), "{stderr}");
}
