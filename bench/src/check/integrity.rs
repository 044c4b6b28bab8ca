//! Integrity: whatever took effect was signed by a client of the configuration.
//!
//! Replicas verify every request before they vote. Here the signatures of what was executed are verified once more, from
//! the bytes in the executed log: all of them offline, a seeded sample after a run, which costs a fraction of a second.

use bytes::Bytes;
use consensus::{Keyring, Request};
use crypto::{Check, Verified};

use super::{CheckResult, Reexecution};
use crate::workload::spread;

/// Requests whose signatures are verified after a run.
const SAMPLE_MAX: usize = 4096;
/// Signatures verified as one batch.
const BATCH: usize = 256;
/// Forged requests spelled out in the detail; the rest is only counted.
const SHOWN_MAX: usize = 3;

/// How many signatures are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Every one.
    All,
    /// As many as cost next to nothing; the seed says which.
    Sample(u64),
}

/// Verifies the signatures of what was executed.
#[must_use]
pub fn check_integrity(
    reexecution: &Reexecution,
    keyring: &Keyring,
    signatures: Signatures,
) -> CheckResult {
    let all = &reexecution.raw;
    let chosen = choose(all, signatures);
    let forged: Vec<String> = chosen
        .chunks(BATCH)
        .flat_map(|batch| forged(batch, keyring))
        .collect();
    let (checked, count) = (chosen.len(), forged.len());
    let result = if count > 0 {
        let more = count.saturating_sub(SHOWN_MAX);
        let mut detail = forged[..count.min(SHOWN_MAX)].join("; ");
        if more > 0 {
            detail.push_str(&format!("; and {more} more"));
        }
        CheckResult::fail(detail)
    } else if checked == 0 {
        CheckResult::skipped(match &reexecution.ends {
            Some(why) => format!("no executed request is at hand: {why}"),
            None => "no request was executed".to_owned(),
        })
    } else {
        CheckResult::pass(format!(
            "{checked} of {} executed requests carry the valid signature of a known client",
            all.len()
        ))
    };
    result
        .with("requests", all.len())
        .with("signatures", checked)
        .with("forged", count)
}

/// One out of so many that the sample is not exceeded, from a place that the seed gives.
fn choose(all: &[Bytes], signatures: Signatures) -> Vec<&Bytes> {
    let (step, first) = match signatures {
        Signatures::All => (1, 0),
        Signatures::Sample(seed) => {
            let step = all.len().div_ceil(SAMPLE_MAX).max(1);
            (step, spread(seed) as usize % step)
        }
    };
    all.iter().skip(first).step_by(step).collect()
}

/// A sentence for each request whose signature does not hold.
fn forged(batch: &[&Bytes], keyring: &Keyring) -> Vec<String> {
    let limits = keyring.cluster().limits();
    let mut sentences = Vec::new();
    let mut items: Vec<(Request, Vec<Check<'_>>)> = Vec::new();
    for raw in batch {
        let Ok(request) = Request::parse((*raw).clone(), limits) else {
            sentences.push("something was executed that is no request".to_owned());
            continue;
        };
        match request.check(keyring) {
            Some(check) => items.push((request, vec![check])),
            None => sentences.push(format!("client {} is unknown", request.id.client.0)),
        }
    }
    let settled = crypto::settle_all(items, keyring.scheme(), |request, verdicts| match verdicts
        .iter()
        .all(|good| *good)
    {
        true => Ok(request),
        false => Err(format!(
            "request {} of client {} was executed with a signature that is not that client's",
            request.id.number, request.id.client.0
        )),
    });
    let bad = |verdict: Result<Verified<Request>, String>| verdict.err();
    sentences.extend(settled.into_iter().filter_map(bad));
    sentences
}
