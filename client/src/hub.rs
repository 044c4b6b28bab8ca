//! One set of connections for one or many client keys.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use consensus::client::{ClientSession, Pace, SessionId};
use consensus::{ByteList, ClientId, Cluster, Grade, ReplicaId, SeqNo, Term};
use crypto::SecretKey;
use crypto::tls::Identity;
use network::{ClusterFile, Observation, dial_endpoint, endpoint};
use quinn::{Endpoint, VarInt};
use tokio::sync::{mpsc, oneshot, watch};

use crate::actor::{Actor, Command, How, Submission};
use crate::completion::{Completion, CompletionSink, Waiter};
use crate::error::{ConnectError, ObserveError, RequestError};
use crate::link::{LINK_QUEUE, Link};
use crate::state::{HubReport, LinkState};

/// Frames of replies that wait for the hub's task, over all replicas; then replicas wait.
const EVENT_QUEUE: usize = 1024;

/// How long [`Hub::close`] waits for replicas to hear of it.
const CLOSE_WAIT: Duration = Duration::from_millis(200);

/// How a hub behaves.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// Time-outs of its sessions.
    pub pace: Pace,
    /// The sessions' number; must be greater than every earlier one of the same keys. None:
    /// microseconds of the wall clock.
    pub session: Option<u64>,
    /// Submissions that may wait for the hub's task, over all its clients.
    pub submissions_max: usize,
}

impl Default for HubSettings {
    fn default() -> Self {
        HubSettings {
            pace: Pace::default(),
            session: None,
            submissions_max: 4096,
        }
    }
}

/// One connection to each replica, and a session for each of its client keys. Dropping a hub and
/// all its handles ends it; [`Hub::close`] does so in order.
#[derive(Debug)]
pub struct Hub {
    cluster: Arc<Cluster>,
    clients: Vec<ClientId>,
    commands: mpsc::Sender<Command>,
    states: watch::Receiver<Vec<LinkState>>,
    endpoint: Endpoint,
}

/// Submits requests of one client key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientHandle {
    id: ClientId,
    client: usize,
    commands: mpsc::Sender<Command>,
}

impl Hub {
    /// Begins to connect. The first key is the one that connections are made with; the others are
    /// attached to them. Must be called within a tokio runtime, which then drives it.
    ///
    /// # Errors
    /// If the configuration is impossible, a key is no client's, or there is no socket.
    pub fn start(
        file: &ClusterFile,
        keys: Vec<SecretKey>,
        settings: HubSettings,
    ) -> Result<Hub, ConnectError> {
        let cluster = file.cluster()?;
        let mut named = Vec::with_capacity(keys.len());
        for key in keys {
            let entry = file
                .client_of(&key.public())
                .ok_or(ConnectError::UnknownKey(None))?;
            named.push((entry.id, Arc::new(key)));
        }
        let (_, first) = named.first().ok_or(ConnectError::NoKey)?;
        let identity = Identity::new(first)?;
        let session = settings.session.unwrap_or_else(wall_clock_micros);
        let clients: Vec<ClientId> = named.iter().map(|(id, _)| *id).collect();
        let sessions = named.iter().map(|(client, key)| {
            let id = SessionId {
                client: *client,
                session,
            };
            // Different for each session and client, which is all that jitter needs.
            let seed = session.rotate_left(32) ^ u64::from(client.0);
            let pace = settings.pace.clone();
            (
                *client,
                ClientSession::new(cluster.clone(), id, key.clone(), pace, seed),
            )
        });
        let sessions = sessions.collect();

        let any = file
            .replicas
            .first()
            .map(|replica| endpoint::any_port(replica.client));
        let endpoint = dial_endpoint(any.unwrap_or_else(|| ([0, 0, 0, 0], 0).into()))?;
        let (states, states_seen) = watch::channel(initial_states(file));
        let states = Arc::new(states);
        let (events, events_seen) = mpsc::channel(EVENT_QUEUE);
        let (commands, commands_seen) = mpsc::channel(settings.submissions_max.max(1));
        let attached: Arc<[_]> = named.into_iter().skip(1).collect();
        let mut links = Vec::with_capacity(file.replicas.len());
        for replica in &file.replicas {
            let (to_link, link_commands) = mpsc::channel(LINK_QUEUE);
            links.push(to_link);
            let link = Link {
                replica: replica.id,
                address: replica.client,
                key: replica.key,
                endpoint: endpoint.clone(),
                identity: identity.clone(),
                cluster: *cluster.id(),
                attached: attached.clone(),
                commands: link_commands,
                events: events.clone(),
                states: states.clone(),
            };
            tokio::spawn(link.run());
        }
        let patience = settings.pace.request_timeout;
        let actor = Actor::new(
            cluster.clone(),
            sessions,
            links,
            events_seen,
            commands_seen,
            patience,
        );
        tokio::spawn(actor.run());
        Ok(Hub {
            cluster,
            clients,
            commands,
            states: states_seen,
            endpoint,
        })
    }

