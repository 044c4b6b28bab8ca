//! BP14: honest for a while, then not, for ever: what is gained by patience is lost again.

use consensus::{ReplicaId, Request};
use crypto::Verified;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Equivocate, Messages, Silent, SlowPrimary};
use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::span::Span;

/// What it does while it is not honest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It proposes nothing.
    #[default]
    Silent,
    /// It equivocates; once it is proven to, its views are passed over.
    Equivocate,
    /// It is slow.
    Slow,
}

/// See [`crate::Behaviour::FlipFlop`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlipFlop {
    /// Honest for this long.
    pub calm: Span,
    /// Then faulty for this long.
    pub fault: Span,
    /// What it does then.
    pub how: Fault,
}

impl Default for FlipFlop {
    fn default() -> Self {
        FlipFlop {
            calm: Span::millis(2_000),
            fault: Span::millis(1_000),
            how: Fault::Silent,
        }
    }
}

impl Recipe for FlipFlop {
    fn attack(&self) -> Box<dyn Attack> {
        let inner = match self.how {
            Fault::Silent => Silent {
                messages: Messages::Proposals,
                ..Silent::default()
            }
            .attack(),
            Fault::Equivocate => Equivocate::default().attack(),
            Fault::Slow => SlowPrimary::default().attack(),
        };
        Box::new(Flipping {
            plan: self.clone(),
            inner,
        })
    }
}

struct Flipping {
    plan: FlipFlop,
    inner: Box<dyn Attack>,
}

impl Flipping {
    fn is_faulty(&self, hand: &Hand<'_>) -> bool {
        let (calm, fault) = (self.plan.calm.0.as_nanos(), self.plan.fault.0.as_nanos());
        u128::from(hand.scene.now.0) % (calm + fault).max(1) >= calm
    }
}

impl Attack for Flipping {
    fn requested(
        &mut self,
        hand: &mut Hand<'_>,
        from: Option<ReplicaId>,
        requests: Vec<Verified<Request>>,
    ) -> Vec<Verified<Request>> {
        let faulty = self.is_faulty(hand);
        self.inner
            .requested(&mut hand.inner(faulty), from, requests)
    }

    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let faulty = self.is_faulty(hand);
        self.inner.leaving(&mut hand.inner(faulty), sent, leaves);
    }

    fn turn(&mut self, hand: &mut Hand<'_>, leaves: &mut Vec<Outgoing>) {
        let faulty = self.is_faulty(hand);
        self.inner.turn(&mut hand.inner(faulty), leaves);
    }

    fn wake(&self) -> Option<consensus::Instant> {
        self.inner.wake()
    }
}
