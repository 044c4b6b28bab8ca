//! Every path gives one verdict on every signature, above all on those crafted so that other
//! verification rules disagree: torsion parts, small orders and non-canonical encodings.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::Digest as _;

use super::*;
use crate::{SecretKey, Signer, admit, admit_all};

/// The group order L, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// One signature with the verdict that ZIP-215 demands.
struct Case {
    name: String,
    key: PublicKey,
    digest: Digest,
    signature: Signature,
    valid: bool,
}

impl Case {
    fn check(&self) -> Check<'_> {
        Check {
            key: &self.key,
            digest: self.digest,
            signature: self.signature,
        }
    }
}

fn seed(label: &str, index: u64) -> [u8; 32] {
    let mut hasher = Hasher::new(label);
    hasher.u64(index);
    hasher.finish().0
}

/// The secret scalar of a seed (RFC 8032 5.1.5).
fn secret_scalar(seed: &[u8; 32]) -> Scalar {
    let hash: [u8; 64] = sha2::Sha512::digest(seed).into();
    let mut low: [u8; 32] = hash[..32].try_into().expect("half of 64");
    low[0] &= 248;
    low[31] = (low[31] & 127) | 64;
    Scalar::from_bytes_mod_order(low)
}

fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = sha2::Sha512::new()
        .chain_update(r)
        .chain_update(key)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

fn join(r: &[u8; 32], s: &[u8; 32]) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(r);
    bytes[32..].copy_from_slice(s);
    Signature(bytes)
}

/// A signature by a cheating owner of `secret`: `r_bytes` encodes `nonce·B` plus perhaps torsion.
fn cheat(
    secret: &Scalar,
    key: &[u8; 32],
    nonce: &Scalar,
    r_bytes: &[u8; 32],
    message: &[u8],
) -> Signature {
    let s = nonce + challenge(r_bytes, key, message) * secret;
    join(r_bytes, s.as_bytes())
}

/// All 14 encodings of points of small order: eight canonical, six not.
fn small_order_encodings() -> Vec<[u8; 32]> {
    let mut all: Vec<[u8; 32]> = EIGHT_TORSION
        .iter()
        .map(|t| t.compress().to_bytes())
        .collect();
    let p_plus = |low: u8| {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xed + low;
        bytes[31] = 0x7f;
        bytes
    };
    let negated = |mut bytes: [u8; 32]| {
        bytes[31] |= 0x80;
        bytes
    };
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = p_plus(0);
    minus_one[0] = 0xec;
    all.extend([p_plus(0), negated(p_plus(0)), p_plus(1), negated(p_plus(1))]);
    all.extend([negated(one), negated(minus_one)]);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 14);
    all
}

