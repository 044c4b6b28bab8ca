//! What cannot be done is refused with the place and the remedy, and leaves nothing behind.

use std::fs;
use std::net::UdpSocket;

use super::command::{self, replicas_in};
use super::{attached, local};

/// Runs with these arguments; expects the code and all the words, and neither results nor processes.
fn refused(arguments: &[&str], scenario: &str, code: i32, words: &[&str]) {
    let directory = local::directory();
    fs::write(directory.path().join("small.toml"), scenario).unwrap();
    let ended = local::run(directory.path(), arguments);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
    assert_eq!(ended.stdout, "", "{arguments:?}");
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "{word} is missing in: {}",
            ended.stderr
        );
    }
    assert_eq!(local::runs(directory.path()), [] as [std::path::PathBuf; 0]);
    assert_eq!(replicas_in(directory.path()), []);
}

#[test]
fn a_wrong_scenario_is_refused_with_file_line_column_and_the_nearest_right_name() {
    let with = |line: &str| format!("schema = 1\nname = \"wrong\"\n{line}\n");
    refused(
        &[],
        &with("[load]\nclientz = 3"),
        2,
        &["small.toml:4:1", "clientz", "did you mean `clients`?"],
    );
    refused(
        &[],
        &with("[load]\nduration = \"3 parsecs\""),
        2,
        &["small.toml:4:", "3 parsecs"],
    );
    refused(
        &[],
        &with("[load]\nduration = 3"),
        2,
        &["small.toml:4:", "has no unit", "\"30s\""],
    );
    refused(
        &[],
        &with("[cluster]\nf = 2\nn = 6"),
        2,
        &["small.toml:5:", "3f+1"],
    );
    refused(&[], &with("[cluster]\nf = 0"), 2, &["small.toml:4:"]);
    refused(&[], "schema = 1\nname = ", 2, &["small.toml:2:"]);
}

#[test]
fn a_wrong_override_is_refused_by_name() {
    for (set, words) in [
        ("load.clientz=3", ["load.clientz", "clients"]),
        ("load.clients=0", ["load.clients=0", "out of bounds"]),
        ("load.duration=soon", ["load.duration", "soon"]),
        ("cluster.n=3", ["cluster.n", "3f+1"]),
        ("nonsense", ["nonsense", "key=value"]),
    ] {
        refused(&["--set", set], local::SMALL, 2, &words);
    }
}

#[test]
fn results_that_cannot_be_written_are_the_environments_fault() {
    let directory = local::directory();
    // A file where a directory should be stops also a user who may write everywhere.
    fs::write(directory.path().join("file"), "").unwrap();
    let ended = command::run(
        "bench",
        directory.path(),
        &["run", "small.toml", "--out", "file/results"],
    );
    assert_eq!(ended.code, Some(6), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("file/results") && ended.stderr.contains("--out DIR"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_replica_whose_port_is_taken_says_which_and_what_to_do() {
    if !command::others_are_built() {
        return;
    }
    for taken_by_clients in [0, 1] {
        let directory = local::directory();
        let base = attached::free_ports();
        attached::found(directory.path(), 1, base);
        let file = fs::read_to_string(directory.path().join("cluster/cluster.toml")).unwrap();
        let port = base + taken_by_clients;
        assert!(file.contains(&format!("127.0.0.1:{port}")), "{file}");
        let _taken = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let ended = command::run(
            "replica",
            directory.path(),
            &["run", "--dir", "cluster/replica-0"],
        );
        assert_eq!(ended.code, Some(6), "{}", ended.stderr);
        for words in [&format!("127.0.0.1:{port} is taken"), "ss -ulpn"] {
            assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        }
        assert!(!ended.stdout.contains("ready"));
    }
}
