//! Founding clusters, and what a `cluster.toml` must be.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use consensus::{ClientId, CommitMode, FastQuorum, ReplicaId};
use network::genesis::{client_key, replica_directory};
use network::{Addresses, ClusterFile, ClusterFileError, Genesis, GenesisError, Keys};

/// Five replicas and two clients whose keys are the same in every run.
fn genesis() -> Genesis {
    Genesis {
        keys: Keys::Seeded([3; 32]),
        ..Genesis::local(1, 5, 7100, 2)
    }
}

/// The text of the cluster file of [`genesis`].
fn text() -> String {
    let directory = tempfile::tempdir().unwrap();
    genesis().create(&directory.path().join("c")).unwrap();
    std::fs::read_to_string(directory.path().join("c/cluster.toml")).unwrap()
}

/// What a reader says about the text with `from` replaced.
fn refusal(from: &str, to: &str) -> String {
    let text = text();
    assert!(text.contains(from), "{text}");
    let changed = text.replacen(from, to, 1);
    ClusterFile::parse(&changed, Path::new("cluster.toml"))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_founded_cluster_is_complete_and_private() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("nested/cluster");
    let founded = Genesis::local(1, 5, 7100, 2).create(&root).unwrap();
    let read = ClusterFile::read(&root.join("cluster.toml")).unwrap();
    assert_eq!(read, founded);
    assert_eq!(
        read.cluster().unwrap().id(),
        founded.cluster().unwrap().id()
    );
    for replica in &founded.replicas {
        let own = replica_directory(&root, replica.id);
        assert_eq!(
            ClusterFile::read(&own.join("cluster.toml")).unwrap(),
            founded
        );
        assert!(own.join("founding").is_file(), "it has never run");
        let secret = crypto::files::read_secret(&own.join("replica.key")).unwrap();
        assert_eq!(founded.replica_of(&secret.public()), Some(replica));
    }
    for client in &founded.clients {
        let path = client_key(&root, client.id);
        let secret = crypto::files::read_secret(&path).unwrap();
        assert_eq!(founded.client_of(&secret.public()), Some(client));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let mode = replica_directory(&root, ReplicaId(0))
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let beside = std::fs::read_dir(root.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "nothing temporary is left");
}

#[test]
fn a_directory_with_contents_is_left_alone_and_an_empty_one_is_used() {
    let directory = tempfile::tempdir().unwrap();
    genesis().create(directory.path()).unwrap();
    let before = std::fs::read(directory.path().join("cluster.toml")).unwrap();
    let refused = Genesis {
        clients: 1,
        ..genesis()
    }
    .create(directory.path());
    assert!(
        matches!(refused, Err(GenesisError::Occupied(_))),
        "{refused:?}"
    );
    assert_eq!(
        std::fs::read(directory.path().join("cluster.toml")).unwrap(),
        before
    );
}

#[test]
fn an_impossible_cluster_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("c");
    for impossible in [
        Genesis { n: 3, ..genesis() },
        Genesis { f: 0, ..genesis() },
        Genesis {
            fast_quorum: FastQuorum::Exactly(6),
            ..genesis()
        },
        Genesis {
            addresses: Addresses::Explicit(Vec::new()),
            ..genesis()
        },
        Genesis {
            addresses: Addresses::Hosts {
                hosts: Vec::new(),
                base_port: 1,
            },
            ..genesis()
        },
        Genesis {
            clients: u32::MAX,
            ..genesis()
        },
        Genesis::local(1, 5, 65_530, 0),
    ] {
        impossible.create(&root).unwrap_err();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[test]
fn random_keys_differ_and_seeded_ones_do_not() {
    let found = |genesis: Genesis| {
        let directory = tempfile::tempdir().unwrap();
        genesis
            .create(&directory.path().join("c"))
            .unwrap()
            .replicas[0]
            .key
    };
    assert_eq!(found(genesis()), found(genesis()));
    let random = Genesis {
        keys: Keys::Random,
        ..genesis()
    };
    assert_ne!(found(random.clone()), found(random));
}

#[test]
fn a_seed_is_refused_where_others_could_connect() {
    let hosts = vec!["192.0.2.7".parse().unwrap()];
    let reachable = Genesis {
        addresses: Addresses::Hosts {
            hosts,
            base_port: 7100,
        },
        ..genesis()
    };
    let directory = tempfile::tempdir().unwrap();
    let refused = reachable.create(&directory.path().join("c"));
    assert!(
        matches!(refused, Err(GenesisError::SeedOffLoopback(_))),
        "{refused:?}"
    );
}

#[test]
fn replicas_on_one_host_get_ports_of_their_own() {
    let hosts = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    let genesis = Genesis {
        keys: Keys::Random,
        addresses: Addresses::Hosts {
            hosts,
            base_port: 7100,
        },
        ..genesis()
    };
    let directory = tempfile::tempdir().unwrap();
    let file = genesis.create(&directory.path().join("c")).unwrap();
    let peers: Vec<String> = file
        .replicas
        .iter()
        .map(|entry| entry.peer.to_string())
        .collect();
    assert_eq!(
        peers,
        [
            "192.0.2.1:7100",
            "192.0.2.2:7100",
            "192.0.2.1:7102",
            "192.0.2.2:7102",
            "192.0.2.1:7104"
        ]
    );
    assert_eq!(file.replicas[0].client.to_string(), "192.0.2.1:7101");
}

#[test]
fn everything_in_the_file_comes_back() {
    let mut genesis = Genesis {
        fast_quorum: FastQuorum::Exactly(5),
        ..genesis()
    };
    genesis.limits.batch_bytes_max = 2 << 20;
    genesis.limits.quorum_reads = true;
    genesis.policy.commit_mode = CommitMode::Eager;
    genesis.policy.batch_delay = Duration::from_micros(1500);
    genesis.policy.request_timeout = Duration::from_secs(2);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c");
    let founded = genesis.create(&path).unwrap();
    let mut read = ClusterFile::read(&path.join("cluster.toml")).unwrap();
    assert_eq!(read, founded);
    assert_eq!(read.policy(), genesis.policy);
    assert_eq!(read.replica(ReplicaId(4)).unwrap().id, ReplicaId(4));
    assert_eq!(read.replica(ReplicaId(5)), None);
    assert_eq!(read.clients[1].id, ClientId(1));
    let text = std::fs::read_to_string(path.join("cluster.toml")).unwrap();
    assert!(text.contains("batch_delay = \"1500us\""), "{text}");
    // Policy and addresses are each machine's own: they do not change the id.
    read.policy.batch_delay = Duration::from_millis(9);
    read.replicas[0].peer = "10.1.2.3:9".parse().unwrap();
    read.write(&path.join("cluster.toml")).unwrap();
    let again = ClusterFile::read(&path.join("cluster.toml")).unwrap();
    assert_eq!(again, read);
    assert_eq!(
        again.cluster().unwrap().id(),
        founded.cluster().unwrap().id()
    );
}

#[test]
fn a_changed_limit_or_key_is_found_by_the_id() {
    for (from, to) in [
        ("log_window = 256", "log_window = 512"),
        ("quorum_reads = false", "quorum_reads = true"),
        ("fast_quorum = \"strong\"", "fast_quorum = \"off\""),
    ] {
        let text = refusal(from, to);
        assert!(
            text.contains("the file says") && text.contains("copy the unchanged file"),
            "{text}"
        );
    }
}

#[test]
fn a_window_whose_new_views_fit_into_no_frame_is_refused() {
    let text = refusal("log_window = 256", "log_window = 65536");
    assert!(
        text.contains("log_window = 65536 at n = 5") && text.contains("lower log_window"),
        "{text}"
    );
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    for (from, to) in [
        ("log_window", "log_windw"),
        ("batch_delay", "batch_dealy"),
        ("[limits]", "colour = 1\n[limits]"),
    ] {
        let text = refusal(from, to);
        assert!(
            text.contains("cluster.toml: TOML parse error at line"),
            "{text}"
        );
        assert!(text.contains("unknown field"), "{text}");
    }
}

#[test]
fn refusals_name_the_key_and_the_remedy() {
    let own_id = text()
        .lines()
        .find(|line| line.starts_with("id = "))
        .unwrap()
        .to_owned();
    let cases = [
        ("schema = 1", "schema = 2", "schema: 2 is not 1"),
        (
            own_id.as_str(),
            "id = \"12\"",
            "id: expected 64 hexadecimal digits",
        ),
        ("f = 1", "f = 2", "n must be at least 7"),
        ("\"strong\"", "\"weak\"", "fast_quorum: \"weak\" is none"),
        ("\"strong\"", "9", "fast quorum 9 is outside"),
        (
            "batch_delay = \"1ms\"",
            "batch_delay = \"1\"",
            "policy.batch_delay: \"1\" is no duration",
        ),
        (
            "batch_delay = \"1ms\"",
            "batch_delay = \"0ms\"",
            "policy.batch_delay: 0 is no time",
        ),
        (
            "batch_delay = \"1ms\"",
            "batch_delay = \"2000h\"",
            "policy.batch_delay",
        ),
        (
            "batch_delay = \"1ms\"",
            "batch_delay = \"99999s\"",
            "longer than an hour",
        ),
        (
            "\"adaptive\"",
            "\"lazy\"",
            "policy.commit_mode: \"lazy\" is none",
        ),
        (
            "inflight_max = 32",
            "inflight_max = 0",
            "policy.inflight_max: 0",
        ),
        (
            "127.0.0.1:7100",
            "localhost:7100",
            "replica 0: peer: \"localhost:7100\" is no address",
        ),
        (
            "127.0.0.1:7102",
            "127.0.0.1:7100",
            "replica 1: peer: 127.0.0.1:7100 is used twice",
        ),
        (
            "127.0.0.1:7103",
            "127.0.0.1:0",
            "replica 1: client: 127.0.0.1:0 cannot be dialled",
        ),
        (
            "id = 2\n",
            "id = 3\n",
            "replica 2: id: 3 stands at position 2",
        ),
    ];
    for (from, to, expected) in cases {
        let text = refusal(from, to);
        assert!(text.contains("cluster.toml"), "{text}");
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_by_name() {
    let mut file = genesis()
        .create(&tempfile::tempdir().unwrap().path().join("c"))
        .unwrap();
    let path = Path::new("cluster.toml");
    let text = file.to_toml(path).unwrap();
    let duplicate = text.replace(
        &file.clients[1].key.to_string(),
        &file.replicas[2].key.to_string(),
    );
    let error = ClusterFile::parse(&duplicate, path).unwrap_err();
    assert!(matches!(error, ClusterFileError::Config { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("replica 2 and client 1 have the same key"),
        "{error}"
    );
    file.clients[1].key = file.clients[0].key;
    file.to_toml(path).unwrap_err();
}

#[test]
fn a_missing_file_is_named() {
    let error = ClusterFile::read(Path::new("/nowhere/cluster.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot read /nowhere/cluster.toml"),
        "{error}"
    );
}
