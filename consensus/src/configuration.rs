//! The configuration as a part of the replicated state: which epoch it is, when it ends, and which
//! replicas have had their votes renewed (docs/protocol.md R16).
//!
//! Only RENEW changes the epoch. Members, keys and limits are the same in every epoch and stay in
//! [`Cluster`]; what is agreed on here is a few numbers. The executor and the protocol core run it
//! over the same batches in the same order, so both know the end of an epoch as soon as the slot
//! that brings it about.
//!
//! ```text
//!   epoch e           RENEW at s            B: first multiple of K at or above s
//!   ──────────────────────●──────────────────●│──────────── epoch e + 1 ───────
//!                          closing at B        B + 1: base B, view 0
//! ```

use bincode::{Decode, Encode};
use crypto::{ClusterId, CodecError, Digest, Hasher, Signer};

use crate::batch::Batch;
use crate::byte_list::ByteList;
use crate::cluster::Cluster;
use crate::ids::{ClientId, Epoch, ReplicaId, RequestId, SeqNo};
use crate::request::Request;

/// A replica is renewed at most once in this many checkpoint intervals, so that a Byzantine member
/// cannot make epochs churn.
pub const RENEW_PAUSE_CHECKPOINTS: u64 = 16;

/// What tells one life of a learner from all others: drawn anew whenever a replica finds that it
/// has lost its records.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Nonce(pub [u8; 16]);

impl std::fmt::Debug for Nonce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.iter().take(4) {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "…")
    }
}

/// RENEW: a learner asks for its vote back. Travels as the only operation of a request in the name
/// of the replica's service ([`ClientId::of_service`]), signed with the replica's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Renew {
    /// The stored incarnation + 1. It is what makes a RENEW execute at most once.
    pub incarnation: u64,
    /// The learner's life: it believes itself renewed only by its own.
    pub nonce: Nonce,
}

impl Renew {
    /// The signed request of `replica`, whose key `signer` holds.
    pub fn request(&self, signer: &dyn Signer, cluster: &ClusterId, replica: ReplicaId) -> Request {
        let ops = ByteList::from_iter([crypto::encode(self)]);
        let id = self.request_id(replica);
        Request::sign(signer, cluster, id, 0, false, &ops)
    }

    /// What a request of a replica's service asks for; `None` if it is no well-formed RENEW, which
    /// nobody may vote for.
    pub fn of(request: &Request) -> Option<(ReplicaId, Renew)> {
        let replica = request.id.client.service()?;
        let ops = request.ops();
        let mut ops = ops.iter();
        let (op, None) = (ops.next()?, ops.next()) else {
            return None;
        };
        let renew: Renew = crypto::decode(op).ok()?;
        let canonical =
            request.id == renew.request_id(replica) && request.ack == 0 && !request.atomic;
        canonical.then_some((replica, renew))
    }

    fn request_id(&self, replica: ReplicaId) -> RequestId {
        RequestId {
            client: ClientId::of_service(replica),
            session: self.incarnation,
            number: 1,
        }
    }
}

/// The last RENEW of one replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Renewal {
    /// How many there have been.
    pub incarnation: u64,
    /// Whose life the last one was for.
    pub nonce: Nonce,
    /// Where it was executed.
    pub executed: SeqNo,
}

/// Why a RENEW changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The replica is no member.
    Unknown,
    /// Its incarnation is not the next one: it is an old RENEW, or its sender lags behind.
    Incarnation {
        /// The one that would be accepted.
        next: u64,
    },
    /// The replica's last RENEW is too recent.
    TooSoon {
        /// The first slot at which another one may execute.
        first: SeqNo,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Agreed {
    epoch: Epoch,
    base: SeqNo,
    closing: Option<SeqNo>,
    renewals: Vec<Renewal>,
}

/// The replicated configuration after some slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    cluster: ClusterId,
    /// K.
    interval: u64,
    agreed: Agreed,
}

impl Configuration {
    /// The configuration before the first slot: epoch 0.
    pub fn genesis(cluster: &Cluster) -> Self {
        Configuration {
            cluster: *cluster.id(),
            interval: cluster.limits().checkpoint_interval,
            agreed: Agreed {
                epoch: Epoch(0),
                base: SeqNo(0),
                closing: None,
                renewals: vec![Renewal::default(); cluster.quorums().n()],
            },
        }
    }

    /// The epoch of the last slot executed.
    pub fn epoch(&self) -> Epoch {
        self.agreed.epoch
    }

    /// The slot after which the epoch began: the end of the one before.
    pub fn base(&self) -> SeqNo {
        self.agreed.base
    }

    /// B, if the epoch is closing: its last slot.
    pub fn closing(&self) -> Option<SeqNo> {
        self.agreed.closing
    }

