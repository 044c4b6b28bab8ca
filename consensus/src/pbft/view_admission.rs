//! Stateless admission of VIEW-CHANGE and NEW-VIEW (docs/protocol.md R10.3, R10.6): structure,
//! bounds and every signature inside. What depends on the start of the epoch is left to the core.
//!
//! The reports of n − f replicas repeat each other's headers and votes, so each different
//! signature is verified once per message.

use std::collections::BTreeSet;

use crypto::{Check, Digest, Kind, Signature};

use super::admission::Message;
use super::certificate::Statement;
use super::message::{
    Header, NewView, SignedNewView, SignedViewChange, SlotRecord, ViewChange, VoteReport,
};
use crate::ids::{Epoch, SeqNo, View};
use crate::keyring::Keyring;
use crate::mutation::{Mutation, active};
use crate::protocol::Misbehaviour;

/// A VIEW-CHANGE with the bytes that its sender signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentViewChange {
    /// What it says.
    pub view_change: ViewChange,
    /// As it travels.
    pub signed: SignedViewChange,
}

/// A NEW-VIEW with the bytes that its primary signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentNewView {
    /// What it says.
    pub new_view: NewView,
    /// The reports inside, decoded, in the same order.
    pub view_changes: Vec<ViewChange>,
    /// As it travels.
    pub signed: SignedNewView,
}

impl SentViewChange {
    /// This replica's own report as it was stored; `None` if it is not readable.
    pub(super) fn stored(signed: SignedViewChange) -> Option<Self> {
        let view_change = crypto::decode(&signed.bytes).ok()?;
        Some(SentViewChange {
            view_change,
            signed,
        })
    }
}

impl SentNewView {
    /// A NEW-VIEW that was valid when it was stored; `None` if it is not readable.
    pub(super) fn stored(signed: SignedNewView) -> Option<Self> {
        let new_view: NewView = crypto::decode(&signed.bytes).ok()?;
        let view_changes = new_view
            .view_changes
            .iter()
            .map(|report| crypto::decode(&report.bytes).ok())
            .collect::<Option<Vec<_>>>()?;
        Some(SentNewView {
            new_view,
            view_changes,
            signed,
        })
    }
}

/// The signatures of one message, each once.
struct Once<'c, 'k> {
    checks: &'c mut Vec<Check<'k>>,
    seen: BTreeSet<([u8; 32], Digest, [u8; 64])>,
}

impl<'c, 'k> Once<'c, 'k> {
    fn new(checks: &'c mut Vec<Check<'k>>) -> Self {
        Once {
            checks,
            seen: BTreeSet::new(),
        }
    }

    fn push(&mut self, check: Check<'k>) {
        let Signature(signature) = check.signature;
        if self
            .seen
            .insert((*check.key.as_bytes(), check.digest, signature))
        {
            self.checks.push(check);
        }
    }

    fn extend(
        &mut self,
        add: impl FnOnce(&mut Vec<Check<'k>>) -> Result<(), Misbehaviour>,
    ) -> Result<(), Misbehaviour> {
        let mut checks = Vec::new();
        add(&mut checks)?;
        checks.into_iter().for_each(|check| self.push(check));
        Ok(())
    }
}

/// VIEW-CHANGE, from anybody: it is signed by its sender.
pub(super) fn view_change<'k>(
    keyring: &'k Keyring,
    signed: SignedViewChange,
    checks: &mut Vec<Check<'k>>,
) -> Result<Message, Misbehaviour> {
    let view_change = report(keyring, &signed, &mut Once::new(checks))?;
    Ok(Message::ViewChange(Box::new(SentViewChange {
        view_change,
        signed,
    })))
}

/// NEW-VIEW, from anybody: it is signed by primary(view), whose first check decides whether what is
/// wrong with the rest is the primary's fault.
pub(super) fn new_view<'k>(
    keyring: &'k Keyring,
    signed: SignedNewView,
    checks: &mut Vec<Check<'k>>,
) -> Result<Message, Misbehaviour> {
    let new_view: NewView = crypto::decode(&signed.bytes)
        .map_err(|error| Misbehaviour::Malformed(error.to_string()))?;
    let (epoch, view) = (new_view.epoch, new_view.view);
    let primary = keyring.cluster().primary(epoch, view);
    let by_primary = keyring
        .replica_check(
            Kind::NewView,
            epoch,
            primary,
            &signed.bytes,
            signed.signature,
        )
        .ok_or(Misbehaviour::Unknown)?;
    checks.push(by_primary);
    let signed_by_primary = checks.len();
    match parts(keyring, &new_view, checks) {
        Ok(view_changes) => Ok(Message::NewView(Box::new(SentNewView {
            new_view,
            view_changes,
            signed,
        }))),
        Err(error) => {
            checks.truncate(signed_by_primary);
            let why = error.to_string();
            Ok(Message::InvalidNewView { epoch, view, why })
        }
    }
}

