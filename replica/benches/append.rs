//! What a group commit of the record log costs, the disk's part included (docs/performance.md): `cargo bench -p replica --bench append`.
//!
//! One sync makes a whole group durable: the time of a group grows little with its records. It is that of the disk below the
//! temporary directory (`TMPDIR`), which had better be the one that replicas use.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use replica::storage::sqlite::{self, Home};
use replica::storage::{Durability, Group, Identity, Pressure, Storage, StoredRecord};
use tempfile::TempDir;

/// About a vote with its header.
const RECORD_BYTES: usize = 256;
/// Sequence numbers that are kept.
const WINDOW: u64 = 256;

struct Log {
    storage: Storage,
    seq: u64,
    _directory: TempDir,
}

impl Log {
    fn new(durability: Durability) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::lock(directory.path()).unwrap();
        let identity = Identity {
            cluster: [7; 32],
            replica: 0,
        };
        let options = sqlite::Options {
            durability,
            database_bytes_max: None,
        };
        Log {
            storage: sqlite::open(&home, identity, options).unwrap(),
            seq: 0,
            _directory: directory,
        }
    }
}

/// The next records, and what is no longer needed.
fn group(seq: &mut u64, records: u64) -> Group {
    let record = |at| StoredRecord {
        seq: at,
        kind: 1,
        bytes: Bytes::from(vec![0x5a; RECORD_BYTES]),
    };
    let first = *seq + 1;
    *seq += records;
    Group {
        records: (first..=*seq).map(record).collect(),
        truncate_below: first.checked_sub(WINDOW),
    }
}

fn append(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("append");
    for (durability, name) in [(Durability::Full, "full"), (Durability::Off, "off")] {
        for records in [1, 16, 64] {
            benches.throughput(Throughput::Elements(records));
            let id = BenchmarkId::new(name, format!("{records} records"));
            benches.bench_function(id, |bencher| {
                let mut log = Log::new(durability);
                let seq = &mut log.seq;
                let storage = &mut log.storage;
                bencher.iter_batched(
                    || group(seq, records),
                    |group| {
                        storage.log.append(&group).unwrap();
                        storage.log.tidy(Pressure::Busy).unwrap();
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = append }
criterion_main!(benches);
