//! A list of byte strings in one piece of memory: the operations of a request, the results of a
//! reply. One allocation, cheap clones, and iteration without copying.

use bincode::{Decode, Encode};
use bytes::Bytes;

/// Zero or more byte strings, stored as `(u32 length, bytes)*`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ByteList {
    count: u16,
    bytes: Bytes,
}

/// The bytes are not a list of the announced count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed list of byte strings")]
pub struct MalformedList;

/// Bytes of the length in front of a string.
pub(crate) const PREFIX: usize = 4;

impl ByteList {
    /// Most strings that a list holds.
    pub const COUNT_MAX: usize = u16::MAX as usize;

    /// Takes `bytes` as a list of `count` strings.
    ///
    /// # Errors
    /// If the lengths do not add up exactly.
    pub fn parse(count: u16, bytes: Bytes) -> Result<Self, MalformedList> {
        let mut rest: &[u8] = &bytes;
        for _ in 0..count {
            let (_, after) = split_first(rest).ok_or(MalformedList)?;
            rest = after;
        }
        if rest.is_empty() {
            Ok(ByteList { count, bytes })
        } else {
            Err(MalformedList)
        }
    }

    /// How many strings.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// No strings?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.bytes;
        std::iter::from_fn(move || {
            let (item, after) = split_first(rest)?;
            rest = after;
            Some(item)
        })
    }

    /// The list that `bytes` have been found to be.
    pub(crate) fn parsed(count: u16, bytes: Bytes) -> Self {
        debug_assert!(Self::parse(count, bytes.clone()).is_ok());
        ByteList { count, bytes }
    }

    /// The encoded list without its count.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// The first string of a list and the rest of it; `None` if it is cut short.
pub(crate) fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX>()?;
    let len = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
    rest.split_at_checked(len)
}

impl<T: AsRef<[u8]>> FromIterator<T> for ByteList {
    /// Collects byte strings. A list holds at most [`ByteList::COUNT_MAX`]; callers bound theirs
    /// far below.
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut bytes = Vec::new();
        let mut count: u16 = 0;
        for item in items {
            let item = item.as_ref();
            let len = u32::try_from(item.len()).expect("operations and results are below 4 GiB");
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(item);
            count = count
                .checked_add(1)
                .expect("callers bound the count far below 65,536");
        }
        ByteList {
            count,
            bytes: bytes.into(),
        }
    }
}

impl Encode for ByteList {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        self.count.encode(encoder)?;
        crypto::codec::Blob(self.bytes.clone()).encode(encoder)
    }
}

impl<C> Decode<C> for ByteList {
    fn decode<D: bincode::de::Decoder<Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let count = u16::decode(decoder)?;
        let bytes = crypto::codec::Blob::decode(decoder)?;
        ByteList::parse(count, bytes.0)
            .map_err(|_| bincode::error::DecodeError::Other("malformed list of byte strings"))
    }
}

bincode::impl_borrow_decode!(ByteList);

impl std::fmt::Debug for ByteList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ByteList({} strings, {} bytes)",
            self.count,
            self.bytes.len()
        )
    }
}
