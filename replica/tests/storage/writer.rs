//! The storage threads: what is reported is durable, in order, and failures end everything.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use replica::storage::memory::MemoryDisk;
use replica::storage::{
    Durable, EachEntry, Group, LoadedLog, LoadedState, Pressure, RecordLog, StateDelta, StateStore,
    Stats, Storage, StorageError, Writer, sqlite,
};

use crate::support::{OPTIONS, US, delta, group, open, open_as, record, state_in, truncation};

/// More than any test makes.
const REPORTS_MAX: usize = 10_000;

fn spawn(storage: Storage) -> (Writer, Receiver<Durable>) {
    let (reports, received) = sync_channel(REPORTS_MAX);
    let writer = Writer::spawn(storage, move |durable| {
        reports.send(durable).ok();
    });
    (writer, received)
}

fn next(reports: &Receiver<Durable>) -> Durable {
    reports
        .recv_timeout(Duration::from_secs(30))
        .expect("the storage threads report everything")
}

#[test]
fn every_ticket_is_reported_in_ascending_order_and_survives() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, reports) = spawn(open(directory.path()).unwrap());
    for ticket in 1..=300 {
        writer
            .submit(ticket, group(&[record(ticket, 1, "vote")]))
            .unwrap();
    }
    let mut reported = 0;
    while reported < 300 {
        match next(&reports) {
            Durable::Records { upto } => {
                assert!(upto > reported);
                reported = upto;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    let stats = writer.stop().unwrap();
    assert_eq!(stats.log.items_written, 300);
    let mut storage = open(directory.path()).unwrap();
    assert!(storage.clean_stop);
    let records = storage.log.load().unwrap().records;
    let seqs: Vec<u64> = records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, (1..=300).collect::<Vec<_>>());
}

#[test]
fn the_log_is_truncated_only_up_to_a_durable_checkpoint() {
    let disk = MemoryDisk::new();
    let (writer, reports) = spawn(disk.open());
    let votes: Vec<_> = (1..=10).map(|seq| record(seq, 1, "vote")).collect();
    writer.submit(1, group(&votes)).unwrap();
    writer.submit(2, truncation(5)).unwrap();
    while !matches!(next(&reports), Durable::Records { upto: 2 }) {}
    assert_eq!(disk.open().log.load().unwrap().truncated_below, 0);

    writer.submit_state(delta(3, &[])).unwrap();
    assert!(matches!(next(&reports), Durable::State { seq: 3 }));
    writer.submit(3, group(&[])).unwrap();
    assert!(matches!(next(&reports), Durable::Records { upto: 3 }));
    assert_eq!(disk.open().log.load().unwrap().truncated_below, 3);

    // The rest of it without a further group.
    writer.submit_state(delta(8, &[])).unwrap();
    assert!(matches!(next(&reports), Durable::State { seq: 8 }));
    while disk.open().log.load().unwrap().truncated_below < 5 {
        std::thread::yield_now();
    }
    writer.stop().unwrap();
    let log = disk.open().log.load().unwrap();
    assert_eq!((log.truncated_below, log.records.len()), (5, 5));
}

#[test]
fn a_restarted_writer_knows_the_durable_checkpoint() {
    let disk = MemoryDisk::new();
    disk.open().state.apply(&delta(64, &[])).unwrap();
    let (writer, reports) = spawn(disk.open());
    writer.submit(1, truncation(64)).unwrap();
    assert!(matches!(next(&reports), Durable::Records { upto: 1 }));
    assert_eq!(disk.open().log.load().unwrap().truncated_below, 64);
}

#[test]
fn dropping_the_writer_leaves_no_clean_stop_and_frees_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, _reports) = spawn(open(directory.path()).unwrap());
    writer.submit(1, group(&[record(1, 1, "vote")])).unwrap();
    drop(writer);
    let mut storage = open(directory.path()).unwrap();
    assert!(!storage.clean_stop);
    assert_eq!(storage.log.load().unwrap().records.len(), 1);
}

