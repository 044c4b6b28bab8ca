//! `history.jsonl`: every operation of a run, one a line, for linearizability checkers inside and outside the project.
//!
//! Workers encode their lines and hand them over in chunks through a bounded queue to one writer thread. When the disk is slower than the load, workers
//! wait: a history with holes would be worth nothing. `call` is the moment of sending, not the intended start: an operation cannot take effect before it
//! is sent, and the tighter interval makes the check stronger.
//!
//! Values appear as their tags ([`crate::workload::tag_of`]); a value whose bytes do not belong to its tag appears as `corrupt:` and its length, which no
//! checker accepts as written by anybody.

use std::io::{self, BufRead as _, Write};
use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};

use super::atomic_file::AtomicFile;
use super::{Answer, Outcome, Phase, Times};
use crate::workload::{Operation, OperationKind, spread, tag_of, verify_padding};

/// Chunks waiting for the writer thread: with [`CHUNK_BYTES`] each, 16 MiB at most.
pub const HISTORY_QUEUE_CHUNKS: usize = 256;

const CHUNK_BYTES: usize = 64 * 1024;

/// How much of the history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryMode {
    /// None.
    Off,
    /// All operations on a seeded share of the keys, complete for each of them; scans and nothing else touch several keys and are left out.
    Sampled,
    /// Everything.
    Full,
}

impl HistoryMode {
    /// The word in documents and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Sampled => "sampled",
            Self::Full => "full",
        }
    }
}

/// Share of the keys in a sampled history: one in this many.
const SAMPLED_ONE_IN: u64 = 8;

/// Status of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineStatus {
    /// It took effect.
    Ok,
    /// Its condition was false.
    Fail,
    /// Nobody here knows.
    Unknown,
}

/// What a read or a scan returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HistoryResult {
    /// A read: the tag of the value, `null` if absent.
    Value(Option<String>),
    /// A scan: pairs of key and tag, in key order.
    Entries(Vec<(String, String)>),
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLine {
    /// Number of the client.
    pub client: u64,
    /// Kind of the operation; an operation of a transaction has a kind of its own, so `txn` never occurs.
    pub op: OperationKind,
    /// The key; of a scan the first one.
    pub key: String,
    /// Cas: the tag of the value the key had to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// Writes: the tag of the new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Scan: entries asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Reads and scans with status ok: what they found. Absent otherwise, which differs from `null`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub result: Option<HistoryResult>,
    /// When it was sent, nanoseconds of the run's monotonic clock.
    pub call: u64,
    /// When it was answered; `null` when unknown.
    pub ret: Option<u64>,
    /// Its status.
    pub status: LineStatus,
    /// Sequence number at which it was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Load and warm-up lines say so; measured lines carry nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
}

/// Keeps a field that is present with the value `null` apart from one that is missing.
fn present<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<HistoryResult>, D::Error> {
    HistoryResult::deserialize(input).map(Some)
}

/// The lines of one finished operation: one, or for a transaction one for each operation of the branch it took.
pub(super) fn lines_of(
    client: u64,
    operation: &Operation,
    times: Times,
    answer: &Answer,
    phase: Phase,
) -> Vec<HistoryLine> {
    let rolled_back = matches!(
        answer,
        Answer::Executed {
            outcome: Outcome::RolledBack,
            ..
        }
    );
    if rolled_back {
        // Even the operation whose condition was false: it may have failed on what was undone before it.
        return Vec::new();
    }
    let Operation::Txn {
        then, otherwise, ..
    } = operation
    else {
        return vec![line_of(client, operation, times, answer, phase)];
    };
    match answer {
        // Whichever branch ran: reads that ran say nothing, writes that did not run are what `unknown` allows.
        Answer::Unknown => then
            .iter()
            .map(|each| line_of(client, each, times, answer, phase))
            .collect(),
        Answer::Executed {
            outcome:
                Outcome::Branch {
                    then: took_then,
                    outcomes,
                },
            seq,
        } => {
            let branch = if *took_then { then } else { otherwise };
            let each = |(operation, outcome): (&Operation, &Outcome)| {
                line_of(
                    client,
                    operation,
                    times,
                    &Answer::Executed {
                        outcome: outcome.clone(),
                        seq: *seq,
                    },
                    phase,
                )
            };
            branch.iter().zip(outcomes).map(each).collect()
        }
        // No store answers a transaction like this.
        Answer::Executed { .. } => Vec::new(),
    }
}

fn line_of(
    client: u64,
    operation: &Operation,
    times: Times,
    answer: &Answer,
    phase: Phase,
) -> HistoryLine {
    let (expect, value, limit) = match operation {
        Operation::Create { value, .. }
        | Operation::Update { value, .. }
        | Operation::Put { value, .. } => (None, Some(named(value)), None),
        Operation::Cas { expect, value, .. } => (Some(named(expect)), Some(named(value)), None),
        Operation::Scan { limit, .. } => (None, None, Some(*limit)),
        Operation::Read { .. } | Operation::Delete { .. } | Operation::Txn { .. } => {
            (None, None, None)
        }
    };
    let (status, seq, result) = match answer {
        Answer::Unknown => (LineStatus::Unknown, None, None),
        Answer::Executed {
            outcome: Outcome::ConditionFalse,
            seq,
        } => (LineStatus::Fail, *seq, None),
        Answer::Executed { outcome, seq } => (LineStatus::Ok, *seq, result_of(outcome)),
    };
    HistoryLine {
        client,
        op: operation.kind(),
        key: operation
            .key()
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .unwrap_or_default(),
        expect,
        value,
        limit,
        result,
        call: times.sent_ns,
        ret: (status != LineStatus::Unknown).then_some(times.end_ns),
        status,
        seq,
        phase: (phase != Phase::Measured).then_some(phase),
    }
}

