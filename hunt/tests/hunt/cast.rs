//! Who is on stage: a configuration, and everything that its members and clients can sign.
//!
//! Signatures are the simulator's cheap ones. Whoever writes a script keeps the rule that keys
//! are secret: it signs for correct replicas only what their own code has signed.

use std::sync::Arc;

use consensus::pbft::Pbft;
use consensus::pbft::certificate::{Signers, StableCertificate, Statement};
use consensus::pbft::message::{
    Checkpoint, Commit, Header, MisbehaviourProof, NewView, Prepare, SignedNewView,
    SignedViewChange, SlotRecord, ViewChange, VoteReport, Wire,
};
use consensus::{
    Batch, ByteList, ClientId, Cluster, CommitMode, Epoch, FastQuorum, Keyring, Limits, Policy,
    ReplicaId, Request, RequestId, SeqNo, View,
};
use crypto::codec::Blob;
use crypto::{Digest, Kind, SecretKey, Signature, Signer};
use simulator::{FakeScheme, FakeSigner};

/// Clients of every configuration.
const CLIENTS: u32 = 4;
/// The session that every client is in.
const SESSION: u64 = 1;

/// One configuration with all of its secrets.
pub(crate) struct Cast {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keyring: Keyring,
    pub(crate) policy: Policy,
    replicas: Vec<FakeSigner>,
    clients: Vec<FakeSigner>,
}

/// n, f and the fast quorum.
pub(crate) type Size = (u16, u16, FastQuorum);

/// K = 4, L = 8, one request in a batch: the ends of windows are near.
pub(crate) fn small_limits() -> Limits {
    Limits {
        checkpoint_interval: 4,
        log_window: 8,
        batch_requests_max: 1,
        client_window: 64,
        ..Limits::default()
    }
}

impl Cast {
    /// COMMITs are sent as soon as a slot is prepared, so that no schedule depends on T_fast.
    pub(crate) fn new((n, f, fast): Size) -> Self {
        let replicas = signers("replica", n.into());
        let clients = signers("client", CLIENTS);
        let cluster = Cluster::genesis(
            f,
            fast,
            small_limits(),
            replicas.iter().map(|signer| signer.0).collect(),
            clients.iter().map(|signer| signer.0).collect(),
        )
        .expect("the scripts ask for possible configurations");
        let cluster = Arc::new(cluster);
        Cast {
            keyring: Keyring::with_scheme(Arc::clone(&cluster), Arc::new(FakeScheme)),
            cluster,
            policy: Policy {
                commit_mode: CommitMode::Eager,
                ..Policy::default()
            },
            replicas,
            clients,
        }
    }

    /// A replica that has not been started.
    pub(crate) fn core(&self, id: u16) -> Pbft {
        let signer = Arc::new(self.replicas[usize::from(id)].clone());
        Pbft::with_keyring(
            ReplicaId(id),
            self.keyring.clone(),
            self.policy.clone(),
            signer,
        )
    }

    pub(crate) fn n(&self) -> u16 {
        u16::try_from(self.replicas.len()).expect("n is a u16")
    }

    pub(crate) fn primary(&self, view: u64) -> u16 {
        self.cluster.primary(Epoch(0), View(view)).0
    }

    /// Request `number` of `client`.
    pub(crate) fn request(&self, client: u32, number: u64) -> Request {
        let id = RequestId {
            client: ClientId(client),
            session: SESSION,
            number,
        };
        let signer = &self.clients[client as usize];
        let ops = ByteList::from_iter([b"op"]);
        Request::sign(signer, self.cluster.id(), id, 0, false, &ops)
    }

    /// The batch of one request of `client`: `number` keeps those of different slots apart.
    pub(crate) fn batch(&self, client: u32, number: u64) -> Batch {
        Batch::new(vec![self.request(client, number)])
    }

    pub(crate) fn sign(&self, replica: u16, kind: Kind, body: &[u8]) -> Signature {
        let digest = self
            .keyring
            .replica_digest(kind, Epoch(0), ReplicaId(replica), body);
        self.replicas[usize::from(replica)].sign(&digest)
    }

