//! How fast this machine signs, verifies and hashes: what bounds every signed request.

use std::sync::OnceLock;
use std::time::Instant;

use crypto::{Check, Digest, Ed25519, Scheme, SecretKey, Signature, Signer};

/// Signatures in the measured batch: what a busy replica verifies at once.
const BATCH: usize = 256;
/// Client keys in it.
const KEYS: usize = 16;
/// Rounds; the fastest counts, because whatever else the machine does only adds time.
const ROUNDS: usize = 3;
/// Bytes that are hashed.
const HASHED_BYTES: usize = 1 << 20;

/// Times on one core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signatures {
    /// Seconds for one signature.
    pub sign_s: f64,
    /// Seconds to verify one alone.
    pub verify_s: f64,
    /// Seconds to verify one of a batch of 256.
    pub verify_batched_s: f64,
    /// Bytes hashed in a second.
    pub hash_bytes_s: f64,
}

/// Measures once in the life of the process.
pub fn signatures() -> Signatures {
    static MEASURED: OnceLock<Signatures> = OnceLock::new();
    *MEASURED.get_or_init(measure)
}

impl Signatures {
    /// Operations per second if `cores` cores did nothing but sign each request once and verify it at each of `n` replicas, in batches.
    #[must_use]
    pub fn bound_ops_s(&self, cores: f64, n: u32, ops_per_request: u32) -> f64 {
        cores / (self.sign_s + f64::from(n) * self.verify_batched_s) * f64::from(ops_per_request)
    }
}

fn measure() -> Signatures {
    let keys: Vec<SecretKey> = (0..KEYS as u64)
        .map(|index| SecretKey::from_seed(&Digest::of("bound", &index.to_le_bytes()).0))
        .collect();
    let publics: Vec<_> = keys.iter().map(SecretKey::public).collect();
    let digests: Vec<Digest> = (0..BATCH as u64)
        .map(|index| Digest::of("message", &index.to_le_bytes()))
        .collect();
    let content = vec![0x5a_u8; HASHED_BYTES];
    let mut best = [f64::INFINITY; 4];
    for _ in 0..ROUNDS {
        let (signatures, sign_s) = timed(|| -> Vec<Signature> {
            digests
                .iter()
                .zip(keys.iter().cycle())
                .map(|(digest, key)| key.sign(digest))
                .collect()
        });
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
        let (batched, batched_s) = timed(|| Ed25519.verify_batch(&checks));
        let (single, single_s) = timed(|| checks.iter().all(|check| Ed25519.verify(check)));
        debug_assert!(batched && single, "own signatures hold");
        let (digest, hash_s) = timed(|| Digest::of("content", &content));
        std::hint::black_box((batched, single, digest));
        let each = BATCH as f64;
        let times = [sign_s / each, single_s / each, batched_s / each, hash_s];
        best.iter_mut()
            .zip(times)
            .for_each(|(best, time)| *best = best.min(time));
    }
    let [sign_s, verify_s, verify_batched_s, hash_s] = best;
    Signatures {
        sign_s,
        verify_s,
        verify_batched_s,
        hash_bytes_s: HASHED_BYTES as f64 / hash_s,
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_shares_the_cores_between_one_signature_and_n_verifications() {
        let speed = Signatures {
            sign_s: 20e-6,
            verify_s: 90e-6,
            verify_batched_s: 30e-6,
            hash_bytes_s: 1e9,
        };
        // 2 cores / (20 us + 4 x 30 us) = 14,285.7 requests.
        assert!((speed.bound_ops_s(2.0, 4, 1) - 2.0 / 140e-6).abs() < 1e-6);
        assert_eq!(
            speed.bound_ops_s(2.0, 4, 64),
            64.0 * speed.bound_ops_s(2.0, 4, 1)
        );
    }

    #[test]
    fn one_process_measures_once() {
        assert_eq!(signatures(), signatures());
    }
}
