//! The committed log as observers see it: a bounded ring of what was executed, and optionally a
//! file with one line for each slot and checkpoint.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use consensus::report::Path;
use consensus::{SeqNo, View};
use crypto::Digest;

/// Slots that the ring holds; an observer who asks less often misses some.
pub(super) const RING_MAX: usize = 65_536;

/// Longest time that a line stays in memory.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// An executed slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedEntry {
    /// The slot.
    pub seq: SeqNo,
    /// View of the decision.
    pub view: View,
    /// Digest of the batch that was executed, computed from its own bytes.
    pub digest: Digest,
    /// By which rule it was decided.
    pub path: Path,
    /// Operations in it.
    pub ops: usize,
}

/// Something worth a line.
#[derive(Clone, Copy, Debug)]
enum Line {
    Slot(CommittedEntry),
    Checkpoint(SeqNo, Digest),
}

/// What was executed lately, in order.
#[derive(Debug, Default)]
pub(super) struct Ring {
    slots: VecDeque<CommittedEntry>,
    checkpoints: VecDeque<(SeqNo, Digest)>,
}

impl Ring {
    pub(super) fn push(&mut self, entry: CommittedEntry) {
        if self.slots.len() == RING_MAX {
            self.slots.pop_front();
        }
        self.slots.push_back(entry);
    }

    pub(super) fn push_checkpoint(&mut self, seq: SeqNo, digest: Digest) {
        // There is at most one checkpoint for each slot.
        if self.checkpoints.len() == RING_MAX {
            self.checkpoints.pop_front();
        }
        self.checkpoints.push_back((seq, digest));
    }

    /// Up to `most` slots from `from` on, where to go on, and the checkpoints of that range.
    pub(super) fn since(&self, from: SeqNo, most: usize) -> Excerpt {
        let first = self.slots.partition_point(|entry| entry.seq < from);
        let slots: Vec<CommittedEntry> =
            self.slots.iter().skip(first).take(most).copied().collect();
        let next = slots.last().map_or(from, |entry| entry.seq.next());
        let first = self.checkpoints.partition_point(|(seq, _)| *seq < from);
        let checkpoints = self
            .checkpoints
            .iter()
            .skip(first)
            .take(most)
            .take_while(|(seq, _)| *seq < next)
            .copied()
            .collect();
        Excerpt {
            slots,
            checkpoints,
            next,
        }
    }
}

/// A part of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Executed slots in order.
    pub slots: Vec<CommittedEntry>,
    /// Checkpoints among them.
    pub checkpoints: Vec<(SeqNo, Digest)>,
    /// Where the next excerpt begins.
    pub next: SeqNo,
}

/// The log of what was committed or executed cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the log {}: {source}; check the path and its directory", path.display())]
pub struct CommittedLogError {
    pub(super) path: PathBuf,
    pub(super) action: &'static str,
    pub(super) source: io::Error,
}

/// `committed.jsonl`: written by a thread of its own, so that no slow disk holds up the core.
#[derive(Debug)]
pub(super) struct CommittedFile {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<io::Result<()>>>,
    path: PathBuf,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    lines: Vec<Line>,
    asleep: bool,
    stop: bool,
}

impl CommittedFile {
    pub(super) fn create(path: &FilePath) -> Result<Self, CommittedLogError> {
        let failed = |action| {
            move |source| CommittedLogError {
                path: path.to_owned(),
                action,
                source,
            }
        };
        let file = File::create(path).map_err(failed("create"))?;
        let shared = Arc::new(Shared::default());
        let writer = std::thread::Builder::new()
            .name("committed-log".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || write_lines(&shared, BufWriter::new(file))
            })
            .map_err(failed("start a thread for"))?;
        Ok(CommittedFile {
            shared,
            writer: Some(writer),
            path: path.to_owned(),
        })
    }

    pub(super) fn slot(&self, entry: CommittedEntry) {
        self.push(Line::Slot(entry));
    }

    pub(super) fn checkpoint(&self, seq: SeqNo, digest: Digest) {
        self.push(Line::Checkpoint(seq, digest));
    }

    fn push(&self, line: Line) {
        let mut pending = self
            .shared
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        pending.lines.push(line);
        if pending.asleep {
            self.shared.wake.notify_one();
        }
    }

    /// Writes what is left and ends the thread.
    pub(super) fn close(&mut self) -> Result<(), CommittedLogError> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        self.shared
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stop = true;
        self.shared.wake.notify_one();
        let written = writer
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer panicked")));
        written.map_err(|source| CommittedLogError {
            path: self.path.clone(),
            action: "write",
            source,
        })
    }
}

