//! What a slot costs five cores together, from the request's bytes to its execution everywhere, in one thread (docs/performance.md):
//! `cargo bench -p consensus --bench step`.
//!
//! `null`: the protocol alone, signatures cost nothing. `ed25519`: with those of replicas, and the clients' verified.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(
    dead_code,
    reason = "shared by benches and tests; each uses a part of it"
)]
mod lockstep;

use std::time::Duration;

use consensus::{SeqNo, StateMachine};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crypto::Digest;
use lockstep::{Clients, Lockstep, Signatures};

/// Executes as nothing.
struct NullMachine;

impl StateMachine for NullMachine {
    type Change = ();

    fn apply(&mut self, _seq: SeqNo, _op: &[u8], _room: usize) -> Vec<u8> {
        Vec::new()
    }

    fn apply_atomic(
        &mut self,
        _seq: SeqNo,
        ops: &mut dyn Iterator<Item = &[u8]>,
        _room: usize,
    ) -> Vec<Vec<u8>> {
        ops.map(|_| Vec::new()).collect()
    }

    fn root(&mut self) -> Digest {
        Digest::default()
    }

    fn take_changes(&mut self) -> Vec<()> {
        Vec::new()
    }
}

fn slots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slot of five");
    for (signatures, name) in [(Signatures::Null, "null"), (Signatures::Ed25519, "ed25519")] {
        // Requests in a slot, and operations in each.
        for (requests, ops) in [(1, 1), (64, 1), (8, 64)] {
            group.throughput(Throughput::Elements(requests * ops));
            let id = BenchmarkId::new(name, format!("{requests} requests of {ops}"));
            group.bench_function(id, |bencher| {
                let mut lockstep = Lockstep::new(signatures, || NullMachine);
                let mut clients = Clients::new(signatures);
                bencher.iter_batched(
                    || clients.requests(requests, ops, |_| vec![0x5a; 128]),
                    |raw| lockstep.submit(raw),
                    BatchSize::SmallInput,
                );
                let executed = lockstep.executed();
                assert!(executed > SeqNo(0) && lockstep.counts.executions == 5 * executed.0);
                let digests = lockstep.state_digests();
                assert!(digests.iter().all(|digest| *digest == digests[0]));
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

criterion_group! { name = benches; config = short(); targets = slots }
criterion_main!(benches);
