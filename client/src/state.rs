//! What a hub shows of itself: its connections and its counters.

use std::net::SocketAddr;
use std::sync::Arc;

use consensus::client::Counters;
use consensus::{ReplicaId, Term};

/// The connection to one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// To whom.
    pub replica: ReplicaId,
    /// Where.
    pub address: SocketAddr,
    /// Whether it stands: the replica has said hello.
    pub connected: bool,
    /// Connections made so far.
    pub connections: u64,
    /// Why the last attempt or connection ended.
    pub last_error: Option<Arc<str>>,
    /// The last epoch and view that the replica reported outside replies.
    pub term: Term,
}

/// Counters of a hub over all its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubReport {
    /// Requests that were submitted and have no accepted result.
    pub outstanding: usize,
    /// Sums over the clients' sessions.
    pub counters: Counters,
    /// Frames that a link could not take because its queue was full; retransmission makes up for
    /// them.
    pub frames_dropped: u64,
    /// The latest epoch and view that a session presumes.
    pub term: Term,
}
