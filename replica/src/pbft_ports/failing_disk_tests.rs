//! A disk that fails at its k-th write, for every k: the replica stops, and no promise has left that
//! was not durable (docs/protocol.md R12).

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use consensus::pbft::Pbft;
use consensus::pbft::admission::Message;
use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{Header, Prepare};
use consensus::protocol::admit_all;
use consensus::{
    Batch, ByteList, ClientId, Cluster, Epoch, Executor, FastQuorum, Keyring, Limits, Policy,
    ReplicaId, Request, RequestId, View,
};
use crypto::{Kind, SecretKey, Signature, Signer as _};

use super::*;
use crate::driver::{Burst, Driver, Stop};
use crate::observer::{Logs, Observer};
use crate::storage::memory::MemoryDisk;
use crate::storage::{
    EachEntry, LoadedLog, LoadedState, Pressure, RecordLog, StateStore, Stats, StorageError,
};

const US: ReplicaId = ReplicaId(1);
const SLOTS: u64 = 8;
const K: u64 = 4;

/// When a store fails, counted in its writes from 1.
#[derive(Clone, Copy, Debug)]
struct Fault {
    at: usize,
    /// The write reaches the disk and only its success does not come back: a failed fsync.
    arrives: bool,
}

/// A store that fails once, and must not be asked again.
struct Failing<S: ?Sized> {
    inner: Box<S>,
    fault: Option<Fault>,
    writes: usize,
}

impl<S: ?Sized> Failing<S> {
    fn write(
        &mut self,
        write: impl FnOnce(&mut S) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.writes += 1;
        let Some(fault) = self.fault else {
            return write(&mut self.inner);
        };
        assert!(self.writes <= fault.at, "nothing is retried");
        if self.writes < fault.at {
            return write(&mut self.inner);
        }
        if fault.arrives {
            write(&mut self.inner)?;
        }
        Err(StorageError::Io {
            file: "log.db".into(),
            what: "fsync failed".to_owned(),
        })
    }
}

impl RecordLog for Failing<dyn RecordLog> {
    fn append(&mut self, group: &Group) -> Result<(), StorageError> {
        self.write(|log| log.append(group))
    }
    fn load(&mut self) -> Result<LoadedLog, StorageError> {
        self.inner.load()
    }
    fn tidy(&mut self, pressure: Pressure) -> Result<(), StorageError> {
        self.inner.tidy(pressure)
    }
    fn stats(&self) -> Stats {
        self.inner.stats()
    }
    fn close(self: Box<Self>) -> Result<(), StorageError> {
        self.inner.close()
    }
}

impl StateStore for Failing<dyn StateStore> {
    fn apply_slowly(
        &mut self,
        delta: &StateDelta,
        pause: &mut dyn FnMut(f64),
    ) -> Result<(), StorageError> {
        self.write(|state| state.apply_slowly(delta, pause))
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

/// Promises that left the replica.
#[derive(Clone, Default)]
struct Sent(Rc<RefCell<Promises>>);

#[derive(Default)]
struct Promises {
    votes: Vec<u64>,
    checkpoints: Vec<u64>,
}

impl Network for Sent {
    fn send(&mut self, messages: Vec<Outgoing>) {
        for message in messages {
            match crypto::decode(&message.bytes).unwrap() {
                Wire::Prepare(vote) => self.0.borrow_mut().votes.push(vote.statement.seq.0),
                Wire::Checkpoint(claim) => self.0.borrow_mut().checkpoints.push(claim.seq.0),
                _ => {}
            }
        }
    }
    fn reply(&mut self, _: Vec<Reply>) {}
    fn hint(&mut self, _: Term) {}
}

impl Describe<Wire> for Sent {
    const KINDS: &'static [&'static str] = QuicNetwork::KINDS;
    fn kind(wire: &Wire) -> usize {
        QuicNetwork::kind(wire)
    }
    fn lane(wire: &Wire) -> Lane {
        QuicNetwork::lane(wire)
    }
}

/// The other members, who decide every slot without this one.
struct Others {
    cluster: Arc<Cluster>,
    keyring: Keyring,
}

fn key(label: &str, index: u64) -> SecretKey {
    SecretKey::derive(&[7; 32], label, index)
}

impl Others {
    fn new() -> Self {
        let limits = Limits {
            checkpoint_interval: K,
            log_window: 2 * K,
            ..Limits::default()
        };
        let replicas = (0..5).map(|id| key("replica", id).public()).collect();
        let clients = vec![key("client", 0).public()];
        let cluster = Cluster::genesis(1, FastQuorum::Strong, limits, replicas, clients).unwrap();
        let cluster = Arc::new(cluster);
        Others {
            keyring: Keyring::new(Arc::clone(&cluster)),
            cluster,
        }
    }

    fn sign(&self, replica: u16, kind: Kind, body: &[u8]) -> Signature {
        let digest = self
            .keyring
            .replica_digest(kind, Epoch(0), ReplicaId(replica), body);
        key("replica", replica.into()).sign(&digest)
    }