    /// Waits until so many replicas are connected that the cluster can decide something (n − f).
    ///
    /// # Errors
    /// If that takes longer than `patience`: says which replicas are missing and why.
    pub async fn ready(&self, patience: Duration) -> Result<(), ConnectError> {
        let need = self.cluster.quorums().read_replies();
        self.wait_connected(need, patience).await
    }

    /// Waits until `need` replicas are connected.
    ///
    /// # Errors
    /// As [`Hub::ready`].
    pub async fn wait_connected(
        &self,
        need: usize,
        patience: Duration,
    ) -> Result<(), ConnectError> {
        let mut states = self.states.clone();
        let enough = states.wait_for(|states| connected(states) >= need);
        if matches!(tokio::time::timeout(patience, enough).await, Ok(Ok(_))) {
            return Ok(());
        }
        let states = self.links();
        let mut detail = String::new();
        for state in states.iter().filter(|state| !state.connected) {
            let separator = if detail.is_empty() { "" } else { "; " };
            let error = state.last_error.as_deref().unwrap_or("no answer yet");
            // Writing to a string does not fail.
            let _ = write!(
                detail,
                "{separator}replica {} at {}: {error}",
                state.replica.0, state.address
            );
        }
        Err(ConnectError::TooFewReplicas {
            connected: connected(&states),
            n: states.len(),
            need,
            waited: patience,
            detail,
        })
    }

    /// The handle of the hub's `index`-th key; `None` beyond the last.
    pub fn client(&self, index: usize) -> Option<ClientHandle> {
        let id = *self.clients.get(index)?;
        Some(ClientHandle {
            id,
            client: index,
            commands: self.commands.clone(),
        })
    }

    /// How many client keys the hub has.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// The configuration.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// The connections now, in order of the replicas' ids.
    pub fn links(&self) -> Vec<LinkState> {
        self.states.borrow().clone()
    }

    /// The connections as they change.
    pub fn watch_links(&self) -> watch::Receiver<Vec<LinkState>> {
        self.states.clone()
    }

    /// What the hub counted.
    ///
    /// # Errors
    /// If the hub is closed.
    pub async fn report(&self) -> Result<HubReport, RequestError> {
        let (answer, report) = oneshot::channel();
        let sent = self.commands.send(Command::Report(answer)).await;
        sent.map_err(|_| RequestError::Closed)?;
        report.await.map_err(|_| RequestError::Closed)
    }

    /// What `replica` shows of itself, and what it committed from `from_seq` on. One replica's
    /// word.
    ///
    /// # Errors
    /// If it is not connected or does not answer within `patience`.
    pub async fn observe(
        &self,
        replica: ReplicaId,
        from_seq: SeqNo,
        patience: Duration,
    ) -> Result<Observation, ObserveError> {
        let asking = async {
            let (answer, accepted) = oneshot::channel();
            let command = Command::Observe {
                replica,
                from_seq,
                answer,
            };
            self.commands
                .send(command)
                .await
                .map_err(|_| ObserveError::Closed)?;
            let observation = accepted.await.map_err(|_| ObserveError::Closed)??;
            observation
                .await
                .map_err(|_| ObserveError::NotConnected(replica))
        };
        match tokio::time::timeout(patience, asking).await {
            Ok(result) => result,
            Err(_) => Err(ObserveError::Silent { replica, patience }),
        }
    }

