//! Layers: `extends` merges deeply, `--set` overrides, and every effective value knows where it came from.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bench::scenario::schema::{
    CommitMode, Durability, FastQuorum, KeyDistribution, LoadModel, Preset, Protocol, WorkloadKind,
};
use bench::scenario::{Loaded, Source, load};

fn write(folder: &Path, name: &str, text: &str) -> Source {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    Source::File(path)
}

fn with(overrides: &[&str]) -> Loaded {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    load(&[], &overrides).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn no_source_is_the_quickstart() {
    let loaded = load(&[], &[]).unwrap();
    assert_eq!(loaded.scenario.name, "quickstart");
    assert_eq!(loaded.source_name(), "scenarios/quickstart.toml");
    assert!(loaded.source_text().starts_with("schema = 1"));
}

#[test]
fn a_file_keeps_what_it_does_not_change() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "base.toml",
        "schema = 1\nname = \"base\"\n[cluster]\nf = 2\n[cluster.batch]\nmax_ops = 10\nmax_delay = \"3ms\"\n",
    );
    let child = write(
        folder.path(),
        "sub/child.toml",
        "name = \"child\"\nextends = \"../base.toml\"\n[cluster.batch]\nmax_ops = 20\n",
    );
    let cluster = load(&[child], &[]).unwrap().scenario.cluster;
    assert_eq!((cluster.f, cluster.n), (2, 9));
    assert_eq!(cluster.batch.max_ops, 20);
    assert_eq!(cluster.batch.max_delay, Duration::from_millis(3));
}

#[test]
fn a_later_source_overrides_an_earlier_one() {
    let change = Source::Text {
        name: "change".to_owned(),
        text: "[load]\nclients = 3\n".to_owned(),
    };
    let loaded = load(&[Source::Embedded("quickstart"), change], &[]).unwrap();
    assert_eq!(loaded.scenario.load.clients, 3);
    assert_eq!(loaded.scenario.name, "quickstart");
}

#[test]
fn a_mix_is_replaced_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let child = write(
        folder.path(),
        "child.toml",
        "extends = \"quickstart.toml\"\n[workload]\nmix = { read = 1.0 }\n",
    );
    let mix = load(&[child], &[]).unwrap().scenario.workload.mix;
    assert_eq!((mix.read, mix.update, mix.create), (1.0, 0.0, 0.0));
}

#[test]
fn files_that_extend_each_other_in_a_circle_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.toml", "extends = \"b.toml\"\n");
    let b = write(folder.path(), "b.toml", "\nextends = \"a.toml\"\n");
    let error = load(&[b], &[]).unwrap_err();
    let problem = &error.problems()[0];
    assert_eq!(problem.message(), "\"b.toml\" extends itself in a circle");
    assert!(problem.source_name().unwrap().ends_with("a.toml"));
    assert_eq!(problem.position(), Some((1, 11)));
}

#[test]
fn a_missing_unreadable_or_foreign_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Source::File(folder.path().join("missing.toml"));
    assert!(
        load(&[missing], &[])
            .unwrap_err()
            .to_string()
            .contains("missing.toml: No such file")
    );
    fs::write(folder.path().join("binary.toml"), [0xff, 0xfe, 0x00]).unwrap();
    let binary = Source::File(folder.path().join("binary.toml"));
    assert!(
        load(&[binary], &[])
            .unwrap_err()
            .to_string()
            .contains("is not UTF-8 text")
    );
}

#[test]
fn overrides_take_toml_values_and_bare_words() {
    let scenario = with(&[
        "cluster.n=3f+1",
        "load.duration=500ms",
        "load.clients = 1_000",
        "workload.mix={ read = 1.0 }",
        "description=\"a quoted text\"",
        "workload.key.dist=uniform",
        "slo.read.p99=< 10ms",
        "check.agreement=false",
    ])
    .scenario;
    assert_eq!(scenario.cluster.n, 4);
    assert_eq!(scenario.load.duration, Duration::from_millis(500));
    assert_eq!(scenario.load.clients, 1_000);
    assert_eq!(scenario.workload.mix.read, 1.0);
    assert_eq!(scenario.description, "a quoted text");
    assert_eq!(scenario.workload.key, KeyDistribution::Uniform);
    assert_eq!(scenario.slo.objectives[0].name(), "read.p99");
    assert_eq!(scenario.slo.objectives[0].bound.condition(), "< 10ms");
    assert!(!scenario.check.agreement);
}

