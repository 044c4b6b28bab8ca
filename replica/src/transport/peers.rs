//! Connections to the other replicas: one for each pair, dialled by the higher id.
//!
//! Who is at the other end follows from the TLS key alone. If a second connection of a pair comes
//! up, the newest wins: whoever dialled it has given up the older one, or hears nothing over it
//! (`network::silence`). Each side sends on streams
//! of its own: messages, and bulk for what is large and in no hurry. A peer that breaks the rules again and
//! again is cut off for a while.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use consensus::{Cluster, Destination, ReplicaId};
use crypto::PublicKey;
use crypto::tls::Identity;
use network::acceptor::{Acceptor, Caps, Rejection};
use network::frame::{BULK_FRAME_DEADLINE, FRAME_MAX, PEER_FRAME_DEADLINE, PEER_FRAME_MAX};
use network::{
    Class, DialError, FrameError, FrameReader, FrameWriter, SocketWrap, StreamKind, Way, silence,
};
use quinn::Connection;
use tokio::sync::Semaphore;

use super::outbound::{Handover, MESSAGE_COST, Queue};
use super::thread::{Endpoint, StartError};
use super::{CLOSE_BANNED, CLOSE_MISBEHAVIOUR, CLOSE_SUPERSEDED, frames_at_hand};
use crate::driver::ports::{Lane, Outgoing};
use crate::observer::Observer;
use crate::verify::{PeerFrames, VerifyInbox};

/// Bytes that may wait for a connected peer on each stream: as much again as QUIC has taken and
/// the peer has not acknowledged. Times the peers, so that a slow cluster stays small.
pub const OUTBOUND_BYTES_MAX: usize = 8 << 20;
/// Bytes that may wait for a peer without a connection: enough to bridge a reconnection. What is
/// older is of no use to a peer that was away for long; it asks for what it lacks.
pub const OUTBOUND_AWAY_BYTES_MAX: usize = 1 << 20;
/// Bytes of one peer's frames that may wait for verification; then its stream is not read, and
/// QUIC's flow control holds the peer back. A frame that is larger takes all of it.
pub const PEER_VERIFY_BYTES_MAX: usize = 4 << 20;
/// Bytes that are handed to verification in one piece.
const PEER_READ_BYTES_MAX: usize = 1 << 20;
/// Pause after the first failed attempt to dial; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// See [`BACKOFF_MIN`].
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// One attempt to dial. Short, because QUIC repeats the first packet to a host that is down less
/// and less often, and one that comes up again should be met soon.
const ATTEMPT_MAX: Duration = Duration::from_secs(1);
/// Between two looks at how far away a peer is.
const DISTANCE_INTERVAL: Duration = Duration::from_millis(100);
/// A connection that lasted this long was a good one: the next dial begins without a pause.
const GOOD_CONNECTION: Duration = Duration::from_secs(1);

/// What the peer transport needs to know.
#[derive(Debug)]
pub struct PeersConfig {
    /// This replica.
    pub me: ReplicaId,
    /// The configuration.
    pub cluster: Arc<Cluster>,
    /// This replica's TLS identity.
    pub identity: Identity,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where every member listens, in order of id.
    pub addresses: Vec<SocketAddr>,
}

/// The core's end of the peer transport.
#[derive(Clone, Debug)]
pub struct PeerSender {
    handover: Arc<Handover<Vec<Outgoing>>>,
}

impl PeerSender {
    /// Sends messages in order. Never waits; what does not fit a peer's queue is dropped there.
    pub fn send(&self, messages: Vec<Outgoing>) {
        self.handover.put(|waiting| {
            if waiting.is_empty() {
                *waiting = messages;
            } else {
                waiting.extend(messages);
            }
        });
    }
}

/// Starts the peer thread.
///
/// # Errors
/// If the port cannot be opened.
pub fn start(
    config: PeersConfig,
    socket: SocketWrap,
    verify: Arc<VerifyInbox>,
    observer: Arc<Observer>,
) -> Result<(Endpoint, PeerSender), StartError> {
    let handover = Arc::new(Handover::default());
    let sender = PeerSender {
        handover: Arc::clone(&handover),
    };
    let accepted = network::pinned_replicas(&config.cluster, config.me);
    let (listen, identity) = (config.listen, config.identity.clone());
    let way = socket.way(listen.ip());
    let endpoint = Endpoint::start(
        "net-peers",
        move || network::listen_over(socket, listen, &identity, accepted, Class::Peer),
        move |endpoint| serve(endpoint, way, config, handover, verify, observer),
    )?;
    Ok((endpoint, sender))
}

