//! What signatures and digests cost (docs/performance.md): `cargo bench -p crypto`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crypto::{Check, Digest, Ed25519, PublicKey, Scheme, SecretKey, Signature, Signer};

/// Client keys behind the signatures of a batch.
const KEYS: usize = 16;

struct Signed {
    keys: Vec<SecretKey>,
    publics: Vec<PublicKey>,
    messages: Vec<(Digest, Signature)>,
}

impl Signed {
    fn new(count: usize) -> Self {
        let keys: Vec<_> = (0..KEYS as u64)
            .map(|index| SecretKey::derive(&[1; 32], "client", index))
            .collect();
        let message = |at: usize| {
            let digest = Digest::of("message", &at.to_le_bytes());
            (digest, keys[at % KEYS].sign(&digest))
        };
        Signed {
            messages: (0..count).map(message).collect(),
            publics: keys.iter().map(SecretKey::public).collect(),
            keys,
        }
    }

    fn checks(&self) -> Vec<Check<'_>> {
        let signed = self.messages.iter().zip(self.publics.iter().cycle());
        signed
            .map(|((digest, signature), key)| Check {
                key,
                digest: *digest,
                signature: *signature,
            })
            .collect()
    }
}

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signature");
    let signed = Signed::new(256);
    let (digest, _) = signed.messages[0];
    group.bench_function("sign", |bencher| {
        bencher.iter(|| signed.keys[0].sign(&digest))
    });
    let checks = signed.checks();
    group.bench_function("verify", |bencher| {
        bencher.iter(|| Ed25519.verify(&checks[0]));
    });
    // A time for each batch; the throughput is that of signatures.
    for count in [4, 16, 64, 256] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(
            BenchmarkId::new("batch", count),
            &count,
            |bencher, count| {
                bencher.iter(|| assert!(Ed25519.verify_batch(&checks[..*count])));
            },
        );
    }
}

fn digests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("digest");
    for bytes in [128, 64 << 10] {
        let content = vec![0x5a_u8; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(bytes),
            &content,
            |bencher, content| {
                bencher.iter(|| Digest::of("content", content));
            },
        );
    }
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = signatures, digests }
criterion_main!(benches);
