//! What waits for the core while it is busy: everything that one turn takes in.

use consensus::{Read, ReplicaId, Request, SeqNo, Ticket};
use crypto::Verified;

use crate::inbox::Backlog;

/// Verified messages and requests that may wait for the core; more make the verification
/// workers wait. Two full rounds of a worker.
pub const BURST_MAX: usize = 4096;

/// Everything that came in since the last turn.
#[derive(Debug)]
pub struct Burst<M> {
    /// Peers' messages in order of arrival.
    pub messages: Vec<(ReplicaId, Verified<M>)>,
    /// Clients' requests in order of arrival.
    pub requests: Vec<Verified<Request>>,
    /// Clients' reads (R14) in order of arrival.
    pub reads: Vec<Verified<Read>>,
    /// Every record up to this ticket has become durable.
    pub durable: Option<Ticket>,
    /// The state of every checkpoint up to this one has become durable.
    pub saved: Option<SeqNo>,
    /// The disk failed: nothing may be promised any more.
    pub disk_failed: Option<String>,
    /// The process was asked to stop.
    pub stop: bool,
}

impl<M> Default for Burst<M> {
    fn default() -> Self {
        Burst {
            messages: Vec::new(),
            requests: Vec::new(),
            reads: Vec::new(),
            durable: None,
            saved: None,
            disk_failed: None,
            stop: false,
        }
    }
}

impl<M> Backlog for Burst<M> {
    fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.requests.is_empty()
            && self.reads.is_empty()
            && self.durable.is_none()
            && self.saved.is_none()
            && self.disk_failed.is_none()
            && !self.stop
    }

    fn has_room(&self) -> bool {
        self.messages.len() + self.requests.len() + self.reads.len() < BURST_MAX
    }
}
