//! The one codec of the workspace: `bincode` 2 with its own derive, fixed-width little-endian
//! integers, bounded allocation and no trailing bytes. For anything hashed or signed,
//! `encode(decode(b)) == b` (tests keep it so): no maps, no floats, no `usize`, no recursive
//! types (nesting would overflow the stack before any limit counts).
//!
//! Why bincode and what the way out is: docs/adr/0004-bincode.md.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

pub use bincode::{BorrowDecode, Decode, Encode};

/// The largest encoded value that [`decode`] accepts, in bytes.
pub const MAX_ENCODED: usize = 32 << 20;

/// A sequence may claim this many times the received bytes in memory; decoding refuses more, so
/// that a short message cannot announce a huge allocation.
///
/// Hence a rule for element types: the size in memory of an element is at most `EXPANSION` times
/// its shortest encoding, and never zero-sized (a sequence of `()` would cost no bytes at all).
///
/// Only values of up to [`EXPANSION_BYTES_MAX`] may expand that far. Longer ones are lists of
/// byte strings (batches, results, states), whose size in memory is close to their encoding.
pub const EXPANSION: usize = 64;

/// Values of more bytes than this may claim [`EXPANSION_LONG`] times their length, or what one of
/// this length may claim if that is more.
pub const EXPANSION_BYTES_MAX: usize = 256 << 10;

/// See [`EXPANSION_BYTES_MAX`].
pub const EXPANSION_LONG: usize = 4;

/// Why bytes are not the canonical encoding of a value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CodecError {
    /// The bytes are malformed, cut short, or announce more than they carry.
    #[error("malformed encoding: {0}")]
    Malformed(String),
    /// There are bytes behind the value.
    #[error("{0} trailing bytes behind the value")]
    Trailing(usize),
    /// The bytes are longer than any value may be.
    #[error("{0} bytes are more than any value may have")]
    TooLong(usize),
}

/// The canonical bytes of `value`.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    encode_into(value, &mut out);
    out
}

/// Appends the canonical bytes of `value` to `out`.
pub fn encode_into<T: Encode>(value: &T, out: &mut Vec<u8>) {
    struct Append<'a>(&'a mut Vec<u8>);
    impl bincode::enc::write::Writer for Append<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    let config = bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding();
    bincode::encode_into_writer(value, Append(out), config)
        .expect("writing to a Vec does not fail and no type here refuses to encode");
}

/// Decodes exactly one value from all of `bytes`.
///
/// # Errors
/// If the bytes are malformed, too long, or not used up. The sender is to blame.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_borrowed::<Owned<T>>(bytes).map(|Owned(value)| value)
}

/// The same for a value that may keep references into `bytes`.
///
/// # Errors
/// As [`decode`].
pub fn decode_borrowed<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_ENCODED {
        return Err(CodecError::TooLong(bytes.len()));
    }
    // The limit is a const of the configuration: the smallest class that holds what these
    // bytes may honestly expand to.
    if bytes.len() <= EXPANSION_BYTES_MAX {
        match bytes.len().saturating_mul(EXPANSION) {
            0..=0x1000 => decode_within::<T, 0x1000>(bytes),
            0x1001..=0x1_0000 => decode_within::<T, 0x1_0000>(bytes),
            0x1_0001..=0x10_0000 => decode_within::<T, 0x10_0000>(bytes),
            _ => decode_within::<T, LONG_CLAIM_MIN>(bytes),
        }
    } else {
        match bytes.len().saturating_mul(EXPANSION_LONG) {
            claim if claim <= LONG_CLAIM_MIN => decode_within::<T, LONG_CLAIM_MIN>(bytes),
            claim if claim <= 0x400_0000 => decode_within::<T, 0x400_0000>(bytes),
            _ => decode_within::<T, { MAX_ENCODED * EXPANSION_LONG }>(bytes),
        }
    }
}

/// A value that keeps none.
struct Owned<T>(T);

impl<'a, T: Decode<()>> BorrowDecode<'a, ()> for Owned<T> {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'a, Context = ()>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        T::decode(decoder).map(Owned)
    }
}

/// What a value of [`EXPANSION_BYTES_MAX`] may claim.
const LONG_CLAIM_MIN: usize = EXPANSION_BYTES_MAX * EXPANSION;

fn decode_within<'a, T: BorrowDecode<'a, ()>, const LIMIT: usize>(
    bytes: &'a [u8],
) -> Result<T, CodecError> {
    let config = bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
        .with_limit::<LIMIT>();
    let (value, used) = bincode::borrow_decode_from_slice(bytes, config)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    match bytes.len().saturating_sub(used) {
        0 => Ok(value),
        trailing => Err(CodecError::Trailing(trailing)),
    }
}

/// Bytes that travel as they are: a u32 length, then the bytes. Cloning shares them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Blob(pub bytes::Bytes);

impl Encode for Blob {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        BlobRef(&self.0).encode(encoder)
    }
}

/// Bytes that are encoded like a [`Blob`] and belong to somebody else: nothing is counted or copied for
/// the sake of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRef<'a>(pub &'a [u8]);

impl Encode for BlobRef<'_> {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        use bincode::enc::write::Writer;
        let len = u32::try_from(self.0.len())
            .map_err(|_| bincode::error::EncodeError::Other("blob longer than 4 GiB"))?;
        Encode::encode(&len, encoder)?;
        encoder.writer().write(self.0)
    }
}

impl AsRef<[u8]> for BlobRef<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl<'a, C> BorrowDecode<'a, C> for BlobRef<'a> {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'a, Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        use bincode::de::read::BorrowReader;
        let len = u32::decode(decoder)? as usize;
        decoder.claim_bytes_read(len)?;
        decoder.borrow_reader().take_bytes(len).map(BlobRef)
    }
}

impl<C> Decode<C> for Blob {
    fn decode<D: bincode::de::Decoder<Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        use bincode::de::read::Reader;
        let len = u32::decode(decoder)? as usize;
        decoder.claim_bytes_read(len)?;
        // A slice is taken from what was received; nothing is allocated for bytes that are not there.
        if let Some(slice) = decoder.reader().peek_read(len) {
            let bytes = bytes::Bytes::copy_from_slice(slice);
            decoder.reader().consume(len);
            return Ok(Blob(bytes));
        }
        Err(bincode::error::DecodeError::UnexpectedEnd { additional: len })
    }
}

// Derived decoders ask for this as well; a blob copies either way.
bincode::impl_borrow_decode!(Blob);

impl std::ops::Deref for Blob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Blob(bytes.into())
    }
}
