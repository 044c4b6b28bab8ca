//! Replicas that lie: `[[byzantine]]`. What they can do is the catalogue of the crate `byzantine`; names, arguments, their
//! defaults and meanings are read from it, so that a new behaviour needs nothing here.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use byzantine::{Behaviour, Plan, Trigger};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::schema::Scenario;

/// One entry of `[[byzantine]]`: some replicas, and what they do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Byzantine {
    /// Who. All Byzantine replicas of a scenario have each other's keys.
    pub replica: Liars,
    /// What they do.
    #[serde(flatten)]
    pub behavior: Behaviour,
    /// When they do it; outside of it they are honest.
    pub when: Trigger,
}

/// Which replicas lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liars {
    /// The primary of the first view.
    Primary,
    /// These; one is written as a number, several as a list.
    Replicas(Vec<u32>),
}

/// The word for [`Liars::Primary`].
pub(super) const PRIMARY: &str = "primary";

impl Liars {
    /// Their numbers.
    pub fn ids(&self) -> &[u32] {
        match self {
            // The first view is view 0 of epoch 0, and its primary replica 0 (docs/protocol.md R2).
            Self::Primary => &[0],
            Self::Replicas(ids) => ids,
        }
    }
}

impl Byzantine {
    /// From when to when they may strike; `None` as the end: until the run is over.
    pub fn window(&self) -> (Duration, Option<Duration>) {
        let from = self.when.from.map_or(Duration::ZERO, |from| from.0);
        (from, self.when.to.map(|to| to.0))
    }
}

impl Scenario {
    /// Replicas that are Byzantine in any part of the run. All others are correct.
    pub fn byzantine_replicas(&self) -> BTreeSet<u32> {
        let ids = self.byzantine.iter().flat_map(|entry| entry.replica.ids());
        ids.copied().collect()
    }

    /// What a replica is to do: nothing for a correct one. Behaviours stand in the order of the file.
    pub fn byzantine_plan(&self, id: u32, seed: u64) -> Option<Plan> {
        let behaviours: Vec<_> = self
            .byzantine_of(id)
            .map(|entry| (entry.behavior.clone(), entry.when.clone()))
            .collect();
        let others = self.byzantine_replicas().into_iter();
        let others = others.filter(|other| *other != id);
        (!behaviours.is_empty()).then(|| Plan {
            behaviours,
            seed,
            colluders: others
                .filter_map(|other| u16::try_from(other).ok())
                .collect(),
        })
    }

    /// The entries that are about a replica.
    pub fn byzantine_of(&self, id: u32) -> impl Iterator<Item = &Byzantine> {
        let names = move |entry: &&Byzantine| entry.replica.ids().contains(&id);
        self.byzantine.iter().filter(names)
    }
}

/// An argument of a behaviour, or a condition of a trigger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Argument {
    /// Its key.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// What it is when nobody writes it; null: nothing.
    pub default: Json,
}

/// The arguments of a behaviour.
pub fn arguments(behaviour: &Behaviour) -> Vec<Argument> {
    let schema = schemars::schema_for!(Behaviour).to_value();
    let variants = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let variant = variants
        .into_iter()
        .find(|one| one["properties"]["behavior"]["const"] == behaviour.name());
    let written = json_of(behaviour);
    let table = variant.map(|one| one["properties"]["args"].clone());
    described(&schema, &table.unwrap_or_default(), &written["args"])
}

/// The conditions of a trigger.
pub fn conditions() -> Vec<Argument> {
    let schema = schemars::schema_for!(Trigger).to_value();
    described(&schema, &schema, &json_of(&Trigger::default()))
}

fn json_of(value: &impl Serialize) -> Json {
    serde_json::to_value(value).expect("plans are written as JSON")
}

/// The properties of a table, which may stand among the definitions.
fn described(schema: &Json, table: &Json, defaults: &Json) -> Vec<Argument> {
    let table = match table["$ref"].as_str() {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')),
        None => Some(table),
    };
    let properties = table.and_then(|table| table["properties"].as_object());
    let argument = |(name, property): (&String, &Json)| Argument {
        name: name.clone(),
        meaning: property["description"]
            .as_str()
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .unwrap_or_default(),
        default: defaults.get(name).cloned().unwrap_or(Json::Null),
    };
    properties
        .map(|properties| properties.iter().map(argument).collect())
        .unwrap_or_default()
}

impl Serialize for Liars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Primary => serializer.serialize_str(PRIMARY),
            Self::Replicas(ids) => match ids.as_slice() {
                [one] => serializer.serialize_u32(*one),
                several => several.serialize(serializer),
            },
        }
    }
}

impl JsonSchema for Byzantine {
    fn schema_name() -> Cow<'static, str> {
        "Byzantine".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let when = generator.subschema_for::<Trigger>();
        // The keys only: what they take, the program says at their place.
        let variant = |behaviour: &Behaviour| {
            let names = arguments(behaviour).into_iter().map(|one| one.name);
            let names: Vec<String> = names.collect();
            json!({
                "if": { "properties": { "behavior": { "const": behaviour.name() } } },
                "then": { "properties": { "args": { "propertyNames": { "enum": names } } } },
            })
        };
        let rules: Vec<Json> = Behaviour::catalogue().iter().map(variant).collect();
        json_schema!({
            "type": "object",
            "description": "Replicas that lie, and how.",
            "properties": {
                "replica": {
                    "description": "Who: a number, a list, or the primary of the first view.",
                    "anyOf": [
                        { "type": "integer", "minimum": 0 },
                        { "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 1 },
                        { "const": PRIMARY },
                    ],
                },
                "behavior": { "enum": Behaviour::NAMES, "description": "What they do: `bench fault list`." },
                "when": when,
                "args": { "type": "object", "description": "Arguments of the behavior: `bench fault describe NAME`." },
            },
            "allOf": rules,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_arguments_of_every_behaviour_have_a_meaning() {
        for behaviour in Behaviour::catalogue() {
            for argument in arguments(&behaviour) {
                assert!(
                    !argument.meaning.is_empty(),
                    "{} {}",
                    behaviour.name(),
                    argument.name
                );
            }
        }
        let ways = arguments(&Behaviour::named("equivocate").unwrap());
        let ways = ways.iter().find(|one| one.name == "ways").unwrap();
        assert_eq!(ways.default, json!(2));
        let names: Vec<String> = conditions().into_iter().map(|one| one.name).collect();
        for name in [
            "from",
            "to",
            "probability",
            "views",
            "seqs",
            "as",
            "until_detected",
        ] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }
}
