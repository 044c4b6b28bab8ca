//! BP15: a new primary that does not open its view, or just before everybody gives it up. Several in a
//! row, behind a primary that has crashed, are the longest wait there is.

use consensus::pbft::message::Wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::span::Span;

/// See [`crate::Behaviour::StallView`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StallView {
    /// How long the NEW-VIEW is kept back; 0: for ever.
    pub delay: Span,
}

impl Recipe for StallView {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Stalling(self.clone()))
    }
}

struct Stalling(StallView);

impl Attack for Stalling {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if !matches!(sent.wire, Wire::NewView(_)) || !hand.strikes(None) {
            return leaves.push(sent);
        }
        hand.did();
        if !self.0.delay.0.is_zero() {
            leaves.push(sent.later(self.0.delay.0));
        }
    }
}
