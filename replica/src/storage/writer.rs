//! The storage threads: group commit for the log, checkpoints beside it.
//!
//! The log thread takes everything that is queued, merges it into one group, commits, and reports the
//! highest ticket that is now durable: while one fsync runs, the next group gathers, so that an fsync
//! is shared by as many votes as came in meanwhile. The state thread writes checkpoints into a file of
//! its own; votes never wait for it.
//!
//! The protocol never waits for a checkpoint, so it is written no faster than it must be (`pacing`).
//! If the state thread falls behind, deltas gather, and soon the newest is merged into the one before
//! it (`state_queue`): a checkpoint that was never on disk by itself is as good as one that was, for
//! the next one stands in for it. What waits is bounded by what can change within the protocol's
//! window, which does not move on meanwhile: a replica claims no checkpoint whose state is not durable.
//!
//! A truncation asked for is carried out only up to the last *durable* checkpoint, and the rest of it
//! when that one has become durable: at no time are records gone whose effect is not on disk.
//!
//! A failed write ends its thread and is reported once; later submissions are refused. The replica
//! must stop then: it can no longer promise anything.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::pacing::Pacing;
use super::state_queue::{Coming, End, StateQueue, Taker};
use super::{Group, Pressure, RecordLog, StateDelta, StateStore, Stats, Storage, StorageError};

/// Groups waiting for the log thread. The protocol's window allows far fewer.
const QUEUE_GROUPS_MAX: usize = 1024;
/// Payload above which no further group joins a commit, so that the first one need not wait long.
const COMMIT_BYTES_MAX: usize = 4 << 20;

/// What has become durable, or can never.
#[derive(Debug)]
pub enum Durable {
    /// All groups submitted with tickets up to this one.
    Records {
        /// The highest durable ticket.
        upto: u64,
    },
    /// The state at this checkpoint (and at all before it).
    State {
        /// Sequence number of the checkpoint.
        seq: u64,
    },
    /// A write failed: nothing will be reported by this store any more, and the replica must stop.
    Failed(StorageError),
}

/// The storage threads have ended, after a failure that was reported or after [`Writer::stop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("storage has stopped taking writes; see the storage error reported before")]
pub struct WriterStopped;

/// Counters of both stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterStats {
    /// Of the record log.
    pub log: Stats,
    /// Of the state store.
    pub state: Stats,
}

/// Handle on the storage threads. Dropping it writes what is queued and leaves no mark of a clean stop.
pub struct Writer {
    log: Option<Sender<LogJob>>,
    state: Option<Arc<StateQueue>>,
    /// Each yields whether it closed its store cleanly.
    log_thread: Option<JoinHandle<bool>>,
    state_thread: Option<JoinHandle<bool>>,
    shared: Arc<Shared>,
}

enum LogJob {
    Append {
        ticket: u64,
        group: Group,
    },
    /// A checkpoint has become durable: a truncation may have waited for it.
    StateDurable,
    Close,
}

struct Shared {
    on_durable: Box<dyn Fn(Durable) + Send + Sync>,
    durable_state: AtomicU64,
    stats: Mutex<WriterStats>,
}

impl Writer {
    /// Starts the threads. `on_durable` is called on them, so it must be quick and must not block:
    /// post to a channel.
    pub fn spawn(storage: Storage, on_durable: impl Fn(Durable) + Send + Sync + 'static) -> Self {
        let Storage { log, state, .. } = storage;
        let shared = Arc::new(Shared {
            on_durable: Box::new(on_durable),
            durable_state: AtomicU64::new(state.durable_seq()),
            stats: Mutex::default(),
        });
        let (log_jobs, log_queue) = bounded(QUEUE_GROUPS_MAX);
        let state_queue = Arc::new(StateQueue::default());
        let log_of_state = log_jobs.clone();
        Writer {
            log: Some(log_jobs),
            state: Some(Arc::clone(&state_queue)),
            log_thread: Some(start("record-log", &shared, move |shared| {
                let thread = LogThread {
                    log,
                    queue: log_queue,
                    shared,
                    truncation_wanted: 0,
                    truncated: 0,
                };
                thread.run()
            })),
            state_thread: Some(start("state-store", &shared, move |shared| {
                let (queue, log) = (Taker(state_queue), log_of_state);
                run_state(state, &queue.0, &log, shared)
            })),
            shared,
        }
    }

