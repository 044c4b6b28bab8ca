//! QUIC endpoints whose both sides are pinned keys.
//!
//! A replica listens on two endpoints, one for peers and one for clients. Whoever dials says
//! which one key must answer. There is no resumption and no early data, so every connection runs
//! the whole handshake and its verifier (crypto::tls).

use std::fmt::Debug;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use consensus::{ClientId, Cluster, ReplicaId};
use crypto::PublicKey;
use crypto::tls::{Identity, PeerError, PinnedPeers, SERVER_NAME, TlsError};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use rustls::pki_types::CertificateDer;

use crate::socket::SocketWrap;
use crate::transport::{
    self, Class, End, INCOMING_BUFFER, INCOMING_BUFFER_TOTAL, INCOMING_MAX, Path, UDP_PAYLOAD_MAX,
    Version, Way,
};
use crate::{reset, socket};

/// How long a handshake may take; a round trip between any two places fits in it several times.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(3);

/// RFC 9000.
const QUIC_V1: u32 = 1;

/// Why an endpoint could not be made. This machine or the configuration is to blame.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Another process has the port.
    #[error(
        "UDP port {address} is taken: stop the process that has it (`ss -ulpn` shows it) or choose another address"
    )]
    PortTaken {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address is not one of this machine.
    #[error(
        "{address} is not an address of this machine: correct it in cluster.toml or with --listen"
    )]
    NotHere {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The socket could not be made for another reason.
    #[error("cannot open UDP socket {address}: {source}")]
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// TLS could not be configured.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS offers no cipher that QUIC can use: a broken build.
    #[error("TLS offers no cipher suite that QUIC needs")]
    NoCipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

impl EndpointError {
    fn of_socket(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => EndpointError::PortTaken { address },
            io::ErrorKind::AddrNotAvailable => EndpointError::NotHere { address },
            _ => EndpointError::Socket { address, source },
        }
    }
}

/// Why a connection was not established.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address cannot be dialled from this endpoint.
    #[error("cannot dial {remote}: {source}")]
    Connect {
        /// Whom.
        remote: SocketAddr,
        /// Why not.
        source: quinn::ConnectError,
    },
    /// The handshake failed: nobody is there, or somebody else.
    #[error("no connection to {remote}: {source}")]
    Handshake {
        /// Whom.
        remote: SocketAddr,
        /// Why not.
        source: quinn::ConnectionError,
    },
    /// Nothing that we speak is spoken there.
    #[error(
        "{remote} speaks another version of the protocol, or is another port; install the same version of Quintet everywhere"
    )]
    OtherProtocol {
        /// Whom.
        remote: SocketAddr,
    },
    /// No answer, or half of one.
    #[error("{remote} did not complete the handshake within {HANDSHAKE_DEADLINE:?}")]
    Deadline {
        /// Whom.
        remote: SocketAddr,
    },
    /// TLS could not be configured.
    #[error(transparent)]
    Config(#[from] EndpointError),
}

/// Listens at `address` for connections of `class` by the holders of `accepted` keys. The
/// endpoint may dial as well. Must be called within a tokio runtime, which then drives it.
///
/// # Errors
/// If the port is taken or the address is not of this machine.
pub fn listen<I>(
    address: SocketAddr,
    identity: &Identity,
    accepted: Arc<PinnedPeers<I>>,
    class: Class,
) -> Result<Endpoint, EndpointError>
where
    I: Copy + Debug + Send + Sync + 'static,
{
    listen_over(SocketWrap::default(), address, identity, accepted, class)
}

/// As [`listen`], over the socket that `wrap` makes of the bound one.
///
/// # Errors
/// As [`listen`], and if there can be no such socket.
pub fn listen_over<I>(
    wrap: SocketWrap,
    address: SocketAddr,
    identity: &Identity,
    accepted: Arc<PinnedPeers<I>>,
    class: Class,
) -> Result<Endpoint, EndpointError>
where
    I: Copy + Debug + Send + Sync + 'static,
{
    let server = server_config(identity, accepted, class, wrap.way(address.ip()))?;
    let config = endpoint_config(&identity.derived_secret("stateless reset"));
    endpoint_over(wrap, address, config, Some(server))
}

fn endpoint_over(
    wrap: SocketWrap,
    address: SocketAddr,
    config: EndpointConfig,
    server: Option<ServerConfig>,
) -> Result<Endpoint, EndpointError> {
    socket::bind(address)
        .and_then(|socket| wrap.around(socket))
        .and_then(|socket| {
            Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime))
        })
        .map_err(|source| EndpointError::of_socket(address, source))
}

/// An endpoint that only dials, from `bind`; [`any_port`] is one where it does not matter.
///
/// # Errors
/// If the port is taken or the address is not of this machine.
pub fn dial_endpoint(bind: SocketAddr) -> Result<Endpoint, EndpointError> {
    dial_endpoint_over(SocketWrap::default(), bind)
}

/// As [`dial_endpoint`], over the socket that `wrap` makes of the bound one.
///
/// # Errors
/// As [`dial_endpoint`], and if there can be no such socket.
pub fn dial_endpoint_over(wrap: SocketWrap, bind: SocketAddr) -> Result<Endpoint, EndpointError> {
    let mut config = EndpointConfig::default();
    limit_datagrams(&mut config);
    endpoint_over(wrap, bind, config, None)
}

