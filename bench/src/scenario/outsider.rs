//! Strangers at the ports of replicas: `[[fault]] kind = "outsider"`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::Schema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::outsider::OutsiderAttack;

/// An attack by a process that is no member.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutsiderFault {
    /// What it does.
    pub attack: OutsiderAttack,
    /// When it ends; `None`: with the load.
    #[serde(
        serialize_with = "super::fault::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<Duration>,
    /// Its numbers that differ from their defaults.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, u32>,
    /// A replica whose key the attacker has stolen. It counts as faulty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_of: Option<u32>,
}

/// Adds the keys of this kind to the JSON schema of a fault.
pub(super) fn describe(schema: &mut Schema) {
    let mut knobs = BTreeMap::new();
    for knob in OutsiderAttack::ALL.iter().flat_map(|attack| attack.knobs()) {
        knobs.insert(
            knob.name,
            json!({ "type": "integer", "minimum": 1, "maximum": knob.most, "description": knob.meaning }),
        );
    }
    let Some(properties) = schema
        .ensure_object()
        .get_mut("properties")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let attack = properties
        .entry("attack")
        .or_insert_with(|| json!({ "enum": [] }));
    if let Some(known) = attack.get_mut("enum").and_then(Value::as_array_mut) {
        known.extend(
            OutsiderAttack::ALL
                .iter()
                .map(|attack| Value::from(attack.name())),
        );
    }
    let args = properties
        .entry("args")
        .or_insert_with(|| json!({ "type": "object", "properties": {} }));
    if let Some(known) = args.get_mut("properties").and_then(Value::as_object_mut) {
        known.extend(
            knobs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
    }
    properties.insert(
        "key_of".to_owned(),
        json!({ "type": "integer", "minimum": 0, "description": "outsider: a replica whose key the attacker has stolen." }),
    );
}
