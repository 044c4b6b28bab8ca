//! What a replica shows Prometheus. Each metric, its unit and what to ask of it: docs/metrics.md.

mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::exposition::{About, Distribution, Labels, Metrics, Page, Unit};
use crate::observer::Observer;
use crate::observer::counters::Summary;
use crate::observer::phases::Phase;
use crate::observer::status::{MessageStatus, PeerStatus, ReplicaStatus};

/// Upper bounds of the buckets of durations, as powers of two in microseconds: 64 us to 16.8 s. The counts below them are exact.
const BOUNDS_US: [u32; 19] = [
    6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
];
const US_PER_S: f64 = 1e6;

/// The metrics of one replica.
#[derive(Clone)]
pub(super) struct Replica(pub(super) Arc<Observer>);

impl Page for Replica {
    fn write(&self, metrics: &mut Metrics<'_>) -> fmt::Result {
        let status = self.0.status();
        identity(metrics, &status)?;
        process::write(metrics, &status.process)?;
        standing(metrics, &status)?;
        slots(metrics, &status)?;
        trouble(metrics, &status)?;
        self.phases(metrics)?;
        clients(metrics, &status)?;
        peers(metrics, &status.peers)?;
        messages(metrics, &status.messages)?;
        queues(metrics, &status)?;
        storage(metrics, &status)
    }
}

impl Replica {
    fn phases(&self, metrics: &mut Metrics<'_>) -> fmt::Result {
        let samples = Phase::ALL.iter().map(|phase| {
            let durations = self.0.phases.of(*phase);
            let (shorter, count) = durations.shorter_than(&BOUNDS_US);
            let bounds = BOUNDS_US
                .iter()
                .map(|bits| (1u64 << bits) as f64 / US_PER_S);
            let distribution = Distribution {
                sum: durations.sum_micros() as f64 / US_PER_S,
                count,
                buckets: bounds.zip(increments(&shorter)).collect(),
            };
            (labelled("phase", phase.name()), distribution)
        });
        metrics.histogram(
            (
                "quintet_phase_duration",
                "How long a phase of a slot or a request took",
            ),
            Some(Unit::Seconds),
            samples,
        )
    }
}

/// From counts up to each bound to counts between bounds.
fn increments(cumulative: &[u64]) -> Vec<u64> {
    let before = std::iter::once(&0).chain(cumulative);
    let pairs = cumulative.iter().zip(before);
    pairs.map(|(upto, before)| upto - before).collect()
}

fn none() -> Labels {
    Labels::new()
}

