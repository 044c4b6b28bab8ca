//! run.json of any version of this program: what it lacks keeps its default.

use std::path::Path;

use super::find::RUN_FILE;
use crate::record::{RUN_SCHEMA, Run};

/// Bytes of a run.json at most; the largest so far, of fifty kills and ten repeats, has less than a hundredth.
pub(super) const BYTES_MAX: u64 = 64 << 20;

/// Reads the result of a run from its directory.
///
/// # Errors
/// A sentence with the file and what is wrong with it.
pub fn read_run(directory: &Path) -> Result<Run, String> {
    let file = directory.join(RUN_FILE);
    let wrong = |what: String| format!("{}: {what}", file.display());
    let bytes = std::fs::metadata(&file)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if bytes > BYTES_MAX {
        return Err(wrong(format!(
            "{bytes} bytes are no result of `bench run`: {BYTES_MAX} at most"
        )));
    }
    let text = std::fs::read(&file).map_err(|error| wrong(error.to_string()))?;
    let value: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("is no result of `bench run`: {error}")))?;
    match value.get("schema").and_then(serde_json::Value::as_str) {
        Some(RUN_SCHEMA) => {}
        other => {
            return Err(wrong(format!(
                "has the schema {:?}, not {RUN_SCHEMA:?}: give a directory that `bench run` left",
                other.unwrap_or("none")
            )));
        }
    }
    serde_json::from_value(value)
        .map_err(|error| wrong(format!("is no result of `bench run`: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_older_document_is_read_and_a_foreign_one_refused() {
        let place = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(place.path().join(RUN_FILE), text).unwrap();
            read_run(place.path())
        };
        let old = r#"{"schema": "bench.run/v1", "id": "x", "repeats": [{"throughput_ops_s": 5.0}], "later": 1}"#;
        let run = read(old).unwrap();
        assert_eq!((run.id.as_str(), run.repeats.len()), ("x", 1));
        for (wrong, words) in [
            ("{}", "has the schema \"none\""),
            (r#"{"schema": "bench.sweep/v1"}"#, "bench.sweep/v1"),
            ("not json", "is no result"),
        ] {
            let message = read(wrong).unwrap_err();
            assert!(
                message.contains(words) && message.contains(RUN_FILE),
                "{message}"
            );
        }
    }
}
