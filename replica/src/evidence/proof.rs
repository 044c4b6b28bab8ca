//! A proof as a file: who, what, where, and the two contents with their signatures.

use consensus::pbft::certificate::{StableCertificate, Statement};
use consensus::{Cluster, Epoch, ReplicaId, SeqNo, View};
use crypto::{Check, Digest, Ed25519, Kind, Scheme as _, Sender, Signature, signing_digest};
use serde::{Deserialize, Serialize};

use super::Testimony;

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
    /// Sequence number of both.
    pub seq: u64,
    /// The two contents.
    pub contents: [Content; 2],
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Digest of the batch or state, hex.
    pub digest: String,
    /// The culprit's signature, hex.
    pub signature: String,
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
        }
    }

    /// What contradicting messages of a kind prove; `None` for kinds that are not watched.
    pub(super) fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::PrePrepare => Some(ProofKind::DoublePrePrepare),
            Kind::Prepare => Some(ProofKind::DoublePrepare),
            Kind::Commit => Some(ProofKind::DoubleCommit),
            Kind::Checkpoint => Some(ProofKind::DoubleCheckpoint),
            _ => None,
        }
    }

    fn signed(self) -> Kind {
        match self {
            ProofKind::DoublePrePrepare => Kind::PrePrepare,
            ProofKind::DoublePrepare => Kind::Prepare,
            ProofKind::DoubleCommit => Kind::Commit,
            ProofKind::DoubleCheckpoint => Kind::Checkpoint,
        }
    }
}

impl Proof {
    /// What a testimony and an earlier one in the same place prove.
    pub(super) fn new(
        kind: ProofKind,
        cluster: &Cluster,
        now: &Testimony,
        before: (Digest, Signature),
    ) -> Self {
        let content = |digest: Digest, signature: Signature| Content {
            digest: digest.to_string(),
            signature: hex(&signature.0),
        };
        Proof {
            schema: PROOF_SCHEMA.to_owned(),
            cluster: cluster.id().0.to_string(),
            kind,
            culprit: now.signer.0,
            epoch: now.epoch.0,
            view: now.view.0,
            seq: now.seq.0,
            contents: [
                content(before.0, before.1),
                content(now.digest, now.signature),
            ],
        }
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
        let key = cluster
            .replica_key(culprit)
            .ok_or(NoProof::Unknown(self.culprit))?;
        let (epoch, view, seq) = (Epoch(self.epoch), View(self.view), SeqNo(self.seq));
        let primary = cluster.primary(epoch, view);
        if self.kind == ProofKind::DoublePrePrepare && primary != culprit {
            return Err(NoProof::NotPrimary {
                culprit: self.culprit,
                view: self.view,
                primary: primary.0,
            });
        }
        let mut digests = Vec::new();
        for (number, content) in (1..).zip(&self.contents) {
            let digest: Digest = content
                .digest
                .parse()
                .map_err(|_| NoProof::Malformed("a digest"))?;
            let signature =
                Signature(unhex(&content.signature).ok_or(NoProof::Malformed("a signature"))?);
            let body = match self.kind {
                ProofKind::DoubleCheckpoint => StableCertificate::body(seq, &digest),
                _ => Statement { view, seq, digest }.body(),
            };
            let sender = Sender::Replica(culprit.0);
            let check = Check {
                key,
                digest: signing_digest(self.kind.signed(), cluster.id(), epoch.0, sender, &body),
                signature,
            };
            if !Ed25519.verify(&check) {
                return Err(NoProof::Signature(number));
            }
            digests.push(digest);
        }
        if digests.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(NoProof::NoContradiction);
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let digits = digits?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    (digits.len() == 2 * N)
        .then(|| <[u8; N]>::try_from(bytes).ok())
        .flatten()
}
