//! QUIC's options, each with its reason. Two classes of connection, two kinds of path.
//!
//! The defaults of the QUIC library fit a browser far away from one server. Ours are few
//! connections between known machines, most of them near, and two of the defaults are memory
//! that a stranger could fill.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{
    ConnectionError, IdleTimeout, MtuDiscoveryConfig, TransportConfig, TransportErrorCode, VarInt,
};

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Another replica.
    Peer,
    /// A client.
    Client,
}

/// What lies between the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// This machine: large datagrams, no loss but by full buffers.
    Loopback,
    /// A network whose largest datagram has to be found out.
    Network,
}

impl Path {
    /// The path to or from an address of this machine or another.
    pub fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_loopback() {
            Path::Loopback
        } else {
            Path::Network
        }
    }
}

/// Version of what is spoken on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub u32);

impl Version {
    /// The one that this program speaks. An endpoint that is said to speak another one finds nobody who does.
    pub const PRESENT: Version = Version(1);
}

/// How an endpoint reaches the other ends, and what it speaks with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// What lies in between.
    pub path: Path,
    /// What is named in the handshake.
    pub version: Version,
}

impl Way {
    /// The usual one to or from this address.
    pub fn of(address: IpAddr) -> Self {
        Way {
            path: Path::of(address),
            version: Version::PRESENT,
        }
    }
}

/// Names the protocol and its version in the handshake; another version is refused there.
pub const ALPN_PEER: &[u8] = b"quintet-peer/1";
/// See [`ALPN_PEER`].
pub const ALPN_CLIENT: &[u8] = b"quintet-client/1";

/// The name of the protocol in this version.
pub(crate) fn alpn(class: Class, Version(version): Version) -> Vec<u8> {
    let name = match class {
        Class::Peer => "quintet-peer",
        Class::Client => "quintet-client",
    };
    format!("{name}/{version}").into_bytes()
}

/// Does the handshake fail because the two ends have no protocol in common: another version of it, or the other class's port?
/// Whichever end finds out tells the other (RFC 7301 3.2, RFC 9001 8.1).
pub(crate) fn is_other_protocol(error: &ConnectionError) -> bool {
    let code = match error {
        ConnectionError::TransportError(error) => error.code,
        ConnectionError::ConnectionClosed(close) => close.error_code,
        _ => return false,
    };
    code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL)
}

/// The alert of TLS.
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Bytes that one peer may have under way to us: several full batches.
pub const PEER_RECEIVE_WINDOW: u32 = 16 << 20;
/// On one stream: half, so that a bulk transfer cannot take the votes' share. At least the
/// largest batch (8 MiB), so that one frame never waits for a window update half-way.
pub const PEER_STREAM_WINDOW: u32 = 8 << 20;
/// Bytes to a peer that are written and not acknowledged: what a slow peer costs us.
pub const PEER_SEND_WINDOW: u64 = 8 << 20;
/// Streams that a peer may open: messages, bulk, and their successors while the old ones end.
pub const PEER_UNI_STREAMS: u32 = 8;
/// Silence after which a peer's connection is given up; it is dialled again at once.
pub const PEER_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Five chances within [`PEER_IDLE_TIMEOUT`] to show that the path is there.
pub const PEER_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Bytes that one client may have under way to us. Times the most clients this is 256 MiB.
pub const CLIENT_RECEIVE_WINDOW: u32 = 256 << 10;
/// On one stream.
pub const CLIENT_STREAM_WINDOW: u32 = 128 << 10;
/// Replies to a client that does not read them.
pub const CLIENT_SEND_WINDOW: u64 = 256 << 10;
/// Streams that a client may open.
pub const CLIENT_UNI_STREAMS: u32 = 4;
/// Silence after which a client's connection is given up.
pub const CLIENT_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Sent by the client, for it is the client who wants replies and hints.
pub const CLIENT_KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The round trip that is assumed before one is measured. The library's 333 ms would make a lost
/// first packet cost a second, which is a view change; 20 ms suits a region, and a longer path
/// corrects it with its first answer.
pub const INITIAL_RTT_NETWORK: Duration = Duration::from_millis(20);
/// See [`INITIAL_RTT_NETWORK`]; this machine answers within a scheduler's turn.
pub const INITIAL_RTT_LOOPBACK: Duration = Duration::from_millis(10);

/// Bytes that leave before the first acknowledgement. Members of a cluster are trusted not to
/// flood their own network: a first batch should not wait for a slow start.
pub const INITIAL_WINDOW_NETWORK: u64 = 128 << 10;
/// See [`INITIAL_WINDOW_NETWORK`]; loopback has no queue but our own socket buffers.
pub const INITIAL_WINDOW_LOOPBACK: u64 = 1 << 20;

