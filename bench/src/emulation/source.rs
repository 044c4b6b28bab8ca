//! The port that datagrams leave from, which may change while connections are open.
//!
//! A router between two machines may forget what it translated and begin anew: the other end sees the same peer at another
//! port. Whoever dialled is moved by that; whoever is dialled stays where it listens. Here a second socket plays the new
//! port, and the old one is still listened to.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::udp::RecvMeta;
use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime};

/// Where datagrams leave from.
#[derive(Debug, Default)]
pub(super) struct Source(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How often the port has changed.
    moves: u64,
    /// Bound, but not yet known to the runtime of the endpoint.
    bound: Option<UdpSocket>,
    /// The present one, if it is not the first.
    moved: Option<Arc<dyn AsyncUdpSocket>>,
    reader: Option<Waker>,
}

impl Source {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the port has changed this often. What arrives at the one before is lost from now on, unless it was
    /// the first.
    ///
    /// # Errors
    /// If the system gives no other port.
    pub(super) fn move_to(&self, moves: u64, beside: SocketAddr) -> io::Result<()> {
        let mut state = self.lock();
        if moves <= state.moves {
            return Ok(());
        }
        let socket = UdpSocket::bind((beside.ip(), 0))?;
        tracing::info!(?socket, "datagrams leave from another port");
        state.moves = moves;
        state.bound = Some(socket);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    /// The socket to send with; `None`: the first.
    pub(super) fn moved(&self) -> Option<Arc<dyn AsyncUdpSocket>> {
        self.lock().moved.clone()
    }

    /// Receives from the present socket, if it is not the first. Must be called within the endpoint's runtime.
    pub(super) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if let Some(socket) = state.bound.take() {
            state.moved = Some(TokioRuntime.wrap_udp_socket(socket)?);
        }
        if !state
            .reader
            .as_ref()
            .is_some_and(|reader| reader.will_wake(cx.waker()))
        {
            state.reader = Some(cx.waker().clone());
        }
        let Some(moved) = state.moved.clone() else {
            return Poll::Pending;
        };
        drop(state);
        moved.poll_recv(cx, bufs, meta)
    }
}
