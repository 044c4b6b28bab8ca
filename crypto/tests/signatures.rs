//! What keys are taken, and that a signature is valid for its one purpose only.

use crypto::{
    Check, ClusterId, Digest, Ed25519, KeyError, Kind, PublicKey, Scheme, SecretKey, Sender,
    Signer, signing_digest,
};
use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;

fn point(key: &PublicKey) -> EdwardsPoint {
    CompressedEdwardsY(*key.as_bytes())
        .decompress()
        .expect("keys are points")
}

#[test]
fn a_key_with_a_torsion_part_is_refused() {
    for index in 0..16 {
        let key = SecretKey::derive(&[7; 32], "key", index).public();
        for torsion in &EIGHT_TORSION[1..] {
            let mixed = (point(&key) + torsion).compress().to_bytes();
            assert_eq!(PublicKey::from_bytes(mixed), Err(KeyError::Torsion));
        }
        assert_eq!(
            PublicKey::from_bytes(*key.as_bytes()),
            Ok(key),
            "the witness loads"
        );
    }
}

#[test]
fn a_weak_key_is_refused() {
    for torsion in &EIGHT_TORSION {
        assert_eq!(
            PublicKey::from_bytes(torsion.compress().to_bytes()),
            Err(KeyError::Weak)
        );
    }
}

#[test]
fn a_non_canonical_key_is_refused() {
    // y = p + low for every low that fits into 255 bits, with either sign.
    let mut points = 0;
    for low in 0..19u8 {
        for sign in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            bytes[0] = 0xed_u8.wrapping_add(low);
            bytes[31] = sign;
            match PublicKey::from_bytes(bytes) {
                Err(KeyError::NotCanonical) => points += 1,
                verdict => assert_eq!(verdict, Err(KeyError::NotAPoint), "p + {low}"),
            }
        }
    }
    assert!(points >= 4, "some of these are points");
    // The identity and minus one with the sign of a negative zero.
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    assert_eq!(PublicKey::from_bytes(one), Err(KeyError::NotCanonical));
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    assert_eq!(
        PublicKey::from_bytes(minus_one),
        Err(KeyError::NotCanonical)
    );
}

#[test]
fn bytes_that_are_no_point_are_refused() {
    let verdicts = (0..=255u8).map(|y| {
        let mut bytes = [0; 32];
        (bytes[0], bytes[5]) = (y, 1);
        PublicKey::from_bytes(bytes)
    });
    let none = verdicts
        .filter(|verdict| *verdict == Err(KeyError::NotAPoint))
        .count();
    assert!(
        (64..192).contains(&none),
        "about half of all strings: {none}"
    );
}

#[test]
fn a_key_survives_its_text_form_and_other_texts_are_refused() {
    let key = SecretKey::derive(&[7; 32], "key", 1).public();
    let text = key.to_string();
    assert_eq!(text.parse(), Ok(key));
    let long = format!("{text}0");
    let signed = format!("+{}", &text[1..]);
    for wrong in ["", "0", &text[1..], &long, &signed, &"é".repeat(32)] {
        assert_eq!(wrong.parse::<PublicKey>(), Err(KeyError::NotHex), "{wrong}");
    }
}

#[test]
fn derived_keys_differ_by_master_label_and_index() {
    let families = [
        ([1; 32], "replica", 0),
        ([1; 32], "replica", 1),
        ([1; 32], "client", 0),
        ([2; 32], "replica", 0),
    ];
    let keys: std::collections::BTreeSet<PublicKey> = families
        .iter()
        .map(|(master, label, index)| SecretKey::derive(master, label, *index).public())
        .collect();
    assert_eq!(keys.len(), families.len());
    let again = SecretKey::derive(&[1; 32], "replica", 1);
    assert!(keys.contains(&again.public()), "derivation repeats");
}

#[test]
fn a_secret_key_never_shows_itself() {
    let key = SecretKey::from_seed(&[0xab; 32]);
    assert_eq!(format!("{key:?}"), "SecretKey(redacted)");
}

#[test]
fn a_signature_for_one_purpose_is_never_valid_for_another() {
    let mut contexts = Vec::new();
    for kind in Kind::ALL {
        for sender in [Sender::Replica(1), Sender::Replica(2), Sender::Client(1)] {
            for epoch in [0, 1] {
                for cluster in [[1; 32], [2; 32]] {
                    contexts.push((kind, ClusterId(Digest(cluster)), epoch, sender));
                }
            }
        }
    }
    let secret = SecretKey::from_seed(&[3; 32]);
    let key = secret.public();
    let digests: Vec<Digest> = contexts
        .iter()
        .map(|(kind, cluster, epoch, sender)| {
            signing_digest(*kind, cluster, *epoch, *sender, b"body")
        })
        .collect();
    for (signed, given) in digests.iter().zip(&contexts) {
        let signature = secret.sign(signed);
        for (asked, used) in digests.iter().zip(&contexts) {
            let valid = Ed25519.verify(&Check {
                key: &key,
                digest: *asked,
                signature,
            });
            assert_eq!(
                valid,
                given == used,
                "signed for {given:?}, used for {used:?}"
            );
        }
    }
}

#[test]
fn every_kind_has_its_own_number_and_is_listed() {
    let numbers: Vec<u8> = Kind::ALL.iter().map(|kind| *kind as u8).collect();
    assert_eq!(
        numbers,
        (1..=11).collect::<Vec<u8>>(),
        "a new kind belongs into Kind::ALL"
    );
}

#[test]
fn a_body_cannot_borrow_bytes_from_its_context() {
    let cluster = ClusterId(Digest([1; 32]));
    let digest = |epoch, body: &[u8]| {
        signing_digest(Kind::Prepare, &cluster, epoch, Sender::Replica(0), body)
    };
    let bodies: [&[u8]; 4] = [b"", b"\0", b"\0\0", b"\x01"];
    let all: std::collections::BTreeSet<Digest> = bodies
        .iter()
        .flat_map(|body| [0, 1, 256].map(|epoch| digest(epoch, body)))
        .collect();
    assert_eq!(all.len(), 12);
}
