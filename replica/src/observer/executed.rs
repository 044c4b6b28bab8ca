//! The executed log: the contents of every slot, so that somebody else can execute them again and compare.
//!
//! Written by a thread of its own behind a bounded queue, without fsync: a disk that cannot keep up costs the rest of this
//! log, with a mark that says so, and never a vote. Requests stay in the bytes that their clients signed.
//!
//! ```text
//! file = "quintet.executed/v1\n" ‖ slot*
//! slot = seq u64 ‖ count u32 ‖ (len u32 ‖ request)*         little-endian; count 0: the null batch
//! mark = 2^64 - 1 ‖ 0                                       what followed was not written
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path as FilePath;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use consensus::{Batch, SeqNo};

use super::CommittedLogError;

/// The beginning of the file.
pub const EXECUTED_MAGIC: &[u8] = b"quintet.executed/v1\n";
/// The sequence number of the mark that the rest is missing.
pub const EXECUTED_MISSING: u64 = u64::MAX;
/// Bytes of the file at most, before the mark. An hour at 280 KB/s, a minute at 17 MB/s.
pub const EXECUTED_BYTES_MAX: u64 = 1 << 30;
/// Bytes of requests that wait for the disk; they are memory that the replica would otherwise have given back.
const QUEUE_BYTES_MAX: usize = 32 << 20;
/// Slots that wait for the disk.
const QUEUE_SLOTS_MAX: usize = 65_536;
/// Longest time that a slot stays in memory.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
const BUFFER_BYTES: usize = 256 << 10;

/// The file with its thread.
#[derive(Debug)]
pub(super) struct ExecutedFile {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    slots: Vec<(SeqNo, Option<Arc<Batch>>)>,
    bytes: usize,
    /// Something did not fit: nothing is taken in any more.
    overflown: bool,
    asleep: bool,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExecutedFile {
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
        let name = path.display().to_string();
        let writer = std::thread::Builder::new()
            .name("executed-log".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || {
                    let file = BufWriter::with_capacity(BUFFER_BYTES, file);
                    if let Err(error) = write_slots(&shared, file, EXECUTED_BYTES_MAX) {
                        // Whoever reads it will miss what is missing.
                        tracing::warn!("{name} ends here: {error}");
                        shared.lock().overflown = true;
                    }
                }
            })
            .map_err(failed("start a thread for"))?;
        Ok(ExecutedFile {
            shared,
            writer: Mutex::new(Some(writer)),
        })
    }

    pub(super) fn slot(&self, seq: SeqNo, batch: Option<Arc<Batch>>) {
        let mut pending = self.shared.lock();
        if pending.overflown {
            return;
        }
        let bytes = batch.as_ref().map_or(0, |batch| batch.bytes());
        if pending.bytes + bytes > QUEUE_BYTES_MAX || pending.slots.len() >= QUEUE_SLOTS_MAX {
            pending.overflown = true;
            tracing::warn!(
                seq = seq.0,
                "the executed log ends here: the disk is too slow for it"
            );
            return;
        }
        pending.bytes += bytes;
        pending.slots.push((seq, batch));
        if pending.asleep {
            self.shared.wake.notify_one();
        }
    }

    /// Writes what is left and ends the thread.
    pub(super) fn close(&self) {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(writer) = writer else {
            return;
        };
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
        if writer.join().is_err() {
            tracing::error!("the thread that writes the executed log panicked");
        }
    }
}

impl Drop for ExecutedFile {
    fn drop(&mut self) {
        self.close();
    }
}

