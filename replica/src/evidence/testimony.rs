//! What a verified message says that somebody signed: the message's own signature, and those it carries along.

use consensus::pbft::Pbft;
use consensus::pbft::admission::Message;
use consensus::pbft::certificate::{Certificate, Phase, StableCertificate, Statement};
use consensus::pbft::message::{
    Header, MisbehaviourProof, NewView, Prepare, SignedNewView, SignedViewChange, ViewChange,
};
use consensus::{Cluster, Epoch, Protocol, ReplicaId, SeqNo, View};
use crypto::codec::Blob;
use crypto::{Digest, Kind, Signature};

/// One signed content in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testimony {
    /// Kind of the signature.
    pub kind: Kind,
    /// Who signed.
    pub signer: ReplicaId,
    /// The epoch.
    pub epoch: Epoch,
    /// The view; 0 where there is none.
    pub view: View,
    /// The sequence number.
    pub seq: SeqNo,
    /// What was signed for it: the digest itself, or that of `body`.
    pub digest: Digest,
    /// The bytes that were signed, where a digest does not say what they were.
    pub body: Option<Blob>,
    /// A valid signature.
    pub signature: Signature,
}

/// Digest of the bytes of a VIEW-CHANGE or NEW-VIEW, by which two of them are told apart.
pub(super) fn opening_digest(bytes: &[u8]) -> Digest {
    Digest::of("opening", bytes)
}

/// Protocols whose messages can be held against their senders.
pub trait Testify: Protocol {
    /// Gives every signed content of a message whose signatures hold.
    fn testimonies(cluster: &Cluster, message: &Self::Message, say: &mut dyn FnMut(Testimony));
}

impl Testify for Pbft {
    fn testimonies(cluster: &Cluster, message: &Message, say: &mut dyn FnMut(Testimony)) {
        match message {
            Message::PrePrepare(header, _) | Message::InvalidProposal(header, _) => {
                say(proposal(cluster, header));
            }
            Message::Prepare(vote) => say(prepare(vote)),
            Message::Commit(vote) => say(of(
                Kind::Commit,
                vote.epoch,
                vote.replica,
                vote.statement,
                vote.signature,
            )),
            Message::Checkpoint(claim) => say(Testimony {
                kind: Kind::Checkpoint,
                signer: claim.replica,
                epoch: claim.epoch,
                view: View(0),
                seq: claim.seq,
                digest: claim.digest,
                body: None,
                signature: claim.signature,
            }),
            Message::Stable(certificate) => stable(certificate, say),
            Message::Decision(certificate, _) => votes(certificate, say),
            Message::Evidence(MisbehaviourProof::DoublePrePrepare(a, b)) => {
                say(proposal(cluster, a));
                say(proposal(cluster, b));
            }
            Message::Evidence(MisbehaviourProof::DoublePrepare(a, b)) => {
                say(prepare(a));
                say(prepare(b));
            }
            Message::ViewChange(sent) => {
                let SignedViewChange { bytes, signature } = &sent.signed;
                reported(&sent.view_change, bytes, *signature, say);
            }
            Message::NewView(sent) => {
                let NewView {
                    epoch,
                    view,
                    view_changes: signed,
                    ..
                } = &sent.new_view;
                for (view_change, signed) in sent.view_changes.iter().zip(signed) {
                    reported(view_change, &signed.bytes, signed.signature, say);
                }
                let signer = cluster.primary(*epoch, *view);
                let SignedNewView { bytes, signature } = &sent.signed;
                let place = (*epoch, *view);
                say(opening(Kind::NewView, signer, place, bytes, *signature));
                for header in &sent.new_view.headers {
                    say(proposal(cluster, header));
                }
            }
            Message::Status(_)
            | Message::FetchBatch(..)
            | Message::Batch(_)
            | Message::FetchDecisions(..)
            | Message::Forward(_)
            | Message::InvalidNewView { .. }
            | Message::State(_) => {}
        }
    }
}

fn of(
    kind: Kind,
    epoch: Epoch,
    signer: ReplicaId,
    statement: Statement,
    signature: Signature,
) -> Testimony {
    let Statement { view, seq, digest } = statement;
    Testimony {
        kind,
        signer,
        epoch,
        view,
        seq,
        digest,
        body: None,
        signature,
    }
}

/// The report on leaving a view, or the opening of one: as a whole, in no slot.
fn opening(
    kind: Kind,
    signer: ReplicaId,
    (epoch, view): (Epoch, View),
    bytes: &Blob,
    signature: Signature,
) -> Testimony {
    Testimony {
        kind,
        signer,
        epoch,
        view,
        seq: SeqNo(0),
        digest: opening_digest(&bytes.0),
        body: Some(bytes.clone()),
        signature,
    }
}

fn proposal(cluster: &Cluster, header: &Header) -> Testimony {
    let primary = cluster.primary(header.epoch, header.statement.view);
    of(
        Kind::PrePrepare,
        header.epoch,
        primary,
        header.statement,
        header.signature,
    )
}

fn prepare(vote: &Prepare) -> Testimony {
    of(
        Kind::Prepare,
        vote.epoch,
        vote.replica,
        vote.statement,
        vote.signature,
    )
}

/// The votes that a certificate is made of.
fn votes(certificate: &Certificate, say: &mut dyn FnMut(Testimony)) {
    let kind = match certificate.phase {
        Phase::Prepare => Kind::Prepare,
        Phase::Commit => Kind::Commit,
    };
    for (replica, signature) in &certificate.signers.0 {
        say(of(
            kind,
            certificate.epoch,
            *replica,
            certificate.statement,
            *signature,
        ));
    }
}

fn stable(certificate: &StableCertificate, say: &mut dyn FnMut(Testimony)) {
    for (replica, signature) in &certificate.signers.0 {
        say(Testimony {
            kind: Kind::Checkpoint,
            signer: *replica,
            epoch: certificate.epoch,
            view: View(0),
            seq: certificate.seq,
            digest: certificate.digest,
            body: None,
            signature: *signature,
        });
    }
}

/// A report on leaving a view, and the certificates in it.
fn reported(
    view_change: &ViewChange,
    bytes: &Blob,
    signature: Signature,
    say: &mut dyn FnMut(Testimony),
) {
    let place = (view_change.epoch, view_change.new_view);
    let (kind, signer) = (Kind::ViewChange, view_change.replica);
    say(opening(kind, signer, place, bytes, signature));
    if let Some(certificate) = &view_change.stable {
        stable(certificate, say);
    }
    let prepared = view_change.records.iter().flat_map(|slot| &slot.prepared);
    for certificate in prepared {
        votes(certificate, say);
    }
}
