//! Operations, and their bytes in a request.
//!
//! The bytes come from clients, who may send anything: [`Op::decode`] answers with an operation
//! within all limits or says what is wrong. No type here contains itself; a transaction holds
//! [`SimpleOp`]s.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use bincode::{Decode, Encode};
use crypto::CodecError;
use crypto::codec::Blob;

use crate::limits::{
    Bound, SCAN_LIMIT_MAX, TXN_COMPARES_MAX, TXN_OPS_MAX, check_key, check_scan_edge, check_value,
};
use crate::version::Version;

/// One operation of a client. Fails means: has no effect, and its result says why.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Op {
    /// Stores a new key; fails if it exists.
    Create {
        /// Where.
        key: Blob,
        /// What.
        value: Blob,
    },
    /// Returns the value and version of a key, or that it is absent.
    Read {
        /// Where.
        key: Blob,
    },
    /// Replaces a value; fails if the key is absent.
    Update {
        /// Where.
        key: Blob,
        /// What.
        value: Blob,
    },
    /// Stores a value whether or not the key exists.
    Put {
        /// Where.
        key: Blob,
        /// What.
        value: Blob,
    },
    /// Removes a key; fails if it is absent.
    Delete {
        /// Where.
        key: Blob,
    },
    /// Stores a value if the key is as expected; fails otherwise.
    Cas {
        /// Where.
        key: Blob,
        /// The condition.
        expect: Expect,
        /// What.
        value: Blob,
    },
    /// Returns the entries of `start <= key < end` in ascending order. It ends early rather than
    /// exceed [`crate::RESULT_BYTES_MAX`], or what the request's results have left; its result says
    /// where to go on.
    Scan {
        /// The least key; empty for all.
        start: Blob,
        /// The first key beyond the range; none for all.
        end: Option<Blob>,
        /// Entries returned at most, up to [`SCAN_LIMIT_MAX`].
        limit: u32,
    },
    /// A transaction.
    Txn(Txn),
}

/// Compares, then executes one of two lists atomically (docs/protocol.md R17). If an operation of
/// the list fails, the whole list has no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Txn {
    /// Conditions; all of them must hold for `then`. None is always true.
    pub compare: Vec<Compare>,
    /// Executed if all conditions hold.
    pub then: Vec<SimpleOp>,
    /// Executed if one does not.
    pub otherwise: Vec<SimpleOp>,
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Compare {
    /// Where.
    pub key: Blob,
    /// What has to be there.
    pub expect: Expect,
}

/// What a key has to be.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Expect {
    /// Present with this value.
    Value(Blob),
    /// Present, and last modified there.
    Version(Version),
    /// Not present.
    Absent,
}

/// An operation on one key, as a transaction holds it. The meanings are those of [`Op`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SimpleOp {
    /// As [`Op::Create`].
    Create {
        /// Where.
        key: Blob,
        /// What.
        value: Blob,
    },
    /// As [`Op::Read`].
    Read {
        /// Where.
        key: Blob,
    },
    /// As [`Op::Update`].
    Update {
        /// Where.
        key: Blob,
        /// What.
        value: Blob,
    },
    /// As [`Op::Put`].
    Put {
        /// Where.
        key: Blob,
        /// What.
        value: Blob,
    },
    /// As [`Op::Delete`].
    Delete {
        /// Where.
        key: Blob,
    },
    /// As [`Op::Cas`].
    Cas {
        /// Where.
        key: Blob,
        /// The condition.
        expect: Expect,
        /// What.
        value: Blob,
    },
}

/// Why bytes are no operation. The client is to blame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// Not the encoding of an operation.
    #[error("malformed operation: {0}")]
    Malformed(#[from] CodecError),
    /// Well-formed, but beyond a limit.
    #[error("operation out of bounds: {0}")]
    OutOfBounds(#[from] Bound),
}

impl Op {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        crypto::encode(self)
    }

    /// Does it nothing but read, so that it may be asked beside the log (docs/protocol.md R14)?
    pub fn only_reads(&self) -> bool {
        matches!(self, Op::Read { .. } | Op::Scan { .. })
    }

    /// Takes an operation from a client's bytes.
    ///
    /// # Errors
    /// If they are malformed or beyond a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, OpError> {
        let op: Op = crypto::decode(bytes)?;
        op.check()?;
        Ok(op)
    }

    /// Checks the limits, as every replica will: a client can find out before it sends.
    ///
    /// # Errors
    /// The first limit that is not respected.
    pub fn check(&self) -> Result<(), Bound> {
        match self {
            Op::Create { key, value } | Op::Update { key, value } | Op::Put { key, value } => {
                check_key(key).and_then(|()| check_value(value))
            }
            Op::Read { key } | Op::Delete { key } => check_key(key),
            Op::Cas { key, expect, value } => check_cas(key, expect, value),
            Op::Scan { start, end, limit } => {
                check_scan_edge(start)?;
                end.as_deref().map_or(Ok(()), check_scan_edge)?;
                (*limit <= SCAN_LIMIT_MAX)
                    .then_some(())
                    .ok_or(Bound::ScanLimit)
            }
            Op::Txn(txn) => txn.check(),
        }
    }
}

impl Txn {
    fn check(&self) -> Result<(), Bound> {
        if self.compare.len() > TXN_COMPARES_MAX {
            return Err(Bound::TxnCompares);
        }
        if self.then.len() > TXN_OPS_MAX || self.otherwise.len() > TXN_OPS_MAX {
            return Err(Bound::TxnOps);
        }
        for Compare { key, expect } in &self.compare {
            check_key(key)?;
            expect.check()?;
        }
        let mut ops = self.then.iter().chain(&self.otherwise);
        ops.try_for_each(SimpleOp::check)
    }
}

impl SimpleOp {
    fn check(&self) -> Result<(), Bound> {
        match self {
            SimpleOp::Create { key, value }
            | SimpleOp::Update { key, value }
            | SimpleOp::Put { key, value } => check_key(key).and_then(|()| check_value(value)),
            SimpleOp::Read { key } | SimpleOp::Delete { key } => check_key(key),
            SimpleOp::Cas { key, expect, value } => check_cas(key, expect, value),
        }
    }
}

impl Expect {
    fn check(&self) -> Result<(), Bound> {
        match self {
            Expect::Value(value) => check_value(value),
            Expect::Version(_) | Expect::Absent => Ok(()),
        }
    }
}

fn check_cas(key: &[u8], expect: &Expect, value: &[u8]) -> Result<(), Bound> {
    check_key(key)?;
    expect.check()?;
    check_value(value)
}
