//! Connections of clients.
//!
//! A connection belongs to the client whose key its certificate carries; the process behind it
//! may attach further clients by signatures over a value of this very connection. Requests of a
//! client are taken from its own connections only, and replies go to those: also from replicas
//! that the request never came to, for a client sends it to the presumed primary alone (R6).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use consensus::{ClientId, Keyring, Outcome, ReplicaId, Reply, RequestId, SeqNo, Term};
use crypto::codec::Blob;
use crypto::tls::Identity;
use network::acceptor::{Accepted, Acceptor, Caps};
use network::frame::CLIENT_FRAME_DEADLINE;
use network::wire_client::{OBSERVED_ENTRIES_MAX, attachment_holds, path_code, to_replica_max};
use network::{
    Class, CommittedEntry, FrameError, FrameReader, FrameWriter, Observation, SocketWrap,
    StreamKind, ToClient, ToReplica,
};
use quinn::Connection;
use tokio::sync::Semaphore;

use super::outbound::{Handover, MESSAGE_COST};
use super::thread::{Endpoint, StartError};
use super::{CLOSE_BANNED, CLOSE_MISBEHAVIOUR, frames_at_hand};
use crate::observer::Observer;
use crate::observer::phases::Phase;
use crate::verify::{ClientRequests, Source, VerifyInbox};

mod bans;
mod observations;
mod outbox;
mod session;
mod turned_away;
use bans::Bans;
pub use bans::{BAD_REQUESTS_MAX, BAN_MAX, BAN_MIN};
use observations::Observations;
use outbox::{Leaving, Outbox};
use session::Session;
pub(crate) use session::claimed_id;
use turned_away::TurnedAway;

/// Clients that one connection may speak for.
pub const ATTACHED_MAX: usize = 4096;
/// Connections that get a client's replies: the newest ones.
pub const ROUTES_PER_CLIENT_MAX: usize = 4;
/// Bytes of one connection's requests that may wait for verification, and as many of its reads; more
/// are answered "busy".
pub const CONNECTION_VERIFY_BYTES_MAX: usize = 8 << 20;
/// The same over all connections.
pub const VERIFY_BYTES_MAX: usize = 64 << 20;
/// Pause suggested to a client whose requests were not even looked at.
const BUSY_PAUSE_MS: u32 = 100;
/// Bytes that one wake-up takes from a connection.
const READ_BYTES_MAX: usize = 1 << 20;

/// What the client transport needs to know.
#[derive(Debug)]
pub struct ClientsConfig {
    /// This replica.
    pub me: ReplicaId,
    /// The configuration and its keys.
    pub keyring: Keyring,
    /// This replica's TLS identity.
    pub identity: Identity,
    /// Where to listen.
    pub listen: SocketAddr,
}

/// The core's end of the client transport.
#[derive(Clone, Debug)]
pub struct ClientSender {
    handover: Arc<Handover<ForClients>>,
}

/// What the core hands over.
#[derive(Debug, Default)]
struct ForClients {
    replies: Vec<Reply>,
    /// When the first of them was handed over.
    since: Option<Instant>,
    hint: Option<Term>,
}

impl ClientSender {
    /// Sends replies to wherever their clients are. Never waits.
    pub fn reply(&self, replies: Vec<Reply>) {
        self.handover.put(|waiting| {
            if waiting.replies.is_empty() {
                waiting.replies = replies;
                waiting.since = Some(Instant::now());
            } else {
                waiting.replies.extend(replies);
            }
        });
    }

    /// Tells every connection of the epoch and view.
    pub fn hint(&self, term: Term) {
        self.handover.put(|waiting| waiting.hint = Some(term));
    }
}

