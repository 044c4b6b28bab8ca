//! The connection to one replica: dialled, dialled again when it is lost, with growing pauses, and
//! beside it when the replica is silent (`network::silence`).
//!
//! While there is no connection, frames are dropped, not kept: the sessions send again what is
//! still outstanding as soon as they hear that the connection stands.

mod questions;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{ClientId, ReplicaId, Reply, SeqNo, Term};
use crypto::tls::Identity;
use crypto::{ClusterId, CodecError, PublicKey, SecretKey};
use network::frame::{FrameError, FrameReader, FrameWriter, PEER_FRAME_DEADLINE, StreamKind};
use network::wire_client::{ExportError, TO_CLIENT_MAX, attach};
use network::{Class, DialError, Observation, ToClient, ToReplica, dial, silence};
use quinn::{Connection, Endpoint, VarInt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::state::LinkState;
use questions::Questions;

/// Frames that wait for a replica; more are dropped and sent again by time-outs.
pub(crate) const LINK_QUEUE: usize = 256;

/// The pause after the first failed attempt; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// The longest pause between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How long a replica may take to say hello.
const HELLO_DEADLINE: Duration = Duration::from_secs(3);

/// What a link is told.
pub(crate) enum LinkCommand {
    /// Send this.
    Frame(Bytes),
    /// Ask the replica for what it shows.
    Observe {
        from_seq: SeqNo,
        answer: oneshot::Sender<Observation>,
    },
}

/// What a link tells.
pub(crate) enum LinkEvent {
    Connected { replica: ReplicaId, term: Term },
    Disconnected(ReplicaId),
    Replies(ReplicaId, Vec<Reply>),
    Hint(ReplicaId, Term),
}

/// Everything that a link needs to know.
pub(crate) struct Link {
    pub(crate) replica: ReplicaId,
    pub(crate) address: SocketAddr,
    pub(crate) key: PublicKey,
    pub(crate) endpoint: Endpoint,
    pub(crate) identity: Identity,
    pub(crate) cluster: ClusterId,
    /// Clients beside the one that the identity belongs to.
    pub(crate) attached: Arc<[(ClientId, Arc<SecretKey>)]>,
    pub(crate) commands: mpsc::Receiver<LinkCommand>,
    pub(crate) events: mpsc::Sender<LinkEvent>,
    pub(crate) states: Arc<watch::Sender<Vec<LinkState>>>,
}

/// Why a connection ended. Its words go into [`LinkState::last_error`].
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("it did not say hello within {HELLO_DEADLINE:?}")]
    NoHello,
    #[error("its first words are not those of replica {}", .0.0)]
    WrongHello(ReplicaId),
    #[error("it sent a malformed message: {0}")]
    Malformed(#[from] CodecError),
    #[error("it sent an observation that nobody asked for")]
    Unasked,
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("the replica ended the stream")]
    Ended,
    #[error("the replica was silent, and a fresh connection takes its place")]
    Renewed(Connection),
    /// This end is closing.
    #[error("the client is closed")]
    Closed,
}

type Attempt = Pin<Box<dyn Future<Output = Result<Connection, DialError>> + Send>>;

