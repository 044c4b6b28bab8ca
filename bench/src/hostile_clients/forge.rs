//! Requests of a hostile client: signed with its own key, as well or as badly as it likes.

use std::sync::Arc;

use bytes::Bytes;
use byzantine::client::Forge as Signs;
use consensus::{ByteList, ClientId, Cluster};
use crypto::SecretKey;
use kv::Op;

use super::KEYS;

/// Bytes of a signature, at the end of every request.
const SIGNATURE_LEN: usize = 64;

/// Makes the requests of one hostile client.
pub(super) struct Forge {
    /// Its sessions and numbers. A session grows at each start, as that of a correct client does.
    pub(super) signs: Signs,
    /// Whether there are reads beside the log.
    pub(super) quorum_reads: bool,
}

impl Forge {
    pub(super) fn new(key: SecretKey, client: ClientId, cluster: &Cluster, session: u64) -> Self {
        Forge {
            signs: Signs::new(Arc::new(key), client, *cluster.id(), session),
            quorum_reads: cluster.limits().quorum_reads,
        }
    }

    /// The next READ.
    pub(super) fn read(&mut self, ops: &[Op]) -> Bytes {
        self.signs.read(&encoded(ops)).raw().clone()
    }

    /// The number of the last request.
    pub(super) fn number(&self) -> u64 {
        self.signs.number
    }

    /// The next request. It acknowledges everything before it, so that no window holds it back.
    pub(super) fn next(&mut self, ops: &[Op]) -> Bytes {
        self.next_raw(&encoded(ops))
    }

    /// The next request, whose operations are any bytes.
    pub(super) fn next_raw(&mut self, ops: &ByteList) -> Bytes {
        self.signs.next(ops).raw().clone()
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
        format!("{KEYS}{}/{name}", self.signs.client().0)
            .into_bytes()
            .into()
    }
}

/// Operations as a request has them.
pub(super) fn encoded(ops: &[Op]) -> ByteList {
    ops.iter().map(Op::encode).collect()
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
