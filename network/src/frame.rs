//! Frames on a QUIC stream: a u32 length, little-endian, then that many bytes.
//!
//! A long-lived one-way stream carries frames in order. Its first byte says what it is for
//! ([`StreamKind`]): votes and requests share one, large things have another, so that a NEW-VIEW
//! or a state never stands in front of a vote.
//!
//! The reader believes nothing: a length above the cap ends the stream before anything is
//! allocated, buffers grow as bytes arrive, and a frame whose first byte is here must be complete
//! within a deadline.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{Connection, ReadError, RecvStream, SendStream, WriteError};
use tokio::time::{Instant, timeout_at};

/// Bytes of the length in front of a frame.
const PREFIX: usize = 4;

/// Frames up to this size are copied next to each other; larger ones are handed over as they
/// are. A copy of 4 KiB costs less than a segment of its own in the send buffer.
const COPY_MAX: usize = 4 << 10;

/// Memory that the announcement of a frame is given before its bytes arrive.
const FIRST_BUFFER: usize = 64 << 10;

/// Chunks that are taken out of the stream at a time; each is at most one packet's worth.
const CHUNKS: usize = 16;

/// The largest frame that anything may carry; streams have caps of their own below it.
pub const FRAME_MAX: usize = crypto::codec::MAX_ENCODED;

/// The largest frame of a peer's stream of votes: the largest batch that limits allow, and as
/// much again for everything around it.
pub const PEER_FRAME_MAX: usize = 16 << 20;

/// How long a peer's frame may take once its first byte is here.
pub const PEER_FRAME_DEADLINE: Duration = Duration::from_secs(5);

/// How long a client's frame may take: one batch over a slow line.
pub const CLIENT_FRAME_DEADLINE: Duration = Duration::from_secs(10);

/// How long a frame of a bulk stream may take: it may be the largest, and shares the line.
pub const BULK_FRAME_DEADLINE: Duration = Duration::from_secs(30);

/// What a stream is for; its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StreamKind {
    /// Votes, requests, replies: small, and never behind anything large.
    Messages = 1,
    /// NEW-VIEW, decisions, state transfer.
    Bulk = 2,
}

impl StreamKind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(StreamKind::Messages),
            2 => Some(StreamKind::Bulk),
            _ => None,
        }
    }

    /// Among the streams of one connection the higher priority is sent first.
    fn priority(self) -> i32 {
        match self {
            StreamKind::Messages => 1,
            StreamKind::Bulk => 0,
        }
    }
}