async fn serve(
    endpoint: quinn::Endpoint,
    way: Way,
    config: PeersConfig,
    handover: Arc<Handover<Vec<Outgoing>>>,
    verify: Arc<VerifyInbox>,
    observer: Arc<Observer>,
) {
    let links: BTreeMap<ReplicaId, Arc<Link>> = config
        .cluster
        .members()
        .filter(|id| *id != config.me)
        .map(|id| {
            (
                id,
                Arc::new(Link::new(id, Arc::clone(&verify), Arc::clone(&observer))),
            )
        })
        .collect();
    let members = config.cluster.members().zip(config.cluster.replica_keys());
    for ((id, key), address) in members.zip(&config.addresses) {
        if id < config.me
            && let Some(link) = links.get(&id)
        {
            let (endpoint, identity) = (endpoint.clone(), config.identity.clone());
            tokio::spawn(Arc::clone(link).keep_dialling(way, endpoint, *address, identity, *key));
        }
    }
    tokio::select! {
        () = distribute(&handover, &links) => {}
        () = accept(endpoint, &config, &links, &observer) => {}
    }
}

/// Moves what the core hands over into the peers' queues.
async fn distribute(handover: &Handover<Vec<Outgoing>>, links: &BTreeMap<ReplicaId, Arc<Link>>) {
    loop {
        for message in handover.take().await {
            let Outgoing {
                to,
                lane,
                kind,
                bytes,
            } = message;
            match to {
                Destination::Others => {
                    for link in links.values() {
                        link.put(lane, kind, bytes.clone());
                    }
                }
                Destination::One(id) => {
                    if let Some(link) = links.get(&id) {
                        link.put(lane, kind, bytes);
                    }
                }
            }
        }
    }
}

async fn accept(
    endpoint: quinn::Endpoint,
    config: &PeersConfig,
    links: &BTreeMap<ReplicaId, Arc<Link>>,
    observer: &Observer,
) {
    let by_key: BTreeMap<PublicKey, ReplicaId> = config
        .cluster
        .replica_keys()
        .iter()
        .copied()
        .zip(config.cluster.members())
        .collect();
    let caps = Caps::of(Class::Peer, by_key.len());
    let mut acceptor = Acceptor::new(endpoint, caps);
    while let Some(accepted) = acceptor.next().await {
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(rejection) => {
                if matches!(rejection, Rejection::OtherProtocol) {
                    observer.speaks_otherwise(&rejection);
                }
                tracing::debug!(%rejection, "refused a peer connection");
                continue;
            }
        };
        let caller = by_key.get(&accepted.key).filter(|id| **id > config.me);
        let Some(link) = caller.and_then(|id| links.get(id)) else {
            accepted
                .connection
                .close(CLOSE_MISBEHAVIOUR, b"the higher id dials");
            continue;
        };
        if observer
            .peer(link.peer)
            .conduct
            .banned(Instant::now())
            .is_some()
        {
            accepted
                .connection
                .close(CLOSE_BANNED, b"cut off for a while");
            continue;
        }
        let link = Arc::clone(link);
        tokio::spawn(async move {
            link.carry(accepted.connection).await;
            drop(accepted.place);
        });
    }
}

/// The way to and from one peer; outlives its connections.
struct Link {
    peer: ReplicaId,
    messages: Queue,
    bulk: Queue,
    current: Mutex<Option<Connection>>,
    /// Bytes of this peer that may enter verification.
    budget: Arc<Semaphore>,
    verify: Arc<VerifyInbox>,
    observer: Arc<Observer>,
}

impl Link {
    fn new(peer: ReplicaId, verify: Arc<VerifyInbox>, observer: Arc<Observer>) -> Self {
        Link {
            peer,
            messages: Queue::default(),
            bulk: Queue::default(),
            current: Mutex::new(None),
            budget: Arc::new(Semaphore::new(PEER_VERIFY_BYTES_MAX)),
            verify,
            observer,
        }
    }

