//! BB13: messages in another replica's name, signed with its own key.

use consensus::pbft::message::{Checkpoint, Commit, Prepare, SignedViewChange, ViewChange, Wire};
use consensus::{ReplicaId, Reply};
use crypto::codec::Blob;
use crypto::{Kind, Signature};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Leaving, Outgoing, Recipe, slot_of};
use crate::forge::{Forge, NO_SIGNATURE};

/// See [`crate::Behaviour::Impersonate`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Impersonate {
    /// In whose name; none: somebody else's each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whose: Option<u16>,
}

impl Recipe for Impersonate {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Posing(self.whose.map(ReplicaId)))
    }
}

struct Posing(Option<ReplicaId>);

impl Posing {
    fn name(&self, hand: &mut Hand<'_>) -> Option<ReplicaId> {
        let victims = hand.scene.victims();
        self.0
            .filter(|name| victims.contains(name))
            .or_else(|| hand.chance.one_of(&victims).copied())
    }
}

/// What the other would sign, with this member's key.
fn sign_as(
    forge: &Forge,
    kind: Kind,
    epoch: consensus::Epoch,
    name: ReplicaId,
    body: &[u8],
) -> Signature {
    let digest = forge.keyring.replica_digest(kind, epoch, name, body);
    let key = forge.cabal.key(forge.me);
    key.map_or(NO_SIGNATURE, |key| key.sign(&digest))
}

/// The message in that name; `None` if it names nobody.
fn posed(forge: &Forge, wire: &Wire, name: ReplicaId) -> Option<Wire> {
    Some(match wire {
        Wire::Prepare(vote) => {
            let body = vote.statement.body();
            Wire::Prepare(Prepare {
                replica: name,
                signature: sign_as(forge, Kind::Prepare, vote.epoch, name, &body),
                ..*vote
            })
        }
        Wire::Commit(vote) => {
            let body = vote.statement.body();
            Wire::Commit(Commit {
                replica: name,
                signature: sign_as(forge, Kind::Commit, vote.epoch, name, &body),
                ..*vote
            })
        }
        Wire::Checkpoint(claim) => {
            let body =
                consensus::pbft::certificate::StableCertificate::body(claim.seq, &claim.digest);
            Wire::Checkpoint(Checkpoint {
                replica: name,
                signature: sign_as(forge, Kind::Checkpoint, claim.epoch, name, &body),
                ..*claim
            })
        }
        Wire::ViewChange(signed) => {
            let mut report: ViewChange = crypto::decode(&signed.bytes).ok()?;
            report.replica = name;
            let bytes = crypto::encode(&report);
            Wire::ViewChange(SignedViewChange {
                signature: sign_as(forge, Kind::ViewChange, report.epoch, name, &bytes),
                bytes: Blob::from(bytes),
            })
        }
        _ => return None,
    })
}

impl Attack for Posing {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if hand.strikes(slot_of(&sent.wire))
            && let Some(name) = self.name(hand)
            && let Some(wire) = posed(&hand.scene.forge, &sent.wire, name)
        {
            hand.did();
            leaves.push(Outgoing {
                wire,
                ..sent.clone()
            });
        }
        leaves.push(sent);
    }

    fn replying(
        &mut self,
        hand: &mut Hand<'_>,
        reply: Leaving<Reply>,
        leaves: &mut Vec<Leaving<Reply>>,
    ) {
        if hand.strikes(Some(reply.what.seq))
            && let Some(name) = self.name(hand)
        {
            hand.did();
            let mut posed = reply.clone();
            posed.what.replica = name;
            leaves.push(posed);
        }
        leaves.push(reply);
    }
}
