//! An identity: a self-signed certificate whose key is the replica's or client's own key.
//!
//! The secret key itself signs certificate and handshake. It is never exported to another format
//! or library, which might keep copies; ours is shared and wiped with its last user.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use zeroize::Zeroizing;

use super::TlsError;
use super::peers::spki;
use crate::{Hasher, PublicKey, SecretKey};

/// A key with its certificate, ready for [`super::server_config`] and [`super::client_config`].
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    certificate: CertificateDer<'static>,
    secret: Arc<SecretKey>,
    public: PublicKey,
}

impl Identity {
    /// The identity of `key`. The same key always gives the same certificate.
    ///
    /// # Errors
    /// If the certificate cannot be written.
    pub fn new(key: &SecretKey) -> Result<Self, TlsError> {
        let public = key.public();
        let secret = Arc::new(key.clone());
        let key = Arc::new(TlsKey {
            secret: Arc::clone(&secret),
            public,
        });
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "quintet");
        let certificate = params.self_signed(&*key)?.der().clone();
        let certified = Arc::new(CertifiedKey::new(vec![certificate.clone()], key));
        Ok(Identity {
            certified,
            certificate,
            secret,
            public,
        })
    }

    /// A secret for another use, `label`, that every process with this key computes alike and
    /// that says nothing about the key.
    pub fn derived_secret(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut hasher = Hasher::new("quintet/derived-secret");
        hasher
            .part(self.secret.seed().as_ref())
            .part(label.as_bytes());
        Zeroizing::new(hasher.finish().0)
    }

    /// The key that peers must pin.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The certificate that carries the key, in DER. It is public, like the key.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.public)
    }
}

/// Our secret key as rcgen and rustls want to see one.
#[derive(Clone, Debug)]
struct TlsKey {
    secret: Arc<SecretKey>,
    public: PublicKey,
}

impl rcgen::PublicKeyData for TlsKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.secret.sign_for_tls(message).to_vec())
    }
}

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(spki(&self.public))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.secret.sign_for_tls(message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
