//! The JSON Schema of a scenario file, for editors.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// `n`: an integer or an expression of f.
pub(super) fn replica_count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{ "type": "integer", "minimum": 4 }, { "type": "string", "pattern": "^[0-9]*f( *\\+ *[0-9]+)?$" }]
    })
}

/// A number of bytes, or a size with its unit.
pub(super) fn bytes_or_size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^[0-9][0-9_.]* *(B|KiB|MiB|GiB|kB|MB|GB)$" }]
    })
}

/// The JSON Schema of a scenario file: `bench scenario schema`.
///
/// It is made from the types of the effective scenario. A file may leave out every key but two, and may extend
/// another; so those rules are laid over it.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(super::schema::Scenario).to_value();
    relax(&mut schema);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let extends = "Another scenario file, or an embedded one, which this one changes; a path is relative to this file.";
        properties.insert(
            "extends".to_owned(),
            json!({ "type": "string", "description": extends }),
        );
        properties.insert("schema".to_owned(), json!({ "const": super::schema::SCHEMA_VERSION, "description": "Version of the file format." }));
    }
    schema["title"] = json!("Quintet scenario");
    schema["required"] = json!(["schema", "name"]);
    schema
}

/// Every key is optional and no key is unknown.
fn relax(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let is_object = object.get("type").is_some_and(|kind| kind == "object")
                && object.contains_key("properties");
            if is_object {
                object.remove("required");
            }
            // Without required keys, more than one variant may match a table that leaves its tag out.
            let variants = object.get("oneOf").and_then(Value::as_array);
            let tables =
                variants.is_some_and(|all| all.iter().any(|one| one.get("properties").is_some()));
            if tables && let Some(variants) = object.remove("oneOf") {
                object.insert("anyOf".to_owned(), variants);
            }
            object.values_mut().for_each(relax);
            if is_object {
                // Variants beside the properties add theirs, which "additionalProperties" would refuse.
                let rule = if object.contains_key("anyOf") {
                    "unevaluatedProperties"
                } else {
                    "additionalProperties"
                };
                let is_variant = object
                    .get("properties")
                    .and_then(Value::as_object)
                    .is_some_and(|keys| keys.contains_key("model"));
                if !is_variant {
                    object.insert(rule.to_owned(), json!(false));
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(relax),
        _ => {}
    }
}
