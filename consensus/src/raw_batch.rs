//! A batch as it travels: the complete bytes of its requests in one piece of memory, so that taking it from a frame,
//! keeping it in the log and sending it again cost one allocation and no copy of any request.
//!
//! ```text
//! count u64 ‖ (len u32 ‖ request)*
//! ```

use bincode::de::Decoder;
use bincode::de::read::Reader;
use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::byte_list::{PREFIX, split_first};

/// The requests of a batch, not yet looked into.
#[derive(Clone, PartialEq, Eq)]
pub struct RawBatch {
    count: usize,
    /// `(len u32 ‖ request)*`, exactly `count` of them.
    bytes: Bytes,
}

impl RawBatch {
    /// How many requests.
    pub fn len(&self) -> usize {
        self.count
    }

    /// No requests? Such a batch is malformed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all requests.
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.count * PREFIX
    }

    /// The requests in order; they share the memory of the batch.
    pub fn iter(&self) -> impl Iterator<Item = Bytes> {
        let mut rest: &[u8] = &self.bytes;
        std::iter::from_fn(move || {
            let (request, after) = split_first(rest)?;
            rest = after;
            Some(self.bytes.slice_ref(request))
        })
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for RawBatch {
    fn from_iter<I: IntoIterator<Item = T>>(requests: I) -> Self {
        let mut count = 0;
        let mut bytes = Vec::new();
        for request in requests {
            let request = request.as_ref();
            let len = u32::try_from(request.len()).expect("a request is shorter than 4 GiB");
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(request);
            count += 1;
        }
        // It is kept in the log: without the room that growing left behind it.
        let bytes = bytes.into_boxed_slice().into();
        RawBatch { count, bytes }
    }
}

impl Encode for RawBatch {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.count as u64).encode(encoder)?;
        encoder.writer().write(&self.bytes)
    }
}

impl<C> Decode<C> for RawBatch {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = u64::decode(decoder)?;
        // Whatever count is announced: every round asks for bytes behind those of the round before.
        let mut len = 0_usize;
        for _ in 0..count {
            let behind = peek(decoder, len, PREFIX)?;
            let prefix = behind.first_chunk().copied().unwrap_or_default();
            let request = u32::from_le_bytes(prefix) as usize;
            len += PREFIX + request;
        }
        decoder.claim_bytes_read(len)?;
        let bytes = Bytes::copy_from_slice(peek(decoder, 0, len)?);
        decoder.reader().consume(len);
        let count = usize::try_from(count).map_err(|_| DecodeError::OutsideUsizeRange(count))?;
        Ok(RawBatch { count, bytes })
    }
}

bincode::impl_borrow_decode!(RawBatch);

/// The `len` bytes that come after the next `skipped` ones.
fn peek<D: Decoder>(decoder: &mut D, skipped: usize, len: usize) -> Result<&[u8], DecodeError> {
    let end = skipped.saturating_add(len);
    let peeked = decoder.reader().peek_read(end);
    let wanted = peeked.and_then(|bytes| bytes.get(skipped..end));
    wanted.ok_or(DecodeError::UnexpectedEnd { additional: end })
}

impl std::fmt::Debug for RawBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "RawBatch({} requests, {} bytes)",
            self.count,
            self.bytes()
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crypto::codec::Blob;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_encoded_like_a_list_of_blobs(
            requests in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        ) {
            let raw: RawBatch = requests.iter().collect();
            let blobs: Vec<Blob> = requests.iter().cloned().map(Blob::from).collect();
            let bytes = crypto::encode(&raw);
            prop_assert_eq!(&bytes, &crypto::encode(&blobs));
            let decoded: RawBatch = crypto::decode(&bytes).unwrap();
            prop_assert_eq!(&decoded, &raw);
            prop_assert_eq!(decoded.iter().map(Blob).collect::<Vec<_>>(), blobs);
            prop_assert_eq!(decoded.len(), requests.len());
            prop_assert_eq!(decoded.bytes(), requests.iter().map(Vec::len).sum::<usize>());
            for cut in 0..bytes.len() {
                prop_assert!(crypto::decode::<RawBatch>(&bytes[..cut]).is_err(), "{} bytes", cut);
            }
        }
    }

    #[test]
    fn what_is_announced_and_not_there_costs_nothing() {
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        assert!(crypto::decode::<RawBatch>(&bytes).is_err(), "no request");
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(crypto::decode::<RawBatch>(&bytes).is_err(), "no bytes");
        bytes.extend_from_slice(&[0; 64]);
        assert!(crypto::decode::<RawBatch>(&bytes).is_err(), "too few bytes");
    }

    #[test]
    fn requests_share_the_memory_of_the_batch() {
        let raw = RawBatch::from_iter([[1; 8], [2; 8]]);
        let whole = raw.bytes.as_ptr_range();
        for request in raw.iter() {
            assert!(whole.contains(&request.as_ptr()));
        }
    }
}
