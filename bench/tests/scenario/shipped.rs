//! The scenarios that the program carries: valid, small enough, and each with its question.

use std::path::Path;
use std::time::Duration;

use bench::scenario::schema::{Durability, Fault, LoadModel, Protocol, Scenario};
use bench::scenario::{
    Source, all_embedded, check, json_schema, list, list_text, load, new_scenario,
};

fn shipped(name: &'static str) -> Scenario {
    load(&[Source::Embedded(name)], &[])
        .unwrap_or_else(|error| panic!("{error}"))
        .scenario
}

/// Scenarios in which more replicas are faulty than the cluster bears: that is their question.
const BEYOND_F: [&str; 9] = [
    "restart-all",
    "attacks/p06-restart-all",
    "attacks/c04-stall-with-the-crashed",
    "attacks/c05-turncoat",
    "attacks/n01-partition-halves",
    "attacks/n01-partition-three",
    "attacks/n01-partition-ring",
    "attacks/n03-bridge",
    "attacks/m05-no-stable-checkpoint",
];

#[test]
fn every_shipped_scenario_is_valid_without_a_warning_and_asks_a_question() {
    for (name, _) in all_embedded() {
        let (line, warnings) =
            check(&Source::Embedded(name), &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(line.contains("ok"), "{line}");
        let said: Vec<&str> = warnings.iter().map(|one| one.message()).collect();
        if BEYOND_F.contains(name) {
            assert!(
                said.len() == 1 && said[0].starts_with("more than f"),
                "{said:?}"
            );
        } else {
            assert!(said.is_empty(), "{name}: {said:?}");
        }
        let scenario = shipped(name);
        assert!(
            scenario.description.contains('?'),
            "{name}: {}",
            scenario.description
        );
        assert!(
            name.ends_with(&scenario.name),
            "{name} is named {}",
            scenario.name
        );
    }
}

#[test]
fn the_files_and_the_embedded_scenarios_are_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    for (name, text) in all_embedded() {
        let path = folder.join(format!("{name}.toml"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), *text);
        // On the disk `extends` is a path, in the program a name: both mean the same.
        assert_eq!(
            load(&[Source::File(path)], &[]).unwrap().scenario,
            shipped(name)
        );
    }
    assert_eq!(
        list(&folder).len(),
        all_embedded().len(),
        "a file of scenarios/ is not embedded"
    );
}

#[test]
fn the_quickstart_runs_for_at_most_fifteen_seconds() {
    let Scenario {
        load,
        cluster,
        workload,
        repeat,
        ..
    } = shipped("quickstart");
    assert!((load.warmup + load.duration) * repeat <= Duration::from_secs(15));
    assert_eq!((cluster.f, cluster.n, workload.records), (1, 5, 10_000));
}

#[test]
fn the_compared_scenarios_differ_in_one_thing_only() {
    let fast = shipped("fast-path");
    let classic = shipped("classic-pbft");
    assert_eq!(classic.cluster.protocol, Protocol::Pbft);
    assert_eq!(
        (&classic.workload, &classic.load),
        (&fast.workload, &fast.load)
    );
    let off = shipped("durability-off");
    assert_eq!(off.cluster.storage.durability, Durability::Off);
    assert_eq!((&off.workload, &off.load), (&fast.workload, &fast.load));
}

#[test]
fn the_overload_is_open_and_expects_open_refusal() {
    let overload = shipped("overload");
    assert!(
        matches!(overload.load.model, LoadModel::Open { rate, .. } if rate.per_second() >= 100_000.0)
    );
    let facts: Vec<&str> = overload
        .expect
        .expectations
        .iter()
        .map(|one| one.fact.name())
        .collect();
    assert_eq!(facts, ["lost_operations", "turned_away"]);
}

#[test]
fn every_scenario_of_faults_expects_that_nothing_is_lost_and_leaves_time_to_heal() {
    let mut with_faults = 0;
    for (name, _) in all_embedded() {
        let scenario = shipped(name);
        let strikes = scenario.faults.iter().flat_map(Fault::strikes);
        let Some(healed) = strikes.filter_map(|strike| strike.back_at).max() else {
            continue;
        };
        with_faults += 1;
        let facts: Vec<&str> = scenario
            .expect
            .expectations
            .iter()
            .map(|one| one.fact.name())
            .collect();
        assert!(
            facts.contains(&"lost_operations") && facts.contains(&"faults"),
            "{name}: {facts:?}"
        );
        assert!(
            healed + Duration::from_secs(1) < scenario.load.duration,
            "{name}"
        );
    }
    assert!(with_faults >= 11, "{with_faults}");
}

#[test]
fn scale_21_is_f_5() {
    let cluster = shipped("scale-21").cluster;
    assert_eq!((cluster.f, cluster.n), (5, 21));
}

#[test]
fn the_list_names_every_scenario_with_its_question() {
    let listed = list(Path::new("/nowhere"));
    let text = list_text(&listed);
    assert!(listed.iter().all(|one| one.valid && one.embedded), "{text}");
    assert!(text.starts_with("quickstart "), "{text}");
}

#[test]
fn a_new_scenario_is_valid() {
    for from in [None, Some("overload"), Some("performance/ops-64")] {
        let text = new_scenario(from).unwrap();
        let source = Source::Text {
            name: "new.toml".to_owned(),
            text: text.clone(),
        };
        let loaded = load(&[source], &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(loaded.scenario.name.starts_with("my-"));
    }
    assert!(
        new_scenario(Some("overlaod"))
            .unwrap_err()
            .to_string()
            .contains("did you mean overload?")
    );
}

#[test]
fn the_json_schema_has_every_table_and_requires_two_keys() {
    let schema = json_schema();
    assert_eq!(schema["required"], serde_json::json!(["schema", "name"]));
    assert_eq!(schema["additionalProperties"], false);
    for key in [
        "extends", "seed", "cluster", "workload", "load", "check", "slo", "expect",
    ] {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
    let definitions = schema["$defs"].as_object().unwrap();
    assert_eq!(definitions["Cluster"]["additionalProperties"], false);
    assert!(definitions["Cluster"].get("required").is_none());
    assert_eq!(definitions["Load"]["unevaluatedProperties"], false);
    assert!(
        definitions["Expect"]["properties"]
            .get("lost_operations")
            .is_some()
    );
    assert!(
        definitions["Slo"]["properties"]["read"]["properties"]
            .get("p99")
            .is_some()
    );
}

#[test]
fn the_json_form_keeps_the_names_of_the_file() {
    let json = serde_json::to_value(shipped("classic-pbft")).unwrap();
    assert_eq!(json["cluster"]["protocol"], "pbft");
    assert_eq!(json["cluster"]["batch"]["max_bytes"], "1MiB");
    assert_eq!(json["load"]["model"], "closed");
    assert_eq!(json["load"]["duration"], "20s");
    assert_eq!(json["expect"]["fast_path_slots"], "= 0");
}
