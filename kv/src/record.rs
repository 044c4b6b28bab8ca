//! A key, what it holds and since when, in one shared piece of memory. A store keeps some hundred thousand of them, each
//! in the table and in a trie, and its earlier states keep the replaced ones: what a record costs beside its bytes is
//! most of a replica's memory where values are short.
//!
//! ```text
//! slot u64 ‖ rank u32 ‖ bytes of the key u32 ‖ key ‖ value
//! ```

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::sync::Arc;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use bytes::Bytes;
use consensus::SeqNo;
use crypto::codec::{Blob, BlobRef};

use crate::result::Entry;
use crate::version::Version;

/// Bytes in front of the key.
const HEADER: usize = 8 + 4 + 4;
/// Values of at most so many bytes are copied where a longer one is shared: sharing takes an allocation as well.
const COPIED_MAX: usize = 512;
/// Encoded bytes beside key and value: two lengths and the version.
pub(crate) const ENTRY_OVERHEAD: usize = 4 + 4 + 12;

/// An [`Entry`] as a store keeps it, encoded like one. Cloning shares it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Arc<[u8]>);

impl Record {
    /// What `key` holds since `version`.
    pub fn new(key: &[u8], value: &[u8], version: Version) -> Self {
        let key_len = u32::try_from(key.len()).expect("a key is shorter than 4 GiB");
        let len = HEADER.saturating_add(key.len()).saturating_add(value.len());
        let mut record: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
        let mut rest = Arc::get_mut(&mut record).expect("nobody else has it yet");
        let (seq, rank) = (version.seq.0.to_le_bytes(), version.rank.to_le_bytes());
        for part in [&seq[..], &rank, &key_len.to_le_bytes(), key, value] {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        Record(record)
    }

    /// Where.
    pub fn key(&self) -> &[u8] {
        self.split().0
    }

    /// What.
    pub fn value(&self) -> &[u8] {
        self.split().1
    }

    /// Last modified when.
    pub fn version(&self) -> Version {
        let seq = self.0.first_chunk().copied().unwrap_or_default();
        let rank = self.0.get(8..).and_then(|rest| rest.first_chunk());
        Version {
            seq: SeqNo(u64::from_le_bytes(seq)),
            rank: u32::from_le_bytes(rank.copied().unwrap_or_default()),
        }
    }

    /// The value, for a result.
    pub(crate) fn value_bytes(&self) -> Bytes {
        let value = self.value();
        if value.len() <= COPIED_MAX {
            Bytes::copy_from_slice(value)
        } else {
            let at = self.0.len().saturating_sub(value.len());
            Bytes::from_owner(self.clone()).slice(at..)
        }
    }

    pub(crate) fn entry(&self) -> Entry {
        Entry {
            key: Blob(Bytes::copy_from_slice(self.key())),
            value: Blob(self.value_bytes()),
            version: self.version(),
        }
    }

    /// How many bytes it takes as an encoded [`Entry`].
    pub(crate) fn encoded_len(&self) -> usize {
        let beside = ENTRY_OVERHEAD.saturating_sub(HEADER);
        self.0.len().saturating_add(beside)
    }

    fn split(&self) -> (&[u8], &[u8]) {
        let key_len = self.0.get(12..).and_then(|rest| rest.first_chunk());
        let key_len = u32::from_le_bytes(key_len.copied().unwrap_or_default()) as usize;
        let rest = self.0.get(HEADER..).unwrap_or_default();
        rest.split_at_checked(key_len).unwrap_or_default()
    }
}

impl From<Entry> for Record {
    fn from(entry: Entry) -> Self {
        Record::new(&entry.key, &entry.value, entry.version)
    }
}

impl AsRef<[u8]> for Record {
    /// All its bytes, for [`Bytes::from_owner`].
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Encode for Record {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let (key, value) = self.split();
        BlobRef(key).encode(encoder)?;
        BlobRef(value).encode(encoder)?;
        self.version().encode(encoder)
    }
}

impl<C> Decode<C> for Record {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Entry::decode(decoder).map(Record::from)
    }
}

bincode::impl_borrow_decode!(Record);

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.entry().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_it_was_made_of_and_encoded_like_an_entry(
            key in prop::collection::vec(any::<u8>(), 0..40),
            len in prop_oneof![0..300_usize, COPIED_MAX - 1..COPIED_MAX + 2],
            seq: u64,
            rank: u32,
        ) {
            let value: Vec<u8> = key.iter().chain(&[7]).copied().cycle().take(len).collect();
            let version = Version { seq: SeqNo(seq), rank };
            let record = Record::new(&key, &value, version);
            prop_assert_eq!(record.key(), &key);
            prop_assert_eq!(record.value(), &value);
            prop_assert_eq!(record.version(), version);
            let entry = Entry { key: key.into(), value: value.into(), version };
            prop_assert_eq!(&record.entry(), &entry);
            let bytes = crypto::encode(&record);
            prop_assert_eq!(&bytes, &crypto::encode(&entry));
            prop_assert_eq!(bytes.len(), record.encoded_len());
            prop_assert_eq!(crypto::decode::<Record>(&bytes).unwrap(), record);
        }
    }

    #[test]
    fn a_long_value_is_shared_and_a_short_one_does_not_keep_its_record() {
        let long = Record::new(b"k", &[7; COPIED_MAX + 1], Version::default());
        assert_eq!(long.value_bytes().as_ptr(), long.value().as_ptr());
        let short = Record::new(b"k", &[7; COPIED_MAX], Version::default());
        assert_ne!(short.value_bytes().as_ptr(), short.value().as_ptr());
    }
}
