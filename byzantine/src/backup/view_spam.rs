//! BB6: VIEW-CHANGEs without end.

use consensus::View;
use consensus::pbft::certificate::StableCertificate;
use consensus::pbft::message::{ViewChange, Wire};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::beat::Beat;
use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::span::Span;

/// To which view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Jump {
    /// Each time to the one after the last.
    #[default]
    Next,
    /// To the last view that there is.
    Last,
    /// To the one after the current view of the honest code, again and again.
    Same,
    /// Anywhere.
    Random,
}

/// See [`crate::Behaviour::ViewChangeSpam`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ViewChangeSpam {
    /// How often.
    pub every: Span,
    /// To which view.
    pub jump: Jump,
}

impl Default for ViewChangeSpam {
    fn default() -> Self {
        ViewChangeSpam {
            every: Span::millis(1),
            jump: Jump::Next,
        }
    }
}

impl Recipe for ViewChangeSpam {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Spamming {
            jump: self.jump,
            beat: Beat::new(self.every),
            last: View(0),
            stable: None,
        })
    }
}

struct Spamming {
    jump: Jump,
    beat: Beat,
    last: View,
    /// The newest certificate that went by: the reports are valid.
    stable: Option<StableCertificate>,
}

impl Attack for Spamming {
    fn leaving(&mut self, _: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if let Wire::Stable(certificate) = &sent.wire {
            self.stable = Some(certificate.clone());
        }
        leaves.push(sent);
    }

    fn turn(&mut self, hand: &mut Hand<'_>, leaves: &mut Vec<Outgoing>) {
        if !self.beat.is_due(hand.scene.now) || !hand.strikes(None) {
            return;
        }
        hand.did();
        let current = hand.scene.standing.view;
        let view = match self.jump {
            Jump::Next => View(self.last.max(current).0.saturating_add(1)),
            Jump::Last => View(u64::MAX),
            Jump::Same => View(current.0.saturating_add(1)),
            Jump::Random => View(hand.chance.number().max(1)),
        };
        self.last = view;
        let epoch = hand.scene.standing.epoch;
        let report = ViewChange {
            epoch,
            new_view: view,
            replica: hand.scene.me(),
            stable: self
                .stable
                .clone()
                .filter(|certificate| certificate.epoch == epoch),
            records: Vec::new(),
        };
        let signed = hand.scene.forge.view_change(&report);
        leaves.push(Outgoing::forged_for_all(Wire::ViewChange(signed)));
    }

    fn wake(&self) -> Option<consensus::Instant> {
        self.beat.wake()
    }
}