#[test]
fn a_failed_write_is_reported_once_and_nothing_is_taken_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let small = sqlite::Options {
        database_bytes_max: Some(128 << 10),
        ..OPTIONS
    };
    let (writer, reports) = spawn(open_as(directory.path(), US, small).unwrap());
    writer.submit(1, group(&[record(1, 1, "fits")])).unwrap();
    assert!(matches!(next(&reports), Durable::Records { upto: 1 }));
    let large = record(2, 1, &"x".repeat(1 << 20));
    writer.submit(2, group(&[large])).unwrap();
    match next(&reports) {
        Durable::Failed(StorageError::Full { file }) => assert!(file.ends_with("log.db")),
        other => panic!("unexpected {other:?}"),
    }
    assert!(writer.submit(3, group(&[])).is_err());
    writer.stop().unwrap_err();
    assert!(reports.try_recv().is_err());
    assert!(!open(directory.path()).unwrap().clean_stop);
}

/// A log that commits only when it is let, and remembers the sizes of its groups.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    open: bool,
    entered: bool,
    groups: Vec<usize>,
    panics: bool,
}

impl Gate {
    fn change(&self, change: impl FnOnce(&mut GateState)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn wait(&self, until: impl Fn(&GateState) -> bool) {
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |state| !until(state)).unwrap());
    }
}

impl RecordLog for Gate {
    fn append(&mut self, group: &Group) -> Result<(), StorageError> {
        assert!(!self.0.0.lock().unwrap().panics, "told to panic");
        self.change(|state| state.entered = true);
        self.wait(|state| state.open);
        self.change(|state| state.groups.push(group.records.len()));
        Ok(())
    }

    fn load(&mut self) -> Result<LoadedLog, StorageError> {
        Ok(LoadedLog::default())
    }

    fn tidy(&mut self, _pressure: Pressure) -> Result<(), StorageError> {
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        Ok(())
    }
}

fn gated(gate: &Gate) -> Storage {
    let mut storage = MemoryDisk::new().open();
    storage.log = Box::new(gate.clone());
    storage
}

#[test]
fn groups_that_arrive_during_a_commit_share_the_next_one() {
    let gate = Gate::default();
    let (writer, reports) = spawn(gated(&gate));
    writer.submit(1, group(&[record(1, 1, "first")])).unwrap();
    gate.wait(|state| state.entered);
    for ticket in 2..=50 {
        writer
            .submit(ticket, group(&[record(ticket, 1, "vote")]))
            .unwrap();
    }
    gate.change(|state| state.open = true);
    assert!(matches!(next(&reports), Durable::Records { upto: 1 }));
    assert!(matches!(next(&reports), Durable::Records { upto: 50 }));
    writer.stop().unwrap();
    gate.change(|state| assert_eq!(state.groups, [1, 49]));
}

#[test]
fn checkpoints_become_durable_while_the_log_is_busy() {
    let gate = Gate::default();
    let (writer, reports) = spawn(gated(&gate));
    writer.submit(1, group(&[record(1, 1, "vote")])).unwrap();
    gate.wait(|state| state.entered);
    writer.submit_state(delta(64, &[])).unwrap();
    assert!(matches!(next(&reports), Durable::State { seq: 64 }));
    gate.change(|state| state.open = true);
    assert!(matches!(next(&reports), Durable::Records { upto: 1 }));
}

/// A state store that applies only when it is let.
struct Slow {
    gate: Gate,
    inner: Box<dyn StateStore>,
}

impl StateStore for Slow {
    fn apply_slowly(
        &mut self,
        delta: &StateDelta,
        pause: &mut dyn FnMut(f64),
    ) -> Result<(), StorageError> {
        self.gate.change(|state| state.entered = true);
        self.gate.wait(|state| state.open);
        let changes = delta.changes.len();
        self.gate.change(|state| state.groups.push(changes));
        self.inner.apply_slowly(delta, pause)
    }

    fn tidy(&mut self) -> Result<(), StorageError> {
        self.inner.tidy()
    }

    fn load(&mut self, each: EachEntry<'_>) -> Result<Option<LoadedState>, StorageError> {
        self.inner.load(each)
    }

    fn durable_seq(&self) -> u64 {
        self.inner.durable_seq()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        self.inner.close()
    }
}

