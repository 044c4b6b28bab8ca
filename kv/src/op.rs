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
use crypto::codec::{Blob, BlobRef};

use crate::limits::{
    Bound, SCAN_LIMIT_MAX, TXN_COMPARES_MAX, TXN_OPS_MAX, check_key, check_scan_edge, check_value,
};
use crate::version::Version;

/// One operation of a client. Fails means: has no effect, and its result says why. Its byte strings
/// are its own, or those of the request that it came in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Op<B = Blob> {
    /// Stores a new key; fails if it exists.
    Create {
        /// Where.
        key: B,
        /// What.
        value: B,
    },
    /// Returns the value and version of a key, or that it is absent.
    Read {
        /// Where.
        key: B,
    },
    /// Replaces a value; fails if the key is absent.
    Update {
        /// Where.
        key: B,
        /// What.
        value: B,
    },
    /// Stores a value whether or not the key exists.
    Put {
        /// Where.
        key: B,
        /// What.
        value: B,
    },
    /// Removes a key; fails if it is absent.
    Delete {
        /// Where.
        key: B,
    },
    /// Stores a value if the key is as expected; fails otherwise.
    Cas {
        /// Where.
        key: B,
        /// The condition.
        expect: Expect<B>,
        /// What.
        value: B,
    },
    /// Returns the entries of `start <= key < end` in ascending order. It ends early rather than
    /// exceed [`crate::RESULT_BYTES_MAX`], or what the request's results have left; its result says
    /// where to go on.
    Scan {
        /// The least key; empty for all.
        start: B,
        /// The first key beyond the range; none for all.
        end: Option<B>,
        /// Entries returned at most, up to [`SCAN_LIMIT_MAX`].
        limit: u32,
    },
    /// A transaction.
    Txn(Txn<B>),
}

/// Compares, then executes one of two lists atomically (docs/protocol.md R17). If an operation of
/// the list fails, the whole list has no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Txn<B = Blob> {
    /// Conditions; all of them must hold for `then`. None is always true.
    pub compare: Vec<Compare<B>>,
    /// Executed if all conditions hold.
    pub then: Vec<SimpleOp<B>>,
    /// Executed if one does not.
    pub otherwise: Vec<SimpleOp<B>>,
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Compare<B = Blob> {
    /// Where.
    pub key: B,
    /// What has to be there.
    pub expect: Expect<B>,
}

/// What a key has to be.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Expect<B = Blob> {
    /// Present with this value.
    Value(B),
    /// Present, and last modified there.
    Version(Version),
    /// Not present.
    Absent,
}

/// An operation on one key, as a transaction holds it. The meanings are those of [`Op`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SimpleOp<B = Blob> {
    /// As [`Op::Create`].
    Create {
        /// Where.
        key: B,
        /// What.
        value: B,
    },
    /// As [`Op::Read`].
    Read {
        /// Where.
        key: B,
    },
    /// As [`Op::Update`].
    Update {
        /// Where.
        key: B,
        /// What.
        value: B,
    },
    /// As [`Op::Put`].
    Put {
        /// Where.
        key: B,
        /// What.
        value: B,
    },
    /// As [`Op::Delete`].
    Delete {
        /// Where.
        key: B,
    },
    /// As [`Op::Cas`].
    Cas {
        /// Where.
        key: B,
        /// The condition.
        expect: Expect<B>,
        /// What.
        value: B,
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

    /// Takes an operation from a client's bytes.
    ///
    /// # Errors
    /// If they are malformed or beyond a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, OpError> {
        let op: Op = crypto::decode(bytes)?;
        op.check()?;
        Ok(op)
    }
}

impl<'a> Op<BlobRef<'a>> {
    /// The same without copying anything: executing an operation needs its bytes once.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, OpError> {
        let op: Self = crypto::codec::decode_borrowed(bytes)?;
        op.check()?;
        Ok(op)
    }
}

impl<B: AsRef<[u8]>> Op<B> {
    /// Does it nothing but read, so that it may be asked beside the log (docs/protocol.md R14)?
    pub fn only_reads(&self) -> bool {
        matches!(self, Op::Read { .. } | Op::Scan { .. })
    }

