//! BP11: slots that are left out, and proposals outside the window.

use consensus::pbft::message::{Header, Wire};
use consensus::{Destination, SeqNo, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::retold::{Retold, Version, own_proposal};

/// Which gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// One slot in each view is never proposed to anybody; those behind it are.
    #[default]
    Skip,
    /// From some slot on everything is proposed `by` slots further up.
    Jump,
    /// Each proposal is made once more above the window.
    Above,
    /// Each proposal is made once more below it.
    Below,
}

/// See [`crate::Behaviour::LeaveGaps`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LeaveGaps {
    /// Which.
    pub gap: Gap,
    /// How far a jump goes.
    pub by: u64,
}

impl Default for LeaveGaps {
    fn default() -> Self {
        LeaveGaps {
            gap: Gap::Skip,
            by: 3,
        }
    }
}

impl Recipe for LeaveGaps {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Leaping {
            plan: self.clone(),
            told: Retold::default(),
            since: None,
        })
    }
}

struct Leaping {
    plan: LeaveGaps,
    told: Retold,
    /// The view in which it has begun.
    since: Option<View>,
}

impl Leaping {
    /// What is told about a slot in place of the proposal; no versions: nothing.
    fn retell(&mut self, hand: &mut Hand<'_>, (header, raw): &Version) -> Option<Vec<Version>> {
        let at = header.statement;
        let begun = self.since == Some(at.view);
        match self.plan.gap {
            Gap::Skip => {
                // The second one, so that there is something in front of the gap.
                let due = !begun && at.seq.0 > 1 && hand.strikes(Some(at.seq));
                due.then(|| {
                    hand.did();
                    self.since = Some(at.view);
                    Vec::new()
                })
            }
            Gap::Jump => {
                if !begun {
                    if !hand.strikes(Some(at.seq)) {
                        return None;
                    }
                    hand.did();
                    self.since = Some(at.view);
                }
                let seq = SeqNo(at.seq.0.saturating_add(self.plan.by));
                let further = hand
                    .scene
                    .forge
                    .header(header.epoch, at.view, seq, at.digest);
                Some(vec![(further, raw.clone())])
            }
            Gap::Above | Gap::Below => None,
        }
    }

    fn outside(&self, hand: &mut Hand<'_>, header: &Header) -> Option<Header> {
        let stable = hand.scene.standing.stable.0;
        let window = hand.scene.forge.keyring.cluster().limits().log_window;
        let seq = match self.plan.gap {
            // Above the windows of those who are ahead, too: inside one it would be equivocation.
            Gap::Above => stable + 2 * window + 1 + hand.chance.below(window),
            // Below the windows of those who are behind.
            Gap::Below => hand.chance.below(stable.saturating_sub(2 * window) + 1),
            Gap::Skip | Gap::Jump => return None,
        };
        let at = header.statement;
        if !hand.strikes(Some(at.seq)) {
            return None;
        }
        hand.did();
        let forge = &hand.scene.forge;
        Some(forge.header(header.epoch, at.view, SeqNo(seq), at.digest))
    }
}

impl Attack for Leaping {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if let Some(proposal) = own_proposal(hand, &sent)
            && !self.told.holds(&proposal.0.statement)
        {
            if let Some(versions) = self.retell(hand, &proposal) {
                self.told.insert(proposal.0.statement, versions);
            }
            if let Some(header) = self.outside(hand, &proposal.0) {
                let forge = &hand.scene.forge;
                let vote = Wire::Prepare(forge.prepare(forge.me, &header));
                for wire in [Wire::PrePrepare(header, Some(proposal.1)), vote] {
                    leaves.push(Outgoing {
                        to: Destination::Others,
                        ..Outgoing::forged_for_all(wire)
                    });
                }
            }
        }
        if let Some(sent) = self.told.tell(hand, sent, |_| 0, |_| true, leaves) {
            leaves.push(sent);
        }
    }
}
