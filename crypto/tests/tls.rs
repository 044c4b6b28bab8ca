//! Who gets through a handshake, and who is then taken for whom. Both ends run in memory, over
//! the QUIC side of rustls, the one that the network uses.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![cfg(feature = "tls")]

use std::sync::Arc;

use crypto::tls::{
    Identity, PeerError, PinnedPeers, SERVER_NAME, client_config, peer_key, server_config,
};
use crypto::{PublicKey, SecretKey};
use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::quic::{ClientConnection, Connection, ServerConnection, Version};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, HandshakeKind, ServerConfig,
    SignatureScheme,
};

const ALPN: &[u8] = b"quintet/peer/1";

fn secret(index: u64) -> SecretKey {
    SecretKey::derive(&[5; 32], "tls test", index)
}

fn identity(index: u64) -> Identity {
    Identity::new(&secret(index)).unwrap()
}

/// The server has key 0 and accepts keys 1 and 2, as the peers 101 and 102.
fn accepted() -> Arc<PinnedPeers<u64>> {
    let peers = [1, 2].map(|index| (secret(index).public(), 100 + index));
    Arc::new(PinnedPeers::new(peers).unwrap())
}

fn server() -> ServerConfig {
    server_config(&identity(0), accepted(), ALPN).unwrap()
}

fn client(index: u64) -> ClientConfig {
    client_config(&identity(index), secret(0).public(), ALPN).unwrap()
}

/// A client of key 1 that shows `chain` and signs with `signer` instead.
fn client_showing(chain: Vec<CertificateDer<'static>>, signer: &KeyPair) -> ClientConfig {
    let mut config = client(1);
    config.client_auth_cert_resolver = Arc::new(single(chain, signer));
    config
}

fn single(chain: Vec<CertificateDer<'static>>, signer: &KeyPair) -> SingleCertAndKey {
    let der = PrivatePkcs8KeyDer::from(signer.serialize_der());
    SingleCertAndKey::from(CertifiedKey::new(chain, any_eddsa_type(&der).unwrap()))
}

fn stranger() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

fn public(pair: &KeyPair) -> PublicKey {
    PublicKey::from_bytes(pair.public_key_raw().try_into().unwrap()).unwrap()
}

/// A certificate with somebody's public key, signed by somebody else.
fn certificate_around(key: &PublicKey, signer: &KeyPair) -> CertificateDer<'static> {
    struct Stolen([u8; 32]);
    impl rcgen::PublicKeyData for Stolen {
        fn der_bytes(&self) -> &[u8] {
            &self.0
        }
        fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
            &PKCS_ED25519
        }
    }
    let params = CertificateParams::default();
    let issuer = Issuer::from_params(&params, signer);
    let certificate = params.signed_by(&Stolen(*key.as_bytes()), &issuer).unwrap();
    certificate.der().clone()
}

/// Both ends after a handshake, each with its error if it had one.
struct Outcome {
    client: ClientConnection,
    server: ServerConnection,
    client_error: Option<Error>,
    server_error: Option<Error>,
}

impl Outcome {
    fn succeeded(&self) -> bool {
        let finished = !self.client.is_handshaking() && !self.server.is_handshaking();
        finished && self.client_error.is_none() && self.server_error.is_none()
    }

    fn server_refused_with(&self, expected: &PeerError) {
        assert!(self.server.is_handshaking(), "the server must not finish");
        assert_eq!(
            self.server_error.as_ref().map(peer_error),
            Some(Some(expected))
        );
    }

    fn server_found_a_bad_signature(&self) {
        assert!(self.server.is_handshaking(), "the server must not finish");
        let bad = Error::InvalidCertificate(CertificateError::BadSignature);
        assert_eq!(self.server_error.as_ref(), Some(&bad));
    }
}

fn peer_error(error: &Error) -> Option<&PeerError> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref(),
        _ => None,
    }
}

fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Outcome {
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    let client = ClientConnection::new(Arc::clone(client), Version::V1, name, vec![1]).unwrap();
    let server = ServerConnection::new(Arc::clone(server), Version::V1, vec![2]).unwrap();
    let (mut client, mut server) = (Connection::Client(client), Connection::Server(server));
    let (mut client_error, mut server_error) = (None, None);
    for _ in 0..8 {
        for level in written(&mut client) {
            server_error = server_error.or(server.read_hs(&level).err());
        }
        if server_error.is_some() {
            break;
        }
        for level in written(&mut server) {
            client_error = client_error.or(client.read_hs(&level).err());
        }
        if client_error.is_some() {
            break;
        }
    }
    let (Connection::Client(client), Connection::Server(server)) = (client, server) else {
        unreachable!("they were made as client and server")
    };
    Outcome {
        client,
        server,
        client_error,
        server_error,
    }
}

