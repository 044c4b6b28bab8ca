//! A check leaves a type behind: handlers see `Verified<M>`, never unverified bytes.

use std::ops::Deref;

use crate::{Check, Scheme};

/// A value whose signatures have been verified. It can only be made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// A value that this process made itself, so that there is nothing to verify.
    pub fn own(value: T) -> Self {
        Verified(value)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// The same proof for a part or another form of the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Verified<U> {
        Verified(f(self.0))
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// At least one of the signatures of a message is not valid. The sender is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid signature")]
pub struct BadSignature;

/// Verifies one message by its checks.
///
/// # Errors
/// If any signature is invalid.
pub fn admit<T>(
    value: T,
    checks: &[Check<'_>],
    scheme: &dyn Scheme,
) -> Result<Verified<T>, BadSignature> {
    if scheme.verify_batch(checks) {
        Ok(Verified(value))
    } else {
        Err(BadSignature)
    }
}

/// Verifies many messages at once: one batch when all are good, else each message on its own so
/// that exactly the bad ones are refused. The verdicts are those of [`admit`] on each.
pub fn admit_all<'k, T>(
    items: Vec<(T, Vec<Check<'k>>)>,
    scheme: &dyn Scheme,
) -> Vec<Result<Verified<T>, BadSignature>> {
    let all: Vec<Check<'k>> = items.iter().flat_map(|(_, checks)| checks.iter().copied()).collect();
    if scheme.verify_batch(&all) {
        return items.into_iter().map(|(value, _)| Ok(Verified(value))).collect();
    }
    items
        .into_iter()
        .map(|(value, checks)| admit(value, &checks, scheme))
        .collect()
}
