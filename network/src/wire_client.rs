//! What clients and replicas say to each other, one frame each.
//!
//! A connection belongs to the client whose key its certificate carries. A process that speaks
//! for several clients attaches the others: each signs a value that only the two ends of this one
//! connection can compute (RFC 8446 7.5, exported keying material), so that an attachment cannot
//! be replayed on another connection. Requests need no attachment to be executed, for they carry
//! their own signatures; attaching says where replies go.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use bincode::{Decode, Encode};
use consensus::{ClientId, Keyring, Limits, ReplicaId, Reply, SeqNo, View};
use crypto::codec::Blob;
use crypto::{ClusterId, CodecError, Digest, Kind, Sender, Signature, Signer, signing_digest};

/// Requests in one frame. A frame that is full of the smallest requests holds no more.
pub const REQUESTS_PER_FRAME_MAX: usize = 8192;

/// Replies in one frame.
pub const REPLIES_PER_FRAME_MAX: usize = 8192;

/// Committed entries in one observation; an observer asks again for the rest.
pub const OBSERVED_ENTRIES_MAX: usize = 4096;

/// Bytes that a frame may have beside the requests in it.
const FRAME_OVERHEAD_MAX: usize = 64 << 10;

/// The largest frame to a replica: one batch's worth of requests. Bounded, for the codec decodes
/// at most [`crypto::codec::MAX_ENCODED`] bytes.
pub fn to_replica_max(limits: &Limits) -> usize {
    let batch = usize::try_from(limits.batch_bytes_max).unwrap_or(usize::MAX);
    batch
        .saturating_add(FRAME_OVERHEAD_MAX)
        .min(crypto::codec::MAX_ENCODED)
}

/// The largest frame to a client. Replicas split replies into frames below it; a client trusts no
/// replica and reads no more.
pub const TO_CLIENT_MAX: usize = 16 << 20;

/// From a client to a replica.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToReplica {
    /// Another client of this process wants its replies here as well.
    Attach {
        /// Which client.
        client: ClientId,
        /// Its signature over [`attach_digest`].
        signature: Signature,
    },
    /// Signed requests, each as [`consensus::Request::raw`] gives it.
    Requests(Vec<Blob>),
    /// Asks for an [`Observation`] of what was committed from this sequence number on.
    Observe {
        /// The first sequence number wanted.
        from_seq: SeqNo,
    },
}

/// From a replica to a client.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToClient {
    /// The first frame of every connection.
    Hello {
        /// Who speaks.
        replica: ReplicaId,
        /// Its view, as a first hint.
        view: View,
    },
    /// Answers to requests.
    Replies(Vec<Reply>),
    /// The replica's view has changed (R6): believed from f + 1 replicas only.
    Hint {
        /// The new view.
        view: View,
    },
    /// The answer to [`ToReplica::Observe`].
    Observation(Observation),
}

/// What a replica shows of itself to whoever watches it. One replica's word.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Observation {
    /// The status page, JSON.
    pub status_json: Blob,
    /// Committed slots in order; at most [`OBSERVED_ENTRIES_MAX`].
    pub committed: Vec<CommittedEntry>,
    /// Where the next observation should begin.
    pub next_seq: SeqNo,
    /// Checkpoints of the observed range with the digests of their states.
    pub checkpoints: Vec<(SeqNo, Digest)>,
}

/// A committed slot.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CommittedEntry {
    /// Its sequence number.
    pub seq: SeqNo,
    /// The view of its certificate.
    pub view: View,
    /// Digest of its batch.
    pub digest: Digest,
    /// How it was decided: [`path_code`].
    pub path: u8,
    /// Operations in it.
    pub ops: u32,
}

/// The number of a path on the wire.
pub fn path_code(path: consensus::report::Path) -> u8 {
    match path {
        consensus::report::Path::Fast => 0,
        consensus::report::Path::Slow => 1,
        consensus::report::Path::Transfer => 2,
    }
}