    /// Queues a group. Tickets must ascend; [`Durable::Records`] names them. Blocks while
    /// [`QUEUE_GROUPS_MAX`] groups are waiting.
    pub fn submit(&self, ticket: u64, group: Group) -> Result<(), WriterStopped> {
        let queue = self.log.as_ref().ok_or(WriterStopped)?;
        queue
            .send(LogJob::Append { ticket, group })
            .map_err(|_| WriterStopped)
    }

    /// Queues a checkpoint. Never blocks: it may be merged with the one queued before it, and then
    /// [`Durable::State`] names only the later of the two.
    pub fn submit_state(&self, delta: StateDelta) -> Result<(), WriterStopped> {
        self.put_state(Coming::Made(delta))
    }

    /// As [`Writer::submit_state`], for a delta with [`super::Basis::Stored`] that the state thread
    /// is to encode.
    pub fn submit_unencoded(
        &self,
        encode: impl FnOnce() -> StateDelta + Send + 'static,
    ) -> Result<(), WriterStopped> {
        self.put_state(Coming::ToEncode(Box::new(encode)))
    }

    fn put_state(&self, delta: Coming) -> Result<(), WriterStopped> {
        self.state.as_ref().ok_or(WriterStopped)?.put(delta)
    }

    /// Counters, as of the last finished commit of each store.
    pub fn stats(&self) -> WriterStats {
        *self.shared.stats()
    }

    /// Writes what is queued, marks a clean stop and ends the threads. An error means that a store
    /// had failed (and said so to the callback); then no clean stop is marked in it.
    pub fn stop(mut self) -> Result<WriterStats, WriterStopped> {
        // The state first: the log may then carry out a truncation that waits for it.
        if let Some(queue) = self.state.take() {
            queue.end(End::Close);
        }
        let state_closed = join(&mut self.state_thread);
        if let Some(queue) = self.log.take() {
            queue.send(LogJob::Close).ok();
        }
        let log_closed = join(&mut self.log_thread);
        if !(state_closed && log_closed) {
            return Err(WriterStopped);
        }
        Ok(self.stats())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The directory is free again only when both threads have let go of it. The state thread
        // first: it holds the log thread's queue open.
        if let Some(queue) = self.state.take() {
            queue.end(End::Drop);
        }
        join(&mut self.state_thread);
        self.log = None;
        join(&mut self.log_thread);
    }
}

