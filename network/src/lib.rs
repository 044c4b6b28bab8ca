//! What everything that speaks QUIC in Quintet shares: the cluster file, endpoints with pinned
//! keys, frames on streams, and the messages between clients and replicas.
//!
//! ```text
//!   cluster.toml ──► consensus::Cluster, addresses          (cluster_file, genesis)
//!   socket ──► quinn endpoint: TLS 1.3, both sides pinned    (socket, transport, endpoint, acceptor)
//!   stream ──► length-prefixed frames, bounded               (frame)
//!   frame  ──► ToReplica, ToClient                           (wire_client)
//! ```
//!
//! Replicas and clients come in on two endpoints with two sets of limits ([`Class`]), so that a
//! flood of clients shares no receive loop, window or queue with votes.

pub mod acceptor;
pub mod cluster_file;
pub mod endpoint;
pub mod frame;
pub mod genesis;
mod reset;
pub mod silence;
pub mod socket;
pub mod transport;
pub mod wire_client;

pub use acceptor::{Accepted, Acceptor, Caps, Rejection};
pub use cluster_file::{ClientEntry, ClusterFile, ClusterFileError, ReplicaEntry};
pub use endpoint::{
    DialError, EndpointError, client_config, dial, dial_endpoint, dial_endpoint_over, dial_over,
    listen, listen_over, pinned_clients, pinned_replicas, remote_key,
};
pub use frame::{FrameError, FrameReader, FrameWriter, StreamKind};
pub use genesis::{Addresses, Genesis, GenesisError, Keys};
pub use socket::SocketWrap;
pub use transport::{Class, Path, Version, Way};
pub use wire_client::{CommittedEntry, Observation, ToClient, ToReplica};