fn parts<'k>(
    keyring: &'k Keyring,
    new_view: &NewView,
    checks: &mut Vec<Check<'k>>,
) -> Result<Vec<ViewChange>, Misbehaviour> {
    let malformed = |why: &str| Err(Misbehaviour::Malformed(why.to_owned()));
    let quorums = keyring.cluster().quorums();
    if new_view.view_changes.len() != quorums.view_change() {
        return Err(Misbehaviour::NoQuorum);
    }
    let mut once = Once::new(checks);
    let mut accused = BTreeSet::new();
    for proof in &new_view.excluded {
        // Who had to be renewed since then promised nothing in this epoch yet (R16).
        if proof.epoch() != new_view.epoch {
            return malformed("a proof of another epoch");
        }
        if !accused.insert(proof.culprit(keyring)) {
            return malformed("two proofs against one replica");
        }
        once.extend(|checks| proof.checks(keyring, checks))?;
    }
    let mut senders = BTreeSet::new();
    let mut view_changes = Vec::with_capacity(new_view.view_changes.len());
    for signed in &new_view.view_changes {
        let view_change = report(keyring, signed, &mut once)?;
        if view_change.epoch != new_view.epoch || view_change.new_view != new_view.view {
            return malformed("a view-change for another view");
        }
        if accused.contains(&view_change.replica) {
            return malformed("a view-change of an excluded replica");
        }
        if !senders.insert(view_change.replica) {
            return malformed("two view-changes of one replica");
        }
        view_changes.push(view_change);
    }
    if !new_view
        .headers
        .is_sorted_by(|a, b| a.statement.seq < b.statement.seq)
    {
        return malformed("headers out of order");
    }
    for header in &new_view.headers {
        if header.epoch != new_view.epoch || header.statement.view != new_view.view {
            return malformed("a header for another view");
        }
        once.push(header.check(keyring)?);
    }
    Ok(view_changes)
}

/// VC validity (R10.3), but for the start of the epoch, which `fits` checks.
fn report<'k>(
    keyring: &'k Keyring,
    signed: &SignedViewChange,
    checks: &mut Once<'_, 'k>,
) -> Result<ViewChange, Misbehaviour> {
    let malformed = |why: &str| Err(Misbehaviour::Malformed(why.to_owned()));
    let report: ViewChange = crypto::decode(&signed.bytes)
        .map_err(|error| Misbehaviour::Malformed(error.to_string()))?;
    let (epoch, replica) = (report.epoch, report.replica);
    checks.push(
        keyring
            .replica_check(
                Kind::ViewChange,
                epoch,
                replica,
                &signed.bytes,
                signed.signature,
            )
            .ok_or(Misbehaviour::Unknown)?,
    );
    if report.new_view == View(0) {
        return malformed("view 0 has no view-change");
    }
    if let Some(stable) = &report.stable {
        if stable.epoch != epoch {
            return Err(Misbehaviour::WrongEpoch);
        }
        if !active(Mutation::TrustCheckpointClaim) {
            checks.extend(|checks| stable.checks(keyring, checks))?;
        }
    }
    if !report.records.is_sorted_by(|a, b| a.seq < b.seq) {
        return malformed("slot records out of order");
    }
    let window = keyring.cluster().limits().log_window;
    let low = report.stable.as_ref().map(|stable| stable.seq);
    // Wherever the epoch began: L records at most are worth their signatures.
    let wide = !spans(&report, window);
    if wide || low.is_some_and(|low| !fits(&report, low, window)) {
        return malformed("a slot record outside the window");
    }
    for record in &report.records {
        slot_record(keyring, epoch, report.new_view, record, checks)?;
    }
    Ok(report)
}

fn slot_record<'k>(
    keyring: &'k Keyring,
    epoch: Epoch,
    new_view: View,
    record: &SlotRecord,
    checks: &mut Once<'_, 'k>,
) -> Result<(), Misbehaviour> {
    if record.vote.is_none() && record.prepared.is_none() {
        return Err(Misbehaviour::Malformed("an empty slot record".to_owned()));
    }
    if let Some(vote) = &record.vote {
        if vote.view >= new_view {
            return Err(Misbehaviour::Malformed(
                "a vote of no older view".to_owned(),
            ));
        }
        if !active(Mutation::UnsignedVoteReport) {
            checks.push(vote.header(epoch, record.seq).check(keyring)?);
        }
    }
    if let Some(prepared) = &record.prepared {
        let statement = prepared.statement;
        if prepared.epoch != epoch || statement.seq != record.seq || statement.view >= new_view {
            return Err(Misbehaviour::Malformed(
                "a prepared certificate of another slot or no older view".to_owned(),
            ));
        }
        checks.extend(|checks| prepared.prepared_checks(keyring, checks))?;
    }
    Ok(())
}

impl VoteReport {
    /// The primary's header that was voted for.
    pub(super) fn header(&self, epoch: Epoch, seq: SeqNo) -> Header {
        Header {
            epoch,
            statement: Statement {
                view: self.view,
                seq,
                digest: self.digest,
            },
            signature: self.header_signature,
        }
    }
}

/// Do the records lie within L slots? They are ascending.
fn spans(report: &ViewChange, window: u64) -> bool {
    match (report.records.first(), report.records.last()) {
        (Some(first), Some(last)) => last.seq.0 - first.seq.0 < window,
        _ => true,
    }
}

/// Are all records in `(low, low + L]`? They are ascending.
pub(super) fn fits(report: &ViewChange, low: SeqNo, window: u64) -> bool {
    let first = report
        .records
        .first()
        .map_or(low.next(), |record| record.seq);
    let last = report.records.last().map_or(low, |record| record.seq);
    first > low && last <= low.plus(window)
}