    fn put(&self, lane: Lane, kind: usize, message: Bytes) {
        let counters = self.observer.peer(self.peer);
        let connected = counters.connected.value() > 0;
        let bytes_max = if connected {
            OUTBOUND_BYTES_MAX
        } else {
            OUTBOUND_AWAY_BYTES_MAX
        };
        let queue = match lane {
            Lane::Latest => return self.messages.put_latest(kind, message),
            Lane::Main => &self.messages,
            Lane::Bulk => &self.bulk,
        };
        let put = queue.put(kind, message, bytes_max);
        counters.dropped.add(put.dropped);
        self.observer
            .counters
            .outbound_high
            .raise(put.waiting as u64);
    }

    /// Dials whenever there is no connection.
    async fn keep_dialling(
        self: Arc<Self>,
        way: Way,
        endpoint: quinn::Endpoint,
        address: SocketAddr,
        identity: Identity,
        key: PublicKey,
    ) {
        let mut pause = BACKOFF_MIN;
        let conduct = &self.observer.peer(self.peer).conduct;
        let attempt = || async {
            let dialled = network::dial_over(way, &endpoint, address, &identity, &key, Class::Peer);
            match tokio::time::timeout(ATTEMPT_MAX, dialled).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => {
                    if matches!(error, DialError::OtherProtocol { .. }) {
                        self.observer.speaks_otherwise(&error);
                    }
                    tracing::debug!(peer = self.peer.0, %error, "cannot dial");
                }
                Err(_) => tracing::debug!(peer = self.peer.0, %address, "no answer"),
            }
            Err(())
        };
        loop {
            while let Some(left) = conduct.banned(Instant::now()) {
                tokio::time::sleep(left).await;
            }
            if let Ok(connection) = attempt().await {
                let since = Instant::now();
                self.carry_and_renew(connection, &attempt).await;
                if since.elapsed() >= GOOD_CONNECTION {
                    pause = BACKOFF_MIN;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    /// Carries a connection until it ends, or a fresh one that takes its place when it falls silent.
    async fn carry_and_renew<D>(self: &Arc<Self>, mut connection: Connection, dial: impl Fn() -> D)
    where
        D: Future<Output = Result<Connection, ()>>,
    {
        loop {
            let (link, carried) = (Arc::clone(self), connection.clone());
            let carrying = tokio::spawn(async move { link.carry(carried).await });
            tokio::select! {
                _ = carrying => return,
                fresh = silence::successor(&connection, &dial) => {
                    tracing::info!(peer = self.peer.0, "silent, and dialled anew");
                    connection = fresh;
                }
            }
        }
    }

    /// Sends and receives on a connection until it ends, in place of any older one.
    async fn carry(self: &Arc<Self>, connection: Connection) {
        let older = self.replace(Some(connection.clone()));
        if let Some(older) = older {
            older.close(CLOSE_SUPERSEDED, b"a newer connection");
        }
        let counters = self.observer.peer(self.peer);
        counters.connections.add(1);
        counters.connected.set(1);
        tracing::info!(peer = self.peer.0, address = %connection.remote_address(), "connected");
        // One consumer for each queue: the writers of an older connection must have ended.
        let writers = [
            self.spawn_writer(&connection, StreamKind::Messages),
            self.spawn_writer(&connection, StreamKind::Bulk),
        ];
        let ended = self.receive(&connection).await;
        if let Err(error) = ended {
            self.note_end(&connection, &error);
        }
        for writer in writers {
            writer.abort();
        }
        if self.is_current(&connection) {
            self.replace(None);
            counters.connected.set(0);
        }
    }

    fn spawn_writer(
        self: &Arc<Self>,
        connection: &Connection,
        kind: StreamKind,
    ) -> tokio::task::JoinHandle<()> {
        let link = Arc::clone(self);
        let connection = connection.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = connection.closed() => {}
                result = link.write(&connection, kind) => {
                    if let Err(error) = result {
                        tracing::debug!(peer = link.peer.0, %error, "cannot send");
                        connection.close(CLOSE_MISBEHAVIOUR, b"cannot send");
                    }
                }
            }
        })
    }

