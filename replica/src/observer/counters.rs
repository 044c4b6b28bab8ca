//! Counters: relaxed atomics that any thread may add to and any thread may read.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::conduct::Conduct;
use super::signatures::Signatures;

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The latest or the highest value of something.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Raises the value to this, if it is below.
    pub fn raise(&self, value: u64) {
        // Most calls change nothing, and a load is cheaper than a read-modify-write.
        if value > self.0.load(Ordering::Relaxed) {
            self.0.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// The value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Powers of two that a [`Distribution`] tells apart: sizes up to 2^20 and one more for the rest.
pub const BUCKETS: usize = 22;

/// How large something was: count, sum, maximum, and counts by power of two.
#[derive(Debug, Default)]
pub struct Distribution {
    count: Counter,
    sum: Counter,
    max: Gauge,
    buckets: [Counter; BUCKETS],
}

impl Distribution {
    /// Adds one observation.
    pub fn record(&self, value: u64) {
        self.count.add(1);
        self.sum.add(value);
        self.max.raise(value);
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        self.buckets[bits.min(BUCKETS - 1)].add(1);
    }

    /// The figures so far.
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count.total(),
            sum: self.sum.total(),
            max: self.max.value(),
            buckets: self.buckets.iter().map(Counter::total).collect(),
        }
    }
}

/// A [`Distribution`] as status pages show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Observations.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The largest.
    pub max: u64,
    /// Element `i` counts values of `i` binary digits: 0, 1, 2-3, 4-7, …; the last has the rest.
    pub buckets: Vec<u64>,
}

impl Summary {
    /// Sum over count; 0 if there is nothing.
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum as f64 / self.count as f64
        }
    }
}

/// Bytes of one endpoint, without what QUIC adds.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Given to streams.
    pub sent: Counter,
    /// Taken from streams.
    pub received: Counter,
}

/// What is counted of one peer.
#[derive(Debug, Default)]
pub struct PeerCounters {
    /// 1 while there is a connection.
    pub connected: Gauge,
    /// Connections made so far.
    pub connections: Counter,
    /// Messages that did not fit its outbound queue.
    pub dropped: Counter,
    /// Messages of it that were refused, here or by the protocol.
    pub misbehaviour: Counter,
    /// Times that this replica fell back to COMMITs while the PREPARE of that one was missing.
    pub missing_votes: Counter,
    /// When something of it came in last, in microseconds after the observer's start; 0: never.
    pub arrived_us: Gauge,
    /// Round trip to it as QUIC sees it, smoothed, in microseconds; 0 before the first look.
    pub rtt_us: Gauge,
    /// The shortest one of the connection.
    pub rtt_min_us: Gauge,
    /// What no correct replica sends: malformed messages, those in another's name, bad signatures, each of them.
    pub offences: Counter,
    /// Times that it was cut off because of them.
    pub bans: Counter,
    /// Whether it is cut off now.
    pub conduct: Conduct,
    /// Signatures in its messages, whoever made them: each of a certificate and of each request counts.
    pub signatures: Signatures,
}

/// Everything that is counted of a replica.
#[derive(Debug, Default)]
pub struct Counters {
    /// Slots decided by q_F PREPAREs.
    pub decided_fast: Counter,
    /// Slots decided by q COMMITs.
    pub decided_slow: Counter,
    /// Slots decided by another replica's certificate.
    pub decided_transfer: Counter,
    /// Operations in executed batches.
    pub batch_ops: Distribution,
    /// Operations in executed batches, whether fresh or repeated.
    pub executed_ops: Counter,
    /// Requests in executed batches.
    pub executed_requests: Counter,
    /// Slots that this replica has proposed.
    pub proposed: Counter,
    /// COMMITs sent because the fast path was late.
    pub fallbacks: Counter,
    /// Messages sent again to peers.
    pub retransmissions: Counter,
    /// Stored replies sent again to clients.
    pub replies_resent: Counter,
    /// Times that the primary was suspected.
    pub suspicions: Counter,
    /// Proven equivocations.
    pub equivocations: Counter,
    /// Changes of view.
    pub view_changes: Counter,
    /// Times that the peers' logs no longer held what this replica lacks.
    pub left_behind: Counter,
    /// Times that the state at a checkpoint was asked for.
    pub transfers_started: Counter,
    /// States that were fetched from other replicas.
    pub state_transfers: Counter,
    /// Bytes of state that were fetched.
    pub transfer_bytes: Counter,
    /// Proposals and votes dropped before they were verified: no room for them so far ahead.
    pub beyond_horizon: Counter,
    /// PREPAREs dropped before they were verified: others had decided the slot.
    pub surplus_votes: Counter,
    /// VIEW-CHANGEs dropped before they were verified: the same peer had sent a newer one.
    pub superseded: Counter,
    /// Requests answered with "busy" by the protocol.
    pub busy: Counter,
    /// Requests answered with "busy" before their signature was looked at.
    pub busy_unread: Counter,
    /// Client requests whose signature or form was bad.
    pub bad_requests: Counter,
    /// Reads that were answered from the executed state (R14).
    pub reads: Counter,
    /// Reads that were answered "busy": over a client's share, or after a restart.
    pub reads_refused: Counter,
    /// Times that a client's connection was closed and the client kept out for bad requests.
    pub clients_expelled: Counter,
    /// Connections and attachments refused to clients that are kept out.
    pub clients_kept_out: Counter,
    /// Stored replies that were asked for too often, and not sent.
    pub resends_refused: Counter,
    /// Replies that had no connection to go to, or did not fit its queue.
    pub replies_dropped: Counter,
    /// Connections of peers that failed because the other end speaks another version of the protocol.
    pub other_protocol: Counter,
    /// Client connections now.
    pub client_connections: Gauge,
    /// Signature batches, by number of items.
    pub verify_batches: Distribution,
    /// Most messages of peers that waited for verification.
    pub verify_peers_high: Gauge,
    /// Most requests that waited for verification.
    pub verify_clients_high: Gauge,
    /// Most inputs that waited for the core.
    pub core_queue_high: Gauge,
    /// Most messages that waited for the disk.
    pub gate_high: Gauge,
    /// Most bytes that waited for one peer.
    pub outbound_high: Gauge,
    /// The current epoch.
    pub epoch: Gauge,
    /// The current view.
    pub view: Gauge,
    /// 1 while the replica is a learner, else 0.
    pub learner: Gauge,
    /// 1 once the core takes no further step, else 0.
    pub stopped: Gauge,
    /// The state at this checkpoint is fetched, or must be, before this replica can go on.
    pub behind_until: Gauge,
    /// The sequence number executed last.
    pub last_executed: Gauge,
    /// The low watermark.
    pub stable: Gauge,
    /// The last checkpoint of this replica's own state.
    pub checkpoint: Gauge,
    /// Replies held for clients at that checkpoint.
    pub replies_held: Gauge,
    /// Bytes on peer connections.
    pub peer_traffic: Traffic,
    /// Bytes on client connections.
    pub client_traffic: Traffic,
}