/// Sleeps while there is nothing; then gathers for [`FLUSH_INTERVAL`] and writes at once.
fn write_slots(shared: &Shared, mut file: impl Write, bytes_max: u64) -> io::Result<()> {
    file.write_all(EXECUTED_MAGIC)?;
    let mut left = bytes_max;
    loop {
        let mut pending = shared.lock();
        while pending.slots.is_empty() && !pending.stop && !pending.overflown {
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
        let slots = std::mem::take(&mut pending.slots);
        pending.bytes = 0;
        let (stop, overflown) = (pending.stop, pending.overflown);
        drop(pending);
        for (seq, batch) in slots {
            match left.checked_sub(size(batch.as_deref())) {
                Some(rest) => left = rest,
                None => return end(shared, file),
            }
            write_slot(&mut file, seq, batch.as_deref())?;
        }
        if overflown {
            return end(shared, file);
        }
        file.flush()?;
        if stop {
            return Ok(());
        }
    }
}

/// Writes the mark and takes nothing in any more.
fn end(shared: &Shared, mut file: impl Write) -> io::Result<()> {
    shared.lock().overflown = true;
    write_slot(&mut file, SeqNo(EXECUTED_MISSING), None)?;
    file.flush()
}

fn size(batch: Option<&Batch>) -> u64 {
    let requests = batch.map_or(0, |batch| batch.bytes() + 4 * batch.requests().len());
    8 + 4 + requests as u64
}

fn write_slot(file: &mut impl Write, seq: SeqNo, batch: Option<&Batch>) -> io::Result<()> {
    let requests = batch.map(Batch::requests).unwrap_or_default();
    let length = |length: usize| u32::try_from(length).map_err(io::Error::other);
    file.write_all(&seq.0.to_le_bytes())?;
    file.write_all(&length(requests.len())?.to_le_bytes())?;
    for request in requests {
        file.write_all(&length(request.raw().len())?.to_le_bytes())?;
        file.write_all(request.raw())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use consensus::{ByteList, ClientId, Request, RequestId};
    use crypto::{ClusterId, Digest, SecretKey};

    use super::*;

    fn batch(number: u64) -> Arc<Batch> {
        let key = SecretKey::from_seed(&[1; 32]);
        let id = RequestId {
            client: ClientId(0),
            session: 1,
            number,
        };
        let ops: ByteList = [vec![7; 5]].into_iter().collect();
        let cluster = ClusterId(Digest::default());
        Arc::new(Batch::new(vec![Request::sign(
            &key, &cluster, id, 0, false, &ops,
        )]))
    }

    fn numbers(bytes: &[u8]) -> (u64, u32) {
        (
            u64::from_le_bytes(bytes[..8].try_into().unwrap()),
            u32::from_le_bytes(bytes[8..12].try_into().unwrap()),
        )
    }

    #[test]
    fn slots_are_written_in_the_bytes_that_clients_signed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("executed.bin");
        let file = ExecutedFile::create(&path).unwrap();
        let batch = batch(1);
        file.slot(SeqNo(1), Some(Arc::clone(&batch)));
        file.slot(SeqNo(2), None);
        file.close();
        let bytes = std::fs::read(&path).unwrap();
        let slots = bytes.strip_prefix(EXECUTED_MAGIC).unwrap();
        let raw = batch.requests()[0].raw();
        assert_eq!(numbers(slots), (1, 1));
        assert_eq!(&slots[16..16 + raw.len()], &raw[..]);
        assert_eq!(numbers(&slots[16 + raw.len()..]), (2, 0));
        assert_eq!(slots.len(), 16 + raw.len() + 12);
    }

    #[test]
    fn a_log_that_became_too_long_says_that_the_rest_is_missing() {
        let shared = Shared::default();
        {
            let mut pending = shared.lock();
            pending.slots = (1..=3).map(|seq| (SeqNo(seq), Some(batch(seq)))).collect();
            pending.stop = true;
        }
        let mut bytes = Vec::new();
        write_slots(&shared, &mut bytes, 2 * size(Some(&batch(1)))).unwrap();
        let mark = bytes.last_chunk::<12>().unwrap();
        assert_eq!(numbers(mark), (EXECUTED_MISSING, 0));
        assert!(shared.lock().overflown);
    }

    #[test]
    fn a_slow_disk_costs_the_rest_of_the_log_and_holds_nobody_up() {
        let file = ExecutedFile {
            shared: Arc::default(),
            writer: Mutex::new(None),
        };
        for seq in 0..QUEUE_SLOTS_MAX as u64 + 9 {
            file.slot(SeqNo(seq), None);
        }
        assert_eq!(file.shared.lock().slots.len(), QUEUE_SLOTS_MAX);
        file.shared.lock().stop = true;
        let mut bytes = Vec::new();
        write_slots(&file.shared, &mut bytes, u64::MAX).unwrap();
        assert_eq!(
            numbers(bytes.last_chunk::<12>().unwrap()),
            (EXECUTED_MISSING, 0)
        );
    }
}
