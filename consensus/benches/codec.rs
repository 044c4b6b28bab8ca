//! What messages cost to encode and decode (docs/performance.md): `cargo bench -p consensus --bench codec`.

#![allow(missing_docs, clippy::unwrap_used)]

#[allow(
    dead_code,
    reason = "shared by benches and tests; each uses a part of it"
)]
mod lockstep;

use std::time::Duration;

use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{Header, Prepare, Wire};
use consensus::{Batch, Epoch, Limits, ReplicaId, Request, SeqNo, View};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crypto::{Digest, Signature};
use lockstep::{Clients, Signatures};

/// Requests in a proposal, of one operation of 128 bytes each.
const REQUESTS: u64 = 64;

/// One of each kind that travels in every slot.
fn messages() -> Vec<(&'static str, Wire)> {
    let requests = Clients::new(Signatures::Null).requests(REQUESTS, 1, |_| vec![0x5a; 128]);
    let parsed = requests.into_iter();
    let parsed = parsed.map(|raw| Request::parse(raw, &Limits::default()).unwrap());
    let batch = Batch::new(parsed.collect());
    let statement = Statement {
        view: View(0),
        seq: SeqNo(1),
        digest: batch.digest(),
    };
    let signature = Signature([3; 64]);
    let header = Header {
        epoch: Epoch(0),
        statement,
        signature,
    };
    let vote = Prepare {
        epoch: Epoch(0),
        statement,
        replica: ReplicaId(1),
        signature,
        header_signature: signature,
    };
    vec![
        ("prepare", Wire::Prepare(vote)),
        (
            "pre-prepare of 64 requests",
            Wire::PrePrepare(header, Some(batch.to_raw())),
        ),
    ]
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    for (name, wire) in messages() {
        let bytes = crypto::encode(&wire);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::new("encode", name), &wire, |bencher, wire| {
            bencher.iter(|| crypto::encode(wire));
        });
        group.bench_with_input(
            BenchmarkId::new("decode", name),
            &bytes,
            |bencher, bytes| {
                bencher.iter(|| crypto::decode::<Wire>(bytes).unwrap());
            },
        );
    }
    let [raw] = &Clients::new(Signatures::Null).requests(1, 1, |_| vec![0x5a; 128])[..] else {
        unreachable!("one was asked for")
    };
    let limits = Limits::default();
    group.throughput(Throughput::Bytes(raw.len() as u64));
    group.bench_function("request", |bencher| {
        bencher.iter(|| Request::parse(raw.clone(), &limits).unwrap());
    });
    group.bench_function("digest of a batch of 64 requests", |bencher| {
        let requests = Clients::new(Signatures::Null).requests(REQUESTS, 1, |_| vec![0x5a; 128]);
        let parsed = requests.into_iter();
        let parsed: Vec<_> = parsed
            .map(|raw| Request::parse(raw, &limits).unwrap())
            .collect();
        bencher.iter(|| -> Digest { Batch::new(parsed.clone()).digest() });
    });
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = codec }
criterion_main!(benches);
