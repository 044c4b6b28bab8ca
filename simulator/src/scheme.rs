//! Signatures that cost next to nothing, for speed: key and digest, mixed. They are forgeable by
//! anybody who tries, so nothing in a simulated world may try.

use crypto::{Check, Digest, PublicKey, Scheme, Signature, Signer};

use crate::mix::{mix, of_bytes};

/// Verifies what [`FakeSigner`] makes.
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeScheme;

impl Scheme for FakeScheme {
    fn verify(&self, check: &Check<'_>) -> bool {
        fake(check.key, &check.digest) == check.signature
    }
}

/// Signs without a secret.
#[derive(Clone, Debug)]
pub struct FakeSigner(pub PublicKey);

impl Signer for FakeSigner {
    fn sign(&self, digest: &Digest) -> Signature {
        fake(&self.0, digest)
    }
}

fn fake(key: &PublicKey, digest: &Digest) -> Signature {
    let mut state = mix(of_bytes(key.as_bytes()), of_bytes(digest.as_bytes()));
    let mut bytes = [0; 64];
    for word in bytes.as_chunks_mut::<8>().0 {
        *word = state.to_le_bytes();
        state = mix(state, 1);
    }
    Signature(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fake_signature_holds_for_its_key_and_digest_only() {
        let key = |seed: u8| crypto::SecretKey::from_seed(&[seed; 32]).public();
        let (a, b) = (key(1), key(2));
        let signature = FakeSigner(a).sign(&Digest([3; 32]));
        let holds = |key, digest| {
            FakeScheme.verify(&Check {
                key,
                digest: Digest(digest),
                signature,
            })
        };
        assert!(holds(&a, [3; 32]));
        assert!(!holds(&b, [3; 32]));
        assert!(!holds(&a, [4; 32]));
    }
}
