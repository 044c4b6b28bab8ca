//! What an operation answers, and its bytes in a reply. Replies of several replicas are compared
//! byte by byte, so a result says nothing that could differ between them.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use bincode::{Decode, Encode};
use crypto::CodecError;
use crypto::codec::Blob;

use crate::limits::Bound;
use crate::op::OpError;
use crate::version::Version;

/// A key with what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// Where.
    pub key: Blob,
    /// What.
    pub value: Blob,
    /// Last modified when.
    pub version: Version,
}

/// The list that a transaction executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Branch {
    /// All conditions held.
    Then,
    /// One did not.
    Otherwise,
}

/// The result of an [`crate::Op`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OpResult {
    /// The key was created.
    Created {
        /// Its version.
        version: Version,
    },
    /// The key was read and exists.
    Value {
        /// What it holds.
        value: Blob,
        /// Its version.
        version: Version,
    },
    /// The key was read and does not exist. A read succeeds with this.
    Absent,
    /// The value was replaced.
    Updated {
        /// The new version.
        version: Version,
    },
    /// The value was stored.
    Put {
        /// The new version.
        version: Version,
    },
    /// The key was removed.
    Deleted,
    /// The condition held and the value was stored.
    Swapped {
        /// The new version.
        version: Version,
    },
    /// The entries of a scan.
    Entries {
        /// In ascending order of keys.
        entries: Vec<Entry>,
        /// The next key of the range if it is not exhausted: the `start` to go on with. With
        /// fewer entries than asked for, the result would have become too long.
        next: Option<Blob>,
    },
    /// The transaction took effect.
    TxnDone {
        /// The list taken.
        branch: Branch,
        /// One result for each of its operations.
        results: Vec<SimpleResult>,
    },
    /// An operation of the transaction failed: nothing took effect.
    TxnRolledBack {
        /// The list taken.
        branch: Branch,
        /// The failure; [`SimpleResult::RolledBack`] for the other operations.
        results: Vec<SimpleResult>,
    },
    /// Create: the key exists.
    AlreadyExists {
        /// Its version.
        version: Version,
    },
    /// Update or delete: the key does not exist.
    NotFound,
    /// Cas: the key is not as expected.
    Mismatch {
        /// Its version; none if it is absent.
        current: Option<Version>,
    },
    /// Another operation of the same atomic request failed.
    RolledBack,
    /// The bytes are not an operation.
    Malformed,
    /// The operation is beyond a limit.
    OutOfBounds(Bound),
}

/// The result of a [`crate::SimpleOp`]. The meanings are those of [`OpResult`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SimpleResult {
    /// As [`OpResult::Created`].
    Created {
        /// Its version.
        version: Version,
    },
    /// As [`OpResult::Value`].
    Value {
        /// What it holds.
        value: Blob,
        /// Its version.
        version: Version,
    },
    /// As [`OpResult::Absent`].
    Absent,
    /// As [`OpResult::Updated`].
    Updated {
        /// The new version.
        version: Version,
    },
    /// As [`OpResult::Put`].
    Put {
        /// The new version.
        version: Version,
    },
    /// As [`OpResult::Deleted`].
    Deleted,
    /// As [`OpResult::Swapped`].
    Swapped {
        /// The new version.
        version: Version,
    },
    /// As [`OpResult::AlreadyExists`].
    AlreadyExists {
        /// Its version.
        version: Version,
    },
    /// As [`OpResult::NotFound`].
    NotFound,
    /// As [`OpResult::Mismatch`].
    Mismatch {
        /// Its version; none if it is absent.
        current: Option<Version>,
    },
    /// Another operation of the transaction failed.
    RolledBack,
    /// With this result the transaction's would be too long.
    OutOfBounds(Bound),
}

impl OpResult {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        crypto::encode(self)
    }

    /// Takes a result from a reply's bytes.
    ///
    /// # Errors
    /// If they are malformed. The replicas that sent them are to blame.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        crypto::decode(bytes)
    }

    /// Whether the operation did what it was asked to; if not, it had no effect.
    pub fn succeeded(&self) -> bool {
        match self {
            OpResult::Created { .. }
            | OpResult::Value { .. }
            | OpResult::Absent
            | OpResult::Updated { .. }
            | OpResult::Put { .. }
            | OpResult::Deleted
            | OpResult::Swapped { .. }
            | OpResult::Entries { .. }
            | OpResult::TxnDone { .. } => true,
            OpResult::TxnRolledBack { .. }
            | OpResult::AlreadyExists { .. }
            | OpResult::NotFound
            | OpResult::Mismatch { .. }
            | OpResult::RolledBack
            | OpResult::Malformed
            | OpResult::OutOfBounds(_) => false,
        }
    }
}

impl SimpleResult {
    /// As [`OpResult::succeeded`].
    pub fn succeeded(&self) -> bool {
        match self {
            SimpleResult::Created { .. }
            | SimpleResult::Value { .. }
            | SimpleResult::Absent
            | SimpleResult::Updated { .. }
            | SimpleResult::Put { .. }
            | SimpleResult::Deleted
            | SimpleResult::Swapped { .. } => true,
            SimpleResult::AlreadyExists { .. }
            | SimpleResult::NotFound
            | SimpleResult::Mismatch { .. }
            | SimpleResult::RolledBack
            | SimpleResult::OutOfBounds(_) => false,
        }
    }
}

impl From<SimpleResult> for OpResult {
    fn from(result: SimpleResult) -> Self {
        match result {
            SimpleResult::Created { version } => OpResult::Created { version },
            SimpleResult::Value { value, version } => OpResult::Value { value, version },
            SimpleResult::Absent => OpResult::Absent,
            SimpleResult::Updated { version } => OpResult::Updated { version },
            SimpleResult::Put { version } => OpResult::Put { version },
            SimpleResult::Deleted => OpResult::Deleted,
            SimpleResult::Swapped { version } => OpResult::Swapped { version },
            SimpleResult::AlreadyExists { version } => OpResult::AlreadyExists { version },
            SimpleResult::NotFound => OpResult::NotFound,
            SimpleResult::Mismatch { current } => OpResult::Mismatch { current },
            SimpleResult::RolledBack => OpResult::RolledBack,
            SimpleResult::OutOfBounds(bound) => OpResult::OutOfBounds(bound),
        }
    }
}

impl From<OpError> for OpResult {
    fn from(error: OpError) -> Self {
        match error {
            OpError::Malformed(_) => OpResult::Malformed,
            OpError::OutOfBounds(bound) => OpResult::OutOfBounds(bound),
        }
    }
}
