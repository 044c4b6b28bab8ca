//! SHA-256 digests, always with a label that says what was hashed.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use sha2::Digest as _;

/// A SHA-256 digest (32 bytes).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes` under `label`.
    pub fn of(label: &str, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(label);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(4) {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "…")
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected 64 hexadecimal digits")]
pub struct ParseDigestError;

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex_array(text).map(Digest).ok_or(ParseDigestError)
    }
}

/// Parses exactly `N` bytes of hexadecimal digits.
pub(crate) fn hex_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut out = [0u8; N];
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let nibble = |digit: &u8| char::from(*digit).to_digit(16);
        *byte = u8::try_from((nibble(high)? << 4) | nibble(low)?).ok()?;
    }
    Some(out)
}

/// Incremental SHA-256. The label comes first, with its length, so that digests of
/// different things can never be mistaken for each other.
#[derive(Clone)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// A hasher for things named `label` (at most 255 bytes; longer labels are a bug).
    pub fn new(label: &str) -> Self {
        let mut inner = sha2::Sha256::new();
        let len = u8::try_from(label.len()).expect("labels are short literals");
        inner.update([len]);
        inner.update(label.as_bytes());
        Hasher(inner)
    }

    /// Adds bytes. Variable-length parts must be preceded by their length ([`Hasher::part`]).
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// Adds a variable-length part: its length as u64, then its bytes.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.u64(bytes.len() as u64);
        self.update(bytes)
    }

    /// Adds a number, little-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.update(&value.to_le_bytes())
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}
