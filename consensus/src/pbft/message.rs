//! The messages of PBFT between replicas (docs/protocol.md R4), as they travel.
//!
//! Everything signed carries its epoch. `Wire` is trusted in no way; `admission` turns it into a
//! [`super::admission::Message`].

use bincode::{Decode, Encode};
use crypto::codec::Blob;
use crypto::{Check, Digest, Kind, Signature};

use super::certificate::{Certificate, StableCertificate, Statement};
use crate::ids::{Epoch, ReplicaId, SeqNo, View};
use crate::keyring::Keyring;
use crate::protocol::Misbehaviour;
use crate::raw_batch::RawBatch;
use crate::transfer::message::StateMessage;

/// PRE-PREPARE header (PP): the primary's proposal of a digest for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// The configuration.
    pub epoch: Epoch,
    /// What is proposed.
    pub statement: Statement,
    /// By primary(view).
    pub signature: Signature,
}

/// PREPARE: a replica's vote for a proposal; the primary votes as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Prepare {
    /// The configuration.
    pub epoch: Epoch,
    /// What is voted for.
    pub statement: Statement,
    /// The voter.
    pub replica: ReplicaId,
    /// By the voter.
    pub signature: Signature,
    /// Attachment, not covered by the signature: the primary's signature of the header.
    pub header_signature: Signature,
}

/// COMMIT: a replica holds a prepared certificate for the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Commit {
    /// The configuration.
    pub epoch: Epoch,
    /// What is prepared.
    pub statement: Statement,
    /// The voter.
    pub replica: ReplicaId,
    /// By the voter.
    pub signature: Signature,
}

/// CHECKPOINT: a replica's state after `seq` has this digest and is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Checkpoint {
    /// The configuration.
    pub epoch: Epoch,
    /// A multiple of K.
    pub seq: SeqNo,
    /// `state_digest`.
    pub digest: Digest,
    /// Who says so.
    pub replica: ReplicaId,
    /// By that replica.
    pub signature: Signature,
}

/// Where a replica stands between views (R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Mode {
    /// The view is open: the replica votes.
    Normal,
    /// The replica has left the last view and waits for the NEW-VIEW of this one.
    ViewChange,
}

/// STATUS: heartbeat and driver of retransmission. Authenticated by the channel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Status {
    /// The configuration.
    pub epoch: Epoch,
    /// The sender's view.
    pub view: View,
    /// Its mode.
    pub mode: Mode,
    /// Its low watermark h.
    pub stable: SeqNo,
    /// Executed without gaps up to here.
    pub last_executed: SeqNo,
    /// Bit i (least significant first) is set if slot h + 1 + i is undecided; L bits.
    pub undecided: Blob,
}

/// DECISION: a slot's content with the certificate that decides it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Decision {
    /// q_F PREPAREs or q COMMITs.
    pub certificate: Certificate,
    /// The batch; `None` for the null batch.
    pub batch: Option<RawBatch>,
}

/// What one replica reports of one slot in its VIEW-CHANGE.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SlotRecord {
    /// The slot.
    pub seq: SeqNo,
    /// The replica's latest PREPARE vote with the primary's signature of the header.
    pub vote: Option<VoteReport>,
    /// Its highest prepared certificate.
    pub prepared: Option<Certificate>,
}

/// The latest vote of a replica for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VoteReport {
    /// View of the vote.
    pub view: View,
    /// What was voted for.
    pub digest: Digest,
    /// primary(view)'s signature of the header.
    pub header_signature: Signature,
}

/// VIEW-CHANGE (VC): a replica leaves for `new_view` and reports what it promised.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ViewChange {
    /// The configuration.
    pub epoch: Epoch,
    /// The view it goes to.
    pub new_view: View,
    /// The reporter.
    pub replica: ReplicaId,
    /// Its stable checkpoint; `None`: the start of the epoch.
    pub stable: Option<StableCertificate>,
    /// Slots with a vote or prepared certificate above the checkpoint, ascending.
    pub records: Vec<SlotRecord>,
}

/// A VIEW-CHANGE with its signature over the exact bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedViewChange {
    /// `encode(ViewChange)`.
    pub bytes: Blob,
    /// By the reporter.
    pub signature: Signature,
}

/// NEW-VIEW (NV): the primary of `view` opens it; everybody re-computes what it contains.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewView {
    /// The configuration.
    pub epoch: Epoch,
    /// The view.
    pub view: View,
    /// Exactly n − f VIEW-CHANGEs.
    pub view_changes: Vec<SignedViewChange>,
    /// Proofs against the replicas that are excluded.
    pub excluded: Vec<MisbehaviourProof>,
    /// One header for each slot of O.
    pub headers: Vec<Header>,
}

/// A NEW-VIEW with its signature over the exact bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedNewView {
    /// `encode(NewView)`.
    pub bytes: Blob,
    /// By primary(view).
    pub signature: Signature,
}

/// Two contradicting signed messages of one replica (R18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum MisbehaviourProof {
    /// Two headers for one view and slot.
    DoublePrePrepare(Header, Header),
    /// Two votes for one view and slot.
    DoublePrepare(Prepare, Prepare),
}

/// Everything that replicas send to each other.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Wire {
    /// A proposal; the body may be omitted and fetched.
    PrePrepare(Header, Option<RawBatch>),
    /// A vote.
    Prepare(Prepare),
    /// A second-phase vote.
    Commit(Commit),
    /// A claim about the state.
    Checkpoint(Checkpoint),
    /// A stable checkpoint's certificate.
    Stable(StableCertificate),
    /// Heartbeat.
    Status(Status),
    /// A decided slot.
    Decision(Decision),
    /// Asks for a batch by slot and digest.
    FetchBatch(SeqNo, Digest),
    /// A batch that was asked for.
    Batch(RawBatch),
    /// Asks for decisions of a range, both ends included.
    FetchDecisions(SeqNo, SeqNo),
    /// Clients' requests on their way to the primary.
    Forward(Vec<Blob>),
    /// A proof of equivocation.
    Evidence(MisbehaviourProof),
    /// A report on leaving a view.
    ViewChange(SignedViewChange),
    /// The opening of a view.
    NewView(SignedNewView),
    /// Between two replicas one of which fetches the state from the other.
    State(StateMessage),
}