impl Link {
    /// Keeps the connection up until the hub is gone.
    pub(crate) async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        let mut fresh = None;
        loop {
            let began = Instant::now();
            let dialled = match fresh.take() {
                Some(connection) => Ok(connection),
                None => self.dial().await,
            };
            let error = match dialled {
                Ok(connection) => {
                    let error = self.serve(&connection).await;
                    connection.close(VarInt::from_u32(0), b"");
                    error
                }
                Err(error) => error,
            };
            match error {
                LinkError::Closed => return,
                LinkError::Renewed(connection) => {
                    tracing::debug!(replica = self.replica.0, "silent, and dialled anew");
                    fresh = Some(connection);
                    continue;
                }
                _ => {}
            }
            tracing::debug!(replica = self.replica.0, %error, "no connection");
            self.note(|state| {
                state.connected = false;
                state.last_error = Some(error.to_string().into());
            });
            if began.elapsed() > BACKOFF_MAX.saturating_mul(4) {
                backoff = BACKOFF_MIN;
            }
            let pause = tokio::time::sleep(backoff);
            if self.dropping_frames(pause).await.is_none() {
                return;
            }
            backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
        }
    }

    /// Attempts that borrow nothing from the link.
    fn attempts(&self) -> impl Fn() -> Attempt + use<> {
        let (endpoint, address) = (self.endpoint.clone(), self.address);
        let (identity, key) = (self.identity.clone(), self.key);
        move || {
            let (endpoint, identity) = (endpoint.clone(), identity.clone());
            Box::pin(async move { dial(&endpoint, address, &identity, &key, Class::Client).await })
        }
    }

    async fn dial(&mut self) -> Result<Connection, LinkError> {
        let attempt = self.attempts()();
        match self.dropping_frames(attempt).await {
            Some(connection) => Ok(connection?),
            None => Err(LinkError::Closed),
        }
    }

    /// Waits for `work`; whatever is to be sent meanwhile is dropped. `None` if the hub is gone.
    async fn dropping_frames<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                command = self.commands.recv() => drop(command?),
            }
        }
    }

    /// Serves one connection until it ends; says why it did.
    async fn serve(&mut self, connection: &Connection) -> LinkError {
        let (mut writer, mut reader, term) = match self.introduce(connection).await {
            Ok(introduced) => introduced,
            Err(error) => return error,
        };
        // What was queued before this connection is older than what the sessions send now.
        while self.commands.try_recv().is_ok() {}
        self.note(|state| {
            state.connected = true;
            state.connections += 1;
            state.term = term;
        });
        let connected = LinkEvent::Connected {
            replica: self.replica,
            term,
        };
        if self.events.send(connected).await.is_err() {
            return LinkError::Closed;
        }
        let questions = Questions::default();
        let attempts = self.attempts();
        let error = tokio::select! {
            error = read(self.replica, &mut reader, &self.events, &self.states, &questions) => error,
            error = write(&mut writer, &mut self.commands, &questions) => error,
            fresh = silence::successor(connection, attempts) => LinkError::Renewed(fresh),
        };
        if self
            .events
            .send(LinkEvent::Disconnected(self.replica))
            .await
            .is_err()
        {
            return LinkError::Closed;
        }
        error
    }

    /// Says whose replies belong here, and waits for the replica's hello.
    async fn introduce(
        &self,
        connection: &Connection,
    ) -> Result<(FrameWriter, FrameReader, Term), LinkError> {
        let mut writer = FrameWriter::open(connection, StreamKind::Messages).await?;
        let mut frames = Vec::with_capacity(self.attached.len());
        for (client, key) in self.attached.iter() {
            let message = attach(connection, &self.cluster, *client, &**key)?;
            frames.push(crypto::encode(&message).into());
        }
        let introduction = async {
            writer.write_all(&frames).await?;
            let (kind, stream) = FrameReader::accept(connection, HELLO_DEADLINE).await?;
            if kind != StreamKind::Messages {
                return Err(LinkError::WrongHello(self.replica));
            }
            let mut reader = FrameReader::new(stream, TO_CLIENT_MAX, PEER_FRAME_DEADLINE);
            let hello = reader.next().await?.ok_or(LinkError::Ended)?;
            match ToClient::from_frame(&hello)? {
                ToClient::Hello { replica, term } if replica == self.replica => Ok((reader, term)),
                _ => Err(LinkError::WrongHello(self.replica)),
            }
        };
        let introduced = timeout(HELLO_DEADLINE, introduction).await;
        let (reader, term) = introduced.map_err(|_| LinkError::NoHello)??;
        Ok((writer, reader, term))
    }

    fn note(&self, change: impl FnOnce(&mut LinkState)) {
        note(&self.states, self.replica, change);
    }
}

fn note(
    states: &watch::Sender<Vec<LinkState>>,
    replica: ReplicaId,
    change: impl FnOnce(&mut LinkState),
) {
    states.send_modify(|states| {
        if let Some(state) = states.get_mut(replica.index()) {
            change(state);
        }
    });
}

async fn read(
    replica: ReplicaId,
    reader: &mut FrameReader,
    events: &mpsc::Sender<LinkEvent>,
    states: &watch::Sender<Vec<LinkState>>,
    questions: &Questions,
) -> LinkError {
    loop {
        let frame = match reader.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return LinkError::Ended,
            Err(error) => return error.into(),
        };
        let event = match ToClient::from_frame(&frame) {
            Err(error) => return error.into(),
            Ok(ToClient::Replies(replies)) => LinkEvent::Replies(replica, replies),
            Ok(ToClient::Hint { term }) => {
                note(states, replica, |state| state.term = term);
                LinkEvent::Hint(replica, term)
            }
            Ok(ToClient::Hello { .. }) => return LinkError::WrongHello(replica),
            Ok(ToClient::Observation(observation)) => {
                if questions.answer(observation) {
                    continue;
                }
                return LinkError::Unasked;
            }
        };
        if events.send(event).await.is_err() {
            return LinkError::Closed;
        }
    }
}

async fn write(
    writer: &mut FrameWriter,
    commands: &mut mpsc::Receiver<LinkCommand>,
    questions: &Questions,
) -> LinkError {
    let (mut batch, mut frames) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            count = commands.recv_many(&mut batch, LINK_QUEUE) => if count == 0 {
                return LinkError::Closed;
            },
            () = questions.room() => {}
        }
        for command in batch.drain(..) {
            match command {
                LinkCommand::Frame(frame) => frames.push(frame),
                LinkCommand::Observe { from_seq, answer } => questions.add(from_seq, answer),
            }
        }
        while let Some(from_seq) = questions.next() {
            frames.push(crypto::encode(&ToReplica::Observe { from_seq }).into());
        }
        if let Err(error) = writer.write_all(&frames).await {
            return error.into();
        }
        frames.clear();
    }
}
