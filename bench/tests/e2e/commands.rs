//! `client` and `replica` as a person uses them on a cluster of `replica run`.

use std::path::Path;

use serde_json::Value;

use super::attached::Cluster;
use super::command::{self, Ended};

fn client(cluster: &Cluster, arguments: &[&str]) -> Ended {
    let file = cluster.file();
    let mut line = vec!["--cluster", file.to_str().unwrap(), "--timeout", "30s"];
    line.extend(arguments);
    command::run("client", cluster.path(), &line)
}

/// Standard output of a command that succeeds.
fn says(cluster: &Cluster, arguments: &[&str]) -> String {
    let ended = client(cluster, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

fn json(cluster: &Cluster, arguments: &[&str]) -> Value {
    serde_json::from_str(&says(cluster, &[&["--json"], arguments].concat())).unwrap()
}

/// A condition that is false: exit code 1, a message, and nothing on standard output.
fn says_no(cluster: &Cluster, arguments: &[&str]) {
    let ended = client(cluster, arguments);
    assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
}

#[test]
fn what_one_client_command_stores_the_next_one_finds() {
    if !command::others_are_built() {
        return;
    }
    let cluster = Cluster::start(1);
    let created = says(&cluster, &["create", "a", "1"]);
    says_no(&cluster, &["create", "a", "2"]);
    assert_eq!(says(&cluster, &["get", "a"]), "1\n");
    let read = json(&cluster, &["get", "a"]);
    assert_eq!(
        (&read["value"], &read["version"]),
        (&"1".into(), &created.trim().into())
    );
    // The one that is asked may be behind, and then has an older answer.
    let stale = client(&cluster, &["get", "a", "--read", "stale"]);
    let old = stale.code == Some(1) && stale.stderr.contains("no key");
    assert!(stale.stdout == "1\n" || old, "{}", stale.stderr);
    let refused = client(&cluster, &["get", "a", "--read", "quorum"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert!(
        refused.stderr.contains("`quorum_reads`"),
        "{}",
        refused.stderr
    );
    says(&cluster, &["update", "a", "2"]);
    says_no(&cluster, &["update", "b", "2"]);
    says(&cluster, &["cas", "a", "3", "--expect", "2"]);
    says_no(&cluster, &["cas", "a", "4", "--expect", "2"]);
    says(&cluster, &["put", "b", "9"]);
    assert_eq!(says(&cluster, &["scan"]), "a\t3\nb\t9\n");
    let scan = json(&cluster, &["scan", "--prefix", "b"]);
    assert_eq!(scan["entries"][0]["key"], "b");
    assert_eq!(scan["entries"].as_array().unwrap().len(), 1);
    assert_eq!(json(&cluster, &["delete", "a"])["deleted"], true);
    says_no(&cluster, &["get", "a"]);
    says_no(&cluster, &["delete", "a"]);

    let status = json(&cluster, &["status"]);
    let replicas = status["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 5);
    let primaries = replicas.iter().filter(|each| each["role"] == "primary");
    assert_eq!(primaries.count(), 1, "{status}");
    assert!(replicas.iter().all(|each| each["connected"] == true));
    assert!(says(&cluster, &["status"]).contains("primary"));
    cluster.stop();
}

#[test]
fn a_client_without_a_cluster_says_what_is_missing() {
    if !command::others_are_built() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| command::run("client", directory.path(), arguments);
    let ended = run(&["get", "a"]);
    assert!(matches!(ended.code, Some(1 | 2)), "{}", ended.stderr);
    assert!(ended.stderr.contains("cluster.toml"), "{}", ended.stderr);
    assert_eq!(run(&["cas", "a", "1"]).code, Some(2));
    assert_eq!(run(&["get"]).code, Some(2));
    assert!(!Path::new(&directory.path().join("results")).exists());
}