/// What `connection` has to say, one piece for each level of encryption.
fn written(connection: &mut Connection) -> Vec<Vec<u8>> {
    let mut levels = Vec::new();
    loop {
        let mut level = Vec::new();
        let key_change = connection.write_hs(&mut level);
        if key_change.is_none() && level.is_empty() {
            return levels;
        }
        levels.push(level);
    }
}

fn run(client: ClientConfig, server: ServerConfig) -> Outcome {
    handshake(&Arc::new(client), &Arc::new(server))
}

#[test]
fn the_right_peer_is_accepted_and_identified_at_both_ends() {
    for index in [1, 2] {
        let outcome = run(client(index), server());
        assert!(
            outcome.succeeded(),
            "{:?} {:?}",
            outcome.client_error,
            outcome.server_error
        );
        let shown = outcome.server.peer_certificates().unwrap();
        assert_eq!(accepted().identify(shown), Ok(100 + index));
        assert_eq!(peer_key(shown), Ok(secret(index).public()));
        assert_eq!(
            peer_key(outcome.client.peer_certificates().unwrap()),
            Ok(secret(0).public())
        );
        assert_eq!(outcome.server.alpn_protocol(), Some(ALPN));
        assert_eq!(
            outcome.server.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_3)
        );
    }
}

#[test]
fn a_client_with_an_unknown_key_is_refused_and_its_key_is_named() {
    let outcome = run(client(3), server());
    outcome.server_refused_with(&PeerError::Unknown(
        secret(3).public().to_string().parse().unwrap(),
    ));
    let text = outcome.server_error.unwrap().to_string();
    assert!(text.contains(&secret(3).public().to_string()), "{text}");
}

#[test]
fn the_servers_own_key_is_no_client() {
    assert!(!run(client(0), server()).succeeded());
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    #[derive(Debug)]
    struct Nothing;
    impl ResolvesClientCert for Nothing {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }
        fn has_certs(&self) -> bool {
            false
        }
    }
    let mut anonymous = client(1);
    anonymous.client_auth_cert_resolver = Arc::new(Nothing);
    let outcome = run(anonymous, server());
    assert_eq!(outcome.server_error, Some(Error::NoCertificatesPresented));
    assert!(outcome.server.is_handshaking());
}

#[test]
fn a_server_with_another_key_than_the_dialed_one_is_refused() {
    // Key 2 is pinned elsewhere in the cluster, but it is not the one dialed.
    let other = server_config(&identity(2), accepted(), ALPN).unwrap();
    let outcome = run(client(1), other);
    let expected = PeerError::Unknown(secret(2).public().to_string().parse().unwrap());
    assert_eq!(
        outcome.client_error.as_ref().map(peer_error),
        Some(Some(&expected))
    );
    assert!(outcome.server.is_handshaking());
}

#[test]
fn a_copied_certificate_without_its_secret_key_is_refused() {
    let outcome = run(
        client_showing(vec![identity(1).certificate().clone()], &stranger()),
        server(),
    );
    outcome.server_found_a_bad_signature();
}

#[test]
fn a_stolen_public_key_in_ones_own_certificate_is_refused() {
    let thief = stranger();
    let chain = vec![certificate_around(&secret(1).public(), &thief)];
    assert_eq!(
        accepted().identify(&chain),
        Ok(101),
        "the certificate alone convinces"
    );
    run(client_showing(chain, &thief), server()).server_found_a_bad_signature();
}

#[test]
fn a_server_with_a_copied_certificate_is_refused() {
    let mut impostor = server();
    impostor.cert_resolver = Arc::new(single(vec![identity(0).certificate().clone()], &stranger()));
    let outcome = run(client(1), impostor);
    let bad = Error::InvalidCertificate(CertificateError::BadSignature);
    assert_eq!(outcome.client_error, Some(bad));
    assert!(outcome.client.is_handshaking());
}

#[test]
fn intermediates_are_refused_even_behind_a_pinned_key() {
    let friend = stranger();
    let own = certificate_around(&public(&friend), &friend);
    let peers = Arc::new(PinnedPeers::only(public(&friend), 7u64));
    let server = || server_config(&identity(0), Arc::clone(&peers), ALPN).unwrap();
    assert!(
        run(client_showing(vec![own.clone()], &friend), server()).succeeded(),
        "the witness"
    );

    let chain = vec![own, identity(1).certificate().clone()];
    assert_eq!(peers.identify(&chain), Err(PeerError::Chain(2)));
    assert_eq!(peer_key(&chain), Err(PeerError::Chain(2)));
    run(client_showing(chain, &friend), server()).server_refused_with(&PeerError::Chain(2));
}

