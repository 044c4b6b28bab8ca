//! Whom we accept: a set of pinned keys, as both of rustls' certificate verifiers.
//!
//! A peer is accepted iff it presents exactly one certificate, whose key is in the set, and its
//! handshake signature verifies under that key. The first half is checked here, the second by
//! rustls' own `verify_tls13_signature` on the same certificate.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme,
};

use crate::{Digest, KeyError, PublicKey};

/// Why the certificates of a connection do not identify a peer. The peer is to blame.
#[derive(thiserror::Error, PartialEq, Eq)]
pub enum PeerError {
    /// No certificate at all.
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// More than the one certificate that carries the peer's key.
    #[error("the peer presented {0} certificates; exactly one is accepted")]
    Chain(usize),
    /// Not an X.509 certificate.
    #[error("the peer's certificate is malformed: {0}")]
    Malformed(String),
    /// A certificate for another kind of key, or for an unusual encoding of one.
    #[error("the peer's certificate does not carry a plain Ed25519 key")]
    NotEd25519,
    /// The key is not acceptable to [`PublicKey::from_bytes`].
    #[error("the peer's key is unacceptable: {0}")]
    Key(#[from] KeyError),
    /// A key that the configuration does not list for this connection.
    #[error(
        "the peer's key {0} is not one of those expected here; add it to the configuration if it is meant to connect"
    )]
    Unknown(Digest),
}

/// The sentence: rustls, and QUIC above it, print a verifier's error by its `Debug`.
impl Debug for PeerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// One key was listed for two peers. The configuration is to blame.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("public key {0} is listed twice")]
pub struct DuplicateKey(pub Digest);

/// The peers that a connection may come from, by public key. `I` says who a peer is.
#[derive(Clone, Debug)]
pub struct PinnedPeers<I> {
    by_key: BTreeMap<[u8; 32], I>,
    algorithms: rustls::crypto::WebPkiSupportedAlgorithms,
}

impl<I: Copy> PinnedPeers<I> {
    /// Accepts exactly `peers`.
    ///
    /// # Errors
    /// If a key is listed twice: a connection must have one owner.
    pub fn new(peers: impl IntoIterator<Item = (PublicKey, I)>) -> Result<Self, DuplicateKey> {
        let mut by_key = BTreeMap::new();
        for (key, id) in peers {
            if by_key.insert(*key.as_bytes(), id).is_some() {
                return Err(DuplicateKey(Digest(*key.as_bytes())));
            }
        }
        Ok(Self::from_map(by_key))
    }

    /// Accepts exactly one peer.
    pub fn only(key: PublicKey, id: I) -> Self {
        Self::from_map(BTreeMap::from([(*key.as_bytes(), id)]))
    }

    fn from_map(by_key: BTreeMap<[u8; 32], I>) -> Self {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        PinnedPeers { by_key, algorithms }
    }

    /// Who presented `certificates`: for the certificates of a finished connection, its peer.
    ///
    /// # Errors
    /// If they are not exactly one certificate with a listed key.
    pub fn identify(&self, certificates: &[CertificateDer<'_>]) -> Result<I, PeerError> {
        let bytes = key_bytes(certificates)?;
        self.by_key
            .get(&bytes)
            .copied()
            .ok_or(PeerError::Unknown(Digest(bytes)))
    }

    fn admit(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        let verdict = match intermediates.len() {
            0 => self.identify(std::slice::from_ref(end_entity)).map(|_| ()),
            more => Err(PeerError::Chain(more.saturating_add(1))),
        };
        verdict.map_err(|error| CertificateError::Other(OtherError(Arc::new(error))).into())
    }

    fn verify_handshake(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(rustls::PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }
}

/// The key of a peer, from the certificates of a finished connection.
///
/// # Errors
/// If there is not exactly one certificate, or it does not carry an acceptable Ed25519 key.
pub fn peer_key(certificates: &[CertificateDer<'_>]) -> Result<PublicKey, PeerError> {
    Ok(PublicKey::from_bytes(key_bytes(certificates)?)?)
}

/// DER of everything in an Ed25519 SubjectPublicKeyInfo before the 32 bytes of the key
/// (RFC 8410 4). DER has one encoding, so whatever differs is not an Ed25519 key.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The SubjectPublicKeyInfo of a key.
pub(super) fn spki(key: &PublicKey) -> SubjectPublicKeyInfoDer<'static> {
    SubjectPublicKeyInfoDer::from([SPKI_PREFIX.as_slice(), key.as_bytes()].concat())
}

fn key_bytes(certificates: &[CertificateDer<'_>]) -> Result<[u8; 32], PeerError> {
    let certificate = match certificates {
        [] => return Err(PeerError::NoCertificate),
        [certificate] => certificate,
        more => return Err(PeerError::Chain(more.len())),
    };
    // The same parser reads the key for the handshake signature, so both see the same key.
    let parsed = ParsedCertificate::try_from(certificate)
        .map_err(|error| PeerError::Malformed(error.to_string()))?;
    parsed
        .subject_public_key_info()
        .strip_prefix(SPKI_PREFIX.as_slice())
        .and_then(|key| key.try_into().ok())
        .ok_or(PeerError::NotEd25519)
}

fn tls12_is_refused() -> rustls::Error {
    rustls::Error::General("TLS 1.2 is refused; both ends must speak TLS 1.3".into())
}

impl<I: Copy + Debug + Send + Sync> ServerCertVerifier for PinnedPeers<I> {
    /// Neither name nor time is looked at: the key is the identity.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.admit(end_entity, intermediates)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12_is_refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_handshake(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl<I: Copy + Debug + Send + Sync> ClientCertVerifier for PinnedPeers<I> {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Time is not looked at: the key is the identity.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.admit(end_entity, intermediates)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12_is_refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_handshake(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