impl Wire {
    /// The kind's name, as metrics and charts show it.
    pub fn name(&self) -> &'static str {
        match self {
            Wire::PrePrepare(..) => "pre-prepare",
            Wire::Prepare(_) => "prepare",
            Wire::Commit(_) => "commit",
            Wire::Checkpoint(_) => "checkpoint",
            Wire::Stable(_) => "stable",
            Wire::Status(_) => "status",
            Wire::Decision(_) => "decision",
            Wire::FetchBatch(..) => "fetch-batch",
            Wire::Batch(_) => "batch",
            Wire::FetchDecisions(..) => "fetch-decisions",
            Wire::Forward(_) => "forward",
            Wire::Evidence(_) => "evidence",
            Wire::ViewChange(_) => "view-change",
            Wire::NewView(_) => "new-view",
            Wire::State(_) => "state",
        }
    }
}

fn check_of<'k>(
    keyring: &'k Keyring,
    epoch: Epoch,
    kind: Kind,
    replica: ReplicaId,
    body: &[u8],
    signature: Signature,
) -> Result<Check<'k>, Misbehaviour> {
    keyring
        .replica_check(kind, epoch, replica, body, signature)
        .ok_or(Misbehaviour::Unknown)
}

impl Header {
    /// The check of primary(view)'s signature.
    ///
    /// # Errors
    /// If the primary is no member.
    pub fn check<'k>(&self, keyring: &'k Keyring) -> Result<Check<'k>, Misbehaviour> {
        let primary = keyring.cluster().primary(self.epoch, self.statement.view);
        let body = self.statement.body();
        check_of(
            keyring,
            self.epoch,
            Kind::PrePrepare,
            primary,
            &body,
            self.signature,
        )
    }
}

impl Prepare {
    /// The check of the voter's signature (the attachment is checked on demand).
    ///
    /// # Errors
    /// If the voter is no member.
    pub fn check<'k>(&self, keyring: &'k Keyring) -> Result<Check<'k>, Misbehaviour> {
        let body = self.statement.body();
        check_of(
            keyring,
            self.epoch,
            Kind::Prepare,
            self.replica,
            &body,
            self.signature,
        )
    }

    /// The proposal's header that the vote carries along.
    pub fn header(&self) -> Header {
        Header {
            epoch: self.epoch,
            statement: self.statement,
            signature: self.header_signature,
        }
    }
}

impl Commit {
    /// The check of the voter's signature.
    ///
    /// # Errors
    /// If the voter is no member.
    pub fn check<'k>(&self, keyring: &'k Keyring) -> Result<Check<'k>, Misbehaviour> {
        let body = self.statement.body();
        check_of(
            keyring,
            self.epoch,
            Kind::Commit,
            self.replica,
            &body,
            self.signature,
        )
    }
}

impl Checkpoint {
    /// The check of the signature.
    ///
    /// # Errors
    /// If the sender is no member.
    pub fn check<'k>(&self, keyring: &'k Keyring) -> Result<Check<'k>, Misbehaviour> {
        let body = StableCertificate::body(self.seq, &self.digest);
        check_of(
            keyring,
            self.epoch,
            Kind::Checkpoint,
            self.replica,
            &body,
            self.signature,
        )
    }
}

impl MisbehaviourProof {
    /// The replica that signed both.
    pub fn culprit(&self, keyring: &Keyring) -> ReplicaId {
        match self {
            MisbehaviourProof::DoublePrePrepare(a, _) => {
                keyring.cluster().primary(a.epoch, a.statement.view)
            }
            MisbehaviourProof::DoublePrepare(a, _) => a.replica,
        }
    }

    /// The configuration in which it was signed.
    pub fn epoch(&self) -> Epoch {
        match self {
            MisbehaviourProof::DoublePrePrepare(a, _) => a.epoch,
            MisbehaviourProof::DoublePrepare(a, _) => a.epoch,
        }
    }

    /// Where they contradict each other.
    pub fn seq(&self) -> SeqNo {
        match self {
            MisbehaviourProof::DoublePrePrepare(a, _) => a.statement.seq,
            MisbehaviourProof::DoublePrepare(a, _) => a.statement.seq,
        }
    }

    /// Appends the checks that make this a proof.
    ///
    /// # Errors
    /// If the two messages do not contradict each other or are not one replica's.
    pub fn checks<'k>(
        &self,
        keyring: &'k Keyring,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<(), Misbehaviour> {
        let (a, b, same_signer, same_epoch) = match self {
            MisbehaviourProof::DoublePrePrepare(a, b) => {
                checks.push(a.check(keyring)?);
                checks.push(b.check(keyring)?);
                (a.statement, b.statement, true, a.epoch == b.epoch)
            }
            MisbehaviourProof::DoublePrepare(a, b) => {
                checks.push(a.check(keyring)?);
                checks.push(b.check(keyring)?);
                let same_signer = a.replica == b.replica;
                (a.statement, b.statement, same_signer, a.epoch == b.epoch)
            }
        };
        let contradict = a.view == b.view && a.seq == b.seq && a.digest != b.digest;
        if contradict && same_signer && same_epoch {
            Ok(())
        } else {
            Err(Misbehaviour::Unexpected(
                "two messages that do not contradict each other",
            ))
        }
    }
}
