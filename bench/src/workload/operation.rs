//! The operations a workload asks for, free of the wire format: the load driver turns them into requests of the key-value store.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Operations in each branch of a generated transaction; both branches have as many, so that a transaction counts the same whichever branch it took.
pub const TXN_OPERATIONS: usize = 2;

/// One operation with the bytes it carries. Semantics: docs of `history.jsonl`; create fails if the key exists, update and delete if it does not, put
/// never, cas unless the value equals `expect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Insert a key that must be absent.
    Create {
        /// The key, printable.
        key: Bytes,
        /// The value, tagged (see [`super::tag_of`]).
        value: Bytes,
    },
    /// Read one key.
    Read {
        /// The key.
        key: Bytes,
    },
    /// Overwrite a key that must be present.
    Update {
        /// The key.
        key: Bytes,
        /// The new value.
        value: Bytes,
    },
    /// Write a key, present or not.
    Put {
        /// The key.
        key: Bytes,
        /// The new value.
        value: Bytes,
    },
    /// Remove a key that must be present.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Overwrite a key whose value must equal `expect`.
    Cas {
        /// The key.
        key: Bytes,
        /// The value that the key must hold.
        expect: Bytes,
        /// The new value.
        value: Bytes,
    },
    /// Read up to `limit` entries in key order, from `start` (included) on.
    Scan {
        /// The first key.
        start: Bytes,
        /// Entries at most.
        limit: u32,
    },
    /// If all guards hold run `then`, otherwise `otherwise`, atomically.
    Txn {
        /// All must hold for `then` to run.
        guards: Vec<Guard>,
        /// Run when the guards hold; [`TXN_OPERATIONS`] single operations.
        then: Vec<Operation>,
        /// Run when they do not; as many.
        otherwise: Vec<Operation>,
    },
}

/// A comparison of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The key compared.
    pub key: Bytes,
    /// What must hold for it.
    pub condition: Condition,
}

/// What a [`Guard`] demands of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The key holds this value.
    Value(Bytes),
    /// The key is absent.
    Absent,
}

/// The kind of an operation: the row of a result table and the name of a histogram file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// See [`Operation::Create`].
    Create,
    /// See [`Operation::Read`].
    Read,
    /// See [`Operation::Update`].
    Update,
    /// See [`Operation::Put`].
    Put,
    /// See [`Operation::Delete`].
    Delete,
    /// See [`Operation::Cas`].
    Cas,
    /// See [`Operation::Scan`].
    Scan,
    /// See [`Operation::Txn`].
    Txn,
}

impl OperationKind {
    /// How many kinds there are.
    pub const COUNT: usize = 8;

    /// Every kind, in the order of tables and files.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Put,
        Self::Delete,
        Self::Cas,
        Self::Scan,
        Self::Txn,
    ];

    /// The name in files and tables, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Cas => "cas",
            Self::Scan => "scan",
            Self::Txn => "txn",
        }
    }
}

impl Operation {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> OperationKind {
        match self {
            Self::Create { .. } => OperationKind::Create,
            Self::Read { .. } => OperationKind::Read,
            Self::Update { .. } => OperationKind::Update,
            Self::Put { .. } => OperationKind::Put,
            Self::Delete { .. } => OperationKind::Delete,
            Self::Cas { .. } => OperationKind::Cas,
            Self::Scan { .. } => OperationKind::Scan,
            Self::Txn { .. } => OperationKind::Txn,
        }
    }

    /// The key of a single-key operation, the first key of a scan, `None` for a transaction.
    #[must_use]
    pub const fn key(&self) -> Option<&Bytes> {
        match self {
            Self::Create { key, .. }
            | Self::Read { key }
            | Self::Update { key, .. }
            | Self::Put { key, .. }
            | Self::Delete { key }
            | Self::Cas { key, .. }
            | Self::Scan { start: key, .. } => Some(key),
            Self::Txn { .. } => None,
        }
    }

    /// Does it nothing but read?
    #[must_use]
    pub const fn only_reads(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Scan { .. })
    }

    /// What it counts for: a transaction counts as the operations of one branch, everything else as one.
    #[must_use]
    pub fn operations(&self) -> u64 {
        match self {
            Self::Txn { then, .. } => then.len() as u64,
            _ => 1,
        }
    }
}
