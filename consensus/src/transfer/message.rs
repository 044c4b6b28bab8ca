//! What travels between two replicas when one fetches a state from the other (docs/protocol.md
//! R4, R13). Authenticated by the channel and proven by digests, so nothing is signed.

use std::fmt;

use bincode::{Decode, Encode};
use crypto::Digest;
use crypto::codec::Blob;

use crate::cluster::Cluster;
use crate::ids::{ClientId, SeqNo};
use crate::protocol::Misbehaviour;
use crate::state_machine::PartId;

/// Parts asked for at a time.
pub const FETCH_PARTS_MAX: usize = 256;

/// An answer holds one part, and more as long as they fit into this many bytes.
pub const ANSWER_BYTES: usize = 256 << 10;

/// The longest answer: one part may be a whole session or the largest result that limits allow.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The longest manifest of a state machine.
pub const MACHINE_MANIFEST_BYTES_MAX: usize = 1 << 20;

/// The longest configuration.
pub const CONFIGURATION_BYTES_MAX: usize = 1 << 20;

/// States that an answer names as servable.
pub const SERVABLE_MAX: usize = 16;

/// A part of the whole replicated state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum PartRef {
    /// Of the state machine.
    Machine(PartId),
    /// A client's session without its results.
    Session(ClientId),
    /// A kept reply of a client, by number.
    Reply(ClientId, u64),
}

/// A part that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartRequest {
    /// Which.
    pub part: PartRef,
    /// The digests of the parts below it are wanted rather than its content.
    pub outline: bool,
}

/// Everything that a state digest is made of (R9): names all parts and their digests.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Manifest {
    /// Of the state machine; its own format.
    pub machine: Blob,
    /// Digests of all sessions, ascending by client.
    pub sessions: Vec<(ClientId, Digest)>,
    /// The configuration.
    pub configuration: Blob,
}

/// FETCH-STATE, MANIFEST and the parts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum StateMessage {
    /// Asks for the manifest of the state at a checkpoint.
    FetchManifest {
        /// The checkpoint.
        seq: SeqNo,
    },
    /// The manifest of the state at a checkpoint.
    Manifest {
        /// The checkpoint.
        seq: SeqNo,
        /// Its parts.
        manifest: Manifest,
    },
    /// Asks for parts of the state at a checkpoint.
    FetchParts {
        /// The checkpoint.
        seq: SeqNo,
        /// A number of the sender's choice that comes back with the answer.
        request: u64,
        /// Which; answered from the first on.
        parts: Vec<PartRequest>,
    },
    /// The first of the parts that a request asked for, as many as fit.
    Parts {
        /// The checkpoint.
        seq: SeqNo,
        /// The number of the request.
        request: u64,
        /// In the order of the request.
        parts: Vec<Blob>,
    },
    /// The state at this checkpoint cannot be served.
    Unavailable {
        /// The checkpoint that was asked for.
        seq: SeqNo,
        /// Those that can be.
        servable: Vec<SeqNo>,
    },
}

impl StateMessage {
    /// Checks bounds; everything else is checked against digests by who asked.
    ///
    /// # Errors
    /// Says which bound the sender broke.
    pub fn check(&self, cluster: &Cluster) -> Result<(), Misbehaviour> {
        let within = match self {
            StateMessage::FetchManifest { .. } => true,
            StateMessage::Manifest { manifest, .. } => {
                manifest.machine.len() <= MACHINE_MANIFEST_BYTES_MAX
                    && manifest.configuration.len() <= CONFIGURATION_BYTES_MAX
                    && manifest.sessions.len() <= cluster.client_keys().len()
                    && manifest.sessions.is_sorted_by(|(a, _), (b, _)| a < b)
            }
            StateMessage::FetchParts { parts, .. } => (1..=FETCH_PARTS_MAX).contains(&parts.len()),
            StateMessage::Parts { parts, .. } => {
                let bytes: usize = parts.iter().map(|part| part.len()).sum();
                (1..=FETCH_PARTS_MAX).contains(&parts.len()) && bytes <= ANSWER_BYTES_MAX
            }
            StateMessage::Unavailable { servable, .. } => servable.len() <= SERVABLE_MAX,
        };
        if within {
            Ok(())
        } else {
            Err(Misbehaviour::Malformed(
                "state transfer out of bounds".to_owned(),
            ))
        }
    }
}

/// As charts show it.
impl fmt::Display for StateMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateMessage::FetchManifest { seq } => write!(f, "fetch manifest of {seq:?}"),
            StateMessage::Manifest { seq, .. } => write!(f, "manifest of {seq:?}"),
            StateMessage::FetchParts { seq, parts, .. } => {
                write!(f, "fetch {} parts of {seq:?}", parts.len())
            }
            StateMessage::Parts { seq, parts, .. } => write!(f, "{} parts of {seq:?}", parts.len()),
            StateMessage::Unavailable { seq, servable } => {
                write!(f, "no state at {seq:?}, but at {servable:?}")
            }
        }
    }
}
