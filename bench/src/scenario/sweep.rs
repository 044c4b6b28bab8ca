//! What a sweep varies: a cross product of values, and variants with names.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use toml::Value;

/// The `[sweep]` table. A cell of the sweep is the scenario with one variant and one value of each axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sweep {
    /// The cross product, the slowest axis first: `over`.
    pub axes: Vec<Axis>,
    /// Cells that are left out: those that have all of these values.
    pub exclude: Vec<Exclude>,
    /// Each goes with every combination of the axes; none is one without a name.
    pub variants: Vec<Variant>,
}

/// A key and the values that it takes, such as `load.rate` and `500/s`, `1000/s`.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The dotted path.
    pub key: String,
    /// Its values in their order; at least one, no two the same.
    pub values: Vec<Value>,
}

/// Cells that are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Exclude {
    /// Only those of this variant.
    pub variant: Option<String>,
    /// Only those with these values of these axes.
    pub values: Settings,
}

/// A named set of values.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Letters, digits, `-`, `_` and `.`: it names a directory.
    pub name: String,
    /// What it sets.
    pub set: Settings,
}

/// Dotted paths and their values, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(pub Vec<(String, Value)>);

impl Settings {
    /// As nested tables.
    fn tree(&self) -> toml::Table {
        let mut root = toml::Table::new();
        for (path, value) in &self.0 {
            put(&mut root, path, value.clone());
        }
        root
    }
}

fn put(root: &mut toml::Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            root.insert(path.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = root
                .entry(head)
                .or_insert_with(|| Value::Table(toml::Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

impl Serialize for Sweep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.axes.is_empty() {
            let axes = self.axes.iter();
            let over = axes.map(|axis| (axis.key.clone(), Value::Array(axis.values.clone())));
            map.serialize_entry("over", &Settings(over.collect()).tree())?;
        }
        if !self.exclude.is_empty() {
            let table = |exclude: &Exclude| {
                let mut table = exclude.values.tree();
                if let Some(variant) = &exclude.variant {
                    table.insert("variant".to_owned(), Value::String(variant.clone()));
                }
                table
            };
            let all: Vec<toml::Table> = self.exclude.iter().map(table).collect();
            map.serialize_entry("exclude", &all)?;
        }
        if !self.variants.is_empty() {
            let table = |variant: &Variant| {
                toml::Table::from_iter([
                    ("name".to_owned(), Value::String(variant.name.clone())),
                    ("set".to_owned(), Value::Table(variant.set.tree())),
                ])
            };
            let all: Vec<toml::Table> = self.variants.iter().map(table).collect();
            map.serialize_entry("variant", &all)?;
        }
        map.end()
    }
}

impl JsonSchema for Sweep {
    fn schema_name() -> Cow<'static, str> {
        "Sweep".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "What `bench sweep` varies.",
            "properties": {
                "over": {
                    "type": "object",
                    "description": "Keys, as \"load.rate\" or as tables, each with the list of values that it takes: all combinations are run.",
                    "additionalProperties": { "anyOf": [{ "type": "array", "minItems": 1 }, { "type": "object" }] }
                },
                "exclude": {
                    "type": "array",
                    "description": "Combinations that are left out: those that have all of these values.",
                    "items": { "type": "object", "minProperties": 1 }
                },
                "variant": {
                    "type": "array",
                    "description": "Named sets of values, each of which is combined with all of `over`.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": { "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$" },
                            "set": { "type": "object" }
                        },
                        "additionalProperties": false
                    }
                }
            }
        })
    }
}
