//! Stateless admission: structure, bounds and the list of signatures to verify, so that worker
//! threads can do it for many messages at once (ARCHITECTURE.md 3).

use std::sync::Arc;

use crypto::{Check, Digest};

use super::certificate::{Certificate, StableCertificate};
use super::message::{
    Checkpoint, Commit, Decision, Header, MisbehaviourProof, Prepare, Status, Wire,
};
use super::view_admission::{self, SentNewView, SentViewChange};
use crate::batch::{Batch, null_digest};
use crate::ids::{Epoch, ReplicaId, SeqNo, View};
use crate::keyring::Keyring;
use crate::protocol::Misbehaviour;
use crate::raw_batch::RawBatch;
use crate::request::Request;
use crate::transfer::message::StateMessage;

/// Most requests in one FORWARD.
pub const FORWARD_MAX: usize = 1024;
/// Most decisions asked for at a time (R13).
pub const DECISIONS_MAX: u64 = 16;

/// A message that is well-formed; inside `Verified` its signatures hold too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A proposal; with the batch, its digest was recomputed and every client signature holds.
    PrePrepare(Header, Option<Arc<Batch>>),
    /// A header that primary(view) signed over a body that nobody may vote for (R7.2 step 6).
    InvalidProposal(Header, String),
    /// A vote.
    Prepare(Prepare),
    /// A second-phase vote.
    Commit(Commit),
    /// A claim about the state.
    Checkpoint(Checkpoint),
    /// A stable checkpoint.
    Stable(StableCertificate),
    /// Heartbeat.
    Status(Status),
    /// A decided slot with its body (`None`: the null batch).
    Decision(Certificate, Option<Arc<Batch>>),
    /// Asks for a batch.
    FetchBatch(SeqNo, Digest),
    /// A batch; every client signature holds.
    Batch(Arc<Batch>),
    /// Asks for decisions.
    FetchDecisions(SeqNo, SeqNo),
    /// Requests of clients; those with bad signatures are left out.
    Forward(Vec<Request>),
    /// A proof of equivocation.
    Evidence(MisbehaviourProof),
    /// A report on leaving a view; every signature in it holds.
    ViewChange(Box<SentViewChange>),
    /// The opening of a view; every signature in it holds.
    NewView(Box<SentNewView>),
    /// Something that primary(view) signed as a NEW-VIEW and that is none (R10.6).
    InvalidNewView {
        /// The configuration.
        epoch: Epoch,
        /// The view that it would open.
        view: View,
        /// What is wrong.
        why: String,
    },
    /// State transfer, within bounds; its contents are proven by digests, not by signatures.
    State(StateMessage),
}

impl Message {
    /// The epoch that the message belongs to; `None` if it belongs to none.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        match self {
            Message::PrePrepare(header, _) | Message::InvalidProposal(header, _) => {
                Some(header.epoch)
            }
            Message::Prepare(vote) => Some(vote.epoch),
            Message::Commit(vote) => Some(vote.epoch),
            Message::Checkpoint(claim) => Some(claim.epoch),
            Message::Stable(certificate) => Some(certificate.epoch),
            Message::Status(status) => Some(status.epoch),
            Message::Decision(certificate, _) => Some(certificate.epoch),
            Message::ViewChange(sent) => Some(sent.view_change.epoch),
            Message::NewView(sent) => Some(sent.new_view.epoch),
            Message::InvalidNewView { epoch, .. } => Some(*epoch),
            // A proof stays a proof.
            Message::Evidence(_)
            | Message::FetchBatch(..)
            | Message::Batch(_)
            | Message::FetchDecisions(..)
            | Message::Forward(_)
            | Message::State(_) => None,
        }
    }
}

/// See [`crate::Protocol::examine`].
pub(super) fn examine<'k>(
    keyring: &'k Keyring,
    from: ReplicaId,
    wire: Wire,
    checks: &mut Vec<Check<'k>>,
) -> Result<Message, Misbehaviour> {
    if keyring.cluster().replica_key(from).is_none() {
        return Err(Misbehaviour::Unknown);
    }
    let own = |replica: ReplicaId| {
        if replica == from {
            Ok(())
        } else {
            Err(Misbehaviour::Impersonation)
        }
    };
    match wire {
        Wire::PrePrepare(header, body) => pre_prepare(keyring, from, header, body, checks),
        Wire::Prepare(vote) => {
            own(vote.replica)?;
            checks.push(vote.check(keyring)?);
            Ok(Message::Prepare(vote))
        }
        Wire::Commit(vote) => {
            own(vote.replica)?;
            checks.push(vote.check(keyring)?);
            Ok(Message::Commit(vote))
        }
        Wire::Checkpoint(claim) => {
            own(claim.replica)?;
            checks.push(claim.check(keyring)?);
            Ok(Message::Checkpoint(claim))
        }
        Wire::Stable(certificate) => {
            certificate.checks(keyring, checks)?;
            Ok(Message::Stable(certificate))
        }
        Wire::Status(status) => {
            if status.undecided.len() > bitmap_len(keyring.cluster().limits().log_window) {
                return Err(Misbehaviour::Malformed("status bitmap too long".to_owned()));
            }
            Ok(Message::Status(status))
        }
        Wire::Decision(decision) => self::decision(keyring, decision, checks),
        Wire::FetchBatch(seq, digest) => Ok(Message::FetchBatch(seq, digest)),
        Wire::Batch(raw) => {
            let batch = parse(keyring, raw)?;
            batch
                .checks(keyring, checks)
                .map_err(|error| Misbehaviour::Malformed(error.to_string()))?;
            Ok(Message::Batch(Arc::new(batch)))
        }
        Wire::FetchDecisions(first, last) => {
            if last < first || last.0 - first.0 >= DECISIONS_MAX {
                return Err(Misbehaviour::Malformed(
                    "range of decisions too long".to_owned(),
                ));
            }
            Ok(Message::FetchDecisions(first, last))
        }
        Wire::Forward(raw) => forward(keyring, raw, checks),
        Wire::Evidence(proof) => {
            proof.checks(keyring, checks)?;
            Ok(Message::Evidence(proof))
        }
        Wire::ViewChange(signed) => view_admission::view_change(keyring, signed, checks),
        Wire::NewView(signed) => view_admission::new_view(keyring, signed, checks),
        Wire::State(message) => {
            message.check(keyring.cluster())?;
            Ok(Message::State(message))
        }
    }
}

