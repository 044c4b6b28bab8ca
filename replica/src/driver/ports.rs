//! What the driver acts through: disk, peers and clients. The process plugs in its storage and
//! transport threads, tests plug in lists.

use bytes::Bytes;
use consensus::pbft::certificate::{Phase, Statement};
use consensus::session::SessionTable;
use consensus::{Destination, Epoch, RawBatch, Reply, SeqNo, Term, Ticket};
use crypto::Digest;

/// How a message travels on a peer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Votes and everything else that is small or urgent.
    Main,
    /// Beside votes, but only the latest is worth sending: it replaces one that still waits.
    Latest,
    /// State transfer and new views: large, and never in front of a vote (docs/protocol.md R19).
    Bulk,
}

/// An encoded message on its way to peers. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub to: Destination,
    /// How.
    pub lane: Lane,
    /// Its type: an index in [`Describe::KINDS`]; anything beyond is of no type, and not counted.
    pub kind: usize,
    /// The encoded message.
    pub bytes: Bytes,
}

/// The state at a checkpoint as it goes to disk: what changed since the checkpoint before, and
/// the whole session table.
#[derive(Clone, Debug)]
pub struct Checkpoint<C> {
    /// A multiple of K.
    pub seq: SeqNo,
    /// `state_digest` (R9).
    pub digest: Digest,
    /// Changes of the state machine.
    pub changes: Vec<C>,
    /// All of it; shared, not encoded.
    pub sessions: SessionTable,
    /// `Configuration::to_bytes`.
    pub configuration: Vec<u8>,
    /// State digests of earlier checkpoints that may be above h (R9).
    pub earlier: Vec<(SeqNo, Digest)>,
}

/// The disk of a replica. Calls return before their effect is durable; the effects come back
/// as `Burst::durable` and `Burst::saved`, in the order of the calls.
pub trait Disk<R, C> {
    /// Makes `records` durable as one group; `last` is the ticket of the last one.
    fn persist(&mut self, records: Vec<R>, last: Ticket);
    /// This is the certificate of the state that is saved next: both are durable together.
    fn certify(&mut self, certificate: R);
    /// Makes the state of a checkpoint durable.
    fn save(&mut self, checkpoint: Checkpoint<C>);
    /// Forgets records bound to sequence numbers up to this one; may wait for the next group.
    fn truncate(&mut self, upto: SeqNo);
}

/// The connections of a replica. Nothing here waits: what does not fit is dropped and counted,
/// and the protocols on both sides ask again.
pub trait Network {
    /// Sends messages in order.
    fn send(&mut self, messages: Vec<Outgoing>);
    /// Answers clients, in order.
    fn reply(&mut self, replies: Vec<Reply>);
    /// Tells every connected client of the epoch and view.
    fn hint(&mut self, term: Term);
}

/// What a driver needs to know of a protocol's messages without understanding them.
pub trait Describe<W> {
    /// Names of the kinds of messages, as counters show them.
    const KINDS: &'static [&'static str];
    /// Index of a message's kind in [`Describe::KINDS`].
    fn kind(wire: &W) -> usize;
    /// How it travels.
    fn lane(wire: &W) -> Lane;
    /// The step in a slot's life that this message is, if it is one.
    fn milestone(_wire: &W) -> Option<Milestone<'_>> {
        None
    }
    /// What a PREPARE or a COMMIT votes for.
    fn ballot(_wire: &W) -> Option<Ballot> {
        None
    }
    /// Which budget pays for verifying it.
    fn work(wire: &W) -> Work {
        match Self::lane(wire) {
            Lane::Bulk => Work::Bulk,
            _ => Work::Votes,
        }
    }
}

/// What a vote is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ballot {
    /// The configuration.
    pub epoch: Epoch,
    /// A PREPARE or a COMMIT.
    pub phase: Phase,
    /// View, slot and batch.
    pub on: Statement,
}

/// A step in a slot's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone<'w> {
    /// A proposal, with the requests' complete bytes if they travel along.
    Proposal(SeqNo, Option<&'w RawBatch>),
    /// A vote for it.
    Vote(SeqNo),
    /// A second-phase vote.
    Commit(SeqNo),
}

/// Kinds of work that verification does for peers, each from a budget of its own, so that none can
/// hold up another (docs/protocol.md R15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Proposals, votes, and whatever else is small and urgent.
    Votes,
    /// New views, decisions, state: few messages, but each may cost as much as a thousand votes.
    Bulk,
    /// VIEW-CHANGEs, of which a peer's newest takes the place of its earlier ones.
    Reports,
    /// Clients' requests that a peer passes on.
    Requests,
}
