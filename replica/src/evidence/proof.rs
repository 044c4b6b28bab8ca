//! A proof as a file: who, what, where, and the two contents with their signatures.

use std::collections::BTreeMap;

use consensus::pbft::certificate::{StableCertificate, Statement};
use consensus::pbft::message::{NewView, ViewChange};
use consensus::{Cluster, Epoch, ReplicaId, SeqNo, View};
use crypto::{Check, Digest, Ed25519, Kind, Scheme as _, Sender, Signature, signing_digest};
use serde::{Deserialize, Serialize};

use super::Testimony;
use super::testimony::opening_digest;

/// Bytes of a VIEW-CHANGE or NEW-VIEW that go into a proof; of larger ones none is made. One VIEW-CHANGE has 0.2 MiB at n = 13
/// with every slot of the default window in it.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of a file: two bodies in hex, and the rest.
pub const PROOF_BYTES_MAX: u64 = 4 * BODY_BYTES_MAX as u64 + (64 << 10);

/// The value of the field `schema`.
pub const PROOF_SCHEMA: &str = "quintet.evidence/v1";

/// What was signed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofKind {
    /// Two proposals for one slot of a view, by its primary.
    DoublePrePrepare,
    /// Two votes for one slot of a view.
    DoublePrepare,
    /// Two second-phase votes for one slot of a view.
    DoubleCommit,
    /// Two states claimed after one sequence number.
    DoubleCheckpoint,
    /// Another state claimed after a sequence number than the one that f + 1 others vouch for, so that one of them is correct.
    FalseCheckpoint,
    /// Two reports on leaving for one view.
    DoubleViewChange,
    /// Two openings of one view, by its primary.
    DoubleNewView,
}

/// Two contents that one replica signed in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// [`PROOF_SCHEMA`].
    pub schema: String,
    /// The cluster's id, hex; signatures are bound to it.
    pub cluster: String,
    /// What was signed twice.
    pub kind: ProofKind,
    /// Who signed.
    pub culprit: u16,
    /// Epoch of both.
    pub epoch: u64,
    /// View of both; 0 for checkpoints, which belong to none.
    pub view: u64,
    /// Sequence number of both; 0 for views.
    pub seq: u64,
    /// The two contents. Of a false checkpoint the second one is what the vouchers signed.
    pub contents: [Content; 2],
    /// Those who vouch for the second content of a false checkpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vouchers: Vec<Voucher>,
}

/// Somebody else's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// Whose.
    pub replica: u16,
    /// Hex.
    pub signature: String,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Digest of the batch or state, hex; of a view's report or opening that of `body`.
    pub digest: String,
    /// The culprit's signature, hex; empty where only vouchers signed.
    pub signature: String,
    /// The bytes that were signed, hex, where a digest does not say what they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Why a file proves nothing. Whoever wrote it is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// Written for another program.
    #[error("its schema is {0}, not {PROOF_SCHEMA}")]
    Schema(String),
    /// Signatures hold in one cluster only.
    #[error("it is about another cluster")]
    OtherCluster,
    /// No such member.
    #[error("replica {0} is no member")]
    Unknown(u16),
    /// Only the primary of a view proposes in it.
    #[error("replica {culprit} is not the primary of view {view}, which is replica {primary}")]
    NotPrimary {
        /// The accused.
        culprit: u16,
        /// The view.
        view: u64,
        /// Who is.
        primary: u16,
    },
    /// The same twice.
    #[error("the two contents are the same")]
    NoContradiction,
    /// What was signed is about something else.
    #[error("content {0} is about another place, or somebody else's")]
    Elsewhere(usize),
    /// One correct replica among them has to be certain.
    #[error("{count} members other than the culprit vouch, and it takes {needed}")]
    Vouchers {
        /// Different ones.
        count: usize,
        /// f + 1.
        needed: usize,
    },
    /// A digest or signature that is none.
    #[error("{0} is no hex of the right length")]
    Malformed(&'static str),
    /// Somebody else signed it, or something else was signed.
    #[error("the signature of content {0} does not hold")]
    Signature(usize),
}

