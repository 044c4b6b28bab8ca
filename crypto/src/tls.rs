//! TLS for a closed group: TLS 1.3 only, mutual, every key pinned by the configuration.
//!
//! ```text
//!   SecretKey ──► Identity (self-signed certificate around the same key)
//!                    │                         ┌─ PinnedPeers: key → who it is
//!                    ▼                         ▼
//!              client_config(me, the server's one key)    server_config(me, accepted peers)
//! ```
//!
//! There is no authority and no name to check: a connection belongs to whoever holds the secret
//! half of a pinned key, and [`PinnedPeers::identify`] says who that is. A certificate is only the
//! envelope in which TLS carries a key. Its names, extensions and validity dates are ignored on
//! purpose: a key is in force exactly as long as the configuration lists it, so no clock can
//! expel an honest replica. Resumption and early data are off: a resumed connection would skip
//! the verifier, and early data can be replayed.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

mod identity;
mod peers;

pub use identity::Identity;
pub use peers::{DuplicateKey, PeerError, PinnedPeers, peer_key};

use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use crate::PublicKey;

/// The server name to dial with. TLS libraries ask for one; nobody sends or checks it.
pub const SERVER_NAME: &str = "quintet";

/// Why a TLS configuration could not be made. A bug or a broken build is to blame, never a peer.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate around the key could not be written.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The provider lacks TLS 1.3.
    #[error("cannot configure TLS 1.3: {0}")]
    Provider(#[from] rustls::Error),
}

/// What a server needs: its identity and whom it accepts; anybody else fails the handshake.
///
/// # Errors
/// If the TLS provider lacks TLS 1.3.
pub fn server_config<I>(
    identity: &Identity,
    accepted: Arc<PinnedPeers<I>>,
    alpn: &[u8],
) -> Result<ServerConfig, TlsError>
where
    I: Copy + Debug + Send + Sync + 'static,
{
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(accepted)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.max_early_data_size = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// What dialing needs: one's own identity and the one key that must answer.
///
/// # Errors
/// If the TLS provider lacks TLS 1.3.
pub fn client_config(
    identity: &Identity,
    server: PublicKey,
    alpn: &[u8],
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedPeers::only(server, ())))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_early_data = false;
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