    /// Checks the limits, as every replica will: a client can find out before it sends.
    ///
    /// # Errors
    /// The first limit that is not respected.
    pub fn check(&self) -> Result<(), Bound> {
        match self {
            Op::Create { key, value } | Op::Update { key, value } | Op::Put { key, value } => {
                check_key(key.as_ref()).and_then(|()| check_value(value.as_ref()))
            }
            Op::Read { key } | Op::Delete { key } => check_key(key.as_ref()),
            Op::Cas { key, expect, value } => check_cas(key.as_ref(), expect, value.as_ref()),
            Op::Scan { start, end, limit } => {
                check_scan_edge(start.as_ref())?;
                let end = end.as_ref().map(B::as_ref);
                end.map_or(Ok(()), check_scan_edge)?;
                (*limit <= SCAN_LIMIT_MAX)
                    .then_some(())
                    .ok_or(Bound::ScanLimit)
            }
            Op::Txn(txn) => txn.check(),
        }
    }
}

impl<B: AsRef<[u8]>> Txn<B> {
    fn check(&self) -> Result<(), Bound> {
        if self.compare.len() > TXN_COMPARES_MAX {
            return Err(Bound::TxnCompares);
        }
        if self.then.len() > TXN_OPS_MAX || self.otherwise.len() > TXN_OPS_MAX {
            return Err(Bound::TxnOps);
        }
        for Compare { key, expect } in &self.compare {
            check_key(key.as_ref())?;
            expect.check()?;
        }
        let mut ops = self.then.iter().chain(&self.otherwise);
        ops.try_for_each(SimpleOp::check)
    }
}

impl<B: AsRef<[u8]>> SimpleOp<B> {
    fn check(&self) -> Result<(), Bound> {
        match self {
            SimpleOp::Create { key, value }
            | SimpleOp::Update { key, value }
            | SimpleOp::Put { key, value } => {
                check_key(key.as_ref()).and_then(|()| check_value(value.as_ref()))
            }
            SimpleOp::Read { key } | SimpleOp::Delete { key } => check_key(key.as_ref()),
            SimpleOp::Cas { key, expect, value } => check_cas(key.as_ref(), expect, value.as_ref()),
        }
    }
}

impl<B: AsRef<[u8]>> Expect<B> {
    fn check(&self) -> Result<(), Bound> {
        match self {
            Expect::Value(value) => check_value(value.as_ref()),
            Expect::Version(_) | Expect::Absent => Ok(()),
        }
    }
}

fn check_cas<B: AsRef<[u8]>>(key: &[u8], expect: &Expect<B>, value: &[u8]) -> Result<(), Bound> {
    check_key(key)?;
    expect.check()?;
    check_value(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// Operations of all kinds that hold byte strings, some beyond a limit.
    fn op() -> impl Strategy<Value = Op> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..6).prop_map(Blob::from);
        let expect = prop_oneof![Just(Expect::Absent), bytes().prop_map(Expect::Value)];
        (0..6, bytes(), bytes(), expect).prop_map(|(kind, key, value, expect)| match kind {
            0 => Op::Update { key, value },
            1 => Op::Read { key },
            2 => Op::Cas { key, expect, value },
            3 => Op::Scan {
                start: key,
                end: Some(value),
                limit: 7,
            },
            4 => Op::Scan {
                start: key,
                end: None,
                limit: SCAN_LIMIT_MAX + 1,
            },
            _ => Op::Txn(Txn {
                compare: vec![Compare {
                    key: key.clone(),
                    expect,
                }],
                then: vec![SimpleOp::Put { key, value }],
                otherwise: Vec::new(),
            }),
        })
    }

    proptest! {
        #[test]
        fn reading_in_place_is_decoding_without_the_copies(
            op in op(),
            cut in 0..80_usize,
            flipped in (0..80_usize, 0..8_u8),
        ) {
            let whole = op.encode();
            let mut wrong = whole.clone();
            if let Some(byte) = wrong.get_mut(flipped.0) {
                *byte ^= 1 << flipped.1;
            }
            for bytes in [&whole[..], &whole[..cut.min(whole.len())], &wrong] {
                // How many bytes are missing, the two may say differently.
                let kind = |error: OpError| match error {
                    OpError::Malformed(_) => None,
                    OpError::OutOfBounds(bound) => Some(bound),
                };
                let read = Op::read(bytes).map(|op| crypto::encode(&op));
                let decoded = Op::decode(bytes).map(|op| op.encode());
                prop_assert_eq!(read.map_err(kind), decoded.map_err(kind));
            }
        }
    }
}
