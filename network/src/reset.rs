//! Stateless resets that survive a restart (RFC 9000 10.3).
//!
//! A replica that was killed knows nothing of its old connections, and its peers would keep
//! sending into them until they time out, seconds later. If the new process answers such packets
//! with a token that the old one had promised, the peer drops the connection at once and dials
//! again. For that, tokens and connection identifiers are derived from a secret which both
//! processes have: one made from the replica's key.

use std::sync::Arc;

use crypto::{Digest, Hasher};
use quinn::EndpointConfig;
use quinn::crypto::{CryptoError, HmacKey};
use quinn_proto::HashedConnectionIdGenerator;

/// An endpoint's configuration whose resets are recognised across restarts with one `secret`.
pub(crate) fn endpoint_config(secret: &[u8; 32]) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(ResetKey(*secret)));
    // Not a secret's job: it only sorts out packets that cannot be meant for us.
    let [a, b, c, d, e, f, g, h, ..] = Digest::of("connection identifiers", secret).0;
    let key = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(key)));
    config
}

/// A pseudo-random function of the secret. Nested as HMAC is, so that no value of it helps to
/// extend another.
struct ResetKey([u8; 32]);

impl ResetKey {
    fn value(&self, data: &[u8]) -> [u8; 32] {
        let mut inner = Hasher::new("stateless reset, inner");
        inner.update(&self.0).part(data);
        let mut outer = Hasher::new("stateless reset, outer");
        outer.update(&self.0).update(inner.finish().as_bytes());
        outer.finish().0
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&self.value(data));
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // Differences are summed up without a branch: the time says nothing about where they are.
        let expected = self.value(data);
        let differing = expected
            .iter()
            .zip(signature)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        if differing == 0 && signature.len() == expected.len() {
            Ok(())
        } else {
            Err(CryptoError)
        }
    }
}
