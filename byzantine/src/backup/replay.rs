//! BB10: old messages once more: its own, others', and those of a cluster that does not exist.

use std::collections::VecDeque;

use consensus::ReplicaId;
use consensus::pbft::admission::Message;
use consensus::pbft::message::{Prepare, Wire};
use crypto::{ClusterId, Digest, Kind, Sender, signing_digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::beat::Beat;
use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::span::Span;

/// Messages of each kind of origin that are remembered.
const REMEMBERED_MAX: usize = 256;

/// Whose messages are replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Its own, of earlier slots, views and epochs.
    Own,
    /// Those of other replicas, on its own channel.
    Others,
    /// Its own votes, as if they were of another cluster.
    OtherCluster,
    /// All of these.
    #[default]
    All,
}

/// See [`crate::Behaviour::Replay`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Replay {
    /// Whose messages are replayed.
    pub origin: Origin,
    /// How often one of them goes to somebody.
    pub every: Span,
}

impl Default for Replay {
    fn default() -> Self {
        Replay {
            origin: Origin::All,
            every: Span::millis(2),
        }
    }
}

impl Recipe for Replay {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Replaying {
            origin: self.origin,
            beat: Beat::new(self.every),
            own: VecDeque::new(),
            others: VecDeque::new(),
        })
    }
}

struct Replaying {
    origin: Origin,
    beat: Beat,
    own: VecDeque<Wire>,
    others: VecDeque<Wire>,
}

fn remember(what: &mut VecDeque<Wire>, wire: Wire) {
    if what.len() == REMEMBERED_MAX {
        what.pop_front();
    }
    what.push_back(wire);
}

/// As it travelled, if it is worth a replay.
fn wire_of(message: &Message) -> Option<Wire> {
    Some(match message {
        Message::PrePrepare(header, batch) => {
            Wire::PrePrepare(*header, batch.as_ref().map(|batch| batch.to_raw()))
        }
        Message::Prepare(vote) => Wire::Prepare(*vote),
        Message::Commit(vote) => Wire::Commit(*vote),
        Message::Checkpoint(claim) => Wire::Checkpoint(*claim),
        Message::Stable(certificate) => Wire::Stable(certificate.clone()),
        Message::Status(status) => Wire::Status(status.clone()),
        Message::Evidence(proof) => Wire::Evidence(*proof),
        Message::ViewChange(sent) => Wire::ViewChange(sent.signed.clone()),
        Message::NewView(sent) => Wire::NewView(sent.signed.clone()),
        _ => return None,
    })
}

/// The same vote, signed for a cluster that does not exist.
fn of_another_cluster(hand: &Hand<'_>, vote: &Prepare) -> Option<Wire> {
    let forge = &hand.scene.forge;
    let strange = ClusterId(Digest::of("another cluster", &[]));
    let body = vote.statement.body();
    let sender = Sender::Replica(forge.me.0);
    let digest = signing_digest(Kind::Prepare, &strange, vote.epoch.0, sender, &body);
    let signature = forge.cabal.key(forge.me)?.sign(&digest);
    Some(Wire::Prepare(Prepare { signature, ..*vote }))
}

impl Replaying {
    fn pick(&self, hand: &mut Hand<'_>) -> Option<Wire> {
        let origins = [Origin::Own, Origin::Others, Origin::OtherCluster];
        let origin = match self.origin {
            Origin::All => *hand.chance.one_of(&origins)?,
            origin => origin,
        };
        let remembered = match origin {
            Origin::Others => &self.others,
            _ => &self.own,
        };
        let at = hand.chance.below(remembered.len() as u64);
        let wire = remembered.get(usize::try_from(at).ok()?)?;
        match (origin, wire) {
            (Origin::OtherCluster, Wire::Prepare(vote)) => of_another_cluster(hand, vote),
            (Origin::OtherCluster, _) => None,
            _ => Some(wire.clone()),
        }
    }
}

impl Attack for Replaying {
    fn received(&mut self, _: &mut Hand<'_>, _: ReplicaId, message: &Message) -> bool {
        if let Some(wire) = wire_of(message) {
            remember(&mut self.others, wire);
        }
        true
    }

    fn leaving(&mut self, _: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        // Fresh proposals are a primary's business; everything else was said once already.
        remember(&mut self.own, sent.wire.clone());
        leaves.push(sent);
    }

    fn turn(&mut self, hand: &mut Hand<'_>, leaves: &mut Vec<Outgoing>) {
        if !self.beat.is_due(hand.scene.now) || !hand.strikes(None) {
            return;
        }
        let Some(wire) = self.pick(hand) else {
            return;
        };
        let victims = hand.scene.victims();
        if let Some(to) = hand.chance.one_of(&victims) {
            hand.did();
            leaves.push(Outgoing::forged(*to, wire));
        }
    }

    fn wake(&self) -> Option<consensus::Instant> {
        self.beat.wake()
    }
}
