//! UDP sockets with room for a burst.
//!
//! Every connection of an endpoint shares one socket. While the receiving thread is busy, what
//! arrives waits in the kernel's buffer; what does not fit is lost and costs a retransmission.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime};

use crate::transport::{Path, Version, Way};

/// Asked of the kernel in each direction, which gives what its own limit allows
/// (`net.core.rmem_max`, `net.core.wmem_max` on Linux). Half a second of 64 Mbit/s, or a full
/// batch from each of four peers.
pub const BUFFER_BYTES: usize = 4 << 20;

type Wrapping = dyn FnOnce(UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> + Send;

/// Makes of a bound UDP socket the one that QUIC uses: the socket itself, or whatever a caller
/// puts around it. Runs in the thread and runtime of the endpoint.
pub struct SocketWrap {
    wrapping: Box<Wrapping>,
    path: Option<Path>,
    version: Version,
}

impl SocketWrap {
    /// What `wrapping` makes of the bound socket.
    pub fn new(
        wrapping: impl FnOnce(UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> + Send + 'static,
    ) -> Self {
        SocketWrap {
            wrapping: Box::new(wrapping),
            path: None,
            version: Version::PRESENT,
        }
    }

    /// Says what lies behind the socket, where the addresses do not tell.
    pub fn over(self, path: Path) -> Self {
        SocketWrap {
            path: Some(path),
            ..self
        }
    }

    /// Lets the endpoint speak another version of the protocol, as a program of before or after this one does: nobody of this
    /// version understands it (docs/network.md, Versions).
    pub fn speaking(self, version: Version) -> Self {
        SocketWrap { version, ..self }
    }

    /// How whoever is at `address` is reached.
    pub fn way(&self, address: IpAddr) -> Way {
        Way {
            path: self.path.unwrap_or_else(|| Path::of(address)),
            version: self.version,
        }
    }

    pub(crate) fn around(self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        (self.wrapping)(socket)
    }
}

impl Default for SocketWrap {
    /// Nothing: the socket as the runtime drives it.
    fn default() -> Self {
        SocketWrap::new(|socket| TokioRuntime.wrap_udp_socket(socket))
    }
}

impl fmt::Debug for SocketWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SocketWrap")
    }
}

/// What the kernel gave a socket for its queues, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// For what has arrived and is not read.
    pub receive: usize,
    /// For what has not left.
    pub send: usize,
}

/// Binds a UDP socket and asks for [`BUFFER_BYTES`]; getting less is logged, not an error.
///
/// # Errors
/// If the address is taken or not of this machine.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    for (which, result) in [
        (
            "receive",
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES),
        ),
        (
            "send",
            rustix::net::sockopt::set_socket_send_buffer_size(&socket, BUFFER_BYTES),
        ),
    ] {
        if let Err(error) = result {
            tracing::warn!(%address, which, %error, "UDP buffer keeps its default size");
        }
    }
    if let Ok(Buffers { receive, .. }) = buffers(&socket)
        && receive < BUFFER_BYTES
    {
        tracing::info!(%address, receive, wanted = BUFFER_BYTES,
            "small UDP receive buffer: raise net.core.rmem_max against loss under load");
    }
    Ok(socket)
}

/// What the kernel gave `socket`. Linux reports twice what is usable, the rest is its bookkeeping.
///
/// # Errors
/// If the kernel does not say.
pub fn buffers(socket: &UdpSocket) -> io::Result<Buffers> {
    Ok(Buffers {
        receive: rustix::net::sockopt::socket_recv_buffer_size(socket)?,
        send: rustix::net::sockopt::socket_send_buffer_size(socket)?,
    })
}