    /// The proposal of a slot and everybody else's vote for it.
    fn messages(&self, seq: u64) -> Vec<(ReplicaId, crypto::Verified<Message>)> {
        let id = RequestId {
            client: ClientId(0),
            session: 1,
            number: seq,
        };
        let put = kv::Op::Put {
            key: seq.to_le_bytes().to_vec().into(),
            value: b"value".to_vec().into(),
        };
        let ops: ByteList = [put.encode()].into_iter().collect();
        let request = Request::sign(&key("client", 0), self.cluster.id(), id, 0, false, &ops);
        let batch = Batch::new(vec![request]);
        let statement = Statement {
            view: View(0),
            seq: SeqNo(seq),
            digest: batch.digest(),
        };
        let header = Header {
            epoch: Epoch(0),
            statement,
            signature: self.sign(0, Kind::PrePrepare, &statement.body()),
        };
        let proposal = Wire::PrePrepare(header, Some(batch.to_raw()));
        let votes = [0u16, 2, 3, 4].map(|replica| {
            let vote = Prepare {
                epoch: Epoch(0),
                statement,
                replica: ReplicaId(replica),
                signature: self.sign(replica, Kind::Prepare, &statement.body()),
                header_signature: header.signature,
            };
            (ReplicaId(replica), Wire::Prepare(vote))
        });
        let wires = [(ReplicaId(0), proposal)].into_iter().chain(votes);
        admit_all::<Pbft>(&self.keyring, wires.collect())
            .into_iter()
            .map(|(from, message)| (from, message.unwrap()))
            .collect()
    }
}

/// What left, what is on disk, and how the replica ended if it did.
struct Outcome {
    promises: Promises,
    disk: MemoryDisk,
    stop: Option<Stop>,
}

/// Runs a backup through all slots on a disk with these faults.
fn run(log: Option<Fault>, state: Option<Fault>) -> Outcome {
    let others = Others::new();
    let disk = MemoryDisk::new();
    let opened = disk.open();
    let storage = Storage {
        log: Box::new(Failing {
            inner: opened.log,
            fault: log,
            writes: 0,
        }),
        state: Box::new(Failing {
            inner: opened.state,
            fault: state,
            writes: 0,
        }),
        ..opened
    };
    let writer = SharedWriter::default();
    let inbox = Arc::new(CoreInbox::<Message>::new());
    writer.start(storage, Arc::clone(&inbox));
    let figures = Box::new(crate::observer::status::StorageStatus::default);
    let cluster = &others.cluster;
    let observer = Observer::new(
        US,
        Arc::clone(cluster),
        Sent::KINDS,
        figures,
        &Logs::default(),
    )
    .unwrap();
    let signer = Arc::new(key("replica", US.0.into()));
    let sent = Sent::default();
    let mut driver = Driver::new(
        US,
        cluster,
        Pbft::new(US, Arc::clone(cluster), Policy::default(), signer),
        Executor::new(Arc::clone(cluster), kv::Store::new()),
        StorageDisk::new(writer.clone(), None),
        sent.clone(),
        Arc::new(observer),
    );
    driver.start(consensus::Instant(0)).unwrap();
    let mut stop = None;
    'slots: for seq in 1..=SLOTS {
        let messages = others.messages(seq);
        inbox.put(|burst: &mut Burst<Message>| burst.messages.extend(messages));
        let patience = Instant::now() + Duration::from_secs(30);
        while !sent.has_promised(seq) {
            let burst = inbox.take(Some(patience)).unwrap();
            assert!(
                Instant::now() < patience,
                "slot {seq} neither done nor refused"
            );
            if let Err(error) = driver.turn(consensus::Instant(seq), burst) {
                stop = Some(error);
                break 'slots;
            }
        }
    }
    writer.abandon();
    Outcome {
        promises: sent.0.take(),
        disk,
        stop,
    }
}

impl Sent {
    fn has_promised(&self, seq: u64) -> bool {
        let promises = self.0.borrow();
        promises.votes.contains(&seq)
            && (!seq.is_multiple_of(K) || promises.checkpoints.contains(&seq))
    }
}

fn votes_on(disk: &MemoryDisk) -> Vec<u64> {
    let records = disk.open().log.load().unwrap().records;
    records
        .iter()
        .map(|record| record.seq)
        .filter(|seq| *seq > 0)
        .collect()
}

#[test]
fn on_a_disk_without_faults_every_slot_is_voted_for() {
    let outcome = run(None, None);
    assert_eq!(outcome.stop, None);
    assert_eq!(outcome.promises.votes, (1..=SLOTS).collect::<Vec<_>>());
    assert_eq!(outcome.promises.checkpoints, [K, 2 * K]);
}

#[test]
fn whichever_write_to_the_log_fails_the_replica_stops_and_no_vote_leaves_that_is_not_on_disk() {
    for at in 1..=SLOTS as usize {
        for arrives in [false, true] {
            let outcome = run(Some(Fault { at, arrives }), None);
            let stop = outcome.stop.expect("it must not go on");
            assert!(
                matches!(&stop, Stop::Disk(why) if why.contains("fsync failed")),
                "{stop}"
            );
            let durable = votes_on(&outcome.disk);
            let votes = outcome.promises.votes;
            assert!(
                votes.iter().all(|seq| durable.contains(seq)),
                "{votes:?} of {durable:?}"
            );
            // One group for each slot: the failed one and all behind it promised nothing.
            assert_eq!(votes, (1..at as u64).collect::<Vec<_>>());
        }
    }
}

#[test]
fn whichever_checkpoint_fails_the_replica_stops_and_does_not_claim_it() {
    for (at, claimed) in [(1, vec![]), (2, vec![K])] {
        for arrives in [false, true] {
            let outcome = run(None, Some(Fault { at, arrives }));
            assert!(matches!(outcome.stop, Some(Stop::Disk(_))));
            assert_eq!(outcome.promises.checkpoints, claimed);
        }
    }
}
