//! What an operation and its result may cost at most. All replicas refuse the same operations:
//! these limits are constants of the state machine, not settings.

use bincode::{Decode, Encode};

/// Bytes of a key; the least is 1.
pub const KEY_BYTES_MAX: usize = 1024;

/// Bytes of a value. Chosen so that a put with the longest key fits into the default
/// `op_bytes_max` of 64 KiB, and a scan can always return at least one entry.
pub const VALUE_BYTES_MAX: usize = 60 << 10;

/// Entries that one scan may ask for.
pub const SCAN_LIMIT_MAX: u32 = 1000;

/// Bytes of one operation's encoded result: the default `result_bytes_max` (R19).
pub const RESULT_BYTES_MAX: usize = 64 << 10;

/// Operations in each branch of a transaction.
pub const TXN_OPS_MAX: usize = 128;

/// Comparisons of a transaction.
pub const TXN_COMPARES_MAX: usize = 128;

/// A bound of the state machine that an operation does not respect. The caller is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Encode, Decode)]
pub enum Bound {
    /// See [`KEY_BYTES_MAX`].
    #[error("a key has 1 to {KEY_BYTES_MAX} bytes")]
    KeyBytes,
    /// See [`VALUE_BYTES_MAX`].
    #[error("a value has at most {VALUE_BYTES_MAX} bytes")]
    ValueBytes,
    /// See [`SCAN_LIMIT_MAX`].
    #[error("a scan asks for at most {SCAN_LIMIT_MAX} entries")]
    ScanLimit,
    /// See [`TXN_OPS_MAX`].
    #[error("a branch of a transaction has at most {TXN_OPS_MAX} operations")]
    TxnOps,
    /// See [`TXN_COMPARES_MAX`].
    #[error("a transaction has at most {TXN_COMPARES_MAX} comparisons")]
    TxnCompares,
    /// See [`RESULT_BYTES_MAX`].
    #[error("the results of a transaction have at most {RESULT_BYTES_MAX} bytes: read less in one")]
    ResultBytes,
}

pub(crate) fn check_key(key: &[u8]) -> Result<(), Bound> {
    if key.is_empty() {
        return Err(Bound::KeyBytes);
    }
    check_scan_edge(key)
}

/// An end of a scanned range is a key or empty.
pub(crate) fn check_scan_edge(key: &[u8]) -> Result<(), Bound> {
    (key.len() <= KEY_BYTES_MAX)
        .then_some(())
        .ok_or(Bound::KeyBytes)
}

pub(crate) fn check_value(value: &[u8]) -> Result<(), Bound> {
    (value.len() <= VALUE_BYTES_MAX)
        .then_some(())
        .ok_or(Bound::ValueBytes)
}
