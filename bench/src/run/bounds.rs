//! What the signatures alone would allow on this machine: the yardstick beside the throughput.
//!
//! Every signed request is signed once and verified at every replica; the best case verifies in
//! large batches. On c cores: c / (sign + n × verify) requests a second, times the operations that
//! share a signature.

use std::time::Instant;

use crypto::{Check, Digest, Ed25519, Scheme, SecretKey, Signature, Signer};

use crate::record::Bounds;

/// Signatures in the measured batch: what a busy replica verifies at once.
const BATCH: usize = 256;
/// Client keys in it.
const KEYS: usize = 16;
/// Rounds; the fastest counts, because whatever else the machine does only adds time.
const ROUNDS: usize = 3;

/// The yardstick for `n` replicas and this many operations under one signature.
pub(super) fn measure(n: u32, ops_per_request: u32, throughput_ops_s: f64) -> Bounds {
    let keys: Vec<SecretKey> = (0..KEYS as u64)
        .map(|index| SecretKey::from_seed(&Digest::of("bound", &index.to_le_bytes()).0))
        .collect();
    let publics: Vec<_> = keys.iter().map(SecretKey::public).collect();
    let digests: Vec<Digest> = (0..BATCH as u64)
        .map(|index| Digest::of("message", &index.to_le_bytes()))
        .collect();
    let (mut sign_s, mut verify_s) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let signatures: Vec<Signature> = digests
            .iter()
            .zip(keys.iter().cycle())
            .map(|(digest, key)| key.sign(digest))
            .collect();
        sign_s = sign_s.min(began.elapsed().as_secs_f64() / BATCH as f64);
        let checks: Vec<Check<'_>> = digests
            .iter()
            .zip(publics.iter().cycle())
            .zip(&signatures)
            .map(|((digest, key), signature)| Check {
                key,
                digest: *digest,
                signature: *signature,
            })
            .collect();
        let began = Instant::now();
        let valid = Ed25519.verify_batch(&checks);
        debug_assert!(valid, "own signatures hold");
        verify_s = verify_s.min(began.elapsed().as_secs_f64() / BATCH as f64);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
    let bound = cores / (sign_s + f64::from(n) * verify_s) * f64::from(ops_per_request);
    Bounds {
        signature_bound_ops_s: bound,
        signature_bound_share: throughput_ops_s / bound,
    }
}
