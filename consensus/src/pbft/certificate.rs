//! Certificates: quorums of signatures over one statement (docs/protocol.md R4).

use bincode::{Decode, Encode};
use crypto::{Check, Digest, Kind, Signature};

use crate::ids::{Epoch, ReplicaId, SeqNo, View};
use crate::keyring::Keyring;
use crate::protocol::Misbehaviour;

/// Signatures of distinct replicas, ascending by replica.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signers(pub Vec<(ReplicaId, Signature)>);

impl Signers {
    /// Checks count and order, and appends the check of each signature over `body`.
    fn checks<'k>(
        &self,
        keyring: &'k Keyring,
        (kind, epoch): (Kind, Epoch),
        body: &[u8],
        quorum: usize,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<(), Misbehaviour> {
        let ascending = self.0.is_sorted_by(|(a, _), (b, _)| a < b);
        if !ascending || self.0.len() < quorum || self.0.len() > keyring.cluster().quorums().n() {
            return Err(Misbehaviour::NoQuorum);
        }
        for (replica, signature) in &self.0 {
            let check = keyring.replica_check(kind, epoch, *replica, body, *signature);
            checks.push(check.ok_or(Misbehaviour::Unknown)?);
        }
        Ok(())
    }
}

/// What a PRE-PREPARE header, a PREPARE and a COMMIT speak about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Statement {
    /// View.
    pub view: View,
    /// Slot.
    pub seq: SeqNo,
    /// Digest of the batch.
    pub digest: Digest,
}

impl Statement {
    /// The canonical bytes that are signed.
    pub fn body(&self) -> Vec<u8> {
        crypto::encode(self)
    }
}

/// Which votes a certificate is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Phase {
    /// PREPAREs: q of them are a prepared certificate, q_F a decision.
    Prepare,
    /// COMMITs: q of them are a decision.
    Commit,
}

/// Votes of one phase for one statement.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Certificate {
    /// The configuration.
    pub epoch: Epoch,
    /// The phase.
    pub phase: Phase,
    /// What was voted for.
    pub statement: Statement,
    /// Who voted.
    pub signers: Signers,
}

impl Certificate {
    /// Appends the checks that show this certificate decides its statement.
    ///
    /// # Errors
    /// If count or signers are wrong.
    pub fn decision_checks<'k>(
        &self,
        keyring: &'k Keyring,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<(), Misbehaviour> {
        let quorums = keyring.cluster().quorums();
        let quorum = match self.phase {
            Phase::Prepare => quorums.fast().ok_or(Misbehaviour::NoQuorum)?,
            Phase::Commit => quorums.slow(),
        };
        self.checks(keyring, quorum, checks)
    }

    /// Appends the checks that show this is a prepared certificate.
    ///
    /// # Errors
    /// If phase, count or signers are wrong.
    pub fn prepared_checks<'k>(
        &self,
        keyring: &'k Keyring,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<(), Misbehaviour> {
        if self.phase != Phase::Prepare {
            return Err(Misbehaviour::NoQuorum);
        }
        self.checks(keyring, keyring.cluster().quorums().slow(), checks)
    }

    fn checks<'k>(
        &self,
        keyring: &'k Keyring,
        quorum: usize,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<(), Misbehaviour> {
        let kind = match self.phase {
            Phase::Prepare => Kind::Prepare,
            Phase::Commit => Kind::Commit,
        };
        self.signers.checks(
            keyring,
            (kind, self.epoch),
            &self.statement.body(),
            quorum,
            checks,
        )
    }
}

/// STABLE-CERT: q CHECKPOINTs for one state (R9).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StableCertificate {
    /// The configuration.
    pub epoch: Epoch,
    /// The checkpoint.
    pub seq: SeqNo,
    /// Digest of the state after it.
    pub digest: Digest,
    /// Who vouches.
    pub signers: Signers,
}

impl StableCertificate {
    /// The canonical bytes that a CHECKPOINT signs.
    pub fn body(seq: SeqNo, digest: &Digest) -> Vec<u8> {
        crypto::encode(&(seq, *digest))
    }

    /// Appends the checks of this certificate.
    ///
    /// # Errors
    /// If count or signers are wrong.
    pub fn checks<'k>(
        &self,
        keyring: &'k Keyring,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<(), Misbehaviour> {
        let body = Self::body(self.seq, &self.digest);
        let quorum = keyring.cluster().quorums().slow();
        self.signers.checks(
            keyring,
            (Kind::Checkpoint, self.epoch),
            &body,
            quorum,
            checks,
        )
    }
}
