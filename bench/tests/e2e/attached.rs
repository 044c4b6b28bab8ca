//! Clusters founded with `replica genesis` and run with `replica run`, measured with `bench run --attach`.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use super::command::{self, Running};
use super::{history, local, results};

/// UDP ports of five replicas.
const PORTS: u16 = 10;

/// Five replicas that nobody but the test knows of.
pub(crate) struct Cluster {
    directory: TempDir,
    replicas: Vec<Running>,
}

impl Cluster {
    pub(crate) fn start(clients: u32) -> Self {
        let directory = local::directory();
        found(directory.path(), clients, free_ports());
        let mut replicas: Vec<Running> = (0..5)
            .map(|id| {
                let dir = directory.path().join(format!("cluster/replica-{id}"));
                let arguments = ["run", "--dir", dir.to_str().unwrap()];
                Running::start(
                    "replica",
                    directory.path(),
                    &format!("replica-{id}"),
                    &arguments,
                )
            })
            .collect();
        for replica in &mut replicas {
            replica.wait_for_words("ready ");
        }
        Self {
            directory,
            replicas,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path().join("cluster/cluster.toml")
    }

    /// SIGTERM ends each of them in good order.
    pub(crate) fn stop(self) {
        for replica in &self.replicas {
            replica.signal(Signal::TERM);
        }
        for replica in self.replicas {
            let ended = replica.wait();
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        }
    }
}

/// `replica genesis` in `directory/cluster`.
pub(crate) fn found(directory: &Path, clients: u32, base_port: u16) {
    let ended = command::run(
        "replica",
        directory,
        &[
            "genesis",
            "-f",
            "1",
            "-o",
            "cluster",
            "--clients",
            &clients.to_string(),
            "--base-port",
            &base_port.to_string(),
        ],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// Ten free ports in a row, below those that the system gives away, and different for every caller.
pub(crate) fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 500) as u16 * PORTS;
    loop {
        let base = first + NEXT.fetch_add(1, Ordering::Relaxed) * PORTS;
        if (base..base + PORTS).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
}

#[test]
fn a_cluster_that_runs_elsewhere_is_measured_again_and_again() {
    if !command::others_are_built() {
        return;
    }
    let cluster = Cluster::start(8);
    let file = cluster.file();
    let attach = ["--attach", file.to_str().unwrap()];
    let mut committed = Vec::new();
    let mut prefixes = std::collections::BTreeSet::new();
    for round in 0..2 {
        let ended = local::run_until(cluster.path(), &attach, |run, _| {
            (0..5).all(|replica| results::log_of(run, replica).len() > 1)
        });
        let run = local::latest(cluster.path());
        let json = results::assert_passed(&run, &ended);
        assert_eq!(json["attached"], file.to_str().unwrap());
        let checks = &json["repeats"][0]["checks"];
        assert_eq!(checks["linearizable"]["verdict"], "pass", "{checks}");
        // The records of the run before are not in the way of those of this one.
        let lines = results::lines(&run.join("repeat-1/history.jsonl"));
        let loaded = |line: &&serde_json::Value| line["phase"] == "load" && line["status"] == "ok";
        let prefix = json["repeats"][0]["key_prefix"].as_str().unwrap();
        assert!(
            prefixes.insert(prefix.to_owned()),
            "{prefix} was used before"
        );
        assert_eq!(lines.iter().filter(loaded).count(), 40, "round {round}");
        history::assert_linearizable(&lines);
        for replica in 0..5 {
            let log = results::log_of(&run, replica);
            assert!(log.len() > 1, "replica {replica}: {log:?}");
        }
        committed.push(json["repeats"][0]["consensus"]["slots"].as_u64().unwrap());
    }
    assert!(committed.iter().all(|slots| *slots > 0), "{committed:?}");
    cluster.stop();
}

#[test]
fn records_of_other_runs_stay_out_of_scans() {
    if !command::others_are_built() {
        return;
    }
    let cluster = Cluster::start(4);
    let file = cluster.file();
    let mut arguments = local::set(&[
        "load.duration=300ms",
        "load.warmup=0s",
        "workload.mix={ scan = 0.5, create = 0.5 }",
    ]);
    arguments.extend(["--attach", file.to_str().unwrap()]);
    let history = |run: &Path| results::lines(&run.join("repeat-1/history.jsonl"));
    let scanned = |line: &serde_json::Value| {
        line["result"]
            .as_array()
            .is_some_and(|found| !found.is_empty())
    };
    for _ in 0..2 {
        let ended = local::run_until(cluster.path(), &arguments, |run, _| {
            history(run).iter().any(scanned)
        });
        let run = local::latest(cluster.path());
        results::assert_passed(&run, &ended);
        let lines = history(&run);
        let own: std::collections::BTreeSet<&str> = lines
            .iter()
            .filter(|line| line["op"] == "create")
            .filter_map(|line| line["key"].as_str())
            .collect();
        let mut seen = 0;
        for entry in lines
            .iter()
            .filter_map(|line| line["result"].as_array())
            .flatten()
        {
            assert!(own.contains(entry[0].as_str().unwrap()), "{entry}");
            seen += 1;
        }
        assert!(seen > 0, "scans found something");
    }
    cluster.stop();
}

#[test]
fn more_clients_than_keys_are_refused_with_the_remedy() {
    if !command::others_are_built() {
        return;
    }
    let directory = local::directory();
    found(directory.path(), 2, free_ports());
    let file = directory.path().join("cluster/cluster.toml");
    let ended = local::run(directory.path(), &["--attach", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for words in ["--set load.clients=N", "replica genesis --clients N", "(2)"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert!(local::runs(directory.path()).is_empty());
}

#[test]
fn a_cluster_that_is_not_running_is_named_and_nothing_is_left() {
    if !command::others_are_built() {
        return;
    }
    let directory = local::directory();
    let ended = local::run(directory.path(), &["--attach", "nowhere/cluster.toml"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("nowhere/cluster.toml"),
        "{}",
        ended.stderr
    );
    assert!(local::runs(directory.path()).is_empty());
}
