//! Requests of a hostile client: signed with its own key, as well or as badly as it likes.

use bytes::Bytes;
use consensus::{ByteList, ClientId, Request, RequestId};
use crypto::{ClusterId, SecretKey};
use kv::Op;

use super::KEYS;

/// Bytes of a signature, at the end of every request.
const SIGNATURE_LEN: usize = 64;

/// Signs for one hostile client.
pub(super) struct Forge {
    key: SecretKey,
    client: ClientId,
    cluster: ClusterId,
    /// Grows at each start, as that of a correct client does.
    pub(super) session: u64,
    /// Of the last request.
    pub(super) number: u64,
}

impl Forge {
    pub(super) fn new(key: SecretKey, client: ClientId, cluster: ClusterId, session: u64) -> Self {
        Forge {
            key,
            client,
            cluster,
            session,
            number: 0,
        }
    }

    /// The next request. It acknowledges everything before it, so that no window holds it back.
    pub(super) fn next(&mut self, ops: &[Op]) -> Bytes {
        self.number += 1;
        self.numbered(self.session, self.number, ops)
    }

    /// A request with this session and number.
    pub(super) fn numbered(&self, session: u64, number: u64, ops: &[Op]) -> Bytes {
        self.raw(session, number, &ops.iter().map(Op::encode).collect())
    }

    /// A request whose operations are any bytes.
    pub(super) fn raw(&self, session: u64, number: u64, ops: &ByteList) -> Bytes {
        let id = RequestId {
            client: self.client,
            session,
            number,
        };
        let ack = number.saturating_sub(1);
        Request::sign(&self.key, &self.cluster, id, ack, false, ops)
            .raw()
            .clone()
    }

    /// A write to a key of its own.
    pub(super) fn write(&self, key: u64, value: usize) -> Op {
        Op::Put {
            key: self.key_named(&format!("{}", key % 64)),
            value: vec![b'x'; value].into(),
        }
    }

    /// A key of its own.
    pub(super) fn key_named(&self, name: &str) -> crypto::codec::Blob {
        format!("{KEYS}{}/{name}", self.client.0)
            .into_bytes()
            .into()
    }
}

/// The same request with a signature that does not hold.
pub(super) fn spoiled(raw: &Bytes) -> Bytes {
    let mut raw = raw.to_vec();
    let at = raw.len().saturating_sub(SIGNATURE_LEN / 2);
    if let Some(byte) = raw.get_mut(at) {
        *byte ^= 1;
    }
    raw.into()
}
