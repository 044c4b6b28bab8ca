//! The catalogue is the single source of names, arguments and schema.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use byzantine::{Behaviour, Plan, Span, Trigger};
use serde_json::json;

#[test]
fn every_behaviour_has_a_name_a_number_a_sentence_and_a_claim() {
    let all = Behaviour::catalogue();
    let names: BTreeSet<&str> = all.iter().map(Behaviour::name).collect();
    assert_eq!(names.len(), all.len(), "names are unique");
    for it in all {
        let (name, id) = (it.name(), it.id());
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
            "{name}"
        );
        let kind = id.trim_end_matches(|c: char| c.is_ascii_digit());
        assert!(["BP", "BB", "C"].contains(&kind), "{name}: {id}");
        assert!(it.sentence().ends_with('.'), "{name}: {}", it.sentence());
        assert!(it.must().len() > 20, "{name}: {}", it.must());
    }
}

#[test]
fn every_behaviour_is_read_back_as_it_was_written_and_from_its_name_alone() {
    for it in Behaviour::catalogue() {
        let text = serde_json::to_string(&it).unwrap();
        assert_eq!(
            serde_json::from_str::<Behaviour>(&text).unwrap(),
            it,
            "{text}"
        );
        let bare = json!({ "behavior": it.name(), "args": {} });
        assert_eq!(serde_json::from_value::<Behaviour>(bare).unwrap(), it);
        assert_eq!(Behaviour::named(it.name()), Some(it));
    }
}

#[test]
fn an_unknown_argument_or_behaviour_is_refused() {
    let wrong = |json| {
        serde_json::from_value::<Behaviour>(json)
            .unwrap_err()
            .to_string()
    };
    let text = wrong(json!({ "behavior": "equivocate", "args": { "spilt": [] } }));
    assert!(text.contains("spilt") && text.contains("split"), "{text}");
    let text = wrong(json!({ "behavior": "equivcate", "args": {} }));
    assert!(text.contains("equivocate"), "{text}");
}

#[test]
fn the_schema_names_every_behaviour() {
    let schema = schemars::schema_for!(Plan);
    let text = serde_json::to_string(&schema).unwrap();
    for name in Behaviour::NAMES {
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn a_plan_is_read_back_as_it_was_written() {
    let trigger = Trigger {
        from: Some(Span::millis(4_000)),
        views: Some([0, 3]),
        until_detected: true,
        ..Trigger::default()
    };
    let mut plan = Plan::of(Behaviour::named("silent").unwrap());
    plan = plan.and(Behaviour::named("equivocate").unwrap(), trigger);
    plan.colluders = vec![3];
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan, "{text}");
    assert_eq!(plan.check(), Ok(()));
}
