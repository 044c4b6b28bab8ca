//! The bytes of the wire: fixed for all time, one encoding a value, bounded whatever they claim.

use bincode::de::Decoder;
use bincode::error::DecodeError;
use crypto::codec::{Blob, EXPANSION, EXPANSION_BYTES_MAX, MAX_ENCODED, encode_into};
use crypto::{CodecError, Decode, Digest, Encode, Signature, decode, encode};
use proptest::prelude::*;

/// Everything that a message may be made of.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Sample {
    flag: bool,
    small: u8,
    number: u64,
    choice: Choice,
    maybe: Option<u32>,
    digest: Digest,
    list: Vec<(u16, Option<bool>)>,
    text: String,
    body: Blob,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
enum Choice {
    Nothing,
    One(u16),
    Named { left: bool, right: Blob },
}

fn blob(bytes: &[u8]) -> Blob {
    bytes.to_vec().into()
}

fn sample() -> Sample {
    Sample {
        flag: true,
        small: 2,
        number: 0x0102_0304_0506_0708,
        choice: Choice::Named {
            left: false,
            right: blob(b"xy"),
        },
        maybe: Some(9),
        digest: Digest([0xd1; 32]),
        list: vec![(1, None), (2, Some(true))],
        text: "é".into(),
        body: blob(&[0xff, 0]),
    }
}

#[test]
fn the_bytes_of_a_value_are_those_written_down_here() {
    let mut golden = vec![1, 2];
    golden.extend([8, 7, 6, 5, 4, 3, 2, 1]); // u64, little-endian
    golden.extend([2, 0, 0, 0, 0]); // third variant as u32, its bool
    golden.extend([2, 0, 0, 0, b'x', b'y']); // blob: u32 length
    golden.extend([1, 9, 0, 0, 0]); // Some
    golden.extend([0xd1; 32]); // an array has no length
    golden.extend([2, 0, 0, 0, 0, 0, 0, 0]); // a Vec has a u64 length
    golden.extend([1, 0, 0]);
    golden.extend([2, 0, 1, 1]);
    golden.extend([2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa9]); // text: u64 length, UTF-8
    golden.extend([2, 0, 0, 0, 0xff, 0]);
    assert_eq!(encode(&sample()), golden);
    assert_eq!(decode::<Sample>(&golden), Ok(sample()));

    assert_eq!(encode(&Signature([5; 64])), [5; 64]);
    assert_eq!(encode(&Choice::Nothing), [0, 0, 0, 0]);
    assert_eq!(encode(&Choice::One(0x0201)), [1, 0, 0, 0, 1, 2]);
}

#[test]
fn encode_into_appends_what_encode_returns() {
    let mut out = vec![9];
    encode_into(&sample(), &mut out);
    assert_eq!(out[0], 9);
    assert_eq!(out[1..], encode(&sample()));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = encode(&sample());
    for len in 0..bytes.len() {
        let cut = decode::<Sample>(&bytes[..len]);
        assert!(
            matches!(cut, Err(CodecError::Malformed(_))),
            "{len} bytes: {cut:?}"
        );
    }
}

#[test]
fn trailing_bytes_are_refused_and_counted() {
    let mut bytes = encode(&sample());
    for trailing in 1..20 {
        bytes.push(0);
        assert_eq!(
            decode::<Sample>(&bytes),
            Err(CodecError::Trailing(trailing))
        );
    }
}

#[test]
fn a_bool_an_option_and_a_variant_have_one_encoding_each() {
    for byte in 0..=u8::MAX {
        assert_eq!(decode::<bool>(&[byte]).is_ok(), byte <= 1, "bool {byte}");
        assert_eq!(
            decode::<Option<u8>>(&[byte, 7]).is_ok(),
            byte == 1,
            "Some {byte}"
        );
        assert_eq!(
            decode::<Option<u8>>(&[byte]).is_ok(),
            byte == 0,
            "None {byte}"
        );
        assert_eq!(
            decode::<Choice>(&[byte, 0, 0, 0]).is_ok(),
            byte == 0,
            "variant {byte}"
        );
        assert_eq!(
            decode::<Choice>(&[0, 0, 0, byte]).is_ok(),
            byte == 0,
            "variant, high byte {byte}"
        );
    }
    assert!(
        decode::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 0xff]).is_err(),
        "not UTF-8"
    );
}

thread_local! {
    static ELEMENTS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// An element that counts how often one is made.
#[derive(Debug)]
struct Counted([u8; 1024]);

impl<C> Decode<C> for Counted {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        ELEMENTS.set(ELEMENTS.get() + 1);
        Decode::decode(decoder).map(Counted)
    }
}

