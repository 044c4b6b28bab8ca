//! What colluders have in common: each other's keys and a seed. On the real cluster they are
//! separate processes; what they agree on without a word follows from the seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use consensus::ReplicaId;
use crypto::{SecretKey, Signer};

use crate::chance::Chance;

/// The members that act together; one that acts alone is a cabal of one.
#[derive(Clone)]
pub struct Cabal {
    keys: BTreeMap<ReplicaId, Arc<dyn Signer>>,
    secrets: BTreeMap<ReplicaId, SecretKey>,
    seed: u64,
}

impl Cabal {
    /// Members with their keys.
    pub fn new(keys: impl IntoIterator<Item = (ReplicaId, Arc<dyn Signer>)>, seed: u64) -> Self {
        Cabal {
            keys: keys.into_iter().collect(),
            secrets: BTreeMap::new(),
            seed,
        }
    }

    /// The same with a member's secret key as it is: for signatures that no [`Signer`] makes (BB14).
    #[must_use]
    pub fn with_secret(mut self, id: ReplicaId, key: SecretKey) -> Self {
        self.secrets.insert(id, key);
        self
    }

    /// The secret key of a member, if it was given.
    pub fn secret(&self, id: ReplicaId) -> Option<&SecretKey> {
        self.secrets.get(&id)
    }

    /// Does it have this member's key?
    pub fn holds(&self, id: ReplicaId) -> bool {
        self.keys.contains_key(&id)
    }

    /// Who is in it, ascending.
    pub fn members(&self) -> impl Iterator<Item = ReplicaId> {
        self.keys.keys().copied()
    }

    /// The key of a member.
    pub fn key(&self, id: ReplicaId) -> Option<&Arc<dyn Signer>> {
        self.keys.get(&id)
    }

    /// Chance that all members draw alike: of the seed and what it is about.
    pub fn chance_about(&self, subject: &[u64]) -> Chance {
        Chance::about(self.seed, subject)
    }
}
