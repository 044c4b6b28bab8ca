//! BP6: a primary that is just fast enough.

use std::time::Duration;

use consensus::Instant;
use consensus::pbft::message::Wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::span::Span;

/// See [`crate::Behaviour::SlowPrimary`]. Delays up to half the request timeout are never noticed by it,
/// because a request is waited for from when a backup saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlowPrimary {
    /// Each proposal is kept back this long.
    pub delay: Span,
    /// If longer than `delay`: each proposal is kept back for a time drawn between the two.
    pub delay_max: Span,
    /// At least this long between two proposals.
    pub gap: Span,
}

impl Default for SlowPrimary {
    fn default() -> Self {
        SlowPrimary {
            delay: Span::millis(400),
            delay_max: Span::default(),
            gap: Span::default(),
        }
    }
}

impl Recipe for SlowPrimary {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Slow {
            plan: self.clone(),
            last: Instant(0),
        })
    }
}

struct Slow {
    plan: SlowPrimary,
    /// When the last proposal leaves: none overtakes another.
    last: Instant,
}

impl Slow {
    fn delay(&self, hand: &mut Hand<'_>) -> Duration {
        let (least, most) = (self.plan.delay.0, self.plan.delay_max.0);
        let spread = most.saturating_sub(least).as_nanos();
        let spread = u64::try_from(spread).unwrap_or(u64::MAX);
        least + Duration::from_nanos(hand.chance.below(spread))
    }
}

impl Attack for Slow {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let Wire::PrePrepare(header, _) = &sent.wire else {
            return leaves.push(sent);
        };
        let author = hand
            .scene
            .forge
            .primary(header.epoch, header.statement.view);
        if author != hand.scene.me() || !hand.strikes(Some(header.statement.seq)) {
            return leaves.push(sent);
        }
        hand.did();
        let now = hand.scene.now;
        let due = (now + self.delay(hand)).max(self.last + self.plan.gap.0);
        self.last = due;
        leaves.push(sent.later(due.since(now)));
    }
}