    /// The last RENEW of a replica.
    pub fn renewal(&self, replica: ReplicaId) -> Option<&Renewal> {
        self.agreed.renewals.get(replica.index())
    }

    /// Has `replica`, in the life that `nonce` names, its vote in the current epoch? It has from
    /// the epoch on that follows its RENEW.
    pub fn renewed(&self, replica: ReplicaId, nonce: Nonce) -> bool {
        self.renewal(replica).is_some_and(|last| {
            last.incarnation > 0 && last.nonce == nonce && last.executed <= self.base()
        })
    }

    /// What executing the batch at `seq` means for the configuration: the epoch rolls behind its
    /// end, then every RENEW in the batch takes effect or is denied. Returns the RENEWs that took
    /// effect.
    pub fn execute(&mut self, seq: SeqNo, batch: Option<&Batch>) -> Vec<ReplicaId> {
        self.begin(seq);
        let requests = batch.map(Batch::requests).unwrap_or_default();
        let mut renewed = Vec::new();
        for (replica, renew) in requests.iter().filter_map(Renew::of) {
            if self.execute_renew(seq, replica, &renew).is_ok() {
                renewed.push(replica);
            }
        }
        renewed
    }

    /// The slot `seq` is next: behind the end of an epoch it is the first of the following one.
    pub fn begin(&mut self, seq: SeqNo) {
        if let Some(end) = self.agreed.closing
            && seq > end
        {
            self.agreed.epoch = self.agreed.epoch.next();
            self.agreed.base = end;
            self.agreed.closing = None;
        }
    }

    /// Would a RENEW take effect at `seq`?
    ///
    /// # Errors
    /// Says why not.
    pub fn allows(&self, seq: SeqNo, replica: ReplicaId, renew: &Renew) -> Result<(), Denied> {
        let last = self.renewal(replica).ok_or(Denied::Unknown)?;
        let next = last.incarnation.saturating_add(1);
        if renew.incarnation != next {
            return Err(Denied::Incarnation { next });
        }
        let first = self.first_renew(replica);
        if seq < first {
            return Err(Denied::TooSoon { first });
        }
        Ok(())
    }

    /// The first slot at which the next RENEW of `replica` may execute.
    pub fn first_renew(&self, replica: ReplicaId) -> SeqNo {
        match self.renewal(replica) {
            Some(last) if last.incarnation > 0 => {
                let pause = self.interval.saturating_mul(RENEW_PAUSE_CHECKPOINTS);
                last.executed.plus(pause)
            }
            _ => SeqNo(0),
        }
    }

    /// RENEW executed at `seq` (R16): the epoch ends at the first multiple of K at or above `seq`,
    /// unless it is closing already.
    ///
    /// # Errors
    /// Says why it changes nothing.
    pub fn execute_renew(
        &mut self,
        seq: SeqNo,
        replica: ReplicaId,
        renew: &Renew,
    ) -> Result<(), Denied> {
        self.allows(seq, replica, renew)?;
        let end = SeqNo(seq.0.next_multiple_of(self.interval));
        self.agreed.closing.get_or_insert(end);
        if let Some(renewal) = self.agreed.renewals.get_mut(replica.index()) {
            *renewal = Renewal {
                incarnation: renew.incarnation,
                nonce: renew.nonce,
                executed: seq,
            };
        }
        Ok(())
    }

    /// `config_digest` of R9: over the cluster id, hence keys and limits, and what is agreed on.
    pub fn digest(&self) -> Digest {
        let ClusterId(cluster) = &self.cluster;
        let mut hasher = Hasher::new("configuration");
        hasher.update(cluster.as_bytes()).part(&self.to_bytes());
        hasher.finish()
    }

    /// The canonical bytes, for checkpoints and state transfer.
    pub fn to_bytes(&self) -> Vec<u8> {
        crypto::encode(&self.agreed)
    }

    /// Rebuilds a configuration from [`Configuration::to_bytes`].
    ///
    /// # Errors
    /// If the bytes are no configuration of this cluster: the disk or the source is to blame.
    pub fn from_bytes(cluster: &Cluster, bytes: &[u8]) -> Result<Self, CodecError> {
        let agreed: Agreed = crypto::decode(bytes)?;
        let genesis = Self::genesis(cluster);
        let boundary = |seq: SeqNo| seq.0.is_multiple_of(genesis.interval);
        let sound = agreed.renewals.len() == genesis.agreed.renewals.len()
            && boundary(agreed.base)
            && (agreed.epoch == Epoch(0)) == (agreed.base == SeqNo(0))
            && agreed
                .closing
                .is_none_or(|end| boundary(end) && end > agreed.base);
        if !sound {
            return Err(CodecError::Malformed(
                "a configuration of another cluster, or none".to_owned(),
            ));
        }
        Ok(Configuration { agreed, ..genesis })
    }
}
