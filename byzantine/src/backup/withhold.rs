//! BB2: votes that do not come.

use consensus::pbft::message::Wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe, slot_of};

/// Which votes are withheld.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phases {
    /// PREPAREs: the fast quorum fails.
    #[default]
    Prepare,
    /// COMMITs: the slow one lacks a vote.
    Commit,
    /// Both.
    Both,
}

/// See [`crate::Behaviour::WithholdVotes`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WithholdVotes {
    /// Which.
    pub phases: Phases,
    /// From whom; empty: from all.
    pub to: Vec<u16>,
}

impl Recipe for WithholdVotes {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Withholding(self.clone()))
    }
}

struct Withholding(WithholdVotes);

impl Attack for Withholding {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let withheld = self.0.phases;
        let is_meant = match &sent.wire {
            Wire::Prepare(_) => withheld != Phases::Commit,
            Wire::Commit(_) => withheld != Phases::Prepare,
            _ => false,
        };
        if !is_meant || !hand.strikes(slot_of(&sent.wire)) {
            return leaves.push(sent);
        }
        hand.did();
        for to in hand.scene.receivers(sent.to) {
            if !self.0.to.is_empty() && !self.0.to.contains(&to.0) {
                leaves.push(sent.copy_for(to));
            }
        }
    }
}