/// Runs `work` on a thread of its own and reports how it failed, if it does.
fn start(
    name: &'static str,
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<bool, StorageError> + Send + 'static,
) -> JoinHandle<bool> {
    let shared = Arc::clone(shared);
    let run = move || {
        // `work` owns its queue: submissions are refused before the failure is reported.
        let result = catch_unwind(AssertUnwindSafe(|| work(&shared)));
        let error = match result {
            Ok(Ok(closed)) => return closed,
            Ok(Err(error)) => error,
            Err(_) => StorageError::Panicked { thread: name },
        };
        (shared.on_durable)(Durable::Failed(error));
        false
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .expect("a replica starts its threads once, when it starts itself")
}

fn join(thread: &mut Option<JoinHandle<bool>>) -> bool {
    match thread.take() {
        Some(thread) => thread.join().unwrap_or(false),
        None => false,
    }
}

impl Shared {
    fn stats(&self) -> MutexGuard<'_, WriterStats> {
        // Counters are plain numbers: a panic elsewhere cannot leave them half-written.
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct LogThread<'a> {
    log: Box<dyn RecordLog>,
    queue: Receiver<LogJob>,
    shared: &'a Shared,
    /// Highest truncation asked for.
    truncation_wanted: u64,
    /// Highest truncation carried out.
    truncated: u64,
}

impl LogThread<'_> {
    /// Returns whether it was told to close (rather than dropped).
    fn run(mut self) -> Result<bool, StorageError> {
        loop {
            let close = match self.queue.recv() {
                Ok(LogJob::Append { ticket, group }) => self.commit(ticket, group)?,
                Ok(LogJob::StateDurable) => {
                    // With the next group if there is one: that saves an fsync.
                    if self.queue.is_empty() {
                        self.truncate_if_due()?;
                    }
                    false
                }
                Ok(LogJob::Close) => true,
                Err(_) => return Ok(false),
            };
            if close {
                self.truncate_if_due()?;
                self.log.close()?;
                return Ok(true);
            }
            // Here, after the report: the votes just written are on their way meanwhile.
            let pressure = match self.queue.is_empty() {
                true => Pressure::Idle,
                false => Pressure::Busy,
            };
            self.log.tidy(pressure)?;
        }
    }

    /// Commits this group and all that are queued behind it; returns whether a close came after them.
    fn commit(&mut self, ticket: u64, group: Group) -> Result<bool, StorageError> {
        let mut upto = ticket;
        let mut merged = group;
        self.want_truncation(merged.truncate_below);
        let size = |group: &Group| -> usize {
            let sizes = group.records.iter().map(|record| record.bytes.len());
            sizes.sum()
        };
        let mut bytes = size(&merged);
        let mut close = false;
        while bytes < COMMIT_BYTES_MAX {
            match self.queue.try_recv() {
                Ok(LogJob::Append { ticket, group }) => {
                    debug_assert!(ticket > upto, "tickets ascend");
                    upto = ticket;
                    bytes += size(&group);
                    merged.records.extend(group.records);
                    self.want_truncation(group.truncate_below);
                }
                // The truncation below looks at what is durable now.
                Ok(LogJob::StateDurable) => {}
                Ok(LogJob::Close) => {
                    close = true;
                    break;
                }
                Err(_) => break,
            }
        }
        merged.truncate_below = self.truncation_due();
        self.append(&merged)?;
        (self.shared.on_durable)(Durable::Records { upto });
        Ok(close)
    }

    fn want_truncation(&mut self, below: Option<u64>) {
        self.truncation_wanted = self.truncation_wanted.max(below.unwrap_or(0));
    }

    /// The truncation that may be carried out now and is not yet.
    fn truncation_due(&self) -> Option<u64> {
        let durable = self.shared.durable_state.load(Ordering::Acquire);
        let allowed = self.truncation_wanted.min(durable);
        (allowed > self.truncated).then_some(allowed)
    }

    fn truncate_if_due(&mut self) -> Result<(), StorageError> {
        let truncate_below = self.truncation_due();
        if truncate_below.is_none() {
            return Ok(());
        }
        self.append(&Group {
            records: Vec::new(),
            truncate_below,
        })
    }

    fn append(&mut self, group: &Group) -> Result<(), StorageError> {
        self.log.append(group)?;
        self.truncated = self.truncated.max(group.truncate_below.unwrap_or(0));
        self.shared.stats().log = self.log.stats();
        Ok(())
    }
}

/// Returns whether it was told to close (rather than dropped).
fn run_state(
    mut state: Box<dyn StateStore>,
    queue: &StateQueue,
    log: &Sender<LogJob>,
    shared: &Shared,
) -> Result<bool, StorageError> {
    let mut pacing = Pacing::default();
    loop {
        match queue.take() {
            Ok(delta) => {
                let pace = pacing.begin(Instant::now());
                state.apply_slowly(&delta, &mut |share| queue.wait_until(pace.due(share)))?;
                shared.durable_state.store(delta.seq, Ordering::Release);
                shared.stats().state = state.stats();
                // If its queue is full, or it has failed, the log thread needs no waking.
                log.try_send(LogJob::StateDurable).ok();
                (shared.on_durable)(Durable::State { seq: delta.seq });
                state.tidy()?;
            }
            Err(End::Close) => {
                state.close()?;
                return Ok(true);
            }
            Err(End::Drop) => return Ok(false),
        }
    }
}