#[test]
fn a_huge_announced_length_is_refused_before_anything_is_made() {
    for announced in [1 << 12, 1 << 20, 1 << 40, u64::MAX / 1024, u64::MAX] {
        let mut bytes = announced.to_le_bytes().to_vec();
        bytes.extend([0; 24]);
        let refused = |error| matches!(error, Err(CodecError::Malformed(text)) if text.contains("LimitExceeded"));
        assert!(
            refused(decode::<Vec<Counted>>(&bytes).map(|_| ())),
            "{announced} elements"
        );
        assert_eq!(ELEMENTS.get(), 0, "{announced} elements");
        if announced >= 1 << 20 {
            assert!(
                refused(decode::<Vec<u8>>(&bytes).map(|_| ())),
                "{announced} bytes"
            );
            assert!(
                refused(decode::<String>(&bytes).map(|_| ())),
                "{announced} bytes of text"
            );
            assert!(
                refused(decode::<Vec<Vec<u64>>>(&bytes).map(|_| ())),
                "{announced} lists"
            );
        }
    }
    // The witness: an honest list does make its elements.
    let mut bytes = 1u64.to_le_bytes().to_vec();
    bytes.extend([0; 1024]);
    let list = decode::<Vec<Counted>>(&bytes).unwrap();
    assert_eq!((list.len(), list[0].0), (1, [0; 1024]));
    assert_eq!(ELEMENTS.get(), 1);
}

#[test]
fn a_blob_takes_nothing_that_was_not_received() {
    for announced in [3u32, 1 << 20, u32::MAX] {
        let mut bytes = announced.to_le_bytes().to_vec();
        bytes.extend([1, 2]);
        assert!(decode::<Blob>(&bytes).is_err(), "{announced}");
    }
    assert_eq!(decode::<Blob>(&[2, 0, 0, 0, 1, 2]), Ok(blob(&[1, 2])));
}

#[test]
fn a_list_of_the_largest_allowed_elements_decodes_at_every_length() {
    /// As large in memory as the rule of `EXPANSION` allows for a one-byte encoding.
    #[derive(Clone, Debug, PartialEq, Encode, Decode)]
    struct Wide(Option<[u8; EXPANSION - 1]>);
    assert_eq!(size_of::<Wide>(), EXPANSION);
    for len in (0..600).chain([4_000, 60_000]) {
        let list = vec![Wide(None); len];
        assert_eq!(
            decode::<Vec<Wide>>(&encode(&list)).map(|back| back.len()),
            Ok(len)
        );
    }
}

#[test]
fn a_long_value_may_not_expand_as_far_as_a_short_one() {
    #[derive(Clone, Debug, PartialEq, Encode, Decode)]
    struct Wide(Option<[u8; EXPANSION - 1]>);
    // One byte each on the wire, 64 in memory: 19 MB for a message of 300 kB.
    let many = encode(&vec![Wide(None); 300_000]);
    assert!(many.len() > EXPANSION_BYTES_MAX);
    assert!(matches!(
        decode::<Vec<Wide>>(&many),
        Err(CodecError::Malformed(_))
    ));
    // Lists of byte strings, which is what long messages are, hardly expand.
    let strings = vec![blob(&[7; 100]); 100_000];
    assert_eq!(decode::<Vec<Blob>>(&encode(&strings)), Ok(strings));
}

#[test]
fn the_longest_value_decodes_and_one_byte_more_does_not() {
    let value = blob(&vec![7; MAX_ENCODED - 4]);
    let mut bytes = encode(&value);
    assert_eq!(bytes.len(), MAX_ENCODED);
    assert_eq!(decode::<Blob>(&bytes), Ok(value));
    bytes.push(0);
    assert_eq!(
        decode::<Blob>(&bytes),
        Err(CodecError::TooLong(MAX_ENCODED + 1))
    );
}

fn any_blob() -> impl Strategy<Value = Blob> {
    proptest::collection::vec(any::<u8>(), 0..40).prop_map(Blob::from)
}

fn any_choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        any::<u16>().prop_map(Choice::One),
        (any::<bool>(), any_blob()).prop_map(|(left, right)| Choice::Named { left, right }),
    ]
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let head = (
        any::<bool>(),
        any::<u8>(),
        any::<u64>(),
        any_choice(),
        any::<Option<u32>>(),
    );
    let list = proptest::collection::vec(any::<(u16, Option<bool>)>(), 0..6);
    (head, any::<[u8; 32]>(), list, any::<String>(), any_blob()).prop_map(
        |((flag, small, number, choice, maybe), digest, list, text, body)| Sample {
            flag,
            small,
            number,
            choice,
            maybe,
            digest: Digest(digest),
            list,
            text,
            body,
        },
    )
}

proptest! {
    #[test]
    fn a_value_comes_back_from_its_bytes(value in any_sample()) {
        prop_assert_eq!(decode::<Sample>(&encode(&value)), Ok(value));
    }

    #[test]
    fn damaged_bytes_are_refused_or_are_the_encoding_of_another_value(
        value in any_sample(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode(&value);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(other) = decode::<Sample>(&bytes) {
            prop_assert_eq!(encode(&other), bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_that_decode_are_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = decode::<(bool, Choice)>(&bytes) {
            prop_assert_eq!(encode(&value), bytes.clone());
        }
        if let Ok(value) = decode::<Vec<Option<u16>>>(&bytes) {
            prop_assert_eq!(encode(&value), bytes.clone());
        }
        if let Ok(value) = decode::<Blob>(&bytes) {
            prop_assert_eq!(encode(&value), bytes.clone());
        }
        if let Ok(value) = decode::<[u64; 2]>(&bytes) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }
}