/// Why frames stopped. After any of these the stream is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer announced more than this stream may carry.
    #[error("the peer announced a frame of {announced} bytes; at most {most} are allowed")]
    TooLong {
        /// Bytes announced.
        announced: usize,
        /// The stream's cap.
        most: usize,
    },
    /// The peer began a frame and did not finish it in time.
    #[error("the peer did not complete a frame within {0:?}")]
    Slow(Duration),
    /// The peer ended the stream in the middle of a frame.
    #[error("the stream ended in the middle of a frame")]
    Truncated,
    /// The peer opened a stream of a kind that does not exist.
    #[error("the peer opened a stream of unknown kind {0}")]
    UnknownKind(u8),
    /// This process wanted to send more than any frame holds.
    #[error("a frame of {0} bytes is larger than any may be")]
    Unsendable(usize),
    /// An earlier write was abandoned half-way, so the stream's frames no longer line up.
    #[error("an earlier write was abandoned half-way")]
    Torn,
    /// The connection is gone.
    #[error("connection lost: {0}")]
    Connection(#[from] quinn::ConnectionError),
    /// The stream or its connection is gone.
    #[error("cannot read from the stream: {0}")]
    Read(#[from] ReadError),
    /// The stream or its connection is gone.
    #[error("cannot write to the stream: {0}")]
    Write(#[from] WriteError),
}

/// Sends frames.
#[derive(Debug)]
pub struct FrameWriter {
    stream: SendStream,
    torn: bool,
}

impl FrameWriter {
    /// Opens a stream of `kind`.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn open(connection: &Connection, kind: StreamKind) -> Result<Self, FrameError> {
        let mut stream = connection.open_uni().await?;
        // Only a stream that is already closed refuses, and then the write says so.
        let _ = stream.set_priority(kind.priority());
        stream.write_all(&[kind as u8]).await?;
        Ok(FrameWriter::new(stream))
    }

    /// Frames on a stream whose kind is already said.
    pub fn new(stream: SendStream) -> Self {
        FrameWriter {
            stream,
            torn: false,
        }
    }

    /// Sends all `frames` in order. Returns when QUIC has taken the last byte, which waits while
    /// the peer's window is full; a caller that gives up waiting must drop the writer.
    ///
    /// # Errors
    /// If a frame is too large or the stream is gone.
    pub async fn write_all(&mut self, frames: &[Bytes]) -> Result<(), FrameError> {
        if self.torn {
            return Err(FrameError::Torn);
        }
        let mut chunks = coalesce(frames)?;
        self.torn = true;
        self.stream.write_all_chunks(&mut chunks).await?;
        self.torn = false;
        Ok(())
    }

    /// Says that no more frames will come. Without it a dropped stream also ends in order, once
    /// what was written has been delivered.
    pub fn finish(mut self) {
        // Fails only if the stream is already closed, which is what is wanted.
        let _ = self.stream.finish();
    }
}

/// Few chunks for many frames: small frames next to each other, large ones as they are.
fn coalesce(frames: &[Bytes]) -> Result<Vec<Bytes>, FrameError> {
    let copied = |frame: &Bytes| {
        if frame.len() <= COPY_MAX {
            frame.len()
        } else {
            0
        }
    };
    let small: usize = frames
        .iter()
        .map(|frame| copied(frame).saturating_add(PREFIX))
        .sum();
    let mut joined = BytesMut::with_capacity(small);
    let mut chunks = Vec::new();
    for frame in frames {
        if frame.len() > FRAME_MAX {
            return Err(FrameError::Unsendable(frame.len()));
        }
        let len = u32::try_from(frame.len()).map_err(|_| FrameError::Unsendable(frame.len()))?;
        joined.put_u32_le(len);
        if frame.len() <= COPY_MAX {
            joined.put_slice(frame);
        } else {
            chunks.push(joined.split().freeze());
            chunks.push(frame.clone());
        }
    }
    if !joined.is_empty() {
        chunks.push(joined.freeze());
    }
    Ok(chunks)
}

/// Receives frames.
#[derive(Debug)]
pub struct FrameReader {
    stream: RecvStream,
    frame_max: usize,
    deadline: Duration,
    /// Taken out of the stream, not yet looked at; the first ones are used up and empty.
    chunks: [Bytes; CHUNKS],
    partial: Partial,
    /// When the frame that has begun must be complete.
    due: Option<Instant>,
}

/// How far the current frame has come.
#[derive(Debug)]
enum Partial {
    Length(Vec<u8>),
    Body { want: usize, buffer: Vec<u8> },
}

impl Partial {
    fn nothing() -> Self {
        Partial::Length(Vec::new())
    }

    /// No byte of the frame is here yet.
    fn is_nothing(&self) -> bool {
        matches!(self, Partial::Length(bytes) if bytes.is_empty())
    }
}

impl FrameReader {
    /// Frames of at most `frame_max` bytes, each complete within `deadline` of its first byte.
    pub fn new(stream: RecvStream, frame_max: usize, deadline: Duration) -> Self {
        FrameReader {
            stream,
            frame_max: frame_max.min(FRAME_MAX),
            deadline,
            chunks: Default::default(),
            partial: Partial::nothing(),
            due: None,
        }
    }

    /// Waits for the next stream that the peer opens and for its kind.
    ///
    /// # Errors
    /// If the connection is gone, the kind is unknown, or does not arrive within `deadline`.
    pub async fn accept(
        connection: &Connection,
        deadline: Duration,
    ) -> Result<(StreamKind, RecvStream), FrameError> {
        let mut stream = connection.accept_uni().await?;
        let mut kind = [0u8; 1];
        let read = tokio::time::timeout(deadline, stream.read(&mut kind))
            .await
            .map_err(|_| FrameError::Slow(deadline))??;
        if read != Some(1) {
            return Err(FrameError::Truncated);
        }
        let [byte] = kind;
        let kind = StreamKind::of(byte).ok_or(FrameError::UnknownKind(byte))?;
        Ok((kind, stream))
    }

    /// The next frame; `None` when the peer has ended the stream in order. A call may be
    /// abandoned and repeated: nothing is lost.
    ///
    /// # Errors
    /// If the peer breaks the rules of the stream, or it is gone.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        loop {
            if let Some(frame) = self.assemble()? {
                self.due = None;
                return Ok(Some(frame));
            }
            if !self.partial.is_nothing() && self.due.is_none() {
                self.due = Instant::now().checked_add(self.deadline);
            }
            // All chunks are used up here, so they may be overwritten.
            let read = self.stream.read_chunks(&mut self.chunks);
            let read = match self.due {
                Some(due) => timeout_at(due, read)
                    .await
                    .map_err(|_| FrameError::Slow(self.deadline))??,
                None => read.await?,
            };
            if read.is_none() {
                let ended = if self.partial.is_nothing() {
                    Ok(None)
                } else {
                    Err(FrameError::Truncated)
                };
                return ended;
            }
        }
    }

    /// Moves bytes from the chunks into the current frame until it is complete or they run out.
    fn assemble(&mut self) -> Result<Option<Bytes>, FrameError> {
        for chunk in &mut self.chunks {
            while !chunk.is_empty() {
                if let Some(frame) = self.partial.take(chunk, self.frame_max)? {
                    return Ok(Some(frame));
                }
            }
        }
        Ok(None)
    }
}

