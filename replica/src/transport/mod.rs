//! QUIC in two threads: one for peers, one for clients, so that a flood of clients shares no
//! receive loop and no queue with votes (SECURITY.md).
//!
//! ```text
//!   peers   ──► frames ──┐                          ┌──► peers' bounded queues ──► one write
//!                        ├──► verify ──► core ──────┤                              a wake-up
//!   clients ──► requests ┘                          └──► clients' bounded queues
//! ```
//!
//! Each thread runs a single-threaded runtime. The core hands over everything of a turn in one
//! piece and pays for at most one wake-up; nothing that the core calls here ever waits.

pub mod clients;
mod outbound;
pub mod peers;
mod thread;

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

pub use thread::{Endpoint, StartError};

/// The other end broke the rules.
pub(crate) const CLOSE_MISBEHAVIOUR: quinn::VarInt = quinn::VarInt::from_u32(2);
/// A newer connection of the same pair has taken over.
pub(crate) const CLOSE_SUPERSEDED: quinn::VarInt = quinn::VarInt::from_u32(3);
/// This replica stops.
pub(crate) const CLOSE_STOPPING: quinn::VarInt = quinn::VarInt::from_u32(4);
/// The other end has broken the rules too often and is kept out for a while.
pub(crate) const CLOSE_BANNED: quinn::VarInt = quinn::VarInt::from_u32(5);

/// What `future` has ready now, without waiting for it.
async fn if_ready<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What one wake-up of a reader brings: as many frames as are here, at least one.
///
/// `None` when the other end has ended the stream in order.
async fn frames_at_hand(
    reader: &mut network::FrameReader,
    bytes_max: usize,
) -> Result<Option<Vec<bytes::Bytes>>, network::FrameError> {
    let Some(first) = reader.next().await? else {
        return Ok(None);
    };
    let mut bytes = first.len();
    let mut frames = vec![first];
    while bytes < bytes_max {
        match if_ready(reader.next()).await {
            Some(Ok(Some(frame))) => {
                bytes += frame.len();
                frames.push(frame);
            }
            // The end or the error is there again at the next call.
            Some(Ok(None) | Err(_)) | None => break,
        }
    }
    Ok(Some(frames))
}
