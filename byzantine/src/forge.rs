//! Signing: with the member's own key and those of its colluders, and with nobody else's.

use std::sync::Arc;

use consensus::pbft::certificate::{StableCertificate, Statement};
use consensus::pbft::message::{
    Checkpoint, Commit, Header, NewView, Prepare, SignedNewView, SignedViewChange, ViewChange,
};
use consensus::{Epoch, Keyring, ReplicaId, SeqNo, View};
use crypto::codec::Blob;
use crypto::{Digest, Kind, Signature};

use crate::cabal::Cabal;

/// A signature that holds for nothing, for those whose key is not there.
pub const NO_SIGNATURE: Signature = Signature([0; 64]);

/// Makes signed messages. Those in the name of a replica outside the cabal have a signature that
/// does not hold.
#[derive(Clone)]
pub struct Forge {
    /// The member itself.
    pub me: ReplicaId,
    /// Of the cluster.
    pub keyring: Keyring,
    /// Whose keys there are.
    pub cabal: Arc<Cabal>,
}

impl Forge {
    /// Signs in a replica's name.
    pub fn sign(&self, kind: Kind, epoch: Epoch, replica: ReplicaId, body: &[u8]) -> Signature {
        let digest = self.keyring.replica_digest(kind, epoch, replica, body);
        let key = self.cabal.key(replica);
        key.map_or(NO_SIGNATURE, |key| key.sign(&digest))
    }

    /// The primary of a view.
    pub fn primary(&self, epoch: Epoch, view: View) -> ReplicaId {
        self.keyring.cluster().primary(epoch, view)
    }

    /// A proposal in the name of the view's primary.
    pub fn header(&self, epoch: Epoch, view: View, seq: SeqNo, digest: Digest) -> Header {
        let statement = Statement { view, seq, digest };
        let primary = self.primary(epoch, view);
        Header {
            epoch,
            statement,
            signature: self.sign(Kind::PrePrepare, epoch, primary, &statement.body()),
        }
    }

    /// A vote for a proposal.
    pub fn prepare(&self, replica: ReplicaId, header: &Header) -> Prepare {
        let body = header.statement.body();
        Prepare {
            epoch: header.epoch,
            statement: header.statement,
            replica,
            signature: self.sign(Kind::Prepare, header.epoch, replica, &body),
            header_signature: header.signature,
        }
    }

    /// A second-phase vote.
    pub fn commit(&self, replica: ReplicaId, epoch: Epoch, statement: Statement) -> Commit {
        Commit {
            epoch,
            statement,
            replica,
            signature: self.sign(Kind::Commit, epoch, replica, &statement.body()),
        }
    }

    /// A claim about the state.
    pub fn checkpoint(
        &self,
        replica: ReplicaId,
        epoch: Epoch,
        seq: SeqNo,
        digest: Digest,
    ) -> Checkpoint {
        let body = StableCertificate::body(seq, &digest);
        Checkpoint {
            epoch,
            seq,
            digest,
            replica,
            signature: self.sign(Kind::Checkpoint, epoch, replica, &body),
        }
    }

    /// A report on leaving a view, signed by whom it names.
    pub fn view_change(&self, report: &ViewChange) -> SignedViewChange {
        let bytes = crypto::encode(report);
        SignedViewChange {
            signature: self.sign(Kind::ViewChange, report.epoch, report.replica, &bytes),
            bytes: Blob::from(bytes),
        }
    }

    /// The opening of a view, signed by `author`.
    pub fn new_view(&self, author: ReplicaId, opening: &NewView) -> SignedNewView {
        let bytes = crypto::encode(opening);
        SignedNewView {
            signature: self.sign(Kind::NewView, opening.epoch, author, &bytes),
            bytes: Blob::from(bytes),
        }
    }
}