    /// A header by the primary of `view`.
    pub(crate) fn header(&self, view: u64, seq: u64, digest: Digest) -> Header {
        let statement = statement(view, seq, digest);
        Header {
            epoch: Epoch(0),
            statement,
            signature: self.sign(self.primary(view), Kind::PrePrepare, &statement.body()),
        }
    }

    pub(crate) fn prepare(&self, replica: u16, header: &Header) -> Prepare {
        Prepare {
            epoch: Epoch(0),
            statement: header.statement,
            replica: ReplicaId(replica),
            signature: self.sign(replica, Kind::Prepare, &header.statement.body()),
            header_signature: header.signature,
        }
    }

    pub(crate) fn commit(&self, replica: u16, header: &Header) -> Commit {
        Commit {
            epoch: Epoch(0),
            statement: header.statement,
            replica: ReplicaId(replica),
            signature: self.sign(replica, Kind::Commit, &header.statement.body()),
        }
    }

    pub(crate) fn checkpoint(&self, replica: u16, seq: u64, digest: Digest) -> Checkpoint {
        let body = StableCertificate::body(SeqNo(seq), &digest);
        Checkpoint {
            epoch: Epoch(0),
            seq: SeqNo(seq),
            digest,
            replica: ReplicaId(replica),
            signature: self.sign(replica, Kind::Checkpoint, &body),
        }
    }

    /// A stable checkpoint by `signers`.
    pub(crate) fn stable(&self, signers: &[u16], seq: u64, digest: Digest) -> StableCertificate {
        let signers = signers
            .iter()
            .map(|id| (ReplicaId(*id), self.checkpoint(*id, seq, digest).signature))
            .collect();
        StableCertificate {
            epoch: Epoch(0),
            seq: SeqNo(seq),
            digest,
            signers: Signers(signers),
        }
    }

    pub(crate) fn view_change(
        &self,
        replica: u16,
        new_view: u64,
        stable: Option<StableCertificate>,
        records: Vec<SlotRecord>,
    ) -> SignedViewChange {
        let bytes = crypto::encode(&ViewChange {
            epoch: Epoch(0),
            new_view: View(new_view),
            replica: ReplicaId(replica),
            stable,
            records,
        });
        SignedViewChange {
            signature: self.sign(replica, Kind::ViewChange, &bytes),
            bytes: Blob::from(bytes),
        }
    }

    /// A NEW-VIEW by the primary of `view`.
    pub(crate) fn new_view(
        &self,
        view: u64,
        view_changes: Vec<SignedViewChange>,
        excluded: Vec<MisbehaviourProof>,
        headers: Vec<Header>,
    ) -> Wire {
        let bytes = crypto::encode(&NewView {
            epoch: Epoch(0),
            view: View(view),
            view_changes,
            excluded,
            headers,
        });
        Wire::NewView(SignedNewView {
            signature: self.sign(self.primary(view), Kind::NewView, &bytes),
            bytes: Blob::from(bytes),
        })
    }
}

fn signers(role: &str, count: u32) -> Vec<FakeSigner> {
    (0..count)
        .map(|index| {
            let seed = Digest::of(role, &index.to_le_bytes());
            FakeSigner(SecretKey::from_seed(&seed.0).public())
        })
        .collect()
}

pub(crate) fn statement(view: u64, seq: u64, digest: Digest) -> Statement {
    Statement {
        view: View(view),
        seq: SeqNo(seq),
        digest,
    }
}

/// What a VIEW-CHANGE says of a slot: a vote, by the header that was voted for.
pub(crate) fn voted(header: &Header) -> SlotRecord {
    SlotRecord {
        seq: header.statement.seq,
        vote: Some(VoteReport {
            view: header.statement.view,
            digest: header.statement.digest,
            header_signature: header.signature,
        }),
        prepared: None,
    }
}
