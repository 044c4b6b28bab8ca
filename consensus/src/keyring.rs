//! Whose signature is whose: the configuration's keys with the scheme that verifies them.

use std::sync::Arc;

use crypto::{
    Check, ClusterId, Digest, Ed25519, Kind, Remembering, Scheme, Sender, Signature, signing_digest,
};

use crate::cluster::Cluster;
use crate::ids::{ClientId, Epoch, ReplicaId};

/// Everything that stateless admission needs. Cheap to clone; any thread may hold one.
#[derive(Clone, Debug)]
pub struct Keyring {
    cluster: Arc<Cluster>,
    scheme: Arc<dyn Scheme>,
}

impl Keyring {
    /// The keyring of a real cluster: Ed25519 by ZIP-215. What replicas have signed is verified once
    /// for all clones of it.
    pub fn new(cluster: Arc<Cluster>) -> Self {
        let scheme = Arc::new(Remembering::new(Ed25519, cluster.replica_keys()));
        Keyring { cluster, scheme }
    }

    /// A keyring with another scheme, for the simulator and the model checker.
    pub fn with_scheme(cluster: Arc<Cluster>, scheme: Arc<dyn Scheme>) -> Self {
        Keyring { cluster, scheme }
    }

    /// The configuration.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// The scheme.
    pub fn scheme(&self) -> &dyn Scheme {
        &*self.scheme
    }

    /// What `id` signs in `epoch` for a replica message of `kind` with these canonical bytes.
    /// Members and keys are the same in every epoch (R16), so one keyring serves them all.
    pub fn replica_digest(&self, kind: Kind, epoch: Epoch, id: ReplicaId, body: &[u8]) -> Digest {
        let sender = Sender::Replica(id.0);
        signing_digest(kind, self.cluster.id(), epoch.0, sender, body)
    }

    /// What a client signs; bound to the cluster but to no epoch (R4).
    pub fn client_digest(&self, kind: Kind, id: ClientId, body: &[u8]) -> Digest {
        signing_digest(kind, self.cluster.id(), 0, Sender::Client(id.0), body)
    }

    /// The check of a replica's signature; `None` if there is no such member.
    pub fn replica_check(
        &self,
        kind: Kind,
        epoch: Epoch,
        id: ReplicaId,
        body: &[u8],
        signature: Signature,
    ) -> Option<Check<'_>> {
        let key = self.cluster.replica_key(id)?;
        Some(Check {
            key,
            digest: self.replica_digest(kind, epoch, id, body),
            signature,
        })
    }

    /// What the sender of a request signs: a client with its key, a replica's service with that
    /// replica's (R16). Bound to the cluster but to no epoch (R4).
    pub fn request_digest(cluster: &ClusterId, client: ClientId, body: &[u8]) -> Digest {
        let (kind, sender) = match client.service() {
            Some(replica) => (Kind::Renew, Sender::Replica(replica.0)),
            None => (Kind::Request, Sender::Client(client.0)),
        };
        signing_digest(kind, cluster, 0, sender, body)
    }

    /// The check of a request's signature; `None` if there is no such client or replica.
    pub fn request_check(
        &self,
        client: ClientId,
        body: &[u8],
        signature: Signature,
    ) -> Option<Check<'_>> {
        let key = match client.service() {
            Some(replica) => self.cluster.replica_key(replica)?,
            None => self.cluster.client_key(client)?,
        };
        Some(Check {
            key,
            digest: Self::request_digest(self.cluster.id(), client, body),
            signature,
        })
    }

    /// The check of a client's signature; `None` if there is no such client.
    pub fn client_check(
        &self,
        kind: Kind,
        id: ClientId,
        body: &[u8],
        signature: Signature,
    ) -> Option<Check<'_>> {
        let key = self.cluster.client_key(id)?;
        Some(Check {
            key,
            digest: self.client_digest(kind, id, body),
            signature,
        })
    }
}