fn add_order(s: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let mut carry = 0u16;
    for (i, byte) in out.iter_mut().enumerate() {
        let sum = u16::from(s[i]) + u16::from(ORDER[i]) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    out
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for index in 0..12 {
        let secret_seed = seed("secret", index);
        let secret = SecretKey::from_seed(&secret_seed);
        let scalar = secret_scalar(&secret_seed);
        let key = secret.public();
        let digest = Digest(seed("message", index));
        let honest = secret.sign(&digest);
        let nonce = Scalar::from_bytes_mod_order(seed("nonce", index));
        let mut add = |name: String, signature: Signature, valid: bool| {
            cases.push(Case {
                name: format!("{name} #{index}"),
                key,
                digest,
                signature,
                valid,
            });
        };

        add("honest".into(), honest, true);
        for (order, torsion) in EIGHT_TORSION.iter().enumerate() {
            let r = (ED25519_BASEPOINT_POINT * nonce + torsion)
                .compress()
                .to_bytes();
            let made = cheat(&scalar, key.as_bytes(), &nonce, &r, digest.as_bytes());
            add(format!("R + torsion {order}"), made, true);
        }
        for (number, r) in small_order_encodings().iter().enumerate() {
            let made = cheat(&scalar, key.as_bytes(), &Scalar::ZERO, r, digest.as_bytes());
            add(format!("small-order R {number}"), made, true);
            add(
                format!("small-order R {number}, S = 0"),
                join(r, &[0; 32]),
                false,
            );
        }
        let (r, s) = honest.0.split_at(32);
        let r: [u8; 32] = r.try_into().expect("half of 64");
        add("S + L".into(), join(&r, &add_order(s)), false);
        add("S = L".into(), join(&r, &ORDER), false);
        let mut high = honest;
        high.0[63] |= 0x80;
        add("S with its high bit".into(), high, false);
        for byte in [0, 20, 31, 32, 40, 62] {
            let mut flipped = honest;
            flipped.0[byte] ^= 4;
            add(format!("bit flipped in byte {byte}"), flipped, false);
        }
        let not_a_point = (0u8..).map(|y| [y; 32]).find(|y| {
            curve25519_dalek::edwards::CompressedEdwardsY(*y)
                .decompress()
                .is_none()
        });
        add(
            "R is no point".into(),
            join(&not_a_point.expect("half of all are none"), &[1; 32]),
            false,
        );
        add("zeros".into(), Signature([0; 64]), false);
        let other = secret.sign(&Digest(seed("other message", index)));
        add("for another digest".into(), other, false);
        let stranger = SecretKey::from_seed(&seed("stranger", index)).sign(&digest);
        add("by another key".into(), stranger, false);
    }
    cases
}

fn many(checks: &[Check<'_>]) -> bool {
    verify_many(checks.iter().map(|c| {
        (
            c.key.as_bytes(),
            &c.signature,
            c.digest.as_bytes().as_slice(),
        )
    }))
}

#[test]
fn single_verification_follows_zip_215() {
    let cases = cases();
    assert!(cases.len() > 500, "hundreds of cases, not {}", cases.len());
    for case in &cases {
        assert_eq!(Ed25519.verify(&case.check()), case.valid, "{}", case.name);
    }
}

#[test]
fn a_batch_decides_as_single_verification_in_every_position() {
    let honest: Vec<Case> = cases()
        .into_iter()
        .filter(|case| case.name.starts_with("honest"))
        .collect();
    for case in &cases() {
        assert_eq!(many(&[case.check()]), case.valid, "alone: {}", case.name);
        for position in 0..=3 {
            let mut checks: Vec<Check<'_>> = honest.iter().take(3).map(Case::check).collect();
            checks.insert(position, case.check());
            assert_eq!(
                Ed25519.verify_batch(&checks),
                case.valid,
                "at {position}: {}",
                case.name
            );
        }
    }
}

#[test]
fn a_batch_of_cofactor_cases_alone_is_valid_every_time() {
    let valid: Vec<Case> = cases().into_iter().filter(|case| case.valid).collect();
    let mut checks: Vec<Check<'_>> = valid.iter().map(Case::check).collect();
    for turn in 0..16 {
        checks.rotate_left(turn);
        assert!(many(&checks), "turn {turn}");
    }
}

#[test]
fn admit_all_refuses_exactly_what_single_verification_refuses() {
    let cases = cases();
    let items = cases
        .iter()
        .map(|case| (case.name.clone(), vec![case.check()]))
        .collect();
    let verdicts = admit_all(items, &Ed25519);
    assert_eq!(verdicts.len(), cases.len());
    for (verdict, case) in verdicts.iter().zip(&cases) {
        assert_eq!(verdict.is_ok(), case.valid, "{}", case.name);
        assert_eq!(
            admit((), &[case.check()], &Ed25519).is_ok(),
            case.valid,
            "{}",
            case.name
        );
    }
}

#[test]
fn a_message_with_one_bad_signature_among_good_ones_is_refused_alone() {
    let cases = cases();
    let good: Vec<&Case> = cases.iter().filter(|case| case.valid).take(8).collect();
    let bad = cases
        .iter()
        .find(|case| !case.valid)
        .expect("there are bad ones");
    let certificate = |with_bad: bool| {
        let mut checks: Vec<Check<'_>> = good.iter().map(|case| case.check()).collect();
        if with_bad {
            checks[5] = bad.check();
        }
        checks
    };
    let items = vec![
        ("a", certificate(false)),
        ("b", certificate(true)),
        ("c", certificate(false)),
    ];
    let verdicts: Vec<bool> = admit_all(items, &Ed25519)
        .iter()
        .map(Result::is_ok)
        .collect();
    assert_eq!(verdicts, [true, false, true]);
}

/// The public vectors of ZIP-215: every pair of small-order encodings as key and R, with S = 0,
/// on the message "Zcash". All 196 are valid, whatever rule a batch was mixed from.
#[test]
fn the_zip_215_vectors_verify_by_every_path() {
    let mut all = Vec::new();
    for key in small_order_encodings() {
        for r in small_order_encodings() {
            all.push((key, join(&r, &[0; 32])));
        }
    }
    assert_eq!(all.len(), 196);
    let message = b"Zcash".as_slice();
    for (key, signature) in &all {
        let point = VerificationKey::try_from(*key).expect("ZIP-215 decodes all 14");
        assert!(verify_one(&point, signature, message));
        assert!(verify_many(std::iter::once((key, signature, message))));
    }
    assert!(verify_many(
        all.iter().map(|(key, signature)| (key, signature, message))
    ));
}

#[test]
fn signatures_by_keys_with_torsion_would_not_split_single_and_batch_either() {
    // Such keys never load (tests/signatures.rs); that the rule itself holds is a second fence.
    for (order, torsion) in EIGHT_TORSION.iter().enumerate() {
        let secret = secret_scalar(&seed("secret", order as u64));
        let key: EdwardsPoint = ED25519_BASEPOINT_POINT * secret + torsion;
        let key = key.compress().to_bytes();
        let nonce = Scalar::from_bytes_mod_order(seed("nonce", order as u64));
        let r = (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes();
        let signature = cheat(&secret, &key, &nonce, &r, b"m");
        let point = VerificationKey::try_from(key).expect("a point");
        assert!(verify_one(&point, &signature, b"m"), "torsion {order}");
        assert!(
            verify_many(std::iter::once((&key, &signature, b"m".as_slice()))),
            "torsion {order}"
        );
    }
}