#[test]
fn nobody_waits_for_a_slow_state_store_and_what_gathers_meanwhile_is_merged() {
    let disk = MemoryDisk::new();
    let gate = Gate::default();
    let mut storage = disk.open();
    storage.state = Box::new(Slow {
        gate: gate.clone(),
        inner: storage.state,
    });
    let (writer, reports) = spawn(storage);
    writer.submit_state(delta(1, &[])).unwrap();
    gate.wait(|state| state.entered);
    // Would block for ever if anybody waited.
    for seq in 2..=1000u64 {
        let (old, new) = (
            format!("key {}", seq % 10),
            format!("key {}", (seq + 1) % 10),
        );
        let value = format!("value of {seq}");
        let changes = [(old.as_str(), None), (new.as_str(), Some(value.as_str()))];
        writer.submit_state(delta(seq, &changes)).unwrap();
    }
    // The votes do not wait either.
    writer.submit(1, group(&[record(1, 1, "vote")])).unwrap();
    assert!(matches!(next(&reports), Durable::Records { upto: 1 }));
    gate.change(|state| state.open = true);
    while !matches!(next(&reports), Durable::State { seq: 1000 }) {}
    writer.stop().unwrap();
    gate.change(|state| {
        assert!(state.groups.len() < 8, "{:?}", state.groups);
        assert!(
            state.groups.iter().all(|changes| *changes <= 10),
            "{:?}",
            state.groups
        );
    });
    let (state, entries) = state_in(&mut disk.open()).unwrap().unwrap();
    let last = [(Bytes::from("key 1"), Bytes::from("value of 1000"))];
    assert_eq!((state.seq, entries.as_slice()), (1000, last.as_slice()));
}

/// A state store that remembers how it was told to apply. It could wait after the last piece of each
/// checkpoint.
struct Told {
    how: Arc<Mutex<Vec<&'static str>>>,
    inner: Box<dyn StateStore>,
}

impl StateStore for Told {
    fn apply(&mut self, delta: &StateDelta) -> Result<(), StorageError> {
        self.how.lock().unwrap().push("at once");
        self.inner.apply(delta)
    }

    fn apply_slowly(
        &mut self,
        delta: &StateDelta,
        pause: &mut dyn FnMut(f64),
    ) -> Result<(), StorageError> {
        self.how.lock().unwrap().push("slowly");
        self.inner.apply_slowly(delta, pause)?;
        pause(1.0);
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), StorageError> {
        self.inner.tidy()
    }

    fn load(&mut self, each: EachEntry<'_>) -> Result<Option<LoadedState>, StorageError> {
        self.inner.load(each)
    }

    fn durable_seq(&self) -> u64 {
        self.inner.durable_seq()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        self.inner.close()
    }
}

#[test]
fn a_checkpoint_is_written_slowly_while_nothing_else_waits() {
    let how = Arc::default();
    let mut storage = MemoryDisk::new().open();
    storage.state = Box::new(Told {
        how: Arc::clone(&how),
        inner: storage.state,
    });
    let (writer, reports) = spawn(storage);
    writer.submit_state(delta(1, &[])).unwrap();
    assert!(matches!(next(&reports), Durable::State { seq: 1 }));
    let apart = Duration::from_millis(100);
    std::thread::sleep(apart);
    let submitted = Instant::now();
    writer.submit_state(delta(2, &[])).unwrap();
    assert!(matches!(next(&reports), Durable::State { seq: 2 }));
    let took = submitted.elapsed();
    assert_eq!(*how.lock().unwrap(), ["slowly", "slowly"]);
    // The two were begun no less apart than that, and a machine that is busy only adds to it.
    assert!(took >= apart / 2, "{took:?}");
}

#[test]
fn a_panicking_store_is_reported_as_a_failure() {
    let gate = Gate::default();
    gate.change(|state| state.panics = true);
    let (writer, reports) = spawn(gated(&gate));
    writer.submit(1, group(&[record(1, 1, "vote")])).unwrap();
    assert!(matches!(
        next(&reports),
        Durable::Failed(StorageError::Panicked {
            thread: "record-log"
        })
    ));
    writer.stop().unwrap_err();
}