impl Drop for CommittedFile {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!("{error}");
        }
    }
}

/// Sleeps while there is nothing; then gathers for [`FLUSH_INTERVAL`] and writes at once.
fn write_lines(shared: &Shared, mut file: BufWriter<File>) -> io::Result<()> {
    loop {
        let mut pending = shared
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while pending.lines.is_empty() && !pending.stop {
            pending.asleep = true;
            pending = shared
                .wake
                .wait(pending)
                .unwrap_or_else(PoisonError::into_inner);
            pending.asleep = false;
        }
        if !pending.stop {
            (pending, _) = shared
                .wake
                .wait_timeout_while(pending, FLUSH_INTERVAL, |pending| !pending.stop)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let lines = std::mem::take(&mut pending.lines);
        let stop = pending.stop;
        drop(pending);
        for line in lines {
            write_line(&mut file, &line)?;
        }
        file.flush()?;
        if stop {
            return Ok(());
        }
    }
}

fn write_line(file: &mut impl io::Write, line: &Line) -> io::Result<()> {
    match line {
        Line::Slot(CommittedEntry {
            seq,
            view,
            digest,
            path,
            ops,
        }) => writeln!(
            file,
            r#"{{"seq":{seq},"view":{view},"digest":"{digest}","path":"{}","ops":{ops}}}"#,
            path.name()
        ),
        Line::Checkpoint(seq, digest) => {
            writeln!(file, r#"{{"checkpoint":{seq},"state_digest":"{digest}"}}"#)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(seq: u64) -> CommittedEntry {
        let digest = Digest([u8::try_from(seq % 251).unwrap(); 32]);
        CommittedEntry {
            seq: SeqNo(seq),
            view: View(2),
            digest,
            path: Path::Slow,
            ops: 3,
        }
    }

    #[test]
    fn excerpts_continue_where_the_last_one_ended_and_old_slots_fall_off() {
        let mut ring = Ring::default();
        for seq in 1..=RING_MAX as u64 + 10 {
            ring.push(entry(seq));
        }
        ring.push_checkpoint(SeqNo(64), Digest([1; 32]));
        ring.push_checkpoint(SeqNo(128), Digest([2; 32]));
        let first = ring.since(SeqNo(1), 100);
        assert_eq!(
            first.slots.first().unwrap().seq,
            SeqNo(11),
            "ten were overwritten"
        );
        assert_eq!(first.next, SeqNo(111));
        assert_eq!(first.checkpoints, [(SeqNo(64), Digest([1; 32]))]);
        let second = ring.since(first.next, 100);
        assert_eq!(second.slots.first().unwrap().seq, SeqNo(111));
        assert_eq!(second.checkpoints, [(SeqNo(128), Digest([2; 32]))]);
        let end = ring.since(SeqNo(RING_MAX as u64 + 11), 100);
        assert!(end.slots.is_empty() && end.next == SeqNo(RING_MAX as u64 + 11));
    }

    #[test]
    fn the_file_has_the_lines_of_the_interface() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("committed.jsonl");
        let mut file = CommittedFile::create(&path).unwrap();
        file.slot(entry(7));
        file.checkpoint(SeqNo(64), Digest([0xab; 32]));
        file.close().unwrap();
        let expected = format!(
            "{{\"seq\":7,\"view\":2,\"digest\":\"{}\",\"path\":\"slow\",\"ops\":3}}\n\
             {{\"checkpoint\":64,\"state_digest\":\"{}\"}}\n",
            "07".repeat(32),
            "ab".repeat(32)
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }
}
