//! BB14: votes with signatures that verification rules disagree about. R gets a component of small
//! order: by the cofactored rule such a signature holds, by the cofactorless one it does not, and a
//! batch under the wrong rule says now this and now that. Whoever counts such a vote alone must count
//! it in a batch, and so must everybody else (docs/adr/0003-zip-215.md).
//!
//! A [`crypto::Signer`] gives whole signatures only, so the attack needs the secret key itself: see
//! [`crate::Cabal::with_secret`]. Without it, or where signatures are no Ed25519, it does nothing.

use consensus::pbft::certificate::StableCertificate;
use consensus::pbft::message::Wire;
use crypto::{Digest, Kind, SecretKey, Signature};
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha512};

use crate::attack::{Attack, Hand, Outgoing, Recipe, slot_of};

/// See [`crate::Behaviour::TorsionVotes`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TorsionVotes {
    /// Which of the seven points of small order but zero, 1 to 7; 0: each in turn.
    pub point: u8,
}

impl Recipe for TorsionVotes {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Twisting {
            point: self.point,
            turn: 0,
        })
    }
}

/// A signature over a digest whose R has the point of small order with this number (modulo 8) added.
pub fn torsion_signature(key: &SecretKey, digest: &Digest, point: usize) -> Signature {
    let expanded = Sha512::digest(&key.seed()[..]);
    let mut half = [0; 32];
    half.copy_from_slice(&expanded[..32]);
    let secret = Scalar::from_bytes_mod_order(clamp_integer(half));
    let wide = |parts: &[&[u8]]| {
        let mut hasher = Sha512::new();
        parts.iter().for_each(|part| hasher.update(part));
        Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
    };
    let nonce = wide(&[&expanded[32..], digest.as_bytes()]);
    let torsion = EIGHT_TORSION[point % EIGHT_TORSION.len()];
    let r = (ED25519_BASEPOINT_POINT * nonce + torsion)
        .compress()
        .to_bytes();
    let challenge = wide(&[&r, key.public().as_bytes(), digest.as_bytes()]);
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice((nonce + challenge * secret).as_bytes());
    Signature(bytes)
}

struct Twisting {
    point: u8,
    turn: usize,
}

impl Attack for Twisting {
    fn leaving(&mut self, hand: &mut Hand<'_>, mut sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let forge = &hand.scene.forge;
        let Some(key) = forge.cabal.secret(forge.me).cloned() else {
            return leaves.push(sent);
        };
        let (kind, epoch, body, signature) = match &mut sent.wire {
            Wire::Prepare(vote) => {
                let body = vote.statement.body();
                (Kind::Prepare, vote.epoch, body, &mut vote.signature)
            }
            Wire::Commit(vote) => {
                let body = vote.statement.body();
                (Kind::Commit, vote.epoch, body, &mut vote.signature)
            }
            Wire::Checkpoint(claim) => {
                let body = StableCertificate::body(claim.seq, &claim.digest);
                (Kind::Checkpoint, claim.epoch, body, &mut claim.signature)
            }
            _ => return leaves.push(sent),
        };
        let digest = forge.keyring.replica_digest(kind, epoch, forge.me, &body);
        self.turn += 1;
        let point = match self.point {
            0 => 1 + self.turn % 7,
            point => usize::from(point),
        };
        let twisted = torsion_signature(&key, &digest, point);
        let honest = std::mem::replace(signature, twisted);
        if hand.strikes(slot_of(&sent.wire)) {
            hand.did();
        } else if let Wire::Prepare(vote) = &mut sent.wire {
            vote.signature = honest;
        } else if let Wire::Commit(vote) = &mut sent.wire {
            vote.signature = honest;
        } else if let Wire::Checkpoint(claim) = &mut sent.wire {
            claim.signature = honest;
        }
        leaves.push(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::{Check, Ed25519, Scheme, Signer};

    #[test]
    fn signatures_with_torsion_hold_alone_and_in_batches_and_are_not_the_honest_ones() {
        let key = SecretKey::from_seed(&[7; 32]);
        let public = key.public();
        let digest = Digest::of("said", b"this");
        let check = |signature| Check {
            key: &public,
            digest,
            signature,
        };
        let honest = check(key.sign(&digest));
        for point in 0..8 {
            let twisted = check(torsion_signature(&key, &digest, point));
            assert!(Ed25519.verify(&twisted), "point {point}");
            assert!(Ed25519.verify_batch(&[honest, twisted, honest, twisted]));
            assert_eq!(twisted.signature == honest.signature, point == 0);
        }
        let other = Check {
            digest: Digest::of("said", b"that"),
            ..check(torsion_signature(&key, &digest, 3))
        };
        assert!(!Ed25519.verify(&other));
    }
}
