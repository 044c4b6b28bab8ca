//! BP5: some clients are not served.

use consensus::{ReplicaId, Request};
use crypto::Verified;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Recipe};

/// How a client is told that it is not served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// Not at all.
    #[default]
    Drop,
    /// With the answer of a replica that has no room.
    Reject,
}

/// See [`crate::Behaviour::Censor`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Censor {
    /// The clients.
    pub clients: Vec<u32>,
    /// What they are told.
    pub manner: Manner,
    /// Only requests that write: those that do nothing but read are served, so the client seems to be.
    pub only_writes: bool,
}

impl Default for Censor {
    fn default() -> Self {
        Censor {
            clients: vec![0],
            manner: Manner::Drop,
            only_writes: false,
        }
    }
}

impl Recipe for Censor {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Censoring(self.clone()))
    }
}

struct Censoring(Censor);

/// How the key-value store's operations begin that only read: Read and Scan.
const READS: [[u8; 4]; 2] = [[1, 0, 0, 0], [6, 0, 0, 0]];

impl Censoring {
    fn concerns(&self, request: &Request) -> bool {
        let reads = |op: &[u8]| READS.iter().any(|tag| op.starts_with(tag));
        let spared = self.0.only_writes && request.ops().iter().all(reads);
        self.0.clients.contains(&request.id.client.0) && !spared
    }
}

impl Attack for Censoring {
    fn requested(
        &mut self,
        hand: &mut Hand<'_>,
        from: Option<ReplicaId>,
        requests: Vec<Verified<Request>>,
    ) -> Vec<Verified<Request>> {
        let mut served = Vec::new();
        for request in requests {
            if !self.concerns(&request) || !hand.strikes(None) {
                served.push(request);
                continue;
            }
            hand.did();
            if self.0.manner == Manner::Reject && from.is_none() {
                hand.scene.refused.push(request.id);
            }
        }
        served
    }
}
