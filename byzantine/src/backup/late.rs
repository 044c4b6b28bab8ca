//! BB3: votes that come just before the others give them up.

use consensus::pbft::message::Wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe, slot_of};
use crate::span::Span;

/// See [`crate::Behaviour::LateVotes`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LateVotes {
    /// How long each vote is kept back. The fast timer of the others is between 0.5 and 20 ms.
    pub by: Span,
    /// Up to this much more, at random.
    pub jitter: Span,
}

impl Default for LateVotes {
    fn default() -> Self {
        LateVotes {
            by: Span::millis(15),
            jitter: Span::millis(4),
        }
    }
}

impl Recipe for LateVotes {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Late(self.clone()))
    }
}

struct Late(LateVotes);

impl Attack for Late {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let is_vote = matches!(sent.wire, Wire::Prepare(_) | Wire::Commit(_));
        if !is_vote || !hand.strikes(slot_of(&sent.wire)) {
            return leaves.push(sent);
        }
        hand.did();
        let jitter = u64::try_from(self.0.jitter.0.as_nanos()).unwrap_or(u64::MAX);
        let more = hand.chance.below(jitter);
        let by = self.0.by.0 + std::time::Duration::from_nanos(more);
        leaves.push(sent.later(by));
    }
}
