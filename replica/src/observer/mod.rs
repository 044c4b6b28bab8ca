//! What a replica knows of itself: counters, the committed log, the status page. Fed by the
//! driver with the core's reports and by the transports; read by the admin port, by observers on
//! the client port and by tests.

mod committed;
pub mod conduct;
pub mod counters;
pub mod executed;
pub mod histogram;
pub mod messages;
mod overload;
pub mod phases;
mod process;
pub mod settled;
pub mod signatures;
pub mod status;

use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use consensus::protocol::Horizon;
use consensus::report::{Path, Report};
use consensus::{Batch, Cluster, Epoch, Misbehaviour, ReplicaId, SeqNo, Term, View};
use crypto::Digest;

pub use committed::{CommittedEntry, CommittedLogError, Excerpt};
use committed::{CommittedFile, Ring};
use counters::{Counter, Counters, PeerCounters};
use executed::ExecutedFile;
use messages::Messages;
use phases::{Phase, Phases};
use settled::Settled;
use signatures::OfClients;
use status::{
    ClientStatus, ConsensusStatus, PeerStatus, PhaseStatus, QueueStatus, ReplicaStatus,
    STATUS_SCHEMA, StorageStatus, TrafficStatus,
};

/// Where the status page gets the storage figures from.
pub type StorageFigures = Box<dyn Fn() -> StorageStatus + Send + Sync>;

/// The observer of one replica; shared by all its threads.
pub struct Observer {
    /// Everything that is counted.
    pub counters: Counters,
    /// Whether requests are turned away.
    pub overload: overload::Overload,
    /// How long each phase of a slot took.
    pub phases: Phases,
    /// Messages on connections, by type.
    pub messages: Messages,
    /// Slots whose votes are no longer needed.
    pub settled: Settled,
    /// Signatures of clients, by client.
    pub of_clients: OfClients,
    me: ReplicaId,
    cluster: Arc<Cluster>,
    started: Instant,
    peers: Vec<PeerCounters>,
    kinds: &'static [&'static str],
    sent: Vec<Counter>,
    received: Vec<Counter>,
    storage: StorageFigures,
    committed: Mutex<Committed>,
    executed: Option<ExecutedFile>,
    horizon: Mutex<Option<Horizon>>,
}

/// The files in which an observer keeps what was executed, if they are wanted; replaced if they exist.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logs<'p> {
    /// One line for each slot and checkpoint.
    pub committed: Option<&'p FilePath>,
    /// The contents of each slot.
    pub executed: Option<&'p FilePath>,
}

#[derive(Default)]
struct Committed {
    ring: Ring,
    file: Option<CommittedFile>,
}

