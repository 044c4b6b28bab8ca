//! A configuration with real keys, and everything that its members and clients can sign.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::pbft::Pbft;
use consensus::pbft::certificate::{Certificate, Phase, Signers, StableCertificate, Statement};
use consensus::pbft::message::{Checkpoint, Commit, Header, Prepare, Wire};
use consensus::{
    Batch, ByteList, ClientId, Cluster, Epoch, FastQuorum, Keyring, Limits, Nonce, Policy, Renew,
    ReplicaId, Request, RequestId, SeqNo, View,
};
use crypto::{Digest, Kind, SecretKey, Signature, Signer};

use crate::node::Node;

/// The session that every client of these tests is in.
pub(crate) const SESSION: u64 = 1;
/// Clients of every configuration.
pub(crate) const CLIENTS: u32 = 4;

/// Small limits reach the ends of windows in few steps: K = 4, L = 8, 4 requests in a batch.
pub(crate) fn small_limits() -> Limits {
    Limits {
        checkpoint_interval: 4,
        log_window: 8,
        batch_requests_max: 4,
        client_window: 8,
        ..Limits::default()
    }
}

/// One configuration and all of its secrets.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keyring: Keyring,
    pub(crate) policy: Policy,
    /// What is signed is for this epoch.
    pub(crate) epoch: Epoch,
    replica_keys: Vec<SecretKey>,
    client_keys: Vec<SecretKey>,
}

/// A header with its body, as the primary of view 0 signs it.
pub(crate) struct Proposal {
    pub(crate) header: Header,
    pub(crate) batch: Batch,
}

impl Proposal {
    pub(crate) fn wire(&self) -> Wire {
        Wire::PrePrepare(self.header, Some(self.batch.to_raw()))
    }

    pub(crate) fn header_only(&self) -> Wire {
        Wire::PrePrepare(self.header, None)
    }
}

impl Fixture {
    /// n = 5, f = 1 with the strong quorum: q_F = q = 4.
    pub(crate) fn strong() -> Self {
        Self::new(5, 1, FastQuorum::Strong)
    }

    /// n = 5, f = 1 with q_F = 5 and q = 4: the fast path can fail.
    pub(crate) fn conservative() -> Self {
        Self::new(5, 1, FastQuorum::Conservative)
    }

    pub(crate) fn new(n: u16, f: u16, fast: FastQuorum) -> Self {
        Self::with(n, f, fast, small_limits(), Policy::default())
    }

    pub(crate) fn with_policy(fast: FastQuorum, policy: Policy) -> Self {
        Self::with(5, 1, fast, small_limits(), policy)
    }

    pub(crate) fn with(n: u16, f: u16, fast: FastQuorum, limits: Limits, policy: Policy) -> Self {
        let replica_keys: Vec<_> = (0..n).map(|id| key("replica", id.into())).collect();
        let client_keys: Vec<_> = (0..CLIENTS).map(|id| key("client", id.into())).collect();
        let cluster = Cluster::genesis(
            f,
            fast,
            limits,
            replica_keys.iter().map(SecretKey::public).collect(),
            client_keys.iter().map(SecretKey::public).collect(),
        )
        .expect("the tests ask for possible configurations");
        let cluster = Arc::new(cluster);
        Fixture {
            keyring: Keyring::new(Arc::clone(&cluster)),
            cluster,
            policy,
            epoch: Epoch(0),
            replica_keys,
            client_keys,
        }
    }

    /// The same members, who sign for a later epoch.
    pub(crate) fn in_epoch(&self, epoch: u64) -> Fixture {
        Fixture {
            epoch: Epoch(epoch),
            ..self.clone()
        }
    }

    /// A replica that has not been started.
    pub(crate) fn core(&self, id: u16) -> Pbft {
        let signer = Arc::new(self.replica_keys[usize::from(id)].clone());
        Pbft::new(
            ReplicaId(id),
            Arc::clone(&self.cluster),
            self.policy.clone(),
            signer,
        )
    }

    /// A replica to be stepped by hand.
    pub(crate) fn node(&self, id: u16) -> Node {
        Node::new(self.core(id), self.keyring.clone())
    }

    /// Request `number` of `client`, with one small operation.
    pub(crate) fn request(&self, client: u32, number: u64) -> Request {
        self.request_of(client, SESSION, number, 0, &[b"op"])
    }

    pub(crate) fn request_of(
        &self,
        client: u32,
        session: u64,
        number: u64,
        ack: u64,
        ops: &[&[u8]],
    ) -> Request {
        let id = RequestId {
            client: ClientId(client),
            session,
            number,
        };
        let signer = &self.client_keys[client as usize];
        let ops = ByteList::from_iter(ops);
        Request::sign(signer, self.cluster.id(), id, ack, false, &ops)
    }

