//! How results are printed: as data for people and pipes, or as JSON.

use std::io::{self, Write};

use kv::{Entry, SimpleResult, Version};
use serde_json::{Map, Value, json};

/// The forms of output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) json: bool,
    pub(crate) hex: bool,
}

/// What an operation came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A write; its new version.
    Written(Version),
    /// A removal.
    Deleted,
    /// A read that found something.
    Value { value: Vec<u8>, version: Version },
    /// A scan; `more` if the range has further entries.
    Entries {
        entries: Vec<Entry>,
        more: Option<Vec<u8>>,
    },
    /// A transaction.
    Txn {
        then: bool,
        committed: bool,
        seq: u64,
        results: Vec<SimpleResult>,
    },
}

impl Format {
    /// Prints a result to stdout.
    ///
    /// # Errors
    /// If stdout cannot be written to, for instance a closed pipe.
    pub(crate) fn print(self, name: &str, key: Option<&str>, outcome: &Outcome) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let mut document = Map::new();
            document.insert("op".into(), name.into());
            if let Some(key) = key {
                document.insert("key".into(), key.into());
            }
            document.extend(self.fields(outcome));
            writeln!(out, "{}", Value::Object(document))?;
        } else {
            self.text(&mut out, outcome)?;
        }
        out.flush()
    }

    /// Prints a failure as JSON; without JSON the message on stderr is all there is.
    pub(crate) fn print_error(self, message: &str) {
        if self.json {
            // The message also goes to stderr, so a closed stdout loses nothing.
            let _ = writeln!(io::stdout(), "{}", json!({ "error": message }));
        }
    }

    fn text(self, out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
        match outcome {
            Outcome::Written(version) => writeln!(out, "{version}"),
            Outcome::Deleted => Ok(()),
            Outcome::Value { value, .. } => self.line(out, value),
            Outcome::Entries { entries, .. } => entries.iter().try_for_each(|entry| {
                out.write_all(&entry.key)?;
                out.write_all(b"\t")?;
                self.line(out, &entry.value)
            }),
            Outcome::Txn { results, .. } => results.iter().try_for_each(|result| match result {
                SimpleResult::Value { value, .. } => self.line(out, value),
                other => writeln!(out, "{}", word(other)),
            }),
        }
    }

    fn line(self, out: &mut impl Write, value: &[u8]) -> io::Result<()> {
        if self.hex {
            out.write_all(to_hex(value).as_bytes())?;
        } else {
            out.write_all(value)?;
        }
        out.write_all(b"\n")
    }

    fn fields(self, outcome: &Outcome) -> Map<String, Value> {
        let fields = match outcome {
            Outcome::Written(version) => json!({ "version": version.to_string() }),
            Outcome::Deleted => json!({ "deleted": true }),
            Outcome::Value { value, version } => self.value_fields(value, version),
            Outcome::Entries { entries, more } => {
                let entries: Vec<Value> = entries.iter().map(|entry| self.entry(entry)).collect();
                let next = more.as_deref().map(String::from_utf8_lossy);
                json!({ "entries": entries, "next": next })
            }
            Outcome::Txn {
                then,
                committed,
                seq,
                results,
            } => {
                let results: Vec<Value> =
                    results.iter().map(|result| self.simple(result)).collect();
                let branch = if *then { "then" } else { "else" };
                json!({ "branch": branch, "committed": committed, "seq": seq, "results": results })
            }
        };
        match fields {
            Value::Object(fields) => fields,
            other => Map::from_iter([("value".to_owned(), other)]),
        }
    }

    fn entry(self, entry: &Entry) -> Value {
        let mut fields = self.value_fields(&entry.value, &entry.version);
        if let Some(fields) = fields.as_object_mut() {
            match std::str::from_utf8(&entry.key) {
                Ok(key) => fields.insert("key".into(), key.into()),
                Err(_) => fields.insert("key_hex".into(), to_hex(&entry.key).into()),
            };
        }
        fields
    }

    fn simple(self, result: &SimpleResult) -> Value {
        let mut fields = match result {
            SimpleResult::Value { value, version } => self.value_fields(value, version),
            SimpleResult::Created { version }
            | SimpleResult::Updated { version }
            | SimpleResult::Put { version }
            | SimpleResult::Swapped { version }
            | SimpleResult::AlreadyExists { version }
            | SimpleResult::Mismatch {
                current: Some(version),
            } => {
                json!({ "version": version.to_string() })
            }
            _ => json!({}),
        };
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("result".into(), word(result).into());
        }
        fields
    }

    /// Text as text, anything else as hexadecimal digits under another name.
    fn value_fields(self, value: &[u8], version: &Version) -> Value {
        match std::str::from_utf8(value) {
            Ok(text) if !self.hex => json!({ "value": text, "version": version.to_string() }),
            _ => json!({ "value_hex": to_hex(value), "version": version.to_string() }),
        }
    }
}

/// A result in one word.
pub(crate) fn word(result: &SimpleResult) -> &'static str {
    match result {
        SimpleResult::Created { .. } => "created",
        SimpleResult::Value { .. } => "value",
        SimpleResult::Absent => "absent",
        SimpleResult::Updated { .. } => "updated",
        SimpleResult::Put { .. } => "put",
        SimpleResult::Deleted => "deleted",
        SimpleResult::Swapped { .. } => "swapped",
        SimpleResult::AlreadyExists { .. } => "already-exists",
        SimpleResult::NotFound => "not-found",
        SimpleResult::Mismatch { .. } => "mismatch",
        SimpleResult::RolledBack => "rolled-back",
        SimpleResult::OutOfBounds(_) => "out-of-bounds",
    }
}

/// Hexadecimal digits of bytes.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Bytes of hexadecimal digits; `None` if they are none.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_read_back() {
        assert_eq!(to_hex(&[0, 255, 16]), "00ff10");
        assert_eq!(from_hex("00fF10"), Some(vec![0, 255, 16]));
        assert_eq!(from_hex(""), Some(vec![]));
        for wrong in ["0", "0g", "+1", " 1", "é"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }
}