fn labelled(name: &'static str, value: impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

/// A counter without labels.
fn count(metrics: &mut Metrics<'_>, about: About, total: u64) -> fmt::Result {
    metrics.counter(about, None, [(none(), total as f64)])
}

/// A gauge without labels.
fn level(metrics: &mut Metrics<'_>, about: About, value: u64) -> fmt::Result {
    metrics.gauge(about, None, [(none(), value as f64)])
}

fn identity(metrics: &mut Metrics<'_>, status: &ReplicaStatus) -> fmt::Result {
    let labels = vec![
        ("replica", status.replica.to_string()),
        ("cluster", status.cluster.clone()),
        ("n", status.n.to_string()),
        ("f", status.f.to_string()),
        ("version", status.process.version.clone()),
        ("engine", status.storage.engine.clone()),
        ("durability", status.storage.durability.clone()),
    ];
    metrics.info(("quintet_replica", "Which replica this is"), &labels)
}

fn standing(metrics: &mut Metrics<'_>, status: &ReplicaStatus) -> fmt::Result {
    let leads = status.primary == status.replica && status.role != "learner";
    for (about, value) in [
        (("quintet_epoch", "The current epoch"), status.epoch),
        (
            ("quintet_view", "The current view of the epoch"),
            status.view,
        ),
        (
            (
                "quintet_is_primary",
                "1 if this replica is the primary of its view",
            ),
            u64::from(leads),
        ),
        (
            ("quintet_is_learner", "1 while this replica has no vote"),
            u64::from(status.role == "learner"),
        ),
        (
            ("quintet_executed_slot", "The sequence number executed last"),
            status.last_executed,
        ),
        (
            ("quintet_stable_slot", "The last stable checkpoint"),
            status.stable,
        ),
        (
            (
                "quintet_checkpoint_slot",
                "The last checkpoint of its own state",
            ),
            status.checkpoint,
        ),
    ] {
        level(metrics, about, value)?;
    }
    Ok(())
}

fn slots(metrics: &mut Metrics<'_>, status: &ReplicaStatus) -> fmt::Result {
    let consensus = &status.consensus;
    let decided = [
        ("fast", consensus.decided_fast),
        ("slow", consensus.decided_slow),
        ("transfer", consensus.decided_transfer),
    ];
    metrics.counter(
        (
            "quintet_decided_slots",
            "Slots decided, by q_F PREPAREs, q COMMITs or another's certificate",
        ),
        None,
        decided.map(|(path, slots)| (labelled("path", path), slots as f64)),
    )?;
    count(
        metrics,
        (
            "quintet_proposed_slots",
            "Slots that this replica has proposed",
        ),
        consensus.proposed,
    )?;
    count(
        metrics,
        (
            "quintet_executed_operations",
            "Operations in executed batches, repeated ones included",
        ),
        consensus.executed_ops,
    )?;
    count(
        metrics,
        (
            "quintet_executed_requests",
            "Requests that took effect, each once",
        ),
        consensus.executed_requests,
    )?;
    metrics.histogram(
        (
            "quintet_batch_operations",
            "Operations in an executed batch",
        ),
        None,
        [(none(), sizes(&consensus.batch_ops))],
    )
}

fn trouble(metrics: &mut Metrics<'_>, status: &ReplicaStatus) -> fmt::Result {
    let consensus = &status.consensus;
    for (about, total) in [
        (
            (
                "quintet_fallbacks",
                "COMMITs sent because the fast path was late",
            ),
            consensus.fallbacks,
        ),
        (
            (
                "quintet_own_votes_missing",
                "Fallbacks in which its own PREPARE was missing: its disk was late",
            ),
            consensus.own_vote_missing,
        ),
        (
            (
                "quintet_retransmitted_messages",
                "Messages sent again to peers",
            ),
            consensus.retransmissions,
        ),
        (
            ("quintet_suspicions", "Times that the primary was suspected"),
            consensus.suspicions,
        ),
        (
            ("quintet_view_changes", "Views entered"),
            consensus.view_changes,
        ),
        (
            ("quintet_equivocations", "Proven equivocations of others"),
            consensus.equivocations,
        ),
        (
            (
                "quintet_left_behind",
                "Times that the peers' logs no longer held what this replica lacks",
            ),
            consensus.left_behind,
        ),
        (
            (
                "quintet_state_transfers_started",
                "Times that the state at a checkpoint was asked for",
            ),
            consensus.transfers_started,
        ),
        (
            (
                "quintet_state_transfers",
                "States fetched from other replicas",
            ),
            consensus.state_transfers,
        ),
        (
            (
                "quintet_other_protocol_connections",
                "Connections that failed because the other end speaks another version",
            ),
            consensus.other_protocol,
        ),
        (
            (
                "quintet_beyond_horizon_messages",
                "Messages not verified, because this replica lags too far behind for them",
            ),
            status.queues.beyond_horizon,
        ),
        (
            (
                "quintet_surplus_votes",
                "PREPAREs not verified, because those of others had decided the slot",
            ),
            status.queues.surplus_votes,
        ),
        (
            (
                "quintet_superseded_view_changes",
                "VIEW-CHANGEs not verified, because the same peer had sent a newer one",
            ),
            status.queues.superseded,
        ),
    ] {
        count(metrics, about, total)?;
    }
    metrics.counter(
        (
            "quintet_state_transfer",
            "State fetched from other replicas",
        ),
        Some(Unit::Bytes),
        [(none(), consensus.transfer_bytes as f64)],
    )
}

fn clients(metrics: &mut Metrics<'_>, status: &ReplicaStatus) -> fmt::Result {
    let clients = &status.clients;
    level(
        metrics,
        ("quintet_client_connections", "Connections of clients now"),
        clients.connections,
    )?;
    level(
        metrics,
        (
            "quintet_replies_held",
            "Replies kept for clients at the last checkpoint",
        ),
        clients.replies_held,
    )?;
    let busy = [("protocol", clients.busy), ("unread", clients.busy_unread)];
    metrics.counter(
        (
            "quintet_busy_replies",
            "Requests turned away, by the protocol or before their signature was looked at",
        ),
        None,
        busy.map(|(stage, replies)| (labelled("stage", stage), replies as f64)),
    )?;
    for (about, total) in [
        (
            (
                "quintet_bad_requests",
                "Requests with a bad form or signature",
            ),
            clients.bad_requests,
        ),
        (
            (
                "quintet_client_checked_signatures",
                "Signatures of clients' requests and reads that were checked",
            ),
            clients.checks,
        ),
        (
            (
                "quintet_client_bad_signatures",
                "Signatures of clients that were bad",
            ),
            clients.bad_checks,
        ),
        (
            ("quintet_reads", "Reads answered beside the log"),
            clients.reads,
        ),
        (
            (
                "quintet_reads_refused",
                "Reads answered with busy: over a client's share, or too soon after a restart",
            ),
            clients.reads_refused,
        ),
        (
            (
                "quintet_clients_expelled",
                "Connections of clients closed for misbehaviour",
            ),
            clients.expelled,
        ),
        (
            (
                "quintet_clients_kept_out",
                "Connections refused to clients that are kept out",
            ),
            clients.kept_out,
        ),
        (
            (
                "quintet_resends_refused",
                "Stored replies asked for too often, and not sent again",
            ),
            clients.resends_refused,
        ),
        (
            ("quintet_replies_resent", "Stored replies sent again"),
            clients.replies_resent,
        ),
        (
            (
                "quintet_replies_dropped",
                "Replies without a connection, or beyond its queue",
            ),
            clients.replies_dropped,
        ),
    ] {
        count(metrics, about, total)?;
    }
    Ok(())
}

fn peers(metrics: &mut Metrics<'_>, peers: &[PeerStatus]) -> fmt::Result {
    let each = |value: fn(&PeerStatus) -> u64| {
        let samples = peers
            .iter()
            .map(move |peer| (labelled("peer", peer.replica), value(peer) as f64));
        samples.collect::<Vec<_>>()
    };
    metrics.gauge(
        (
            "quintet_peer_connected",
            "1 while there is a connection with this peer",
        ),
        None,
        each(|peer| u64::from(peer.connected)),
    )?;
    for (about, value) in [
        (
            (
                "quintet_peer_connections",
                "Connections made with this peer",
            ),
            (|peer| peer.connections) as fn(&PeerStatus) -> u64,
        ),
        (
            (
                "quintet_peer_dropped_messages",
                "Messages that did not fit this peer's outbound queue",
            ),
            |peer| peer.dropped,
        ),
        (
            (
                "quintet_peer_refused_messages",
                "Messages of this peer that were refused",
            ),
            |peer| peer.misbehaviour,
        ),
        (
            (
                "quintet_peer_bans",
                "Times that this peer was cut off for a while",
            ),
            |peer| peer.bans,
        ),
        (
            (
                "quintet_peer_checked_signatures",
                "Signatures in this peer's messages that were checked",
            ),
            |peer| peer.checks,
        ),
        (
            (
                "quintet_peer_bad_signatures",
                "Signatures in this peer's messages that were bad",
            ),
            |peer| peer.bad_checks,
        ),
        (
            (
                "quintet_peer_missing_votes",
                "Fallbacks of this replica in which this peer's PREPARE was missing",
            ),
            |peer| peer.missing_votes,
        ),
    ] {
        metrics.counter(about, None, each(value))?;
    }
    // A peer whose distance is not known has no sample.
    let known = peers
        .iter()
        .filter(|peer| peer.connected && peer.rtt_us > 0);
    metrics.gauge(
        (
            "quintet_peer_round_trip",
            "Round trip to this peer as QUIC sees it, smoothed",
        ),
        Some(Unit::Seconds),
        known.map(|peer| {
            (
                labelled("peer", peer.replica),
                peer.rtt_us as f64 / US_PER_S,
            )
        }),
    )
}

fn messages(metrics: &mut Metrics<'_>, messages: &BTreeMap<String, MessageStatus>) -> fmt::Result {
    let each = |value: fn(&MessageStatus) -> u64| {
        let samples = messages
            .iter()
            .map(move |(name, status)| (labelled("type", name), value(status) as f64));
        samples.collect::<Vec<_>>()
    };
    let sent = "Messages written to connections; one to every peer counts for each";
    metrics.counter(("quintet_sent_messages", sent), None, each(|all| all.sent))?;
    let received = "Messages read from connections";
    metrics.counter(
        ("quintet_received_messages", received),
        None,
        each(|all| all.received),
    )?;
    let bytes = Some(Unit::Bytes);
    let sent = "Bytes of messages written, without what QUIC and TLS add";
    metrics.counter(
        ("quintet_sent_message", sent),
        bytes.clone(),
        each(|all| all.sent_bytes),
    )?;
    let received = "Bytes of messages read, without what QUIC and TLS add";
    metrics.counter(
        ("quintet_received_message", received),
        bytes,
        each(|all| all.received_bytes),
    )
}

fn queues(metrics: &mut Metrics<'_>, status: &ReplicaStatus) -> fmt::Result {
    let queues = &status.queues;
    let most = [
        ("verify_peers", queues.verify_peers_high),
        ("verify_clients", queues.verify_clients_high),
        ("core", queues.core_high),
        ("disk", queues.gate_high),
    ];
    metrics.gauge(
        (
            "quintet_queue_high",
            "The most that ever waited: messages or requests",
        ),
        None,
        most.map(|(queue, items)| (labelled("queue", queue), items as f64)),
    )?;
    metrics.gauge(
        (
            "quintet_outbound_queue_high",
            "The most that ever waited for one peer",
        ),
        Some(Unit::Bytes),
        [(none(), queues.outbound_high_bytes as f64)],
    )?;
    metrics.histogram(
        (
            "quintet_verify_batch_signatures",
            "Messages or requests whose signatures were verified together",
        ),
        None,
        [(none(), sizes(&status.verify_batches))],
    )
}

fn storage(metrics: &mut Metrics<'_>, status: &ReplicaStatus) -> fmt::Result {
    let storage = &status.storage;
    let both = |log: u64, state: u64| {
        [("log", log), ("state", state)]
            .map(|(store, value)| (labelled("store", store), value as f64))
    };
    metrics.counter(
        (
            "quintet_storage_commits",
            "Groups of records, or checkpoints, written",
        ),
        None,
        both(storage.log_commits, storage.state_commits),
    )?;
    metrics.counter(
        ("quintet_storage_fsyncs", "Synchronous writes"),
        None,
        both(storage.log_fsyncs, storage.state_fsyncs),
    )?;
    metrics.counter(
        ("quintet_storage_written", "Records and state written"),
        Some(Unit::Bytes),
        both(storage.log_bytes, storage.state_bytes),
    )
}

/// Element `i` counts values of `i` binary digits; the largest of them is the bucket's bound.
fn sizes(summary: &Summary) -> Distribution {
    let bounded = summary.buckets.len().saturating_sub(1);
    let buckets = summary.buckets.iter().take(bounded).enumerate();
    Distribution {
        sum: summary.sum as f64,
        count: summary.buckets.iter().sum(),
        buckets: buckets
            .map(|(digits, count)| (((1u64 << digits) - 1) as f64, *count))
            .collect(),
    }
}
