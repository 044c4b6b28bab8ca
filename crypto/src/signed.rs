//! A check leaves a type behind: handlers see `Verified<M>`, never unverified bytes.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::ops::Deref;

use crate::{Check, Scheme};

/// A value whose signatures have been verified, or which this process made itself. It can only
/// be made here.
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

/// Verifies one message by its checks. Without checks it is admitted as it is: such a message
/// carries no signature and rests on the channel it came by (docs/protocol.md R3, R4).
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
    let all: Vec<Check<'k>> = items
        .iter()
        .flat_map(|(_, checks)| checks.iter().copied())
        .collect();
    if scheme.verify_batch(&all) {
        return items
            .into_iter()
            .map(|(value, _)| Ok(Verified(value)))
            .collect();
    }
    items
        .into_iter()
        .map(|(value, checks)| admit(value, &checks, scheme))
        .collect()
}

/// Like [`admit_all`] for messages whose parts have different authors: `settle` is told which of
/// a message's own checks hold, in the order in which they were made, and decides what is left
/// of the message, so that one author's bad signature is not held against another.
pub fn settle_all<'k, T, E>(
    items: Vec<(T, Vec<Check<'k>>)>,
    scheme: &dyn Scheme,
    settle: impl Fn(T, &[bool]) -> Result<T, E>,
) -> Vec<Result<Verified<T>, E>> {
    let all: Vec<Check<'k>> = items
        .iter()
        .flat_map(|(_, checks)| checks.iter().copied())
        .collect();
    let all_good = scheme.verify_batch(&all);
    let alone = items.len() == 1;
    items
        .into_iter()
        .map(|(value, checks)| {
            // Nothing is verified again whose verdict is known: a bad signature costs its sender's
            // share and no more.
            let verdicts = match checks.as_slice() {
                _ if all_good => vec![true; checks.len()],
                [_] if alone => vec![false],
                [one] => vec![scheme.verify(one)],
                several if !alone && scheme.verify_batch(several) => vec![true; several.len()],
                several => several.iter().map(|check| scheme.verify(check)).collect(),
            };
            settle(value, &verdicts).map(Verified)
        })
        .collect()
}