/// Starts the client thread.
///
/// # Errors
/// If the port cannot be opened.
pub fn start(
    config: ClientsConfig,
    socket: SocketWrap,
    verify: Arc<VerifyInbox>,
    observer: Arc<Observer>,
) -> Result<(Endpoint, ClientSender), StartError> {
    let handover = Arc::new(Handover::default());
    let sender = ClientSender {
        handover: Arc::clone(&handover),
    };
    let accepted = network::pinned_clients(config.keyring.cluster());
    let (listen, identity) = (config.listen, config.identity.clone());
    let port = Arc::new(Port {
        me: config.me,
        by_key: (0..)
            .map(ClientId)
            .zip(config.keyring.cluster().client_keys())
            .map(|(id, key)| (*key.as_bytes(), id))
            .collect(),
        frame_max: to_replica_max(config.keyring.cluster().limits()),
        keyring: config.keyring,
        verify,
        observer,
        budget: Arc::new(Semaphore::new(VERIFY_BYTES_MAX)),
        read_budget: Arc::new(Semaphore::new(VERIFY_BYTES_MAX)),
        bans: Arc::default(),
        table: Mutex::default(),
        next_id: AtomicU64::new(0),
    });
    let endpoint = Endpoint::start(
        "net-clients",
        move || network::listen_over(socket, listen, &identity, accepted, Class::Client),
        move |endpoint| async move {
            tokio::select! {
                () = port.distribute(&handover) => {}
                () = port.accept(endpoint) => {}
            }
        },
    )?;
    Ok((endpoint, sender))
}

/// Everything that the connections share.
struct Port {
    me: ReplicaId,
    by_key: BTreeMap<[u8; 32], ClientId>,
    frame_max: usize,
    keyring: Keyring,
    verify: Arc<VerifyInbox>,
    observer: Arc<Observer>,
    budget: Arc<Semaphore>,
    read_budget: Arc<Semaphore>,
    bans: Arc<Bans>,
    table: Mutex<Table>,
    next_id: AtomicU64,
}

/// Who is connected, and where a client's replies go.
#[derive(Default)]
struct Table {
    connections: BTreeMap<u64, Arc<Client>>,
    routes: BTreeMap<ClientId, Vec<Arc<Client>>>,
}

/// One connection.
struct Client {
    id: u64,
    me: ReplicaId,
    /// Whose key the certificate carries.
    owner: ClientId,
    connection: Connection,
    outbox: Outbox,
    budget: Arc<Semaphore>,
    read_budget: Arc<Semaphore>,
    bans: Arc<Bans>,
    observer: Arc<Observer>,
}

impl Port {
    /// Moves what the core hands over into the connections' queues.
    async fn distribute(&self, handover: &Handover<ForClients>) {
        loop {
            let ForClients {
                replies,
                since,
                hint,
            } = handover.take().await;
            let since = since.unwrap_or_else(Instant::now);
            let table = self.table();
            if let Some(term) = hint {
                for client in table.connections.values() {
                    client.outbox.hint(term);
                }
            }
            for reply in replies {
                match table.routes.get(&reply.id.client).map(Vec::as_slice) {
                    Some([rest @ .., last]) => {
                        for client in rest {
                            client.reply(reply.clone(), since);
                        }
                        last.reply(reply, since);
                    }
                    _ => self.observer.counters.replies_dropped.add(1),
                }
            }
        }
    }

    async fn accept(self: &Arc<Self>, endpoint: quinn::Endpoint) {
        let mut acceptor = Acceptor::new(endpoint, Caps::of(Class::Client, self.by_key.len()));
        while let Some(accepted) = acceptor.next().await {
            match accepted {
                Ok(accepted) => {
                    tokio::spawn(Arc::clone(self).carry(accepted));
                }
                Err(rejection) => tracing::debug!(%rejection, "refused a client connection"),
            }
        }
    }