#[test]
fn a_key_of_another_kind_is_refused() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = CertificateParams::default()
        .self_signed(&pair)
        .unwrap()
        .der()
        .clone();
    assert_eq!(
        peer_key(std::slice::from_ref(&certificate)),
        Err(PeerError::NotEd25519)
    );
    let outcome = run(client_showing(vec![certificate], &stranger()), server());
    outcome.server_refused_with(&PeerError::NotEd25519);
}

#[test]
fn damaged_certificates_are_refused_or_name_another_key() {
    let whole = identity(1).certificate().clone();
    for len in 0..whole.len() {
        let cut = CertificateDer::from(whole[..len].to_vec());
        assert!(
            matches!(peer_key(&[cut]), Err(PeerError::Malformed(_))),
            "{len} bytes"
        );
    }
    let longer = CertificateDer::from([whole.as_ref(), &[0]].concat());
    assert!(matches!(peer_key(&[longer]), Err(PeerError::Malformed(_))));
    assert_eq!(peer_key(&[]), Err(PeerError::NoCertificate));
    let key = secret(1).public();
    let place = whole
        .windows(32)
        .position(|part| part == key.as_bytes())
        .unwrap();
    for byte in place..place + 32 {
        let mut damaged = whole.to_vec();
        damaged[byte] ^= 1;
        let damaged = CertificateDer::from(damaged);
        assert!(matches!(
            accepted().identify(&[damaged]),
            Err(PeerError::Unknown(_))
        ));
    }
}

#[test]
fn another_protocol_name_or_none_is_refused() {
    for alpn in [vec![], vec![b"quintet/client/1".to_vec()]] {
        let mut other = client(1);
        other.alpn_protocols = alpn;
        let outcome = run(other, server());
        assert!(!outcome.succeeded());
        assert_eq!(
            outcome.server.alert(),
            Some(AlertDescription::NoApplicationProtocol)
        );
    }
}

#[test]
fn an_expired_certificate_is_accepted_because_the_key_is_the_identity() {
    let pair = stranger();
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(1990, 1, 1);
    params.not_after = rcgen::date_time_ymd(1991, 1, 1);
    let expired = params.self_signed(&pair).unwrap().der().clone();
    let peers = Arc::new(PinnedPeers::only(public(&pair), 7u64));
    let server = server_config(&identity(0), peers, ALPN).unwrap();
    assert!(run(client_showing(vec![expired], &pair), server).succeeded());
}

#[test]
fn a_second_connection_is_a_full_handshake_without_early_data() {
    let (client, server) = (Arc::new(client(1)), Arc::new(server()));
    for _ in 0..3 {
        let outcome = handshake(&client, &server);
        assert!(outcome.succeeded());
        assert_eq!(outcome.client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(outcome.client.tls13_tickets_received(), 0);
        assert!(outcome.client.zero_rtt_keys().is_none());
        assert!(outcome.server.zero_rtt_keys().is_none());
    }
}

#[test]
fn only_ed25519_is_offered_for_handshake_signatures() {
    let peers = accepted();
    let as_server: &dyn rustls::client::danger::ServerCertVerifier = &*peers;
    let as_client: &dyn rustls::server::danger::ClientCertVerifier = &*peers;
    assert_eq!(
        as_server.supported_verify_schemes(),
        [SignatureScheme::ED25519]
    );
    assert_eq!(
        as_client.supported_verify_schemes(),
        [SignatureScheme::ED25519]
    );
    assert!(as_client.client_auth_mandatory());
}

#[test]
fn one_key_for_two_peers_is_refused() {
    let key = secret(1).public();
    let twice = PinnedPeers::new([(key, 1u64), (secret(2).public(), 2), (key, 3)]);
    assert_eq!(twice.unwrap_err().0.as_bytes(), key.as_bytes());
}

#[test]
fn the_certificate_of_a_key_is_always_the_same() {
    assert_eq!(identity(1).certificate(), identity(1).certificate());
    assert_eq!(
        peer_key(&[identity(1).certificate().clone()]),
        Ok(*identity(1).public())
    );
    assert_eq!(
        format!("{:?}", identity(1)),
        format!("Identity({:?})", secret(1).public())
    );
}
