//! `events.jsonl`: what happened besides operations (faults, view changes, checkpoints, state transfers, fallbacks, evidence), one object a line.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use super::AtomicFile;

/// An open event log, shared by all who see something happen.
#[derive(Debug)]
pub struct EventLog {
    file: Mutex<AtomicFile>,
}

impl EventLog {
    /// Opens the log; it appears under its name with [`EventLog::finish`].
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(AtomicFile::create(path)?),
        })
    }

    /// Appends `{"t_s": .., "event": .., fields}`. `t_s` is in seconds since the measured phase began, negative before it. A field named `t_s` or `event` is ignored.
    ///
    /// # Errors
    /// The file system's.
    pub fn record(&self, t_s: f64, event: &str, fields: &[(&str, Value)]) -> io::Result<()> {
        let mut line = Map::new();
        line.insert("t_s".into(), Value::from((t_s * 1e6).round() / 1e6));
        line.insert("event".into(), event.into());
        for (name, value) in fields {
            line.entry(*name).or_insert_with(|| value.clone());
        }
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&text)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The file system's.
    pub fn finish(self) -> io::Result<()> {
        self.file
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .commit()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn events_are_lines_of_json_and_fields_cannot_replace_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let log = EventLog::create(&path).unwrap();
        log.record(-0.25, "started", &[]).unwrap();
        log.record(
            1.5,
            "view_change",
            &[("replica", 3.into()), ("view", 2.into()), ("t_s", 9.into())],
        )
        .unwrap();
        log.finish().unwrap();
        let lines: Vec<Value> = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            lines[0],
            serde_json::json!({"t_s": -0.25, "event": "started"})
        );
        assert_eq!(
            lines[1],
            serde_json::json!({"t_s": 1.5, "event": "view_change", "replica": 3, "view": 2})
        );
    }
}