    /// The same request with a signature that does not hold.
    pub(crate) fn forged_request(&self, client: u32, number: u64) -> Request {
        let mut raw = self.request(client, number).raw().to_vec();
        *raw.last_mut().expect("a request ends with its signature") ^= 1;
        Request::parse(Bytes::from(raw), self.cluster.limits()).expect("the form is untouched")
    }

    /// RENEW of a replica, in the life that `nonce` names.
    pub(crate) fn renew(&self, replica: u16, incarnation: u64, nonce: u8) -> Request {
        let renew = Renew {
            incarnation,
            nonce: Nonce([nonce; 16]),
        };
        let signer = &self.replica_keys[usize::from(replica)];
        renew.request(signer, self.cluster.id(), ReplicaId(replica))
    }

    pub(crate) fn sign(&self, replica: u16, kind: Kind, body: &[u8]) -> Signature {
        self.sign_in(self.epoch.0, replica, kind, body)
    }

    /// The same in another epoch.
    pub(crate) fn sign_in(&self, epoch: u64, replica: u16, kind: Kind, body: &[u8]) -> Signature {
        let digest = self
            .keyring
            .replica_digest(kind, Epoch(epoch), ReplicaId(replica), body);
        self.replica_keys[usize::from(replica)].sign(&digest)
    }

    pub(crate) fn header(&self, view: u64, seq: u64, digest: Digest) -> Header {
        let statement = statement(view, seq, digest);
        let primary = self.cluster.primary(self.epoch, View(view)).0;
        Header {
            epoch: self.epoch,
            statement,
            signature: self.sign(primary, Kind::PrePrepare, &statement.body()),
        }
    }

    /// What the primary of view 0 proposes at `seq`: the request `seq` of client 0.
    pub(crate) fn proposal(&self, seq: u64) -> Proposal {
        self.proposal_of(seq, vec![self.request(0, seq)])
    }

    /// Something else for the same slot.
    pub(crate) fn other_proposal(&self, seq: u64) -> Proposal {
        self.proposal_of(seq, vec![self.request(1, seq)])
    }

    pub(crate) fn proposal_of(&self, seq: u64, requests: Vec<Request>) -> Proposal {
        let batch = Batch::new(requests);
        Proposal {
            header: self.header(0, seq, batch.digest()),
            batch,
        }
    }

    pub(crate) fn prepare(&self, replica: u16, header: &Header) -> Prepare {
        Prepare {
            epoch: self.epoch,
            statement: header.statement,
            replica: ReplicaId(replica),
            signature: self.sign(replica, Kind::Prepare, &header.statement.body()),
            header_signature: header.signature,
        }
    }

    pub(crate) fn commit(&self, replica: u16, header: &Header) -> Commit {
        Commit {
            epoch: self.epoch,
            statement: header.statement,
            replica: ReplicaId(replica),
            signature: self.sign(replica, Kind::Commit, &header.statement.body()),
        }
    }

    pub(crate) fn checkpoint(&self, replica: u16, seq: u64, digest: Digest) -> Checkpoint {
        let body = StableCertificate::body(SeqNo(seq), &digest);
        Checkpoint {
            epoch: self.epoch,
            seq: SeqNo(seq),
            digest,
            replica: ReplicaId(replica),
            signature: self.sign(replica, Kind::Checkpoint, &body),
        }
    }

    pub(crate) fn stable(&self, signers: &[u16], seq: u64, digest: Digest) -> StableCertificate {
        let signers = signers
            .iter()
            .map(|id| (ReplicaId(*id), self.checkpoint(*id, seq, digest).signature))
            .collect();
        StableCertificate {
            epoch: self.epoch,
            seq: SeqNo(seq),
            digest,
            signers: Signers(signers),
        }
    }

    pub(crate) fn certificate(
        &self,
        phase: Phase,
        signers: &[u16],
        header: &Header,
    ) -> Certificate {
        let signature = |id: u16| match phase {
            Phase::Prepare => self.prepare(id, header).signature,
            Phase::Commit => self.commit(id, header).signature,
        };
        let signers = signers
            .iter()
            .map(|id| (ReplicaId(*id), signature(*id)))
            .collect();
        Certificate {
            epoch: self.epoch,
            phase,
            statement: header.statement,
            signers: Signers(signers),
        }
    }
}

fn key(role: &str, index: u64) -> SecretKey {
    SecretKey::from_seed(&Digest::of(role, &index.to_le_bytes()).0)
}

pub(crate) fn statement(view: u64, seq: u64, digest: Digest) -> Statement {
    Statement {
        view: View(view),
        seq: SeqNo(seq),
        digest,
    }
}

/// A state digest that is right for `seq` at every replica of these tests.
pub(crate) fn state_at(seq: u64) -> Digest {
    Digest::of("test state", &seq.to_le_bytes())
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
