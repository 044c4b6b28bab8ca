//! The JSON Schema of a scenario file, for editors.

use schemars::{Schema, SchemaGenerator, json_schema};

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
