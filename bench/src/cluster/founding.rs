//! From a scenario's `[cluster]` table to a founded cluster on loopback.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use consensus::{CommitMode, FastQuorum, Limits, Policy};
use network::genesis::{Addresses, Genesis, Keys};

use crate::exit::Exit;
use crate::options::RunError;
use crate::scenario::schema::{self, Scenario};

/// Clients' outstanding requests, all together, are what a replica must be able to hold before it
/// says "busy": but never more than this.
const PENDING_MAX: usize = 8192;

/// STATUS is the heartbeat: this many may be late or lost before a replica seems silent.
const STATUS_PER_HEARTBEAT: u32 = 5;
/// Retransmission is driven by STATUS too, so it does not become arbitrarily rare.
const STATUS_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// The limits that all replicas share.
pub(crate) fn limits(scenario: &Scenario) -> Limits {
    let cluster = &scenario.cluster;
    Limits {
        checkpoint_interval: cluster.storage.checkpoint_interval,
        log_window: cluster.storage.log_window,
        // Replicas count requests; every request of a scenario has as many operations.
        batch_requests_max: (cluster.batch.max_ops / scenario.load.ops_per_request).max(1),
        batch_bytes_max: u32::try_from(cluster.batch.max_bytes.bytes()).unwrap_or(u32::MAX),
        quorum_reads: scenario.workload.read_mode == schema::ReadMode::Quorum,
        ..Limits::default()
    }
}

/// How each replica behaves.
pub(crate) fn policy(scenario: &Scenario) -> Policy {
    let cluster = &scenario.cluster;
    Policy {
        commit_mode: match cluster.commit_mode {
            schema::CommitMode::Adaptive => CommitMode::Adaptive,
            schema::CommitMode::Eager => CommitMode::Eager,
        },
        inflight_max: cluster.batch.pipeline as usize,
        batch_delay: cluster.batch.max_delay,
        heartbeat_timeout: cluster.timeouts.heartbeat,
        status_interval: (cluster.timeouts.heartbeat / STATUS_PER_HEARTBEAT)
            .min(STATUS_INTERVAL_MAX),
        request_timeout: cluster.timeouts.view_change,
        view_change_timeout: cluster.timeouts.view_change,
        pending_requests_max: PENDING_MAX,
        ..Policy::default()
    }
}

/// The fast quorum as the configuration names it.
pub(crate) fn fast_quorum(scenario: &Scenario) -> FastQuorum {
    match scenario.cluster.fast_quorum {
        schema::FastQuorum::Strong => FastQuorum::Strong,
        schema::FastQuorum::Conservative => FastQuorum::Conservative,
        schema::FastQuorum::Off => FastQuorum::Off,
        schema::FastQuorum::Exactly(votes) => {
            FastQuorum::Exactly(u16::try_from(votes).unwrap_or(u16::MAX))
        }
    }
}

/// Founds the scenario's cluster in `directory` with keys that derive from `seed`.
pub(super) fn found(scenario: &Scenario, seed: u64, directory: &Path) -> Result<(), RunError> {
    let n = u16::try_from(scenario.cluster.n).map_err(|_| {
        RunError::new(
            Exit::Usage,
            "cluster.n: more replicas than a cluster may have",
        )
    })?;
    let genesis = Genesis {
        f: u16::try_from(scenario.cluster.f).map_err(|_| {
            RunError::new(
                Exit::Usage,
                "cluster.f: more faults than a cluster may have",
            )
        })?,
        n,
        fast_quorum: fast_quorum(scenario),
        limits: limits(scenario),
        policy: policy(scenario),
        addresses: Addresses::Explicit(free_addresses(n)?),
        clients: scenario.load.clients + scenario.hostile_clients() + scenario.outside_clients(),
        keys: Keys::Seeded(crypto::Digest::of("bench-cluster", &seed.to_le_bytes()).0),
    };
    genesis
        .create(directory)
        .map(|_| ())
        .map_err(|error| RunError::new(Exit::Runtime, format!("cannot found the cluster: {error}")))
}

/// Addresses on loopback that nobody holds now. Somebody may take one before the replica does;
/// the launcher then tries again with others.
fn free_addresses(n: u16) -> Result<Vec<(SocketAddr, SocketAddr)>, RunError> {
    let mut held = Vec::new();
    let mut free = || -> std::io::Result<SocketAddr> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        // Held until all are chosen, so that none is chosen twice.
        held.push(socket);
        Ok(address)
    };
    (0..n)
        .map(|_| Ok((free()?, free()?)))
        .collect::<std::io::Result<_>>()
        .map_err(|error| {
            RunError::new(Exit::Environment, format!(
                "no free UDP ports on 127.0.0.1 for {n} replicas: {error}; raise the limit of open \
                 files (ulimit -n) or free ports"
            ))
        })
}

/// How long clients wait before they ask all replicas, and before they give up.
pub fn client_pace(scenario: &Scenario) -> consensus::client::Pace {
    /// A request that has no answer for this many client time-outs is given up: its outcome is
    /// unknown.
    const GIVE_UP_AFTER: u32 = 20;
    let retransmit: Duration = scenario.cluster.timeouts.client;
    consensus::client::Pace {
        retransmit_after: retransmit,
        request_timeout: retransmit * GIVE_UP_AFTER,
        ..consensus::client::Pace::default()
    }
}