/// See [`crate::Protocol::settle`].
pub(super) fn settle(message: Message, verdicts: &[bool]) -> Result<Message, Misbehaviour> {
    if verdicts.iter().all(|good| *good) {
        return Ok(message);
    }
    match message {
        // The header covers the requests with their signatures: whoever signed it chose them.
        Message::PrePrepare(header, Some(_)) if verdicts.first() == Some(&true) => Ok(
            Message::InvalidProposal(header, "a client's signature is invalid".to_owned()),
        ),
        Message::Forward(requests) => Ok(Message::Forward(
            requests
                .into_iter()
                .zip(verdicts)
                .filter_map(|(request, good)| good.then_some(request))
                .collect(),
        )),
        // The primary answers for everything that it put into its NEW-VIEW.
        Message::NewView(sent) if verdicts.first() == Some(&true) => Ok(Message::InvalidNewView {
            epoch: sent.new_view.epoch,
            view: sent.new_view.view,
            why: "a signature inside is invalid".to_owned(),
        }),
        _ => Err(Misbehaviour::BadSignature),
    }
}

/// Bytes of a STATUS bitmap for a window of this many slots.
pub(super) fn bitmap_len(window: u64) -> usize {
    usize::try_from(window.div_ceil(8)).unwrap_or(usize::MAX)
}

fn parse(keyring: &Keyring, raw: RawBatch) -> Result<Batch, Misbehaviour> {
    Batch::parse(raw, keyring.cluster().limits())
        .map_err(|error| Misbehaviour::Malformed(error.to_string()))
}

fn pre_prepare<'k>(
    keyring: &'k Keyring,
    from: ReplicaId,
    header: Header,
    body: Option<RawBatch>,
    checks: &mut Vec<Check<'k>>,
) -> Result<Message, Misbehaviour> {
    checks.push(header.check(keyring)?);
    let Some(raw) = body else {
        return Ok(Message::PrePrepare(header, None));
    };
    // A relay may have attached any body; on the primary's own channel the body is the primary's.
    let by_author = from
        == keyring
            .cluster()
            .primary(header.epoch, header.statement.view);
    let invalid = |why: String| {
        if by_author {
            Ok(Message::InvalidProposal(header, why))
        } else {
            Err(Misbehaviour::Malformed(why))
        }
    };
    let batch = match Batch::parse(raw, keyring.cluster().limits()) {
        Ok(batch) => batch,
        Err(error) => return invalid(error.to_string()),
    };
    if batch.digest() != header.statement.digest {
        return invalid("the body has another digest than the header".to_owned());
    }
    let signed = checks.len();
    if let Err(error) = batch.checks(keyring, checks) {
        checks.truncate(signed);
        return Ok(Message::InvalidProposal(header, error.to_string()));
    }
    Ok(Message::PrePrepare(header, Some(Arc::new(batch))))
}

fn decision<'k>(
    keyring: &'k Keyring,
    decision: Decision,
    checks: &mut Vec<Check<'k>>,
) -> Result<Message, Misbehaviour> {
    let digest = decision.certificate.statement.digest;
    // The certificate answers for the clients' signatures: correct replicas among its signers
    // have checked them.
    let batch = decision.batch.map(|raw| parse(keyring, raw)).transpose()?;
    let matches = match &batch {
        Some(batch) => batch.digest() == digest,
        None => digest == null_digest(),
    };
    if !matches {
        return Err(Misbehaviour::Malformed(
            "the body is not what was decided".to_owned(),
        ));
    }
    decision.certificate.decision_checks(keyring, checks)?;
    Ok(Message::Decision(decision.certificate, batch.map(Arc::new)))
}

fn forward<'k>(
    keyring: &'k Keyring,
    raw: Vec<crypto::codec::Blob>,
    checks: &mut Vec<Check<'k>>,
) -> Result<Message, Misbehaviour> {
    if raw.len() > FORWARD_MAX {
        return Err(Misbehaviour::Malformed(
            "too many forwarded requests".to_owned(),
        ));
    }
    let mut requests = Vec::with_capacity(raw.len());
    for raw in raw {
        let request = Request::parse(raw.0, keyring.cluster().limits())
            .map_err(|error| Misbehaviour::Malformed(error.to_string()))?;
        checks.push(request.check(keyring).ok_or(Misbehaviour::Unknown)?);
        requests.push(request);
    }
    Ok(Message::Forward(requests))
}