impl ProofKind {
    /// As file names and run.json write it.
    pub fn name(self) -> &'static str {
        match self {
            ProofKind::DoublePrePrepare => "double-pre-prepare",
            ProofKind::DoublePrepare => "double-prepare",
            ProofKind::DoubleCommit => "double-commit",
            ProofKind::DoubleCheckpoint => "double-checkpoint",
            ProofKind::FalseCheckpoint => "false-checkpoint",
            ProofKind::DoubleViewChange => "double-view-change",
            ProofKind::DoubleNewView => "double-new-view",
        }
    }

    /// What contradicting messages of a kind prove; `None` for kinds that are not watched.
    pub(super) fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::PrePrepare => Some(ProofKind::DoublePrePrepare),
            Kind::Prepare => Some(ProofKind::DoublePrepare),
            Kind::Commit => Some(ProofKind::DoubleCommit),
            Kind::Checkpoint => Some(ProofKind::DoubleCheckpoint),
            Kind::ViewChange => Some(ProofKind::DoubleViewChange),
            Kind::NewView => Some(ProofKind::DoubleNewView),
            _ => None,
        }
    }

    fn signed(self) -> Kind {
        match self {
            ProofKind::DoublePrePrepare => Kind::PrePrepare,
            ProofKind::DoublePrepare => Kind::Prepare,
            ProofKind::DoubleCommit => Kind::Commit,
            ProofKind::DoubleCheckpoint | ProofKind::FalseCheckpoint => Kind::Checkpoint,
            ProofKind::DoubleViewChange => Kind::ViewChange,
            ProofKind::DoubleNewView => Kind::NewView,
        }
    }

    /// Is only the primary of a view asked for this?
    fn is_primarys(self) -> bool {
        matches!(self, Self::DoublePrePrepare | Self::DoubleNewView)
    }

    /// Is it about a view as a whole?
    pub(super) fn is_opening(self) -> bool {
        matches!(self, Self::DoubleViewChange | Self::DoubleNewView)
    }
}

impl Proof {
    /// What a testimony and an earlier one in the same place prove.
    pub(super) fn new(
        kind: ProofKind,
        cluster: &Cluster,
        now: &Testimony,
        before: &Testimony,
    ) -> Self {
        let content = |said: &Testimony| Content {
            digest: said.digest.to_string(),
            signature: hex(&said.signature.0),
            body: said.body.as_ref().map(|body| hex(&body.0)),
        };
        Proof {
            schema: PROOF_SCHEMA.to_owned(),
            cluster: cluster.id().0.to_string(),
            kind,
            culprit: now.signer.0,
            epoch: now.epoch.0,
            view: now.view.0,
            seq: now.seq.0,
            contents: [content(before), content(now)],
            vouchers: Vec::new(),
        }
    }

    /// A claim of a state against those of others.
    pub(super) fn of_false_checkpoint(
        cluster: &Cluster,
        claim: &Testimony,
        digest: &Digest,
        vouchers: &[(ReplicaId, Signature)],
    ) -> Self {
        let mut proof = Proof::new(ProofKind::FalseCheckpoint, cluster, claim, claim);
        proof.contents[1] = Content {
            digest: digest.to_string(),
            signature: String::new(),
            body: None,
        };
        let voucher = |(replica, signature): &(ReplicaId, Signature)| Voucher {
            replica: replica.0,
            signature: hex(&signature.0),
        };
        proof.vouchers = vouchers.iter().map(voucher).collect();
        proof
    }

    /// The name of its file: one for each place and culprit.
    pub fn file_name(&self) -> String {
        let Proof {
            kind,
            culprit,
            epoch,
            view,
            seq,
            ..
        } = self;
        format!("{}-{culprit}-e{epoch}-v{view}-s{seq}.json", kind.name())
    }

