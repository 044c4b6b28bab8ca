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
use consensus::{ClientId, Keyring, Limits, ReplicaId, Reply, SeqNo, Term, View};
use crypto::codec::Blob;
use crypto::{ClusterId, CodecError, Digest, Kind, Sender, Signature, Signer, signing_digest};

/// Requests in one frame. A frame that is full of the smallest requests holds no more.
pub const REQUESTS_PER_FRAME_MAX: usize = 8192;

/// Replies in one frame.
pub const REPLIES_PER_FRAME_MAX: usize = 8192;

/// Committed entries in one observation; an observer asks again for the rest.
pub const OBSERVED_ENTRIES_MAX: usize = 4096;

/// Questions for an observation that one connection may have open. Answers come in the order of the
/// questions and do not name them, so none may be missing: a replica holds as many answers, and
/// drops only those of somebody who asks for more.
pub const OBSERVATIONS_MAX: usize = 4;

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
    /// Signed READs (R14), each as [`consensus::Read::raw`] gives it.
    Reads(Vec<Blob>),
}

/// From a replica to a client.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToClient {
    /// The first frame of every connection.
    Hello {
        /// Who speaks.
        replica: ReplicaId,
        /// Its epoch and view, as a first hint.
        term: Term,
    },
    /// Answers to requests.
    Replies(Vec<Reply>),
    /// The replica's epoch or view has changed (R6): believed from f + 1 replicas only.
    Hint {
        /// What they are now.
        term: Term,
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
        if let ToReplica::Requests(requests) | ToReplica::Reads(requests) = &message {
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

#[cfg(test)]
mod tests {
    #![allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::panic
    )]

    use super::*;
    use consensus::{Epoch, Outcome, RequestId, report};

    fn term(view: u64) -> Term {
        Term {
            epoch: Epoch(1),
            view: View(view),
        }
    }

    fn reply() -> Reply {
        Reply {
            term: term(3),
            replica: ReplicaId(2),
            id: RequestId {
                client: ClientId(1),
                session: 9,
                number: 4,
            },
            seq: SeqNo(70),
            outcome: Outcome::Busy { retry_after_ms: 20 },
        }
    }

    fn entry() -> CommittedEntry {
        let path = path_code(report::Path::Slow);
        CommittedEntry {
            seq: SeqNo(5),
            view: View(1),
            digest: Digest([4; 32]),
            path,
            ops: 17,
        }
    }

    fn observation(entries: usize) -> ToClient {
        ToClient::Observation(Observation {
            status_json: Blob::from(b"{}".to_vec()),
            committed: vec![entry(); entries],
            next_seq: SeqNo(6),
            checkpoints: vec![(SeqNo(64), Digest([5; 32]))],
        })
    }

    #[test]
    fn every_message_comes_back_as_it_was() {
        let to_replica = [
            ToReplica::Attach {
                client: ClientId(7),
                signature: Signature([6; 64]),
            },
            ToReplica::Requests(vec![Blob::from(vec![1, 2, 3]), Blob::from(Vec::new())]),
            ToReplica::Observe {
                from_seq: SeqNo(12),
            },
            ToReplica::Reads(vec![Blob::from(vec![4, 5])]),
        ];
        for message in to_replica {
            assert_eq!(
                ToReplica::from_frame(&crypto::encode(&message)),
                Ok(message)
            );
        }
        let to_client = [
            ToClient::Hello {
                replica: ReplicaId(1),
                term: term(2),
            },
            ToClient::Replies(vec![reply(), reply()]),
            ToClient::Hint { term: term(8) },
            observation(3),
        ];
        for message in to_client {
            assert_eq!(ToClient::from_frame(&crypto::encode(&message)), Ok(message));
        }
    }

    #[test]
    fn more_than_a_frame_may_hold_is_refused() {
        let full = ToReplica::Requests(vec![Blob::default(); REQUESTS_PER_FRAME_MAX]);
        assert!(ToReplica::from_frame(&crypto::encode(&full)).is_ok());
        let over = ToReplica::Requests(vec![Blob::default(); REQUESTS_PER_FRAME_MAX + 1]);
        assert!(ToReplica::from_frame(&crypto::encode(&over)).is_err());
        let over = ToReplica::Reads(vec![Blob::default(); REQUESTS_PER_FRAME_MAX + 1]);
        assert!(ToReplica::from_frame(&crypto::encode(&over)).is_err());
        let over = ToClient::Replies(vec![reply(); REPLIES_PER_FRAME_MAX + 1]);
        assert!(ToClient::from_frame(&crypto::encode(&over)).is_err());
        let over = observation(OBSERVED_ENTRIES_MAX + 1);
        assert!(ToClient::from_frame(&crypto::encode(&over)).is_err());
    }

    #[test]
    fn damaged_frames_are_refused_or_are_what_they_say() {
        let honest = crypto::encode(&ToReplica::Requests(vec![Blob::from(vec![7; 40]); 3]));
        let mut state = 1u64;
        let (mut refused, mut taken) = (0, 0);
        for _ in 0..20_000 {
            // A linear congruential generator: the same damage in every run.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let mut frame = honest.clone();
            let at = usize::try_from(state >> 33).unwrap() % frame.len();
            frame[at] ^= u8::try_from(state >> 25 & 0xff).unwrap();
            frame.truncate(frame.len() - usize::try_from(state >> 20 & 1).unwrap());
            match ToReplica::from_frame(&frame) {
                Ok(message) => {
                    assert_eq!(crypto::encode(&message), frame);
                    taken += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0 && taken > 0);
    }

    #[test]
    fn every_path_has_its_number() {
        for path in [
            report::Path::Fast,
            report::Path::Slow,
            report::Path::Transfer,
        ] {
            assert_eq!(path_of(path_code(path)), Some(path));
        }
        assert_eq!(path_of(3), None);
    }

    #[test]
    fn a_frame_holds_the_largest_batch_that_limits_allow() {
        let limits = Limits {
            batch_bytes_max: 8 << 20,
            ..Limits::default()
        };
        limits.validate().unwrap();
        assert!(to_replica_max(&limits) > 8 << 20);
    }
}
