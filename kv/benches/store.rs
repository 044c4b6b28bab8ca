//! What operations and digests cost the state machine (docs/performance.md): `cargo bench -p kv`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use consensus::{SeqNo, StateMachine as _};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kv::{Op, Store};

const VALUE_BYTES: usize = 128;
const HELD: u64 = 100_000;
/// What the results of a request may take.
const ROOM: usize = 256 << 10;

fn key(number: u64) -> Vec<u8> {
    // Coprime to every power of ten: neighbours in number are none in order.
    format!("user{:012}", number * 618_033_989 % HELD).into_bytes()
}

fn put(number: u64) -> Vec<u8> {
    let mut value = vec![0_u8; VALUE_BYTES];
    value[..8].copy_from_slice(&number.to_le_bytes());
    let put = Op::Put {
        key: key(number).into(),
        value: value.into(),
    };
    put.encode()
}

fn read(number: u64) -> Vec<u8> {
    let read = Op::Read {
        key: key(number).into(),
    };
    read.encode()
}

fn store() -> Store {
    let mut store = Store::new();
    for number in 0..HELD {
        store.apply(SeqNo(1), &put(number), ROOM);
    }
    store.root();
    store.take_changes();
    store
}

fn execute(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("execute");
    group.throughput(Throughput::Elements(1));
    let mut store = store();
    for (name, operation) in [("put", put as fn(u64) -> Vec<u8>), ("read", read)] {
        let mut number = 0;
        group.bench_function(BenchmarkId::new(name, HELD), |bencher| {
            bencher.iter_batched(
                || {
                    number += 1;
                    operation(number)
                },
                |op| store.apply(SeqNo(2), &op, ROOM),
                BatchSize::SmallInput,
            );
        });
    }
}

fn digest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("digest");
    let mut store = store();
    let mut number = 0;
    for changed in [64, 1_024] {
        group.throughput(Throughput::Elements(changed));
        let id = BenchmarkId::new(format!("{changed} changed"), HELD);
        group.bench_function(id, |bencher| {
            // The changes are part of it, and cost as `execute/put` says.
            bencher.iter(|| {
                for _ in 0..changed {
                    number += 1;
                    store.apply(SeqNo(3), &put(number), ROOM);
                }
                store.take_changes();
                store.root()
            });
        });
    }
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = execute, digest }
criterion_main!(benches);
