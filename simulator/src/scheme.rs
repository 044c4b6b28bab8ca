//! Signatures that cost next to nothing, for speed: a hash of key and digest. They are forgeable
//! by anybody who tries, so nothing in a simulated world may try.

use crypto::{Check, Digest, Hasher, PublicKey, Scheme, Signature, Signer};

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
    let mut hasher = Hasher::new("fake signature");
    hasher.update(key.as_bytes()).update(digest.as_bytes());
    let half = hasher.finish().0;
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&half);
    bytes[32..].copy_from_slice(&half);
    Signature(bytes)
}
