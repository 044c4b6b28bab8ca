//! BP13: one header for all, and another body for each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::equivocate::rivals;
use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::retold::{Retold, own_proposal};

/// See [`crate::Behaviour::SameDigest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SameDigest {
    /// Different bodies; the first is the one that the digest is of.
    pub bodies: u16,
}

impl Default for SameDigest {
    fn default() -> Self {
        SameDigest { bodies: 4 }
    }
}

impl Recipe for SameDigest {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Swapping {
            bodies: self.bodies.into(),
            told: Retold::default(),
        })
    }
}

struct Swapping {
    bodies: usize,
    told: Retold,
}

impl Attack for Swapping {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if let Some(proposal) = own_proposal(hand, &sent)
            && let (header, at) = (proposal.0, proposal.0.statement)
            && !self.told.holds(&at)
            && hand.strikes(Some(at.seq))
        {
            let versions = rivals(hand, self.bodies, &proposal);
            if versions.len() > 1 {
                hand.did();
                let same = versions.into_iter().map(|(_, raw)| (header, raw));
                self.told.insert(at, same.collect());
            }
        }
        let others = hand.scene.others();
        let bodies = self.bodies.max(1);
        let group = |to| others.iter().position(|id| *id == to).unwrap_or(0) % bodies;
        if let Some(sent) = self.told.tell(hand, sent, group, |_| true, leaves) {
            leaves.push(sent);
        }
    }
}
