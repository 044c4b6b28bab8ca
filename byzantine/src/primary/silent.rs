//! BP3: silence, to all or to a few, altogether or where it hurts.
//!
//! A primary that goes on with its STATUS and only leaves proposals out is worse than one that is dead:
//! no heartbeat timer runs out.

use consensus::pbft::message::Wire;
use consensus::{Destination, ReplicaId, Reply};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Leaving, Outgoing, Parcel, Recipe, slot_of};

/// What is not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Messages {
    /// Nothing is: neither to replicas nor to clients.
    #[default]
    All,
    /// Proposals: PRE-PREPARE, and NEW-VIEW.
    Proposals,
    /// PREPAREs and COMMITs.
    Votes,
}

impl Messages {
    fn include(self, wire: &Wire) -> bool {
        match self {
            Messages::All => true,
            Messages::Proposals => matches!(wire, Wire::PrePrepare(..) | Wire::NewView(_)),
            Messages::Votes => matches!(wire, Wire::Prepare(_) | Wire::Commit(_)),
        }
    }
}

/// See [`crate::Behaviour::Silent`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Silent {
    /// Who gets nothing. Empty: all, or the first `count` of the others.
    pub to: Vec<u16>,
    /// How many of the others get nothing if none are named; 0: all.
    pub count: u16,
    /// What is left out.
    pub messages: Messages,
}

impl Silent {
    fn concerns(&self, hand: &Hand<'_>, to: ReplicaId) -> bool {
        if !self.to.is_empty() {
            return self.to.contains(&to.0);
        }
        let at = hand.scene.others().iter().position(|id| *id == to);
        self.count == 0 || at.is_some_and(|at| at < usize::from(self.count))
    }

    fn is_for_all(&self) -> bool {
        self.to.is_empty() && self.count == 0
    }
}

impl Recipe for Silent {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Silence(self.clone()))
    }
}

struct Silence(Silent);

impl Silence {
    /// Those who still get something.
    fn left(&self, hand: &Hand<'_>, to: Destination) -> Vec<ReplicaId> {
        let mut left = hand.scene.receivers(to);
        left.retain(|id| !self.0.concerns(hand, *id));
        left
    }
}

impl Attack for Silence {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if !self.0.messages.include(&sent.wire) || !hand.strikes(slot_of(&sent.wire)) {
            return leaves.push(sent);
        }
        hand.did();
        if !self.0.is_for_all() {
            for to in self.left(hand, sent.to) {
                leaves.push(sent.copy_for(to));
            }
        }
    }

    fn parting(
        &mut self,
        hand: &mut Hand<'_>,
        parcel: Leaving<Parcel>,
        leaves: &mut Vec<Leaving<Parcel>>,
    ) {
        // Everything else was asked about as it left the protocol.
        let is_state =
            matches!(&parcel.what, Parcel::Wire(wire) if matches!(**wire, Wire::State(_)));
        if self.0.messages != Messages::All || !is_state || !hand.strikes(None) {
            return leaves.push(parcel);
        }
        for to in self.left(hand, parcel.to) {
            leaves.push(Leaving {
                to: Destination::One(to),
                ..parcel.clone()
            });
        }
    }

    fn replying(
        &mut self,
        hand: &mut Hand<'_>,
        reply: Leaving<Reply>,
        leaves: &mut Vec<Leaving<Reply>>,
    ) {
        let silent = self.0.messages == Messages::All && self.0.is_for_all();
        if !silent || !hand.strikes(Some(reply.what.seq)) {
            leaves.push(reply);
        }
    }
}
