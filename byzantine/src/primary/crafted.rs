//! Requests that no client has signed, and batches of them.

use consensus::{Batch, ByteList, ClientId, RawBatch, Request, RequestId};
use crypto::Digest;
use crypto::codec::Blob;

use crate::attack::Hand;

/// Byte of a request's operation count and flags that stand before the operations.
const HEADER_LEN: usize = 31;

/// A request in a client's name under the member's own key.
pub(super) fn request(
    hand: &Hand<'_>,
    client: u32,
    number: u64,
    ops: &ByteList,
) -> Option<Request> {
    let forge = &hand.scene.forge;
    let id = RequestId {
        client: ClientId(client),
        session: 1,
        number,
    };
    let cluster = forge.keyring.cluster().id();
    let key = forge.cabal.key(forge.me)?;
    Some(Request::sign(&**key, cluster, id, 0, false, ops))
}

/// The same bytes with one bit turned over.
pub(super) fn flipped(raw: &Blob, at: usize) -> Blob {
    let mut bytes = raw.to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    Blob::from(bytes)
}

/// A request whose signature was altered.
pub(super) fn with_bad_signature(raw: &Blob) -> Blob {
    flipped(raw, raw.len().saturating_sub(1))
}

/// A request whose first operation was altered; the signature is the client's.
pub(super) fn with_other_operation(raw: &Blob) -> Blob {
    // Behind the length of the first operation, its last byte: of a key or a value.
    let length: Option<[u8; 4]> = raw
        .get(HEADER_LEN..HEADER_LEN + 4)
        .and_then(|bytes| bytes.try_into().ok());
    let length = u32::from_le_bytes(length.unwrap_or_default()) as usize;
    flipped(raw, HEADER_LEN + 4 + length.saturating_sub(1))
}

/// A client's request in another client's name.
pub(super) fn with_other_client(raw: &Blob) -> Blob {
    flipped(raw, 0)
}

/// What a batch of these bytes would have as its digest; of bytes that are none, any.
pub(super) fn digest_of(hand: &Hand<'_>, raw: &RawBatch) -> Digest {
    let limits = hand.scene.forge.keyring.cluster().limits();
    let parsed = Batch::parse(raw.clone(), limits);
    parsed.map_or_else(|_| Digest::of("batch", &[]), |batch| batch.digest())
}
