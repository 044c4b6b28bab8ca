//! C4: as soon as a correct replica is down, the Byzantine ones are down as well: f + 1 in all. Nothing
//! more can be decided then; nothing may be decided twice either.

use std::collections::BTreeMap;

use consensus::pbft::admission::Message;
use consensus::pbft::message::Wire;
use consensus::{Instant, ReplicaId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe, slot_of};
use crate::span::Span;

/// See [`crate::Behaviour::StallWithTheCrashed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StallWithTheCrashed {
    /// How long a correct replica has been silent when it counts as down.
    pub after: Span,
}

impl Default for StallWithTheCrashed {
    fn default() -> Self {
        StallWithTheCrashed {
            after: Span::millis(200),
        }
    }
}

impl Recipe for StallWithTheCrashed {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Stalling {
            after: self.after,
            since: None,
            heard: BTreeMap::new(),
        })
    }
}

struct Stalling {
    after: Span,
    /// Its first step: nobody was silent for longer.
    since: Option<Instant>,
    /// When each of the others was last heard.
    heard: BTreeMap<ReplicaId, Instant>,
}

impl Attack for Stalling {
    fn received(&mut self, hand: &mut Hand<'_>, from: ReplicaId, _: &Message) -> bool {
        self.heard.insert(from, hand.scene.now);
        true
    }

    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let counts = matches!(
            sent.wire,
            Wire::PrePrepare(..)
                | Wire::Prepare(_)
                | Wire::Commit(_)
                | Wire::Checkpoint(_)
                | Wire::ViewChange(_)
                | Wire::NewView(_)
        );
        let now = hand.scene.now;
        let since = *self.since.get_or_insert(now);
        let victims = hand.scene.victims();
        let somebody_is_down = victims.iter().any(|id| {
            let heard = *self.heard.get(id).unwrap_or(&since);
            now.since(heard) >= self.after.0
        });
        if counts && somebody_is_down && hand.strikes(slot_of(&sent.wire)) {
            return hand.did();
        }
        leaves.push(sent);
    }
}
