//! The status page: one JSON document that `replica status`, the admin port and observers read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counters::Summary;

/// Version of the status page's format; it changes when a field changes its meaning or goes.
pub const STATUS_SCHEMA: &str = "replica.status/v1";

/// What a replica says of itself. Counters run from the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// [`STATUS_SCHEMA`].
    pub schema: String,
    /// The replica's number.
    pub replica: u16,
    /// Identity of the cluster, hexadecimal.
    pub cluster: String,
    /// Replicas.
    pub n: usize,
    /// Faults tolerated.
    pub f: usize,
    /// The process.
    pub process: ProcessStatus,
    /// Current epoch.
    #[serde(default)]
    pub epoch: u64,
    /// Current view of the epoch.
    pub view: u64,
    /// The view's primary.
    pub primary: u16,
    /// "member", or "learner" while the replica promises nothing (docs/protocol.md R16).
    #[serde(default)]
    pub role: String,
    /// The sequence number executed last.
    pub last_executed: u64,
    /// Low watermark: the last stable checkpoint.
    pub stable: u64,
    /// The last checkpoint of its own state.
    pub checkpoint: u64,
    /// Decisions and what led to them.
    pub consensus: ConsensusStatus,
    /// Clients and their requests.
    pub clients: ClientStatus,
    /// By peer.
    pub peers: Vec<PeerStatus>,
    /// Bytes on the two endpoints.
    pub traffic: TrafficStatus,
    /// High-water marks of the queues.
    pub queues: QueueStatus,
    /// Items in a signature batch.
    pub verify_batches: Summary,
    /// Durable storage.
    pub storage: StorageStatus,
    /// How long the phases of slots and requests took, by `Phase::name`; those that never came are left out.
    #[serde(default)]
    pub phases: BTreeMap<String, PhaseStatus>,
    /// Messages written to and read from connections, by type; a broadcast counts for each peer.
    #[serde(default)]
    pub messages: BTreeMap<String, MessageStatus>,
    /// Messages sent to peers, by kind; a broadcast counts once.
    pub messages_sent: BTreeMap<String, u64>,
    /// Messages received from peers, by kind.
    pub messages_received: BTreeMap<String, u64>,
}

/// The operating-system process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its number.
    pub pid: u32,
    /// Version of the binary.
    pub version: String,
    /// Seconds since the start.
    pub uptime_s: f64,
    /// Processor time used, in seconds; 0 where the system does not say.
    pub cpu_s: f64,
    /// Memory held now, in bytes; 0 where the system does not say.
    pub rss_bytes: u64,
    /// The most memory held, in bytes; 0 where the system does not say.
    pub rss_max_bytes: u64,
    /// Files and sockets that are open; 0 where the system does not say.
    #[serde(default)]
    pub open_files: u64,
    /// Threads; 0 where the system does not say.
    #[serde(default)]
    pub threads: u64,
}

/// Decisions and what led to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConsensusStatus {
    /// Slots decided by q_F PREPAREs.
    pub decided_fast: u64,
    /// Slots decided by q COMMITs.
    pub decided_slow: u64,
    /// Slots decided by another replica's certificate.
    pub decided_transfer: u64,
    /// Operations by batch.
    pub batch_ops: Summary,
    /// Operations in executed batches, repeated ones included.
    pub executed_ops: u64,
    /// Requests that changed the state: each counts once however often it is ordered.
    pub executed_requests: u64,
    /// Slots that this replica has proposed.
    #[serde(default)]
    pub proposed: u64,
    /// COMMITs sent because the fast path was late; `peers` says who was missing.
    pub fallbacks: u64,
    /// Those of them in which its own PREPARE was missing: its disk was late.
    #[serde(default)]
    pub own_vote_missing: u64,
    /// Messages sent again to peers.
    pub retransmissions: u64,
    /// Times that the primary was suspected.
    pub suspicions: u64,
    /// Proven equivocations.
    pub equivocations: u64,
    /// Connections of peers that failed because the other end speaks another version of the protocol.
    #[serde(default)]
    pub other_protocol: u64,
    /// Changes of view.
    pub view_changes: u64,
    /// Times that the peers' logs no longer held what this replica lacks.
    pub left_behind: u64,
    /// Times that the state at a checkpoint was asked for.
    #[serde(default)]
    pub transfers_started: u64,
    /// States that were fetched from other replicas.
    #[serde(default)]
    pub state_transfers: u64,
    /// Bytes of state that were fetched.
    #[serde(default)]
    pub transfer_bytes: u64,
}

