//! Signatures that were verified once are not verified again.
//!
//! A VIEW-CHANGE carries the signatures of hundreds of votes, most of which its receiver has
//! verified as votes before, and every repetition of it carries them again. What is remembered is
//! the whole triple of key, digest and signature, so the verdicts are those of the scheme itself
//! (docs/protocol.md R3, docs/adr/0003-zip-215.md). Only the keys that are named are remembered:
//! clients' signatures come once and would push the replicas' out.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::{Check, Digest, PublicKey, Scheme, Signature};

/// Signatures of one generation; two are held, about 128 bytes a signature.
const GENERATION_MAX: usize = 16_384;

/// A scheme with a memory for valid signatures.
#[derive(Debug)]
pub struct Remembering<S> {
    scheme: S,
    keys: BTreeSet<[u8; 32]>,
    seen: Mutex<Seen>,
}

/// The newest valid signatures: when a generation is full it becomes the old one.
#[derive(Debug, Default)]
struct Seen {
    young: BTreeSet<Triple>,
    old: BTreeSet<Triple>,
}

/// Signature first: it is the most different part.
type Triple = ([u8; 64], [u8; 32], Digest);

impl<S: Scheme> Remembering<S> {
    /// Remembers valid signatures by these keys.
    pub fn new(scheme: S, keys: &[PublicKey]) -> Self {
        Remembering {
            scheme,
            keys: keys.iter().map(|key| *key.as_bytes()).collect(),
            seen: Mutex::default(),
        }
    }

    fn triple(&self, check: &Check<'_>) -> Option<Triple> {
        let key = *check.key.as_bytes();
        let Signature(signature) = check.signature;
        self.keys
            .contains(&key)
            .then_some((signature, key, check.digest))
    }

    fn remember<'t>(&self, valid: impl Iterator<Item = Check<'t>>) {
        let triples: Vec<Triple> = valid.filter_map(|check| self.triple(&check)).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for triple in triples {
            if seen.young.len() >= GENERATION_MAX {
                seen.old = std::mem::take(&mut seen.young);
            }
            seen.young.insert(triple);
        }
    }

    fn unknown<'k>(&self, checks: &[Check<'k>]) -> Vec<Check<'k>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |check: &&Check<'k>| {
            self.triple(check)
                .is_some_and(|triple| seen.young.contains(&triple) || seen.old.contains(&triple))
        };
        checks
            .iter()
            .filter(|check| !known(check))
            .copied()
            .collect()
    }
}

impl<S: Scheme> Scheme for Remembering<S> {
    fn verify(&self, check: &Check<'_>) -> bool {
        self.verify_batch(std::slice::from_ref(check))
    }

    fn verify_batch(&self, checks: &[Check<'_>]) -> bool {
        let unknown = self.unknown(checks);
        let good = match unknown.as_slice() {
            [] => true,
            [one] => self.scheme.verify(one),
            several => self.scheme.verify_batch(several),
        };
        if good {
            self.remember(unknown.into_iter());
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ed25519, SecretKey, Signer};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts what reaches the scheme.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Scheme for Counting {
        fn verify(&self, check: &Check<'_>) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ed25519.verify(check)
        }
    }

    fn key(number: u8) -> SecretKey {
        SecretKey::from_seed(&[number; 32])
    }

    fn check<'k>(key: &'k PublicKey, signer: &SecretKey, text: &[u8]) -> Check<'k> {
        let digest = Digest::of("test", text);
        Check {
            key,
            digest,
            signature: signer.sign(&digest),
        }
    }

    #[test]
    fn a_valid_signature_is_verified_once_and_an_invalid_one_every_time() {
        let (signer, other) = (key(1), key(2));
        let (member, client) = (signer.public(), other.public());
        let scheme = Remembering::new(Counting::default(), &[member]);
        let good = [check(&member, &signer, b"a"), check(&member, &signer, b"b")];
        assert!(scheme.verify_batch(&good) && scheme.verify_batch(&good));
        assert!(scheme.verify(&good[0]));
        assert_eq!(scheme.scheme.0.load(Ordering::Relaxed), 2);
        // Any other part makes it another signature.
        let mut forged = good[0];
        forged.digest = good[1].digest;
        assert!(!scheme.verify(&forged) && !scheme.verify(&forged));
        assert!(!scheme.verify_batch(&[good[0], good[1], forged]));
        assert_eq!(scheme.scheme.0.load(Ordering::Relaxed), 5);
        // Nobody asked to remember this one's.
        let of_client = check(&client, &other, b"a");
        assert!(scheme.verify(&of_client) && scheme.verify(&of_client));
        assert_eq!(scheme.scheme.0.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_the_newest() {
        let signer = key(1);
        let member = signer.public();
        let scheme = Remembering::new(Counting::default(), &[member]);
        let digest = Digest::of("test", b"x");
        let made_up = |number: u64| {
            let mut signature = [0; 64];
            signature[..8].copy_from_slice(&number.to_le_bytes());
            Check {
                key: &member,
                digest,
                signature: Signature(signature),
            }
        };
        let count = GENERATION_MAX as u64;
        scheme.remember((0..3 * count).map(made_up));
        let held = scheme.seen.lock().unwrap();
        assert!(held.young.len() + held.old.len() <= 2 * GENERATION_MAX);
        drop(held);
        assert!(scheme.unknown(&[made_up(3 * count - 1)]).is_empty());
        assert_eq!(scheme.unknown(&[made_up(0)]).len(), 1);
    }
}
