//! What a checkpoint costs: digest, gathering what has changed, and one synced SQLite transaction.
//!
//! It must grow with the keys that changed since the last checkpoint, not with the keys held
//! (docs/checkpoints.md). `cargo bench -p replica --bench checkpoint`.
//!
//! `core` and `disk` are processor time of the thread that does it, which a busy machine does not
//! change; `wait` is how long the state thread is at it by the clock, waiting for the disk included.

#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use consensus::{Cluster, Executor, FastQuorum, Limits, SeqNo, StateMachine as _};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crypto::SecretKey;
use replica::storage::sqlite::{self, Home};
use replica::storage::{Basis, Change, Durability, Encodable, Identity, StateDelta, Storage};
use tempfile::TempDir;

const VALUE_BYTES: usize = 128;

/// A replica's state, in memory and on disk.
struct State {
    executor: Executor<kv::Store>,
    storage: Storage,
    held: u64,
    /// Walks over the keys in an order without neighbours.
    next_key: u64,
    _directory: TempDir,
}

impl State {
    fn holding(keys: u64) -> Self {
        let member = |id| SecretKey::derive(&[1; 32], "replica", id).public();
        let client = SecretKey::derive(&[1; 32], "client", 0).public();
        let replicas = (0..5).map(member).collect();
        let cluster = Cluster::genesis(
            1,
            FastQuorum::Strong,
            Limits::default(),
            replicas,
            vec![client],
        );
        let cluster = Arc::new(cluster.unwrap());
        let directory = tempfile::tempdir().unwrap();
        let home = Home::lock(directory.path()).unwrap();
        let identity = Identity {
            cluster: *cluster.id().0.as_bytes(),
            replica: 0,
        };
        let options = sqlite::Options {
            durability: Durability::Full,
            database_bytes_max: None,
        };
        let mut state = State {
            executor: Executor::new(cluster, kv::Store::new()),
            storage: sqlite::open(&home, identity, options).unwrap(),
            held: keys,
            next_key: 0,
            _directory: directory,
        };
        state.change(keys);
        state.checkpoint();
        state
    }

    /// Writes this many different keys in one slot.
    fn change(&mut self, keys: u64) {
        let seq = self.executor.last_executed().next();
        self.executor.execute(seq, None);
        for _ in 0..keys {
            // Coprime to every power of ten: `held` steps reach every key once.
            let key = self.next_key * 618_033_989 % self.held;
            let mut value = vec![0u8; VALUE_BYTES];
            value[..8].copy_from_slice(&(seq.0 ^ self.next_key).to_le_bytes());
            self.next_key += 1;
            let op = kv::Op::Put {
                key: format!("user{key:012}").into_bytes().into(),
                value: value.into(),
            };
            self.executor
                .machine_mut()
                .apply(seq, &op.encode(), 1 << 16);
        }
    }

    fn checkpoint(&mut self) -> Cost {
        let begin = processor_time();
        let SeqNo(seq) = self.executor.last_executed();
        let digest = self.executor.state_digest();
        let changes = self.executor.machine_mut().take_changes();
        let entry = |change: kv::Change| Change::new(Stored(change));
        let delta = StateDelta {
            seq,
            digest: digest.0,
            basis: Basis::Stored,
            changes: changes.into_iter().map(entry).collect(),
            sessions: self.executor.sessions().to_bytes().into(),
            meta: self.executor.configuration().to_bytes().into(),
        };
        let (gathered, clock) = (processor_time(), Instant::now());
        self.storage.state.apply(&delta).unwrap();
        let cost = Cost {
            core: gathered - begin,
            disk: processor_time() - gathered,
            wait: clock.elapsed(),
        };
        self.storage.state.tidy().unwrap();
        cost
    }
}

/// A change, encoded when it is written.
struct Stored(kv::Change);

impl Encodable for Stored {
    fn key(&self) -> Bytes {
        match &self.0 {
            kv::Change::Set(record) => Bytes::copy_from_slice(record.key()),
            kv::Change::Removed { key } => key.0.clone(),
            kv::Change::LastDelete(_) => Bytes::new(),
        }
    }

    fn entry(&self) -> Option<Bytes> {
        match &self.0 {
            kv::Change::Removed { .. } => None,
            change => Some(crypto::encode(change).into()),
        }
    }
}

/// What one checkpoint has cost.
struct Cost {
    /// Digest, changes and session table: the protocol's thread.
    core: Duration,
    /// The SQLite transaction: the state thread.
    disk: Duration,
    /// The same by the clock.
    wait: Duration,
}

/// What this thread has had of a processor so far.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap()
}

fn checkpoints(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(20);
    group.warm_up_time(Duration::from_secs(1));
    for held in [10_000, 100_000, 1_000_000] {
        let mut state = State::holding(held);
        for changed in [100, 1_000, 10_000] {
            group.throughput(Throughput::Elements(changed));
            for part in ["core", "disk", "wait"] {
                let id = BenchmarkId::new(format!("{part}/{changed} changed"), held);
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|times| {
                        let mut sum = Duration::ZERO;
                        for _ in 0..times {
                            state.change(changed);
                            let cost = state.checkpoint();
                            sum += match part {
                                "core" => cost.core,
                                "disk" => cost.disk,
                                _ => cost.wait,
                            };
                        }
                        sum
                    });
                });
            }
        }
    }
}

criterion_group!(benches, checkpoints);
criterion_main!(benches);