/// Clients and their requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// Connections now.
    pub connections: u64,
    /// Requests answered with "busy" by the protocol.
    pub busy: u64,
    /// Requests answered with "busy" before their signature was looked at.
    pub busy_unread: u64,
    /// Requests with a bad form or signature.
    pub bad_requests: u64,
    /// Signatures of requests and reads that came from clients and were checked.
    #[serde(default)]
    pub checks: u64,
    /// Those of them that were bad.
    #[serde(default)]
    pub bad_checks: u64,
    /// The client for which the most were checked.
    #[serde(default)]
    pub most: Option<ClientChecks>,
    /// The client with the most bad ones, and how many.
    #[serde(default)]
    pub most_bad: Option<ClientChecks>,
    /// Reads answered beside the log (R14).
    #[serde(default)]
    pub reads: u64,
    /// Reads answered with "busy": over a client's share, or too soon after a restart.
    #[serde(default)]
    pub reads_refused: u64,
    /// Connections closed for misbehaviour.
    pub expelled: u64,
    /// Connections refused to clients that are kept out for bad requests.
    #[serde(default)]
    pub kept_out: u64,
    /// Stored replies asked for too often, and not sent again.
    #[serde(default)]
    pub resends_refused: u64,
    /// Stored replies sent again.
    pub replies_resent: u64,
    /// Replies without a connection, or beyond its queue.
    pub replies_dropped: u64,
    /// Replies held in the session table at the last checkpoint.
    pub replies_held: u64,
}

/// Signatures of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientChecks {
    /// Its number.
    pub client: u32,
    /// How many were checked.
    pub checks: u64,
}

/// One peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its number.
    pub replica: u16,
    /// Is there a connection?
    pub connected: bool,
    /// Connections made so far.
    pub connections: u64,
    /// Messages that did not fit its outbound queue.
    pub dropped: u64,
    /// Messages of it that were refused.
    pub misbehaviour: u64,
    /// Times that this replica fell back to COMMITs while the PREPARE of that one was missing.
    #[serde(default)]
    pub missing_votes: u64,
    /// Round trip to it as QUIC sees it, smoothed, in microseconds; 0: not known.
    #[serde(default)]
    pub rtt_us: u64,
    /// The shortest one of the connection, in microseconds; 0: not known.
    #[serde(default)]
    pub rtt_min_us: u64,
    /// Times that it was cut off for a while because of them.
    #[serde(default)]
    pub bans: u64,
    /// Signatures in its messages that were checked, whoever made them.
    #[serde(default)]
    pub checks: u64,
    /// Those of them that were bad.
    #[serde(default)]
    pub bad_checks: u64,
}

/// A phase of slots or requests (`Phase`), in microseconds. Percentiles are exact to 1 %.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "statistics by their usual names")]
pub struct PhaseStatus {
    /// Observations.
    pub count: u64,
    pub mean_us: f64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    /// All of it: an HdrHistogram, format V2 in base64.
    pub hdr: String,
}

/// Messages of one type, and their bytes without what QUIC and TLS add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageStatus {
    /// Written to connections.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Read from connections.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
}

/// Bytes on streams, without what QUIC and TLS add.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrafficStatus {
    /// To peers.
    pub peer_bytes_sent: u64,
    /// From peers.
    pub peer_bytes_received: u64,
    /// To clients.
    pub client_bytes_sent: u64,
    /// From clients.
    pub client_bytes_received: u64,
}

/// The most that ever waited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// Peers' messages before verification.
    pub verify_peers_high: u64,
    /// Requests before verification.
    pub verify_clients_high: u64,
    /// Inputs of the core.
    pub core_high: u64,
    /// Messages waiting for the disk.
    pub gate_high: u64,
    /// Bytes waiting for one peer.
    pub outbound_high_bytes: u64,
    /// Proposals and votes that were not even verified, because this replica lags too far behind to
    /// have room for them.
    #[serde(default)]
    pub beyond_horizon: u64,
    /// PREPAREs that were not verified, because those of others had decided the slot.
    #[serde(default)]
    pub surplus_votes: u64,
    /// VIEW-CHANGEs that were not verified, because the same peer had sent a newer one.
    #[serde(default)]
    pub superseded: u64,
}

/// Durable storage since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StorageStatus {
    /// sqlite or memory.
    pub engine: String,
    /// full or off.
    pub durability: String,
    /// Groups written to the record log.
    pub log_commits: u64,
    /// fsyncs of the record log.
    pub log_fsyncs: u64,
    /// Bytes of records.
    pub log_bytes: u64,
    /// Checkpoints written to the state store.
    pub state_commits: u64,
    /// fsyncs of the state store.
    pub state_fsyncs: u64,
    /// Bytes of state.
    pub state_bytes: u64,
}