impl Observer {
    /// An observer that has seen nothing. `kinds` names the kinds of messages.
    ///
    /// # Errors
    /// If a log is wanted and cannot be created.
    pub fn new(
        me: ReplicaId,
        cluster: Arc<Cluster>,
        kinds: &'static [&'static str],
        storage: StorageFigures,
        logs: &Logs<'_>,
    ) -> Result<Self, CommittedLogError> {
        let file = logs.committed.map(CommittedFile::create).transpose()?;
        let executed = logs.executed.map(ExecutedFile::create).transpose()?;
        let per_kind = || kinds.iter().map(|_| Counter::default()).collect();
        let started = Instant::now();
        Ok(Observer {
            counters: Counters::default(),
            overload: overload::Overload::default(),
            phases: Phases::new(started),
            messages: Messages::new(kinds),
            settled: Settled::default(),
            of_clients: OfClients::new(cluster.client_keys().len()),
            me,
            started,
            peers: cluster.members().map(|_| PeerCounters::default()).collect(),
            cluster,
            kinds,
            sent: per_kind(),
            received: per_kind(),
            storage,
            committed: Mutex::new(Committed {
                ring: Ring::default(),
                file,
            }),
            executed,
            horizon: Mutex::new(None),
        })
    }

    /// What the core has room for now.
    pub fn look_as_far_as(&self, horizon: Option<Horizon>) {
        *self.horizon.lock().unwrap_or_else(PoisonError::into_inner) = horizon;
    }

    /// What the core had room for when it last said so.
    pub fn horizon(&self) -> Option<Horizon> {
        *self.horizon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of this peer's came in just now.
    pub fn arrived(&self, id: ReplicaId) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.peer(id).arrived_us.set(micros.max(1));
    }

    /// How long ago the latest of this peer's came in; `None` if nothing ever did.
    pub fn since_arrival(&self, id: ReplicaId) -> Option<Duration> {
        let arrived = self.peers.get(id.index())?.arrived_us.value();
        let at = Duration::from_micros(arrived);
        (arrived > 0).then(|| self.started.elapsed().saturating_sub(at))
    }

    /// The counters of a peer.
    ///
    /// # Panics
    /// If there is no such member: only authenticated members are counted.
    pub fn peer(&self, id: ReplicaId) -> &PeerCounters {
        self.peers
            .get(id.index())
            .expect("only members of the configuration are counted")
    }

    /// A message of this kind was given to the transport; a broadcast is one.
    pub fn sent(&self, kind: usize) {
        if let Some(counter) = self.sent.get(kind) {
            counter.add(1);
        }
    }

    /// A message of this kind arrived.
    pub fn received(&self, kind: usize) {
        if let Some(counter) = self.received.get(kind) {
            counter.add(1);
        }
    }

    /// A proposal came in. Only those of the current view's primary are waited for.
    pub fn proposal_arrived(&self, from: ReplicaId, seq: SeqNo) {
        let term = self.term();
        if self.cluster.primary(term.epoch, term.view) == from {
            self.phases.proposal_arrived(seq);
        }
    }

    /// A peer's connection failed because its program speaks another version of the protocol. It tries again and again: the
    /// first time is worth a line that an operator sees, the others are counted.
    pub fn speaks_otherwise(&self, why: &dyn std::fmt::Display) {
        if self.counters.other_protocol.total() == 0 {
            tracing::warn!("no connection with a peer: {why}");
        }
        self.counters.other_protocol.add(1);
    }

    /// A peer's message was refused.
    pub fn misbehaved(&self, from: ReplicaId, why: &Misbehaviour) {
        // Bad signatures are counted where they are checked, whatever becomes of their message. The rest may be news of a
        // configuration that not everybody has yet.
        if matches!(
            why,
            Misbehaviour::Malformed(_) | Misbehaviour::Impersonation
        ) {
            self.peer(from).offences.add(1);
        }
        self.peer(from).misbehaviour.add(1);
        tracing::debug!(peer = from.0, %why, "refused a message");
    }

    /// These signatures in a message of a peer were checked. Each bad one is an offence, also where the rest of the message is
    /// of use: a correct replica passes on only what it has verified.
    pub fn checked(&self, from: ReplicaId, verdicts: &[bool]) {
        let counters = self.peer(from);
        let bad = counters.signatures.checked(verdicts);
        if bad > 0 {
            counters.offences.add(bad);
        }
    }

    /// Whether a peer is cut off now, or was found just now to have broken so many rules that it is from now on.
    pub fn cut_off(&self, from: ReplicaId) -> bool {
        let (counters, now) = (self.peer(from), Instant::now());
        if let Some(length) = counters.conduct.judge(counters.offences.total(), now) {
            counters.bans.add(1);
            tracing::warn!(
                peer = from.0,
                ?length,
                "cut off a peer that sends what is malformed or not signed"
            );
        }
        counters.conduct.banned(now).is_some()
    }

    /// A peer broke the rules of the channel.
    pub fn offended(&self, from: ReplicaId) {
        self.peer(from).offences.add(1);
        self.peer(from).misbehaviour.add(1);
    }

    /// The replica goes on from what it had on disk.
    pub fn restored(&self, last_executed: SeqNo, stable: SeqNo, term: Term) {
        let counters = &self.counters;
        counters.last_executed.set(last_executed.0);
        counters.checkpoint.set(last_executed.0);
        counters.stable.set(stable.0);
        counters.epoch.set(term.epoch.0);
        counters.view.set(term.view.0);
    }

    /// Takes in a report of the core.
    pub fn report(&self, report: &Report) {
        let counters = &self.counters;
        self.settled.report(report);
        match report {
            Report::Proposed { .. } => counters.proposed.add(1),
            Report::EagerCommits(_) => {}
            Report::Decided { path, .. } => match path {
                Path::Fast => counters.decided_fast.add(1),
                Path::Slow => counters.decided_slow.add(1),
                Path::Transfer => counters.decided_transfer.add(1),
            },
            Report::FellBack { seq, missing } => {
                counters.fallbacks.add(1);
                for peer in missing {
                    self.peer(*peer).missing_votes.add(1);
                }
                tracing::debug!(seq = seq.0, ?missing, "fell back to COMMITs");
            }
            Report::Stable { seq, .. } => counters.stable.set(seq.0),
            Report::LeftView { to, why } => {
                counters.suspicions.add(1);
                tracing::warn!(to = to.0, why = why.name(), "left the view");
            }
            Report::OpenedView {
                view,
                slots,
                excluded,
            } => tracing::info!(
                view = view.0,
                slots,
                excluded,
                "opened the view as its primary"
            ),
            Report::Equivocation { culprit, seq } => {
                counters.equivocations.add(1);
                tracing::error!(culprit = culprit.0, seq = seq.0, "proof of equivocation");
            }
            Report::Dropped { from, why } => self.misbehaved(*from, why),
            Report::Retransmitted { messages, .. } => {
                counters.retransmissions.add(*messages as u64);
            }
            Report::Behind {
                last_executed,
                stable,
            } => {
                counters.left_behind.add(1);
                counters.behind_until.raise(stable.0);
                tracing::warn!(
                    last_executed = last_executed.0,
                    stable = stable.0,
                    "the peers' logs no longer hold what this replica lacks"
                );
            }
            Report::TransferStarted { seq } => {
                counters.transfers_started.add(1);
                counters.behind_until.raise(seq.0);
                tracing::info!(seq = seq.0, "fetching the state at a checkpoint");
            }
            Report::TransferDone {
                seq,
                bytes,
                parts,
                sources,
            } => {
                counters.state_transfers.add(1);
                counters.transfer_bytes.add(*bytes);
                counters.last_executed.raise(seq.0);
                tracing::info!(seq = seq.0, bytes, parts, sources, "fetched the state");
            }
            Report::EnteredView(view) => {
                if counters.view.value() != view.0 {
                    counters.view_changes.add(1);
                    tracing::info!(view = view.0, "entered a view");
                }
                counters.view.set(view.0);
            }
            Report::EpochEntered(epoch) => {
                counters.epoch.set(epoch.0);
                counters.view.set(0);
                tracing::info!(epoch = epoch.0, "entered an epoch");
            }
            Report::BecameLearner => {
                counters.learner.set(1);
                tracing::warn!(
                    "this replica has lost its records: it is a learner, executes and answers, and \
                     asks for its vote back (docs/protocol.md R16)"
                );
            }
            Report::BecameMember(from) => {
                counters.learner.set(0);
                tracing::info!(epoch = from.0, "this replica has its vote back");
            }
        }
    }

    /// A slot was executed; slots come in order.
    /// `batch` is what was executed; `None` for the null batch.
    pub fn executed(&self, entry: CommittedEntry, requests: usize, batch: Option<Arc<Batch>>) {
        if let Some(file) = &self.executed {
            file.slot(entry.seq, batch);
        }
        let counters = &self.counters;
        counters.last_executed.set(entry.seq.0);
        counters.executed_ops.add(entry.ops as u64);
        counters.executed_requests.add(requests as u64);
        counters.batch_ops.record(entry.ops as u64);
        let mut committed = self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        committed.ring.push(entry);
        if let Some(file) = &committed.file {
            file.slot(entry);
        }
    }

    /// The state at a checkpoint has this digest.
    pub fn checkpoint(&self, seq: SeqNo, digest: Digest, replies_held: usize) {
        self.counters.checkpoint.set(seq.0);
        self.counters.replies_held.set(replies_held as u64);
        let mut committed = self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        committed.ring.push_checkpoint(seq, digest);
        if let Some(file) = &committed.file {
            file.checkpoint(seq, digest);
        }
    }

    /// Up to `most` executed slots from `from` on.
    pub fn excerpt(&self, from: SeqNo, most: usize) -> Excerpt {
        let committed = self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        committed.ring.since(from, most)
    }

    /// Writes the rest of both logs.
    ///
    /// # Errors
    /// If the committed log cannot be written.
    pub fn close(&self) -> Result<(), CommittedLogError> {
        if let Some(file) = &self.executed {
            file.close();
        }
        let file = self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .file
            .take();
        file.map_or(Ok(()), |mut file| file.close())
    }

    /// Peers that are connected, and how many there must be for a quorum with this replica in it.
    pub fn company(&self) -> (usize, usize) {
        let connected = self.peers.iter().filter(|peer| peer.connected.value() > 0);
        let needed = self.cluster.quorums().slow().saturating_sub(1);
        (connected.count(), needed)
    }

    /// Epoch and view, as clients are told.
    pub fn term(&self) -> Term {
        Term {
            epoch: Epoch(self.counters.epoch.value()),
            view: View(self.counters.view.value()),
        }
    }

    /// The status page as it is now.
    pub fn status(&self) -> ReplicaStatus {
        let counters = &self.counters;
        let term = self.term();
        let learner = self.counters.learner.value() != 0;
        ReplicaStatus {
            schema: STATUS_SCHEMA.to_owned(),
            replica: self.me.0,
            cluster: self.cluster.id().0.to_string(),
            n: self.cluster.quorums().n(),
            f: self.cluster.quorums().f(),
            process: process::status(self.started),
            epoch: term.epoch.0,
            view: term.view.0,
            primary: self.cluster.primary(term.epoch, term.view).0,
            role: if learner { "learner" } else { "member" }.to_owned(),
            last_executed: counters.last_executed.value(),
            stable: counters.stable.value(),
            checkpoint: counters.checkpoint.value(),
            consensus: self.consensus_status(),
            clients: self.client_status(),
            peers: self.peer_status(),
            traffic: TrafficStatus {
                peer_bytes_sent: counters.peer_traffic.sent.total(),
                peer_bytes_received: counters.peer_traffic.received.total(),
                client_bytes_sent: counters.client_traffic.sent.total(),
                client_bytes_received: counters.client_traffic.received.total(),
            },
            queues: QueueStatus {
                verify_peers_high: counters.verify_peers_high.value(),
                verify_clients_high: counters.verify_clients_high.value(),
                core_high: counters.core_queue_high.value(),
                gate_high: counters.gate_high.value(),
                outbound_high_bytes: counters.outbound_high.value(),
                beyond_horizon: counters.beyond_horizon.total(),
                surplus_votes: counters.surplus_votes.total(),
                superseded: counters.superseded.total(),
            },
            verify_batches: counters.verify_batches.summary(),
            storage: (self.storage)(),
            phases: self.phase_status(),
            messages: self.messages.status(),
            messages_sent: self.by_kind(&self.sent),
            messages_received: self.by_kind(&self.received),
        }
    }

    fn consensus_status(&self) -> ConsensusStatus {
        let counters = &self.counters;
        ConsensusStatus {
            decided_fast: counters.decided_fast.total(),
            decided_slow: counters.decided_slow.total(),
            decided_transfer: counters.decided_transfer.total(),
            batch_ops: counters.batch_ops.summary(),
            executed_ops: counters.executed_ops.total(),
            executed_requests: counters.executed_requests.total(),
            proposed: counters.proposed.total(),
            fallbacks: counters.fallbacks.total(),
            own_vote_missing: self.peer(self.me).missing_votes.total(),
            retransmissions: counters.retransmissions.total(),
            suspicions: counters.suspicions.total(),
            equivocations: counters.equivocations.total(),
            other_protocol: counters.other_protocol.total(),
            view_changes: counters.view_changes.total(),
            left_behind: counters.left_behind.total(),
            transfers_started: counters.transfers_started.total(),
            state_transfers: counters.state_transfers.total(),
            transfer_bytes: counters.transfer_bytes.total(),
        }
    }

    fn client_status(&self) -> ClientStatus {
        let (counters, of_clients) = (&self.counters, &self.of_clients);
        ClientStatus {
            connections: counters.client_connections.value(),
            busy: counters.busy.total(),
            busy_unread: counters.busy_unread.total(),
            bad_requests: counters.bad_requests.total(),
            checks: of_clients.total(|each| &each.checks),
            bad_checks: of_clients.total(|each| &each.bad),
            most: of_clients.most(|each| &each.checks),
            most_bad: of_clients.most(|each| &each.bad),
            reads: counters.reads.total(),
            reads_refused: counters.reads_refused.total(),
            expelled: counters.clients_expelled.total(),
            kept_out: counters.clients_kept_out.total(),
            resends_refused: counters.resends_refused.total(),
            replies_resent: counters.replies_resent.total(),
            replies_dropped: counters.replies_dropped.total(),
            replies_held: counters.replies_held.value(),
        }
    }

    fn peer_status(&self) -> Vec<PeerStatus> {
        let others = self.cluster.members().filter(|id| *id != self.me);
        others
            .map(|id| {
                let peer = self.peer(id);
                PeerStatus {
                    replica: id.0,
                    connected: peer.connected.value() > 0,
                    connections: peer.connections.total(),
                    dropped: peer.dropped.total(),
                    misbehaviour: peer.misbehaviour.total(),
                    missing_votes: peer.missing_votes.total(),
                    rtt_us: peer.rtt_us.value(),
                    rtt_min_us: peer.rtt_min_us.value(),
                    bans: peer.bans.total(),
                    checks: peer.signatures.checks.total(),
                    bad_checks: peer.signatures.bad.total(),
                }
            })
            .collect()
    }

    fn phase_status(&self) -> std::collections::BTreeMap<String, PhaseStatus> {
        let measured = Phase::ALL.iter().map(|phase| {
            let durations = self.phases.of(*phase);
            let histogram = durations.snapshot();
            let status = PhaseStatus {
                count: histogram.len(),
                mean_us: histogram.mean(),
                p50_us: histogram.value_at_quantile(0.5),
                p90_us: histogram.value_at_quantile(0.9),
                p99_us: histogram.value_at_quantile(0.99),
                max_us: durations.max_micros(),
                hdr: histogram::to_text(&histogram),
            };
            (phase.name().to_owned(), status)
        });
        measured.filter(|(_, status)| status.count > 0).collect()
    }

    fn by_kind(&self, counters: &[Counter]) -> std::collections::BTreeMap<String, u64> {
        let named = self.kinds.iter().zip(counters);
        named
            .map(|(kind, counter)| ((*kind).to_owned(), counter.total()))
            .collect()
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

/// What the operating system says of the calling process, whatever it is.
pub fn own_process_usage() -> status::ProcessStatus {
    process::status(Instant::now())
}