/// The datagram that every network carries (RFC 9000 14); larger ones are found by probing.
pub const MTU_NETWORK: u16 = 1200;
/// The largest that probing looks for: Ethernet's 1500 less IPv6 and UDP headers.
pub const MTU_NETWORK_MAX: u16 = 1452;
/// On loopback, where a packet costs CPU and no wire. Measured with 100 KB frames: half the CPU of
/// Ethernet's size. Two limits keep it from being larger still, for no measured gain: the library
/// joins up to ten datagrams in one system call, which takes 65,507 bytes at most and drops more
/// without an error; and it panics on a handshake packet of 16 KiB.
pub const MTU_LOOPBACK: u16 = 6_500;
/// A datagram that we receive: nobody here sends a larger one. Buffers for 2,048 of them are set
/// aside by each endpoint; the memory is touched only when a burst arrives.
pub const UDP_PAYLOAD_MAX: u16 = MTU_LOOPBACK;

/// Handshakes that wait to be accepted; more are dropped and try again.
pub const INCOMING_MAX: usize = 256;
/// Bytes that one of them may send meanwhile.
pub const INCOMING_BUFFER: u64 = 64 << 10;
/// Bytes of all of them.
pub const INCOMING_BUFFER_TOTAL: u64 = 4 << 20;

/// Which end of the connection this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Listening,
    Dialing,
}

/// The options of a connection.
pub(crate) fn transport(class: Class, path: Path, end: End) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    // Nobody uses streams in both directions, and datagrams without order are no use for frames.
    config.max_concurrent_bidi_streams(VarInt::from_u32(0));
    config.datagram_receive_buffer_size(None);
    // An acknowledgement-frequency extension that can be abused (RUSTSEC-2026-0340).
    config.ack_frequency_config(None);
    match class {
        Class::Peer => {
            config
                .receive_window(VarInt::from_u32(PEER_RECEIVE_WINDOW))
                .stream_receive_window(VarInt::from_u32(PEER_STREAM_WINDOW))
                .send_window(PEER_SEND_WINDOW)
                .max_concurrent_uni_streams(VarInt::from_u32(PEER_UNI_STREAMS))
                .max_idle_timeout(Some(idle(PEER_IDLE_TIMEOUT)))
                .keep_alive_interval(Some(PEER_KEEP_ALIVE));
        }
        Class::Client => {
            // A client reads from few replicas, which it needs: its own windows are a peer's.
            let (connection, stream) = match end {
                End::Listening => (CLIENT_RECEIVE_WINDOW, CLIENT_STREAM_WINDOW),
                End::Dialing => (PEER_RECEIVE_WINDOW, PEER_STREAM_WINDOW),
            };
            let keep_alive = match end {
                End::Listening => None,
                End::Dialing => Some(CLIENT_KEEP_ALIVE),
            };
            config
                .receive_window(VarInt::from_u32(connection))
                .stream_receive_window(VarInt::from_u32(stream))
                .send_window(CLIENT_SEND_WINDOW)
                .max_concurrent_uni_streams(VarInt::from_u32(CLIENT_UNI_STREAMS))
                .max_idle_timeout(Some(idle(CLIENT_IDLE_TIMEOUT)))
                .keep_alive_interval(keep_alive);
        }
    }
    let (rtt, window) = match path {
        Path::Loopback => (INITIAL_RTT_LOOPBACK, INITIAL_WINDOW_LOOPBACK),
        Path::Network => (INITIAL_RTT_NETWORK, INITIAL_WINDOW_NETWORK),
    };
    let mut congestion = CubicConfig::default();
    congestion.initial_window(window);
    config
        .initial_rtt(rtt)
        .congestion_controller_factory(Arc::new(congestion));
    match path {
        Path::Loopback => {
            // Nothing to probe, and no smaller datagram to fall back to.
            config
                .initial_mtu(MTU_LOOPBACK)
                .min_mtu(MTU_LOOPBACK)
                .mtu_discovery_config(None);
        }
        Path::Network => {
            let mut discovery = MtuDiscoveryConfig::default();
            discovery.upper_bound(MTU_NETWORK_MAX);
            config
                .initial_mtu(MTU_NETWORK)
                .mtu_discovery_config(Some(discovery));
        }
    }
    Arc::new(config)
}

fn idle(timeout: Duration) -> IdleTimeout {
    timeout
        .try_into()
        .expect("a timeout of seconds fits QUIC's milliseconds")
}

// Joined datagrams fit in one system call.
const _: () = assert!(MTU_LOOPBACK as u32 * 10 <= 65_507);
// One stream cannot take a connection's whole window, and a peer's holds the largest batch.
const _: () = assert!(PEER_STREAM_WINDOW < PEER_RECEIVE_WINDOW && PEER_STREAM_WINDOW >= 8 << 20);
const _: () = assert!(CLIENT_STREAM_WINDOW < CLIENT_RECEIVE_WINDOW);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_version_has_the_names_that_are_documented() {
        assert_eq!(alpn(Class::Peer, Version::PRESENT), ALPN_PEER);
        assert_eq!(alpn(Class::Client, Version::PRESENT), ALPN_CLIENT);
    }

    #[test]
    fn only_this_machines_addresses_are_loopback() {
        let path = |text: &str| Path::of(text.parse().unwrap());
        for near in ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(path(near), Path::Loopback, "{near}");
        }
        for far in ["0.0.0.0", "::", "10.0.0.1", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(path(far), Path::Network, "{far}");
        }
    }
}
