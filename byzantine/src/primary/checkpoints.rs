//! BP16: everything on time but what moves the watermarks.

use consensus::pbft::message::Wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe, slot_of};
use crate::span::Span;

/// See [`crate::Behaviour::WithholdCheckpoints`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WithholdCheckpoints {
    /// How long CHECKPOINTs and their certificates are kept back; 0: for ever.
    pub delay: Span,
}

impl Recipe for WithholdCheckpoints {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Withholding(self.clone()))
    }
}

struct Withholding(WithholdCheckpoints);

impl Attack for Withholding {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let is_meant = matches!(sent.wire, Wire::Checkpoint(_) | Wire::Stable(_));
        if !is_meant || !hand.strikes(slot_of(&sent.wire)) {
            return leaves.push(sent);
        }
        hand.did();
        if !self.0.delay.0.is_zero() {
            leaves.push(sent.later(self.0.delay.0));
        }
    }
}