impl Partial {
    /// Takes what belongs to the current frame from the front of `chunk`.
    fn take(&mut self, chunk: &mut Bytes, most: usize) -> Result<Option<Bytes>, FrameError> {
        if let Partial::Length(bytes) = self {
            let Some(length) = take_length(bytes, chunk) else {
                return Ok(None);
            };
            let announced = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
            if announced > most {
                return Err(FrameError::TooLong { announced, most });
            }
            let buffer = Vec::with_capacity(announced.min(FIRST_BUFFER));
            *self = Partial::Body {
                want: announced,
                buffer,
            };
        }
        let Partial::Body { want, buffer } = self else {
            return Ok(None);
        };
        let missing = want.saturating_sub(buffer.len());
        let piece = chunk.split_to(missing.min(chunk.len()));
        make_room(buffer, piece.len(), *want);
        buffer.extend_from_slice(&piece);
        if buffer.len() < *want {
            return Ok(None);
        }
        let frame = std::mem::take(buffer);
        *self = Partial::nothing();
        Ok(Some(frame.into()))
    }
}

/// The length of a frame, from `chunk` alone or from what came before it and `chunk`.
fn take_length(before: &mut Vec<u8>, chunk: &mut Bytes) -> Option<[u8; PREFIX]> {
    if before.is_empty() && chunk.len() >= PREFIX {
        return chunk.split_to(PREFIX).first_chunk::<PREFIX>().copied();
    }
    let missing = PREFIX.saturating_sub(before.len());
    before.extend_from_slice(&chunk.split_to(missing.min(chunk.len())));
    before.first_chunk::<PREFIX>().copied()
}

/// Doubles the buffer when it is full, but never beyond the frame.
fn make_room(buffer: &mut Vec<u8>, more: usize, want: usize) {
    let needed = buffer.len().saturating_add(more);
    if needed > buffer.capacity() {
        let room = buffer
            .capacity()
            .saturating_mul(2)
            .clamp(needed, want.max(needed));
        buffer.reserve_exact(room.saturating_sub(buffer.len()));
    }
}
