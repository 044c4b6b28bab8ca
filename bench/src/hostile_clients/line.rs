//! A hostile client's connection to one replica, in bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::Outcome;
use crypto::PublicKey;
use crypto::codec::Blob;
use crypto::tls::Identity;
use network::frame::{FrameReader, PEER_FRAME_DEADLINE, StreamKind};
use network::wire_client::TO_CLIENT_MAX;
use network::{Class, ToClient, ToReplica, dial};
use quinn::{Connection, Endpoint, SendStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::counts::{Counts, add};

/// The pause after a connection was lost or refused.
const PAUSE: Duration = Duration::from_millis(100);
/// A write that takes longer is given up: the replica has stopped reading, as it may.
const WRITE_DEADLINE: Duration = Duration::from_millis(500);

/// Where a replica is.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) address: SocketAddr,
    pub(super) key: PublicKey,
}

/// One line; dialled when it is used, and again when it was lost.
pub(super) struct Line {
    endpoint: Endpoint,
    identity: Identity,
    remote: Remote,
    counts: Arc<Counts>,
    /// Whether replies are read.
    listens: bool,
    open: Option<Open>,
    next_try: Instant,
}

struct Open {
    connection: Connection,
    stream: SendStream,
    reader: Option<JoinHandle<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
        self.connection.close(0u32.into(), b"");
    }
}

impl Line {
    pub(super) fn new(
        endpoint: &Endpoint,
        identity: &Identity,
        remote: Remote,
        counts: &Arc<Counts>,
        listens: bool,
    ) -> Self {
        Line {
            endpoint: endpoint.clone(),
            identity: identity.clone(),
            remote,
            counts: Arc::clone(counts),
            listens,
            open: None,
            next_try: Instant::now(),
        }
    }

    /// Sends requests in one frame; whether they left.
    pub(super) async fn send(&mut self, requests: &[Bytes]) -> bool {
        let blobs = requests.iter().cloned().map(Blob).collect();
        let frame = crypto::encode(&ToReplica::Requests(blobs));
        let sent = self.send_frame(&frame).await;
        if sent {
            add(&self.counts.sent, requests.len() as u64);
        }
        sent
    }

    /// Sends READs in one frame; whether they left.
    pub(super) async fn send_reads(&mut self, reads: &[Bytes]) -> bool {
        let blobs = reads.iter().cloned().map(Blob).collect();
        let frame = crypto::encode(&ToReplica::Reads(blobs));
        let sent = self.send_frame(&frame).await;
        if sent {
            add(&self.counts.reads_sent, reads.len() as u64);
        }
        sent
    }

    /// Sends a frame with its length in front.
    pub(super) async fn send_frame(&mut self, frame: &[u8]) -> bool {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(frame);
        self.send_bytes(&bytes).await
    }

    /// Sends these very bytes on the stream of messages.
    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        let Some(open) = self.connected().await else {
            return false;
        };
        let written = timeout(WRITE_DEADLINE, open.stream.write_all(bytes)).await;
        match written {
            Ok(Ok(())) => {
                add(&self.counts.bytes_sent, bytes.len() as u64);
                true
            }
            // Half a frame may have left: nothing after it would make sense.
            Ok(Err(_)) | Err(_) => {
                self.hang_up();
                false
            }
        }
    }

    /// Ends the stream in the middle of whatever it carries, and begins another one.
    pub(super) async fn reset(&mut self) {
        let Some(open) = self.open.as_mut() else {
            return;
        };
        let _ = open.stream.reset(1u32.into());
        match open_stream(&open.connection).await {
            Some(stream) => open.stream = stream,
            None => self.hang_up(),
        }
    }

    fn hang_up(&mut self) {
        if self.open.take().is_some() {
            add(&self.counts.closed, 1);
        }
        self.next_try = Instant::now() + PAUSE;
    }

    async fn connected(&mut self) -> Option<&mut Open> {
        let lost = |open: &Open| open.connection.close_reason().is_some();
        if self.open.as_ref().is_some_and(lost) {
            self.hang_up();
        }
        if self.open.is_none() {
            if Instant::now() < self.next_try {
                return None;
            }
            self.open = self.dial().await;
            if self.open.is_none() {
                add(&self.counts.closed, 1);
                self.next_try = Instant::now() + PAUSE;
            }
        }
        self.open.as_mut()
    }

    async fn dial(&self) -> Option<Open> {
        let Remote { address, key } = &self.remote;
        let dialled = dial(&self.endpoint, *address, &self.identity, key, Class::Client).await;
        let connection = dialled.ok()?;
        let stream = open_stream(&connection).await?;
        add(&self.counts.connections, 1);
        let reader = self.listens.then(|| {
            let listening = listen(connection.clone(), Arc::clone(&self.counts));
            tokio::spawn(listening)
        });
        Some(Open {
            connection,
            stream,
            reader,
        })
    }
}

async fn open_stream(connection: &Connection) -> Option<SendStream> {
    let opened = timeout(WRITE_DEADLINE, connection.open_uni()).await;
    let mut stream = opened.ok()?.ok()?;
    stream.write_all(&[StreamKind::Messages as u8]).await.ok()?;
    Some(stream)
}

/// Counts what the replica answers, for as long as it does.
async fn listen(connection: Connection, counts: Arc<Counts>) {
    let Ok((_, stream)) = FrameReader::accept(&connection, PEER_FRAME_DEADLINE).await else {
        return;
    };
    let mut reader = FrameReader::new(stream, TO_CLIENT_MAX, PEER_FRAME_DEADLINE);
    while let Ok(Some(frame)) = reader.next().await {
        let Ok(ToClient::Replies(replies)) = ToClient::from_frame(&frame) else {
            continue;
        };
        for reply in replies {
            let counter = match reply.outcome {
                Outcome::Executed(_) => &counts.executed_replies,
                Outcome::Read { .. } => &counts.read_answers,
                Outcome::Busy { .. } => &counts.busy_replies,
                _ => &counts.refused_replies,
            };
            add(counter, 1);
        }
    }
}
