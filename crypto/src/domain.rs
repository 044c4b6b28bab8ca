//! Domain separation: what is signed names its kind, cluster, epoch and sender, so that a
//! signature given for one purpose is never valid for another (docs/protocol.md R3).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use crate::{Digest, Hasher};
use bincode::{Decode, Encode};

/// Identity of a cluster: the digest of its genesis configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ClusterId(pub Digest);

/// What a signature says. Every signed message type has its own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A client's request.
    Request = 1,
    /// A primary's proposal header.
    PrePrepare = 2,
    /// A replica's vote.
    Prepare = 3,
    /// A replica's second-phase vote.
    Commit = 4,
    /// A replica's claim about the state after a sequence number.
    Checkpoint = 5,
    /// A replica's report on leaving a view.
    ViewChange = 6,
    /// A primary's opening of a view.
    NewView = 7,
    /// A client's quorum read.
    Read = 8,
    /// A replica asking for its vote back.
    Renew = 9,
    /// An administrator's change of configuration.
    Reconfig = 10,
    /// A client key joining a connection.
    Attach = 11,
}

impl Kind {
    /// Every kind, for tests that go over all pairs.
    pub const ALL: [Kind; 11] = [
        Kind::Request,
        Kind::PrePrepare,
        Kind::Prepare,
        Kind::Commit,
        Kind::Checkpoint,
        Kind::ViewChange,
        Kind::NewView,
        Kind::Read,
        Kind::Renew,
        Kind::Reconfig,
        Kind::Attach,
    ];
}

/// Who signs: the role and its number in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// Replica by id.
    Replica(u16),
    /// Client by id.
    Client(u32),
}

/// The digest that Ed25519 signs:
/// `H("quintet/v1/" ‖ kind ‖ cluster ‖ epoch ‖ role ‖ sender ‖ len(body) ‖ body)`.
///
/// Requests carry epoch 0: they survive changes of epoch (docs/protocol.md R4).
pub fn signing_digest(
    kind: Kind,
    cluster: &ClusterId,
    epoch: u64,
    sender: Sender,
    body: &[u8],
) -> Digest {
    let mut hasher = Hasher::new("quintet/v1/");
    let (role, number) = match sender {
        Sender::Replica(id) => (0u8, u32::from(id)),
        Sender::Client(id) => (1u8, id),
    };
    hasher
        .update(&[kind as u8])
        .update(cluster.0.as_bytes())
        .u64(epoch)
        .update(&[role])
        .update(&number.to_le_bytes())
        .part(body);
    hasher.finish()
}