    /// Ends the hub: whoever still waits for a result is told, connections are closed, and
    /// replicas hear of it.
    pub async fn close(self) {
        // If the actor is gone already, the hub is closed.
        let _ = self.commands.send(Command::Close).await;
        self.commands.closed().await;
        self.endpoint.close(VarInt::from_u32(0), b"");
        // A replica that does not hear of it finds out by itself.
        let _ = tokio::time::timeout(CLOSE_WAIT, self.endpoint.wait_idle()).await;
    }
}

impl ClientHandle {
    /// Which client of the configuration this is.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Submits one request of one or more encoded operations and waits for its result. `atomic`:
    /// all operations take effect or none does. Waits for room in the hub's queue.
    ///
    /// # Errors
    /// If there is no accepted result; see [`RequestError`].
    pub async fn submit(&self, ops: ByteList, atomic: bool) -> Result<Completion, RequestError> {
        self.wait_for(ops, How::Ordered { atomic }).await
    }

    /// Asks for operations that do nothing but read, beside the log: on one state of the store. What
    /// does not come to a result so is ordered.
    ///
    /// # Errors
    /// As [`ClientHandle::submit`]; also if quorum reads are off in this cluster.
    pub async fn read(&self, ops: ByteList, grade: Grade) -> Result<Completion, RequestError> {
        self.wait_for(ops, How::Read(grade)).await
    }

    async fn wait_for(&self, ops: ByteList, how: How) -> Result<Completion, RequestError> {
        let (sender, result) = oneshot::channel();
        let submission = self.submission(ops, how, Waiter::one(sender));
        // A submission that cannot be sent tells its waiter by being dropped.
        let _ = self.commands.send(Command::Submit(submission)).await;
        result.await.unwrap_or(Err(RequestError::Closed))
    }

    /// Submits without waiting: the result goes to `sink` with `token`. For load generators; many
    /// handles may share a sink.
    ///
    /// # Errors
    /// If the hub's queue is full or the hub is closed; then `sink` hears nothing.
    pub fn submit_with(
        &self,
        ops: ByteList,
        atomic: bool,
        token: u64,
        sink: &Arc<dyn CompletionSink>,
    ) -> Result<(), RequestError> {
        self.begin(ops, How::Ordered { atomic }, token, sink)
    }

    /// As [`ClientHandle::submit_with`], of operations that do nothing but read, as
    /// [`ClientHandle::read`] reads.
    ///
    /// # Errors
    /// As [`ClientHandle::submit_with`].
    pub fn read_with(
        &self,
        ops: ByteList,
        grade: Grade,
        token: u64,
        sink: &Arc<dyn CompletionSink>,
    ) -> Result<(), RequestError> {
        self.begin(ops, How::Read(grade), token, sink)
    }

    fn begin(
        &self,
        ops: ByteList,
        how: How,
        token: u64,
        sink: &Arc<dyn CompletionSink>,
    ) -> Result<(), RequestError> {
        let waiter = Waiter::shared(token, Arc::clone(sink));
        let command = Command::Submit(self.submission(ops, how, waiter));
        let (command, error) = match self.commands.try_send(command) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(command)) => (command, RequestError::QueueFull),
            Err(mpsc::error::TrySendError::Closed(command)) => (command, RequestError::Closed),
        };
        if let Command::Submit(submission) = command {
            submission.waiter.disarm();
        }
        Err(error)
    }

    fn submission(&self, ops: ByteList, how: How, waiter: Waiter) -> Submission {
        Submission {
            client: self.client,
            ops,
            how,
            waiter,
        }
    }
}

fn connected(states: &[LinkState]) -> usize {
    states.iter().filter(|state| state.connected).count()
}

fn initial_states(file: &ClusterFile) -> Vec<LinkState> {
    let state = |replica: &network::ReplicaEntry| LinkState {
        replica: replica.id,
        address: replica.client,
        connected: false,
        connections: 0,
        last_error: None,
        term: Term::default(),
    };
    file.replicas.iter().map(state).collect()
}

/// Microseconds since 1970. Sessions only have to grow from one start to the next.
fn wall_clock_micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
