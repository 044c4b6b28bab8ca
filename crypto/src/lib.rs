//! What Quintet takes from cryptography, in one place: digests, keys, signatures with one
//! acceptance predicate, and the canonical bytes that are hashed and signed.
//!
//! The default build is pure: no file, no clock, no random source. Key files and key
//! generation are behind the feature `files`, TLS identities behind `tls`.

pub mod codec;
pub mod digest;
pub mod domain;
#[cfg(feature = "files")]
pub mod files;
pub mod keys;
pub mod remembering;
pub mod scheme;
pub mod signed;
#[cfg(feature = "tls")]
pub mod tls;

pub use codec::{CodecError, Decode, Encode, decode, encode};
pub use digest::{Digest, Hasher};
pub use domain::{ClusterId, Kind, Sender, signing_digest};
pub use keys::{KeyError, PublicKey, SecretKey, Signature, Signer};
pub use remembering::Remembering;
pub use scheme::{Check, Ed25519, Scheme};
pub use signed::{BadSignature, Verified, admit, admit_all, settle_all};
