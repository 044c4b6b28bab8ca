//! Verification: one acceptance predicate (ZIP-215) for single signatures and batches.
//!
//! ZIP-215 is cofactored, so a batch accepts exactly what single verification accepts. With any
//! other pair of rules a vote could be valid at one replica and invalid at another, and a
//! certificate that carries it would split them (docs/adr/0003-zip-215.md).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use ed25519_zebra::{VerificationKey, VerificationKeyBytes};
use rand_chacha::rand_core::SeedableRng;

use crate::{Digest, Hasher, PublicKey, Signature};

/// One signature to be checked.
#[derive(Clone, Copy, Debug)]
pub struct Check<'k> {
    /// The key that is said to have signed.
    pub key: &'k PublicKey,
    /// What was signed ([`crate::signing_digest`]).
    pub digest: Digest,
    /// The signature.
    pub signature: Signature,
}

/// How signatures are verified. [`Ed25519`] everywhere outside the simulator.
pub trait Scheme: Send + Sync + std::fmt::Debug {
    /// Is this signature valid?
    fn verify(&self, check: &Check<'_>) -> bool;

    /// Are all of them valid? Must equal the conjunction of the single verdicts.
    fn verify_batch(&self, checks: &[Check<'_>]) -> bool {
        checks.iter().all(|check| self.verify(check))
    }
}

/// Ed25519 by the rule of ZIP-215.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519;

/// Below this many signatures single verification is as fast as a batch.
const BATCH_MIN: usize = 3;

impl Scheme for Ed25519 {
    fn verify(&self, check: &Check<'_>) -> bool {
        verify_one(&check.key.point, &check.signature, check.digest.as_bytes())
    }

    fn verify_batch(&self, checks: &[Check<'_>]) -> bool {
        if checks.len() < BATCH_MIN {
            return checks.iter().all(|check| self.verify(check));
        }
        let items = checks.iter().map(|check| {
            (
                check.key.as_bytes(),
                &check.signature,
                check.digest.as_bytes().as_slice(),
            )
        });
        verify_many(items)
    }
}

/// The cofactored equation for one signature.
fn verify_one(point: &VerificationKey, signature: &Signature, message: &[u8]) -> bool {
    let signature = ed25519_zebra::Signature::from(signature.0);
    point.verify(&signature, message).is_ok()
}

/// The cofactored equation for a random linear combination of signatures.
fn verify_many<'a>(items: impl Iterator<Item = (&'a [u8; 32], &'a Signature, &'a [u8])>) -> bool {
    // The blinders are a hash of all that is verified: whoever chooses the signatures fixes
    // them before the blinders exist, and no source of randomness is needed.
    let mut seed = Hasher::new("quintet/batch-blinders");
    let mut batch = ed25519_zebra::batch::Verifier::new();
    for (key, signature, message) in items {
        seed.update(key).part(message).update(&signature.0);
        batch.queue((
            VerificationKeyBytes::from(*key),
            ed25519_zebra::Signature::from(signature.0),
            message,
        ));
    }
    let rng = rand_chacha::ChaCha8Rng::from_seed(seed.finish().0);
    batch.verify(rng).is_ok()
}

#[cfg(test)]
mod tests;