    /// Whether it proves what it says, by the public keys of the cluster.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, cluster: &Cluster) -> Result<(), NoProof> {
        if self.schema != PROOF_SCHEMA {
            return Err(NoProof::Schema(self.schema.clone()));
        }
        if self.cluster != cluster.id().0.to_string() {
            return Err(NoProof::OtherCluster);
        }
        let culprit = ReplicaId(self.culprit);
        if cluster.replica_key(culprit).is_none() {
            return Err(NoProof::Unknown(self.culprit));
        }
        let primary = cluster.primary(Epoch(self.epoch), View(self.view));
        if self.kind.is_primarys() && primary != culprit {
            return Err(NoProof::NotPrimary {
                culprit: self.culprit,
                view: self.view,
                primary: primary.0,
            });
        }
        let [first, second] = &self.contents;
        if first.digest == second.digest {
            return Err(NoProof::NoContradiction);
        }
        self.check_content(cluster, culprit, (1, first), &first.signature)?;
        if self.kind != ProofKind::FalseCheckpoint {
            return self.check_content(cluster, culprit, (2, second), &second.signature);
        }
        let others = self.vouchers.iter().filter(|it| it.replica != self.culprit);
        let vouchers: BTreeMap<u16, &str> = others
            .map(|it| (it.replica, it.signature.as_str()))
            .collect();
        let needed = cluster.quorums().weak();
        if vouchers.len() < needed {
            let count = vouchers.len();
            return Err(NoProof::Vouchers { count, needed });
        }
        for (replica, signature) in vouchers {
            self.check_content(cluster, ReplicaId(replica), (2, second), signature)?;
        }
        Ok(())
    }

    /// Whether a replica signed one of the contents, in this place.
    fn check_content(
        &self,
        cluster: &Cluster,
        signer: ReplicaId,
        (number, content): (usize, &Content),
        signature: &str,
    ) -> Result<(), NoProof> {
        let key = cluster
            .replica_key(signer)
            .ok_or(NoProof::Unknown(signer.0))?;
        let digest: Digest = content
            .digest
            .parse()
            .map_err(|_| NoProof::Malformed("a digest"))?;
        let signature = unhex(signature)
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .ok_or(NoProof::Malformed("a signature"))?;
        let (view, seq) = (View(self.view), SeqNo(self.seq));
        let body = match self.kind {
            ProofKind::DoubleCheckpoint | ProofKind::FalseCheckpoint => {
                StableCertificate::body(seq, &digest)
            }
            ProofKind::DoubleViewChange | ProofKind::DoubleNewView => {
                self.opening(signer, content, &digest, number)?
            }
            _ => Statement { view, seq, digest }.body(),
        };
        let sender = Sender::Replica(signer.0);
        let kind = self.kind.signed();
        let check = Check {
            key,
            digest: signing_digest(kind, cluster.id(), self.epoch, sender, &body),
            signature: Signature(signature),
        };
        match Ed25519.verify(&check) {
            true => Ok(()),
            false => Err(NoProof::Signature(number)),
        }
    }

    /// The bytes of a report on leaving a view, or of its opening, which have to be about this view.
    fn opening(
        &self,
        signer: ReplicaId,
        content: &Content,
        digest: &Digest,
        number: usize,
    ) -> Result<Vec<u8>, NoProof> {
        let body = content.body.as_deref().and_then(unhex);
        let body = body.ok_or(NoProof::Malformed("a body"))?;
        let place = match self.kind {
            ProofKind::DoubleViewChange => crypto::decode::<ViewChange>(&body)
                .ok()
                .filter(|report| report.replica == signer)
                .map(|report| (report.epoch, report.new_view)),
            _ => crypto::decode::<NewView>(&body)
                .ok()
                .map(|opening| (opening.epoch, opening.view)),
        };
        let here = Some((Epoch(self.epoch), View(self.view)));
        if place != here || opening_digest(&body) != *digest {
            return Err(NoProof::Elsewhere(number));
        }
        Ok(body)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