/// Where to dial `remote` from if it does not matter: any port of its address family.
pub fn any_port(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Dials `remote`, where the holder of `expected` must answer within [`HANDSHAKE_DEADLINE`].
///
/// The connection stands once the server has proved itself; that the server refuses *our* key
/// shows in the first use of the connection.
///
/// # Errors
/// If nobody answers, or somebody else.
pub async fn dial(
    endpoint: &Endpoint,
    remote: SocketAddr,
    identity: &Identity,
    expected: &PublicKey,
    class: Class,
) -> Result<Connection, DialError> {
    dial_over(
        Way::of(remote.ip()),
        endpoint,
        remote,
        identity,
        expected,
        class,
    )
    .await
}

/// As [`dial`], in a way that the address does not tell.
///
/// # Errors
/// As [`dial`].
pub async fn dial_over(
    way: Way,
    endpoint: &Endpoint,
    remote: SocketAddr,
    identity: &Identity,
    expected: &PublicKey,
    class: Class,
) -> Result<Connection, DialError> {
    let config = client_config_over(way, identity, expected, class)?;
    let connecting = endpoint
        .connect_with(config, remote, SERVER_NAME)
        .map_err(|source| DialError::Connect { remote, source })?;
    match tokio::time::timeout(HANDSHAKE_DEADLINE, connecting).await {
        Ok(Err(error)) if transport::is_other_protocol(&error) => {
            Err(DialError::OtherProtocol { remote })
        }
        Ok(result) => result.map_err(|source| DialError::Handshake { remote, source }),
        Err(_) => Err(DialError::Deadline { remote }),
    }
}

/// The configuration of a dialled connection; [`dial`] makes its own.
///
/// # Errors
/// If TLS cannot be configured.
pub fn client_config(
    identity: &Identity,
    expected: &PublicKey,
    class: Class,
    path: Path,
) -> Result<quinn::ClientConfig, EndpointError> {
    let version = Version::PRESENT;
    client_config_over(Way { path, version }, identity, expected, class)
}

fn client_config_over(
    way: Way,
    identity: &Identity,
    expected: &PublicKey,
    class: Class,
) -> Result<quinn::ClientConfig, EndpointError> {
    let protocol = transport::alpn(class, way.version);
    let tls = crypto::tls::client_config(identity, *expected, &protocol)?;
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport::transport(class, way.path, End::Dialing));
    Ok(config)
}

fn server_config<I>(
    identity: &Identity,
    accepted: Arc<PinnedPeers<I>>,
    class: Class,
    way: Way,
) -> Result<ServerConfig, EndpointError>
where
    I: Copy + Debug + Send + Sync + 'static,
{
    let protocol = transport::alpn(class, way.version);
    let tls = crypto::tls::server_config(identity, accepted, &protocol)?;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config
        .transport_config(transport::transport(class, way.path, End::Listening))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL)
        // An address may change under whoever dialled, behind a router that forgets. Only who holds the keys of the
        // connection can move it, and the new way is proved before much is sent on it (RFC 9000 9).
        .migration(true);
    Ok(config)
}

fn endpoint_config(secret: &[u8; 32]) -> EndpointConfig {
    let mut config = reset::endpoint_config(secret);
    limit_datagrams(&mut config);
    config
}

fn limit_datagrams(config: &mut EndpointConfig) {
    config
        // The library would also speak drafts of it.
        .supported_versions(vec![QUIC_V1])
        .max_udp_payload_size(UDP_PAYLOAD_MAX)
        .expect("the largest UDP payload is within QUIC's range");
}

/// The key that the other end of `connection` has proved to hold.
///
/// # Errors
/// If it presented no certificate, which a finished handshake here excludes.
pub fn remote_key(connection: &Connection) -> Result<PublicKey, PeerError> {
    let identity = connection.peer_identity().ok_or(PeerError::NoCertificate)?;
    let certificates = identity
        .downcast::<Vec<CertificateDer<'static>>>()
        .map_err(|_| PeerError::NoCertificate)?;
    crypto::tls::peer_key(&certificates)
}

/// The members of a cluster, as those a peer port accepts: all but `me`.
pub fn pinned_replicas(cluster: &Cluster, me: ReplicaId) -> Arc<PinnedPeers<ReplicaId>> {
    let others = cluster
        .members()
        .zip(cluster.replica_keys())
        .filter(|(id, _)| *id != me);
    let peers = PinnedPeers::new(others.map(|(id, key)| (*key, id)));
    Arc::new(peers.expect("a cluster has no key twice"))
}

/// The clients of a cluster, as those a client port accepts.
pub fn pinned_clients(cluster: &Cluster) -> Arc<PinnedPeers<ClientId>> {
    let clients = (0..).map(ClientId).zip(cluster.client_keys());
    let peers = PinnedPeers::new(clients.map(|(id, key)| (*key, id)));
    Arc::new(peers.expect("a cluster has no key twice"))
}