    /// Serves a connection until it ends.
    async fn carry(self: Arc<Self>, accepted: Accepted) {
        let Accepted {
            connection,
            key,
            place,
        } = accepted;
        // The verifier lets nobody else through.
        let Some(owner) = self.by_key.get(key.as_bytes()).copied() else {
            return;
        };
        if self.bans.holds(owner, Instant::now()) {
            self.observer.counters.clients_kept_out.add(1);
            connection.close(CLOSE_BANNED, b"kept out for bad requests");
            return;
        }
        let client = Arc::new(Client {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            me: self.me,
            owner,
            connection: connection.clone(),
            outbox: Outbox::default(),
            budget: Arc::new(Semaphore::new(CONNECTION_VERIFY_BYTES_MAX)),
            read_budget: Arc::new(Semaphore::new(CONNECTION_VERIFY_BYTES_MAX)),
            bans: Arc::clone(&self.bans),
            observer: Arc::clone(&self.observer),
        });
        self.enter(&client, owner);
        let writer = tokio::spawn({
            let port = Arc::clone(&self);
            let client = Arc::clone(&client);
            async move {
                if let Err(error) = port.write(&client).await {
                    tracing::debug!(client = client.id, %error, "cannot send to a client");
                }
            }
        });
        if let Err(error) = self.receive(&client, owner).await {
            tracing::debug!(%owner, %error, "a client's connection ended");
            client
                .connection
                .close(CLOSE_MISBEHAVIOUR, error.to_string().as_bytes());
        }
        writer.abort();
        self.leave(&client);
        drop(place);
    }

    fn enter(&self, client: &Arc<Client>, owner: ClientId) {
        let mut table = self.table();
        table.connections.insert(client.id, Arc::clone(client));
        table.route(owner, client);
        self.observer
            .counters
            .client_connections
            .set(table.connections.len() as u64);
    }

    fn leave(&self, client: &Arc<Client>) {
        let mut table = self.table();
        table.connections.remove(&client.id);
        table.routes.retain(|_, routes| {
            routes.retain(|route| route.id != client.id);
            !routes.is_empty()
        });
        self.observer
            .counters
            .client_connections
            .set(table.connections.len() as u64);
    }

    async fn write(&self, client: &Client) -> Result<(), FrameError> {
        let mut writer = FrameWriter::open(&client.connection, StreamKind::Messages).await?;
        let hello = ToClient::Hello {
            replica: self.me,
            term: self.observer.term(),
        };
        let mut leaving = Leaving {
            frames: vec![Bytes::from(crypto::encode(&hello))],
            ..Leaving::default()
        };
        loop {
            let bytes: usize = leaving.frames.iter().map(Bytes::len).sum();
            writer.write_all(&leaving.frames).await?;
            self.observer.counters.client_traffic.sent.add(bytes as u64);
            self.note_replies(&leaving);
            leaving = client.outbox.take().await;
        }
    }

    fn note_replies(&self, written: &Leaving) {
        let Some(since) = written.since else { return };
        let replies = &self.observer.messages.replies;
        replies.add(written.replies, written.reply_bytes);
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let phase = self.observer.phases.of(Phase::Reply);
        phase.record_n(micros, written.replies);
    }

    /// Reads the one stream of messages that a client opens at a time.
    async fn receive(
        self: &Arc<Self>,
        client: &Arc<Client>,
        owner: ClientId,
    ) -> Result<(), ClientError> {
        let mut session = Session {
            speaks_for: BTreeSet::from([owner]),
            observations: None,
            turned_away: TurnedAway::default(),
        };
        loop {
            let (kind, stream) =
                FrameReader::accept(&client.connection, CLIENT_FRAME_DEADLINE).await?;
            if kind != StreamKind::Messages {
                return Err(ClientError::Bulk);
            }
            let mut reader = FrameReader::new(stream, self.frame_max, CLIENT_FRAME_DEADLINE);
            while let Some(frames) = frames_at_hand(&mut reader, READ_BYTES_MAX).await? {
                self.take_frames(client, &mut session, frames).await?;
                tokio::select! {
                    () = client.outbox.is_read() => {}
                    // The reader says why.
                    _ = client.connection.closed() => {}
                }
            }
        }
    }