/// The path of a number from the wire; `None` for numbers without one.
pub fn path_of(code: u8) -> Option<consensus::report::Path> {
    match code {
        0 => Some(consensus::report::Path::Fast),
        1 => Some(consensus::report::Path::Slow),
        2 => Some(consensus::report::Path::Transfer),
        _ => None,
    }
}

impl ToReplica {
    /// The message in a frame.
    ///
    /// # Errors
    /// If the frame is malformed or holds too many requests. The client is to blame.
    pub fn from_frame(frame: &[u8]) -> Result<Self, CodecError> {
        let message = crypto::decode(frame)?;
        if let ToReplica::Requests(requests) = &message {
            bounded("requests", requests.len(), REQUESTS_PER_FRAME_MAX)?;
        }
        Ok(message)
    }
}

impl ToClient {
    /// The message in a frame.
    ///
    /// # Errors
    /// If the frame is malformed or holds too much. The replica is to blame.
    pub fn from_frame(frame: &[u8]) -> Result<Self, CodecError> {
        let message = crypto::decode(frame)?;
        match &message {
            ToClient::Replies(replies) => {
                bounded("replies", replies.len(), REPLIES_PER_FRAME_MAX)?;
            }
            ToClient::Observation(seen) => {
                bounded(
                    "committed entries",
                    seen.committed.len(),
                    OBSERVED_ENTRIES_MAX,
                )?;
                bounded("checkpoints", seen.checkpoints.len(), OBSERVED_ENTRIES_MAX)?;
            }
            ToClient::Hello { .. } | ToClient::Hint { .. } => {}
        }
        Ok(message)
    }
}

fn bounded(what: &str, count: usize, most: usize) -> Result<(), CodecError> {
    if count <= most {
        return Ok(());
    }
    Err(CodecError::Malformed(format!(
        "{count} {what} in one frame are more than {most}"
    )))
}

/// The label under which both ends export the value that attachments sign.
const EXPORT_LABEL: &[u8] = b"quintet attach";

/// The connection does not export keying material: a bug, for every finished handshake can.
#[derive(Debug, thiserror::Error)]
#[error("the connection exports no keying material")]
pub struct ExportError;

/// A value of this connection alone, equal at both ends and known to nobody else.
fn exported(connection: &quinn::Connection) -> Result<[u8; 32], ExportError> {
    let mut value = [0u8; 32];
    connection
        .export_keying_material(&mut value, EXPORT_LABEL, b"")
        .map_err(|_| ExportError)?;
    Ok(value)
}

/// What a client signs to attach itself to `connection`.
///
/// # Errors
/// If the connection exports no keying material.
pub fn attach_digest(
    connection: &quinn::Connection,
    cluster: &ClusterId,
    client: ClientId,
) -> Result<Digest, ExportError> {
    let value = exported(connection)?;
    Ok(signing_digest(
        Kind::Attach,
        cluster,
        0,
        Sender::Client(client.0),
        &value,
    ))
}

/// The message that attaches `client` to `connection`.
///
/// # Errors
/// If the connection exports no keying material.
pub fn attach(
    connection: &quinn::Connection,
    cluster: &ClusterId,
    client: ClientId,
    signer: &dyn Signer,
) -> Result<ToReplica, ExportError> {
    let signature = signer.sign(&attach_digest(connection, cluster, client)?);
    Ok(ToReplica::Attach { client, signature })
}

/// Whether an attachment received on `connection` holds: a known client that signed the value of
/// this very connection.
///
/// # Errors
/// If the connection exports no keying material.
pub fn attachment_holds(
    connection: &quinn::Connection,
    keyring: &Keyring,
    client: ClientId,
    signature: Signature,
) -> Result<bool, ExportError> {
    let value = exported(connection)?;
    let check = keyring.client_check(Kind::Attach, client, &value, signature);
    Ok(check.is_some_and(|check| keyring.scheme().verify(&check)))
}
