//! Ed25519 keys. A public key is checked once, when it is made; a secret key never shows itself.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use crate::digest::hex_array;
use crate::{Digest, Hasher};

/// Why 32 bytes are not an acceptable public key. The configuration is to blame.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("expected 64 hexadecimal digits")]
    NotHex,
    /// Not the encoding of a curve point.
    #[error("not a point of the curve")]
    NotAPoint,
    /// A second encoding of a point that has a canonical one.
    #[error("not the canonical encoding of its point")]
    NotCanonical,
    /// A point of small order: signatures by it say nothing.
    #[error("weak key (small order)")]
    Weak,
    /// The point has a torsion part.
    #[error("not in the prime-order subgroup")]
    Torsion,
}

/// An Ed25519 public key: canonical, of prime order, decompressed once.
#[derive(Clone, Copy)]
pub struct PublicKey {
    bytes: [u8; 32],
    pub(crate) point: ed25519_zebra::VerificationKey,
}

impl PublicKey {
    /// Checks and takes 32 bytes.
    ///
    /// # Errors
    /// If the key is weak, not torsion-free, non-canonical or no point at all.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let dalek =
            ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAPoint)?;
        let edwards = dalek.to_edwards();
        if edwards.compress().to_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        if dalek.is_weak() {
            return Err(KeyError::Weak);
        }
        if !edwards.is_torsion_free() {
            return Err(KeyError::Torsion);
        }
        let point =
            ed25519_zebra::VerificationKey::try_from(bytes).map_err(|_| KeyError::NotAPoint)?;
        Ok(PublicKey { bytes, point })
    }

    /// The 32 bytes of the canonical encoding.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl Eq for PublicKey {}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest(self.bytes), f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", Digest(self.bytes))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(hex_array(text).ok_or(KeyError::NotHex)?)
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes.cmp(&other.bytes)
    }
}
impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

/// An Ed25519 signature, not yet checked. Its bytes are never an identity.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.0;
        write!(f, "Signature({first:02x}{second:02x}…)")
    }
}

/// Something that signs digests as one identity. The simulator has a fast one; everything real
/// uses [`SecretKey`].
pub trait Signer: Send + Sync {
    /// Signs a digest made by [`crate::signing_digest`].
    fn sign(&self, digest: &Digest) -> Signature;
}

/// An Ed25519 secret key; wiped from memory when dropped, redacted in `Debug`.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        SecretKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Key number `index` of `label` in a family that one master seed fixes.
    ///
    /// Only for clusters on one machine's loopback and for tests: whoever knows the master
    /// seed (a scenario file, a command line) has every key. Real keys come from
    /// `files::generate` and are made on the machine that uses them.
    pub fn derive(master: &[u8; 32], label: &str, index: u64) -> Self {
        let mut hasher = Hasher::new("quintet/derived-key");
        hasher.part(master).part(label.as_bytes()).u64(index);
        Self::from_seed(&Zeroizing::new(hasher.finish().0))
    }

    /// Signs `message` as it is, for the other protocol this key serves: TLS.
    ///
    /// Such a signature is never one of the replication protocol, because that protocol signs
    /// exactly 32 bytes and TLS more than a hundred: certificates, and handshakes behind 64
    /// spaces and a context string (RFC 8446 4.4.3).
    #[cfg(feature = "tls")]
    pub(crate) fn sign_for_tls(&self, message: &[u8]) -> [u8; 64] {
        debug_assert_ne!(message.len(), 32, "32 bytes would be a protocol digest");
        self.0.sign(message).to_bytes()
    }

    /// The seed: the only thing that is stored.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().to_bytes())
            .expect("a derived key is canonical and of prime order")
    }
}

impl Signer for SecretKey {
    fn sign(&self, digest: &Digest) -> Signature {
        Signature(self.0.sign(digest.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}