    async fn take_frames(
        self: &Arc<Self>,
        client: &Arc<Client>,
        session: &mut Session,
        frames: Vec<Bytes>,
    ) -> Result<(), ClientError> {
        let (mut requests, mut reads) = (Vec::new(), Vec::new());
        for frame in frames {
            self.observer
                .counters
                .client_traffic
                .received
                .add(frame.len() as u64);
            match ToReplica::from_frame(&frame)? {
                ToReplica::Requests(raw) => {
                    let bytes: usize = raw.iter().map(|raw| raw.len()).sum();
                    let count = raw.len() as u64;
                    self.observer.messages.requests.add(count, bytes as u64);
                    requests.extend(self.owned(client, session, raw));
                }
                ToReplica::Reads(raw) => reads.extend(self.owned(client, session, raw)),
                ToReplica::Attach {
                    client: other,
                    signature,
                } => {
                    let holds =
                        attachment_holds(&client.connection, &self.keyring, other, signature);
                    if !holds.unwrap_or(false) {
                        return Err(ClientError::Attachment(other));
                    }
                    if self.bans.holds(other, Instant::now()) {
                        self.observer.counters.clients_kept_out.add(1);
                        return Err(ClientError::KeptOut(other));
                    }
                    if session.speaks_for.len() >= ATTACHED_MAX {
                        return Err(ClientError::TooManyAttached);
                    }
                    session.speaks_for.insert(other);
                    self.table().route(other, client);
                }
                ToReplica::Observe { from_seq } => {
                    let observations = session.observations.get_or_insert_with(|| {
                        let (hub, client) = (Arc::clone(self), Arc::clone(client));
                        Observations::answered(move |from_seq| {
                            client.outbox.frame(hub.observation(from_seq));
                        })
                    });
                    observations.ask(from_seq);
                }
            }
        }
        let refused = self.verify(client, requests) + self.verify_reads(client, reads);
        let clients = session.speaks_for.len();
        // Whoever does not heed "busy" is read from more slowly, and its own queue fills up.
        if let Some(pause) = session.turned_away.note(refused, clients, Instant::now()) {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// What clients have signed that speak on this connection; anything else is charged.
    fn owned(&self, client: &Client, session: &Session, signed: Vec<Blob>) -> Vec<Bytes> {
        let mut owned = Vec::with_capacity(signed.len());
        for Blob(raw) in signed {
            if session.owns(&raw) {
                owned.push(raw);
            } else {
                self.observer.counters.bad_requests.add(1);
                client.charge(None, "a request of a client that is not attached");
            }
        }
        owned
    }

    /// Hands reads to verification within budgets of their own, or answers "busy"; returns how many
    /// were answered so. What a client may have read in a moment is the driver's business.
    fn verify_reads(&self, client: &Arc<Client>, reads: Vec<Bytes>) -> usize {
        if reads.is_empty() {
            return 0;
        }
        let bytes: usize = reads.iter().map(|raw| raw.len() + MESSAGE_COST).sum();
        let cost = u32::try_from(bytes).unwrap_or(u32::MAX);
        let own = Arc::clone(&client.read_budget).try_acquire_many_owned(cost);
        let shared = Arc::clone(&self.read_budget).try_acquire_many_owned(cost);
        let (Ok(own), Ok(shared)) = (own, shared) else {
            self.turn_away(client, &reads);
            return reads.len();
        };
        let source: Arc<dyn Source> = Arc::<Client>::clone(client);
        let reads = ClientRequests {
            source,
            requests: reads,
            permits: [Some(own), Some(shared)],
        };
        self.verify.put(|backlog| backlog.reads.push(reads));
        0
    }

    /// Hands requests to verification within the budgets, or answers "busy"; returns how many
    /// were answered so.
    fn verify(&self, client: &Arc<Client>, requests: Vec<Bytes>) -> usize {
        let now = Instant::now();
        let overload = &self.observer.overload;
        let held = |raw: &Bytes| claimed_id(raw).is_some_and(|id| overload.holds(id.client, now));
        let (held, mut requests): (Vec<Bytes>, Vec<Bytes>) = requests.into_iter().partition(held);
        self.turn_away(client, &held);
        if requests.is_empty() {
            return held.len();
        }
        let bytes: usize = requests.iter().map(|raw| raw.len() + MESSAGE_COST).sum();
        let cost = u32::try_from(bytes).unwrap_or(u32::MAX);
        let own = Arc::clone(&client.budget).try_acquire_many_owned(cost);
        let shared = Arc::clone(&self.budget).try_acquire_many_owned(cost);
        let (Ok(own), Ok(shared)) = (own, shared) else {
            self.turn_away(client, &requests);
            requests.extend(held);
            return requests.len();
        };
        self.note_arrivals(&requests);
        let source: Arc<dyn Source> = Arc::<Client>::clone(client);
        let requests = ClientRequests {
            source,
            requests,
            permits: [Some(own), Some(shared)],
        };
        let waiting = self.verify.put(|backlog| backlog.push_client(requests));
        self.observer
            .counters
            .verify_clients_high
            .raise(waiting as u64);
        held.len()
    }

    fn note_arrivals(&self, requests: &[Bytes]) {
        let phases = &self.observer.phases;
        let now = phases.now();
        for id in requests.iter().filter_map(|raw| claimed_id(raw)) {
            phases.request_arrived(id, now);
        }
    }

    fn turn_away(&self, client: &Client, requests: &[Bytes]) {
        for id in requests.iter().filter_map(|raw| claimed_id(raw)) {
            client.turn_away(id);
        }
    }

    fn observation(&self, from: SeqNo) -> Bytes {
        let status = serde_json::to_vec(&self.observer.status()).unwrap_or_default();
        let excerpt = self.observer.excerpt(from, OBSERVED_ENTRIES_MAX);
        let entries = excerpt.slots.iter().map(|slot| CommittedEntry {
            seq: slot.seq,
            view: slot.view,
            digest: slot.digest,
            path: path_code(slot.path),
            ops: u32::try_from(slot.ops).unwrap_or(u32::MAX),
        });
        let observation = Observation {
            status_json: Blob::from(status),
            committed: entries.collect(),
            next_seq: excerpt.next,
            checkpoints: excerpt.checkpoints,
        };
        Bytes::from(crypto::encode(&ToClient::Observation(observation)))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Replies of `id` go to this connection as well; the oldest of too many loses them.
    fn route(&mut self, id: ClientId, client: &Arc<Client>) {
        let routes = self.routes.entry(id).or_default();
        if routes.iter().any(|route| route.id == client.id) {
            return;
        }
        if routes.len() == ROUTES_PER_CLIENT_MAX {
            routes.remove(0);
        }
        routes.push(Arc::clone(client));
    }
}

impl Client {
    fn reply(&self, reply: Reply, since: Instant) {
        let dropped = self.outbox.reply(reply, since);
        self.observer.counters.replies_dropped.add(dropped);
    }
}

impl Source for Client {
    fn charge(&self, client: Option<ClientId>, why: &str) {
        let client = client.unwrap_or(self.owner);
        let Some(length) = self.bans.charge(client, Instant::now()) else {
            return;
        };
        self.observer.counters.clients_expelled.add(1);
        tracing::warn!(%client, ?length, why, "keeps a client out");
        self.connection.close(CLOSE_MISBEHAVIOUR, why.as_bytes());
    }

    fn turn_away(&self, id: RequestId) {
        self.observer.counters.busy_unread.add(1);
        let reply = Reply {
            term: self.observer.term(),
            replica: self.me,
            id,
            seq: SeqNo(0),
            outcome: Outcome::Busy {
                retry_after_ms: BUSY_PAUSE_MS,
            },
        };
        self.reply(reply, Instant::now());
    }
}

/// Why a client's connection ended. The client is to blame, or nobody.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("malformed frame: {0}")]
    Malformed(#[from] crypto::CodecError),
    #[error("clients open no bulk stream")]
    Bulk,
    #[error("the attachment of client {0} does not hold")]
    Attachment(ClientId),
    #[error("client {0} is kept out for bad requests")]
    KeptOut(ClientId),
    #[error("more than {ATTACHED_MAX} clients on one connection")]
    TooManyAttached,
}
