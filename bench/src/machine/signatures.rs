//! How fast this machine signs, verifies and hashes: what bounds every signed request.

use std::time::Instant;

use crypto::{Check, Digest, Ed25519, PublicKey, Scheme, SecretKey, Signature, Signer};

/// Signatures in the larger batch: what a busy replica verifies at once.
pub(crate) const BATCH_LARGE: usize = 256;
/// Signatures in the smaller one.
pub(crate) const BATCH_SMALL: usize = 64;
/// Client keys in either.
const KEYS: usize = 16;
/// Rounds; the fastest counts, because whatever else the machine does only adds time.
const ROUNDS: usize = 3;
/// Bytes that are hashed at once: a request, and as many as it takes to see the speed in bulk.
const HASHED_BYTES: [usize; 2] = [128, 1 << 20];
/// Hashes of the first kind in one round.
const HASHES: u32 = 256;

/// Times on one core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signatures {
    /// Seconds for one signature.
    pub sign_s: f64,
    /// Seconds to verify one alone.
    pub verify_s: f64,
    /// Seconds to verify one of a batch of 64 by 16 keys.
    pub verify_batched_64_s: f64,
    /// Seconds to verify one of a batch of 256 by 16 keys.
    pub verify_batched_s: f64,
    /// Seconds to hash 128 bytes.
    pub hash_128_s: f64,
    /// Bytes hashed in a second, in bulk.
    pub hash_bytes_s: f64,
}

impl Signatures {
    /// Operations per second if `cores` cores did nothing but sign each request once and verify it at each of `n` replicas, in batches.
    #[must_use]
    pub fn bound_ops_s(&self, cores: f64, n: u32, ops_per_request: u32) -> f64 {
        bound_ops_s(cores, self.sign_s, self.verify_batched_s, n) * f64::from(ops_per_request)
    }
}

/// Requests per second if `cores` cores did nothing but sign each once and verify it at each of `n` replicas; both costs in seconds.
#[must_use]
pub fn bound_ops_s(cores: f64, sign_s: f64, verify_s: f64, n: u32) -> f64 {
    cores / (sign_s + f64::from(n) * verify_s)
}

/// Measures all of it: about 70 ms on a core that signs in 20 us.
#[must_use]
pub fn signatures() -> Signatures {
    let signed = Signed::new(KEYS, BATCH_LARGE);
    let [request, bulk] = HASHED_BYTES.map(|bytes| vec![0x5a_u8; bytes]);
    let mut best = [f64::INFINITY; 6];
    for _ in 0..ROUNDS {
        let ((), sign_s) = timed(|| signed.sign_again());
        let checks = signed.checks();
        let (single, single_s) = timed(|| checks.iter().all(|check| Ed25519.verify(check)));
        let (small, small_s) = timed(|| Ed25519.verify_batch(&checks[..BATCH_SMALL]));
        let (large, large_s) = timed(|| Ed25519.verify_batch(&checks));
        debug_assert!(single && small && large, "own signatures hold");
        let ((), request_s) = timed(|| {
            for _ in 0..HASHES {
                std::hint::black_box(Digest::of("content", std::hint::black_box(&request)));
            }
        });
        let (digest, bulk_s) = timed(|| Digest::of("content", &bulk));
        std::hint::black_box((single, small, large, digest));
        let each = BATCH_LARGE as f64;
        let times = [
            sign_s / each,
            single_s / each,
            small_s / BATCH_SMALL as f64,
            large_s / each,
            request_s / f64::from(HASHES),
            bulk_s,
        ];
        best.iter_mut()
            .zip(times)
            .for_each(|(best, time)| *best = best.min(time));
    }
    let [
        sign_s,
        verify_s,
        verify_batched_64_s,
        verify_batched_s,
        hash_128_s,
        bulk_s,
    ] = best;
    Signatures {
        sign_s,
        verify_s,
        verify_batched_64_s,
        verify_batched_s,
        hash_128_s,
        hash_bytes_s: HASHED_BYTES[1] as f64 / bulk_s,
    }
}

/// Seconds to verify `count` signatures by as many keys at once, as the votes of a slot are; 0 if there are none.
#[must_use]
pub fn verify_together_s(count: usize) -> f64 {
    if count == 0 {
        return 0.0;
    }
    let signed = Signed::new(count, count);
    let checks = signed.checks();
    let times = (0..ROUNDS).map(|_| {
        let (good, time) = timed(|| Ed25519.verify_batch(&checks));
        std::hint::black_box(good);
        time
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Messages, each signed by one of the keys in turn.
struct Signed {
    keys: Vec<SecretKey>,
    publics: Vec<PublicKey>,
    messages: Vec<(Digest, Signature)>,
}

impl Signed {
    fn new(keys: usize, messages: usize) -> Self {
        let keys: Vec<SecretKey> = (0..keys as u64)
            .map(|index| SecretKey::from_seed(&Digest::of("bound", &index.to_le_bytes()).0))
            .collect();
        let digests = (0..messages as u64).map(|at| Digest::of("message", &at.to_le_bytes()));
        let signed = digests.zip(keys.iter().cycle());
        Signed {
            messages: signed
                .map(|(digest, key)| (digest, key.sign(&digest)))
                .collect(),
            publics: keys.iter().map(SecretKey::public).collect(),
            keys,
        }
    }

    fn sign_again(&self) {
        for ((digest, _), key) in self.messages.iter().zip(self.keys.iter().cycle()) {
            std::hint::black_box(key.sign(digest));
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
            verify_batched_64_s: 40e-6,
            verify_batched_s: 30e-6,
            hash_128_s: 1e-7,
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
    fn what_is_measured_are_signatures_that_hold() {
        let signed = Signed::new(3, 8);
        assert!(Ed25519.verify_batch(&signed.checks()));
        let mut wrong = signed.checks();
        wrong[7].digest = wrong[6].digest;
        assert!(!Ed25519.verify_batch(&wrong));
        assert_eq!(verify_together_s(0), 0.0);
        assert!(verify_together_s(2) > 0.0);
    }
}