#[test]
fn switching_a_choice_above_drops_what_belonged_to_the_old_one_with_a_warning() {
    let open = with(&["load.model=open"]);
    assert!(matches!(open.scenario.load.model, LoadModel::Open { .. }));
    assert_eq!(open.warnings.len(), 1);
    assert!(
        open.warnings[0]
            .message()
            .starts_with("`load.outstanding` does not apply")
    );

    let ycsb = with(&["workload.kind=ycsb", "workload.preset=F"]);
    assert_eq!(ycsb.scenario.workload.kind, WorkloadKind::Ycsb);
    assert_eq!(ycsb.scenario.workload.mix, Preset::F.mix());
    assert_eq!(ycsb.warnings.len(), 1);

    let pbft = with(&["cluster.fast_quorum=conservative", "cluster.protocol=pbft"]);
    assert_eq!(pbft.scenario.cluster.fast_quorum, FastQuorum::Off);
    assert_eq!(pbft.warnings.len(), 1);
}

#[test]
fn classic_pbft_has_no_fast_quorum_and_commits_eagerly() {
    let cluster = with(&["cluster.protocol=pbft"]).scenario.cluster;
    assert_eq!(cluster.protocol, Protocol::Pbft);
    assert_eq!(cluster.fast_quorum, FastQuorum::Off);
    assert_eq!(cluster.commit_mode, CommitMode::Eager);
}

#[test]
fn memory_storage_is_never_called_durable() {
    let storage = with(&["cluster.storage.engine=memory"])
        .scenario
        .cluster
        .storage;
    assert_eq!(storage.durability, Durability::Off);
}

#[test]
fn clients_share_four_connections_unless_told_otherwise() {
    assert_eq!(with(&["load.clients=64"]).scenario.load.connections, 4);
    assert_eq!(with(&["load.clients=3"]).scenario.load.connections, 3);
    assert_eq!(
        with(&["load.clients=3", "load.connections=2"])
            .scenario
            .load
            .connections,
        2
    );
}

#[test]
fn deletes_without_creates_are_odd_but_allowed() {
    let loaded = with(&["workload.mix={ read = 0.5, delete = 0.5 }"]);
    assert!(
        loaded.warnings[0]
            .message()
            .contains("deletes and never creates")
    );
}

#[test]
fn explain_shows_each_value_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(
        folder.path(),
        "mine.toml",
        "schema = 1\nname = \"mine\"\n\n[cluster]\nprotocol = \"pbft\"\n[workload]\nkey = { dist = \"hotspot\", hot_share = 0.9 }\n",
    );
    let file = source.name();
    let text = load(&[source], &["load.clients=2".to_owned()])
        .unwrap()
        .explain();
    for line in [
        format!("name = \"mine\" # {file}:2"),
        "seed = 7 # default".to_owned(),
        format!("protocol = \"pbft\" # {file}:5"),
        "n = 5 # default \"4f+1\"".to_owned(),
        "fast_quorum = \"off\" # from protocol = \"pbft\"".to_owned(),
        format!(
            "key = {{ dist = \"hotspot\", hot_fraction = 0.2, hot_share = 0.9 }} # {file}:7, default"
        ),
        "mix = { read = 0.5, update = 0.5 } # from preset = \"A\"".to_owned(),
        "clients = 2 # --set load.clients=2".to_owned(),
        "connections = 2 # default min(clients, 4)".to_owned(),
    ] {
        let squeezed: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert!(squeezed.contains(&line), "{line}\nis not in\n{text}");
    }
    let columns: Vec<usize> = text
        .lines()
        .filter(|line| line.len() < 100)
        .filter_map(|line| line.find("  # "))
        .map(|at| at / 4)
        .collect();
    assert!(columns.len() > 30, "{text}");
}
