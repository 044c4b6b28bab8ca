//! `committed.jsonl`: what one replica says it committed, in lines `{"seq","view","digest","path","ops"}` and `{"checkpoint","state_digest"}`.

use serde::{Deserialize, Serialize};

/// How a replica came to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitPath {
    /// By a fast quorum of PREPAREs.
    Fast,
    /// By a quorum of COMMITs.
    Slow,
    /// From another replica, with proof.
    Transfer,
}

/// One committed batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedEntry {
    /// Its sequence number.
    pub seq: u64,
    /// The view in which this replica committed it; may differ between replicas.
    pub view: u64,
    /// Digest of the batch, hex.
    pub digest: String,
    /// How it was decided here; may differ between replicas.
    pub path: CommitPath,
    /// Operations in it.
    pub ops: u64,
}

/// The state after executing everything up to a sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The sequence number.
    pub checkpoint: u64,
    /// Digest of the state, hex.
    pub state_digest: String,
}

/// The log of one replica.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommittedLog {
    /// The replica.
    pub replica: u32,
    /// Its batches, in the order of the file.
    pub entries: Vec<CommittedEntry>,
    /// Its checkpoints, in the order of the file.
    pub checkpoints: Vec<Checkpoint>,
    /// Whether the last line was cut off, as when the writer was killed; it is left out.
    pub cut: bool,
}

/// A line that is no entry: the file's fault.
#[derive(Debug, thiserror::Error)]
#[error(
    "committed.jsonl of replica {replica}, line {line}: {source}; the file was altered, or written by another version"
)]
pub struct CommittedError {
    /// The replica.
    pub replica: u32,
    /// The line, from 1.
    pub line: usize,
    /// What the parser said.
    pub source: serde_json::Error,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Entry(CommittedEntry),
    Checkpoint(Checkpoint),
}

/// Parses the text of a replica's `committed.jsonl`. A last line without its line end is left out and marked; any other bad line is an error.
///
/// # Errors
/// [`CommittedError`] naming the line.
pub fn parse_committed(replica: u32, text: &str) -> Result<CommittedLog, CommittedError> {
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut log = CommittedLog {
        replica,
        cut: whole < text.len(),
        ..CommittedLog::default()
    };
    for (index, line) in text[..whole]
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        match serde_json::from_str(line).map_err(|source| CommittedError {
            replica,
            line: index + 1,
            source,
        })? {
            Line::Entry(entry) => log.entries.push(entry),
            Line::Checkpoint(checkpoint) => log.checkpoints.push(checkpoint),
        }
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_kinds_of_lines_are_read_and_a_cut_last_line_is_left_out() {
        let text = "{\"seq\":1,\"view\":0,\"digest\":\"aa\",\"path\":\"fast\",\"ops\":3}\n{\"checkpoint\":1,\"state_digest\":\"bb\"}\n\n{\"seq\":2,\"vi";
        let log = parse_committed(4, text).unwrap();
        assert_eq!(
            log.entries,
            [CommittedEntry {
                seq: 1,
                view: 0,
                digest: "aa".into(),
                path: CommitPath::Fast,
                ops: 3
            }]
        );
        assert_eq!(
            log.checkpoints,
            [Checkpoint {
                checkpoint: 1,
                state_digest: "bb".into()
            }]
        );
        assert!(log.cut && log.replica == 4);
        assert!(!parse_committed(0, "").unwrap().cut);
    }

    #[test]
    fn a_bad_line_is_named() {
        let message = parse_committed(
            2,
            "{\"checkpoint\":1,\"state_digest\":\"bb\"}\n{\"seq\":1}\n",
        )
        .unwrap_err()
        .to_string();
        assert!(
            message.starts_with("committed.jsonl of replica 2, line 2:"),
            "{message}"
        );
    }
}