fn result_of(outcome: &Outcome) -> Option<HistoryResult> {
    match outcome {
        Outcome::Value(value) => Some(HistoryResult::Value(
            value.as_ref().map(|value| named(value)),
        )),
        Outcome::Entries(entries) => {
            let pair = |(key, value): &(bytes::Bytes, bytes::Bytes)| {
                (String::from_utf8_lossy(key).into_owned(), named(value))
            };
            Some(HistoryResult::Entries(entries.iter().map(pair).collect()))
        }
        Outcome::Written
        | Outcome::ConditionFalse
        | Outcome::RolledBack
        | Outcome::Branch { .. } => None,
    }
}

/// The name of a value in a history: its tag if every byte belongs to it; a value that never had a tag by its text; anything else as corrupt.
pub(crate) fn named(value: &[u8]) -> String {
    match verify_padding(value) {
        Ok(tag) => tag.to_owned(),
        Err(_) => format!(
            "corrupt:{}:{}",
            tag_of(value).unwrap_or("untagged"),
            value.len()
        ),
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryCounts {
    /// Lines.
    pub lines: u64,
    /// Lines of the measured phase with status ok.
    pub ok_measured: u64,
}

/// One worker's end of the queue to the [`HistoryWriter`].
#[derive(Debug)]
pub struct HistorySink {
    chunk: Chunk,
    queue: Sender<Chunk>,
    sampled_by: Option<u64>,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    counts: HistoryCounts,
}

impl HistorySink {
    pub(super) fn write(&mut self, line: &HistoryLine) {
        if self.sampled_by.is_some_and(|seed| !sampled(line, seed)) {
            return;
        }
        serde_json::to_writer(&mut self.chunk.bytes, line)
            .expect("a line is numbers and strings, and memory takes it");
        self.chunk.bytes.push(b'\n');
        self.chunk.counts.lines += 1;
        self.chunk.counts.ok_measured +=
            u64::from(line.status == LineStatus::Ok && line.phase.is_none());
        if self.chunk.bytes.len() >= CHUNK_BYTES {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        let chunk = std::mem::replace(
            &mut self.chunk,
            Chunk {
                bytes: Vec::with_capacity(CHUNK_BYTES + 1024),
                counts: HistoryCounts::default(),
            },
        );
        // The queue is closed only when the writer failed; `HistoryWriter::finish` reports why.
        let _closed = self.queue.send(chunk);
    }
}

impl Drop for HistorySink {
    fn drop(&mut self) {
        if !self.chunk.bytes.is_empty() {
            self.flush();
        }
    }
}

/// Whether a sampled history keeps this line: a seeded hash of the key decides, so all operations of a key stay together.
fn sampled(line: &HistoryLine, seed: u64) -> bool {
    let hash = line
        .key
        .bytes()
        .fold(seed, |hash, byte| spread(hash ^ u64::from(byte)));
    line.op != OperationKind::Scan && hash.is_multiple_of(SAMPLED_ONE_IN)
}

/// The thread that writes `history.jsonl`. The file appears under its name only when it is complete.
#[derive(Debug)]
pub struct HistoryWriter {
    queue: Sender<Chunk>,
    thread: JoinHandle<io::Result<HistoryCounts>>,
    sampled_by: Option<u64>,
}

impl HistoryWriter {
    /// Starts writing to `path`; `None` when the mode is off. `seed` decides which keys a sampled history keeps.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn start(path: &Path, mode: HistoryMode, seed: u64) -> io::Result<Option<Self>> {
        if mode == HistoryMode::Off {
            return Ok(None);
        }
        let file = AtomicFile::create(path)?;
        let (queue, chunks) = bounded(HISTORY_QUEUE_CHUNKS);
        let thread = std::thread::Builder::new()
            .name("history".into())
            .spawn(move || write_chunks(file, &chunks))?;
        Ok(Some(Self {
            queue,
            thread,
            sampled_by: (mode == HistoryMode::Sampled).then_some(seed),
        }))
    }

    /// A sink for one worker.
    #[must_use]
    pub fn sink(&self) -> HistorySink {
        HistorySink {
            chunk: Chunk::default(),
            queue: self.queue.clone(),
            sampled_by: self.sampled_by,
        }
    }

    /// Waits until every sink is gone and everything is written, and gives the file its name.
    ///
    /// # Errors
    /// The disk's, if a write failed.
    pub fn finish(self) -> io::Result<HistoryCounts> {
        drop(self.queue);
        self.thread.join().unwrap_or_else(|_| {
            Err(io::Error::other(
                "the thread that writes history.jsonl panicked",
            ))
        })
    }
}

fn write_chunks(mut file: AtomicFile, chunks: &Receiver<Chunk>) -> io::Result<HistoryCounts> {
    let mut counts = HistoryCounts::default();
    for chunk in chunks {
        file.write_all(&chunk.bytes)?;
        counts.lines += chunk.counts.lines;
        counts.ok_measured += chunk.counts.ok_measured;
    }
    file.commit()?;
    Ok(counts)
}

/// Reads a whole history.
///
/// # Errors
/// A sentence that names the file, and the line that is none.
pub fn read_history(path: &Path) -> Result<Vec<HistoryLine>, String> {
    let unreadable = |why: String| format!("{} cannot be read: {why}", path.display());
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(io::BufReader::new(file).lines()) {
        let line = line.map_err(|error| unreadable(error.to_string()))?;
        let line = serde_json::from_str(&line)
            .map_err(|error| unreadable(format!("line {number}: {error}")))?;
        lines.push(line);
    }
    Ok(lines)
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
