//! TLS as attackers configure it: any certificate, any application protocol, and no care for who answers.

use std::sync::Arc;

use crypto::SecretKey;
use crypto::tls::Identity;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider, sign};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::quic::{Keys, Version};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, Side, SignatureScheme};

/// Why an attack cannot be prepared: this machine or its plan is to blame.
pub(super) type Unprepared = anyhow::Error;

/// The keys of first packets, which derive from the destination that the client chose (RFC 9001 5.2).
pub(super) fn initial_keys(to: &[u8], side: Side) -> Keys {
    let suite = TLS13_AES_128_GCM_SHA256
        .tls13()
        .and_then(rustls::Tls13CipherSuite::quic_suite)
        .expect("ring's suite of TLS 1.3 serves QUIC");
    suite.keys(to, side, Version::V1)
}

/// What a dialer shows of itself.
pub(super) enum Shows {
    /// No certificate.
    Nothing,
    /// An identity as members have one.
    Identity(Box<Identity>),
    /// Another certificate or chain.
    Certificate(Arc<CertifiedKey>),
}

/// A dialer's configuration; whoever answers is taken for the right one.
pub(super) fn config(shows: &Shows, alpn: &[&[u8]]) -> Result<ClientConfig, Unprepared> {
    let mut config = match shows {
        // The library's own; its verifier is replaced below.
        Shows::Identity(identity) => crypto::tls::client_config(identity, *identity.public(), b"")?,
        Shows::Nothing => builder()?.with_no_client_auth(),
        Shows::Certificate(key) => {
            builder()?.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))))
        }
    };
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(Anybody));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

type Verified = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder() -> Result<Verified, Unprepared> {
    Ok(
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody)),
    )
}

/// A key that no configuration lists.
pub(super) fn stranger(seed: u64, number: u64) -> Result<Identity, Unprepared> {
    let root = crypto::Digest::of("outsider", &seed.to_le_bytes()).0;
    Ok(Identity::new(&SecretKey::derive(
        &root, "stranger", number,
    ))?)
}

/// The certificates of Q3, by name.
pub(super) fn bad_certificates() -> Result<Vec<(&'static str, Arc<CertifiedKey>)>, Unprepared> {
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let mut all = Vec::new();
    for (name, algorithm, from, to) in [
        ("expired", &rcgen::PKCS_ED25519, 2001, 2002),
        ("not yet valid", &rcgen::PKCS_ED25519, 3001, 3002),
        ("P-256", &rcgen::PKCS_ECDSA_P256_SHA256, 2001, 3002),
    ] {
        let pair = rcgen::KeyPair::generate_for(algorithm)?;
        let mut params = rcgen::CertificateParams::new(vec!["quintet".to_owned()])?;
        (params.not_before, params.not_after) = (year(from), year(to));
        let certificate = params.self_signed(&pair)?.der().clone();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let key = sign::any_supported_type(&der)?;
        let chain = vec![certificate.clone(), certificate.clone()];
        all.push((
            name,
            Arc::new(CertifiedKey::new(vec![certificate], Arc::clone(&key))),
        ));
        if all.len() == 1 {
            all.push(("a chain", Arc::new(CertifiedKey::new(chain, key))));
        }
    }
    Ok(all)
}

/// Somebody else's certificate with one's own key.
pub(super) fn borrowed(
    certificate: CertificateDer<'static>,
) -> Result<Arc<CertifiedKey>, Unprepared> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let key = sign::any_supported_type(&der)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate], key)))
}

/// Believes whoever answers.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ED25519,
            SignatureScheme::ECDSA_NISTP256_SHA256,
        ]
    }
}
