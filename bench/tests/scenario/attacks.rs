//! The attacks of the catalogue on the real cluster: each behaviour of a Byzantine replica has a scenario that names it.

use std::collections::BTreeSet;
use std::time::Duration;

use bench::scenario::schema::Scenario;
use bench::scenario::{Source, all_embedded, load};
use byzantine::Behaviour;

/// The attacks by Byzantine replicas, by name.
fn attacks() -> Vec<(&'static str, Scenario)> {
    let names = all_embedded().iter().map(|(name, _)| *name);
    names
        .filter(|name| name.starts_with("attacks/"))
        .map(|name| (name, load(&[Source::Embedded(name)], &[]).unwrap().scenario))
        .filter(|(_, scenario)| !scenario.byzantine.is_empty())
        .collect()
}

#[test]
fn every_behaviour_of_the_catalogue_has_a_scenario() {
    let attacks = attacks();
    let played: BTreeSet<&str> = attacks
        .iter()
        .flat_map(|(_, scenario)| &scenario.byzantine)
        .map(|entry| entry.behavior.name())
        .collect();
    let missing: Vec<_> = Behaviour::NAMES
        .iter()
        .filter(|name| !played.contains(*name))
        .collect();
    assert_eq!(missing, [&""; 0]);
}

#[test]
fn a_scenario_is_named_after_its_row_in_the_catalogue_and_its_behaviour() {
    for behaviour in Behaviour::catalogue() {
        // BP6 becomes bp06; a second behaviour of the same row bp06b.
        let (family, row) = behaviour
            .id()
            .split_at(behaviour.id().find(char::is_numeric).unwrap());
        let row: u32 = row.parse().unwrap();
        let stem = format!("attacks/{}{row:02}", family.to_lowercase());
        let all = attacks();
        let named = all.iter().find(|(name, _)| {
            name.strip_prefix(&stem).is_some_and(|rest| {
                rest.trim_start_matches('b') == format!("-{}", behaviour.name())
            })
        });
        let (name, scenario) = named.unwrap_or_else(|| panic!("{stem}-{}", behaviour.name()));
        assert!(
            scenario
                .byzantine
                .iter()
                .any(|entry| entry.behavior.name() == behaviour.name()),
            "{name}"
        );
    }
}

#[test]
fn an_attack_expects_that_nothing_is_lost_and_leaves_time_before_and_behind_it() {
    for (name, scenario) in attacks() {
        let facts: Vec<&str> = scenario
            .expect
            .expectations
            .iter()
            .map(|one| one.fact.name())
            .collect();
        assert!(facts.contains(&"lost_operations"), "{name}: {facts:?}");
        for entry in &scenario.byzantine {
            let (from, to) = entry.window();
            assert!(
                from >= Duration::from_secs(2),
                "{name}: nothing to compare with"
            );
            let healed = to.unwrap_or_default() + Duration::from_secs(2);
            assert!(
                healed <= scenario.load.duration,
                "{name}: no time to recover"
            );
        }
    }
}
