//! Why a command failed, and with which exit code.

use client::{ConnectError, OperationError};

/// A failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was asked for makes no sense. The caller is to blame.
    #[error("{0}")]
    Usage(String),
    /// The operation was carried out and its answer is no.
    #[error("{0}")]
    Negative(String),
    /// A file, a key or the cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The operation.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// Reading or writing on this machine.
    #[error("{0}")]
    Local(String),
}

impl Failure {
    /// 1 for what happens, 2 for what was asked wrongly.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::Operation(OperationError::OutOfBounds(_)) => 2,
            _ => 1,
        }
    }
}
