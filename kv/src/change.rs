//! A piece of durable state: the storage writes what changed since the last checkpoint, and a
//! store is rebuilt from all pieces kept.

use bincode::{Decode, Encode};
use consensus::SeqNo;
use crypto::codec::Blob;

use crate::record::Record;

/// One changed piece of the state. Later pieces replace earlier ones of the same key; the order
/// of different keys does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Change {
    /// The key now holds this.
    Set(Record),
    /// The key is gone.
    Removed {
        /// Which.
        key: Blob,
    },
    /// The slot of the latest delete of any key. Part of the state: it is the version of every
    /// absent key in a quorum read (docs/protocol.md R14).
    LastDelete(SeqNo),
}

impl Change {
    /// The key that it is about; `None` if it is about none.
    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Change::Set(record) => Some(record.key()),
            Change::Removed { key } => Some(key),
            Change::LastDelete(_) => None,
        }
    }
}