    /// Everything that waits in one write.
    async fn write(&self, connection: &Connection, kind: StreamKind) -> Result<(), FrameError> {
        let queue = match kind {
            StreamKind::Messages => &self.messages,
            StreamKind::Bulk => &self.bulk,
        };
        let mut leaving = queue.take().await;
        let mut writer = FrameWriter::open(connection, kind).await?;
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|at| at.elapsed() >= DISTANCE_INTERVAL) {
                looked = Some(Instant::now());
                self.note_distance(connection);
            }
            let bytes: usize = leaving.frames.iter().map(Bytes::len).sum();
            writer.write_all(&leaving.frames).await?;
            self.observer.counters.peer_traffic.sent.add(bytes as u64);
            for (kind, frame) in leaving.kinds.iter().zip(&leaving.frames) {
                self.observer.messages.sent(*kind, frame.len());
            }
            leaving = queue.take().await;
        }
    }

    fn note_distance(&self, connection: &Connection) {
        let path = connection.stats().path;
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let counters = self.observer.peer(self.peer);
        counters.rtt_us.set(micros(path.rtt));
        counters.rtt_min_us.set(micros(path.min_rtt));
    }

    /// Reads every stream that the peer opens.
    async fn receive(self: &Arc<Self>, connection: &Connection) -> Result<(), FrameError> {
        let mut readers = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                opened = FrameReader::accept(connection, PEER_FRAME_DEADLINE) => {
                    let (kind, stream) = opened?;
                    let (most, deadline) = match kind {
                        StreamKind::Messages => (PEER_FRAME_MAX, PEER_FRAME_DEADLINE),
                        StreamKind::Bulk => (FRAME_MAX, BULK_FRAME_DEADLINE),
                    };
                    let reader = FrameReader::new(stream, most, deadline);
                    let link = Arc::clone(self);
                    let connection = connection.clone();
                    readers.spawn(async move { link.read(&connection, reader).await });
                }
                Some(ended) = readers.join_next() => {
                    if let Ok(Err(error)) = ended {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn read(
        &self,
        connection: &Connection,
        mut reader: FrameReader,
    ) -> Result<(), FrameError> {
        while let Some(frames) = frames_at_hand(&mut reader, PEER_READ_BYTES_MAX).await? {
            // What came before may have been found to be bad meanwhile.
            if self.cut_off(connection) {
                return Ok(());
            }
            let bytes: usize = frames.iter().map(Bytes::len).sum();
            self.observer
                .counters
                .peer_traffic
                .received
                .add(bytes as u64);
            self.observer.arrived(self.peer);
            let cost = (bytes + frames.len() * MESSAGE_COST).min(PEER_VERIFY_BYTES_MAX);
            let cost = u32::try_from(cost).unwrap_or(u32::MAX);
            let Ok(permit) = Arc::clone(&self.budget).acquire_many_owned(cost).await else {
                return Ok(());
            };
            // While there was no room for it, nothing that came after it could be read.
            self.observer.arrived(self.peer);
            let frames = PeerFrames {
                from: self.peer,
                frames,
                permit: Some(permit),
            };
            let waiting = self.verify.put(|backlog| backlog.push_peer(frames));
            self.observer
                .counters
                .verify_peers_high
                .raise(waiting as u64);
        }
        Ok(())
    }

    /// Closes the connection if the peer has broken too many rules; whether it has.
    fn cut_off(&self, connection: &Connection) -> bool {
        if !self.observer.cut_off(self.peer) {
            return false;
        }
        connection.close(CLOSE_BANNED, b"cut off for a while");
        true
    }

    /// A broken rule is the peer's fault and counted; a lost connection is nobody's.
    fn note_end(&self, connection: &Connection, error: &FrameError) {
        match error {
            FrameError::TooLong { .. }
            | FrameError::Slow(_)
            | FrameError::Truncated
            | FrameError::UnknownKind(_) => {
                self.observer.offended(self.peer);
                tracing::warn!(peer = self.peer.0, %error, "closed a peer's connection");
                connection.close(CLOSE_MISBEHAVIOUR, error.to_string().as_bytes());
                self.cut_off(connection);
            }
            _ => {
                tracing::info!(peer = self.peer.0, %error, "disconnected");
                connection.close(CLOSE_SUPERSEDED, b"");
            }
        }
    }

    fn replace(&self, connection: Option<Connection>) -> Option<Connection> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, connection)
    }

    fn is_current(&self, connection: &Connection) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .is_some_and(|current| current.stable_id() == connection.stable_id())
    }
}
