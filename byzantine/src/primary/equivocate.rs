//! BP1: different batches for one view and slot.

use consensus::ReplicaId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::retold::{Retold, Version, own_proposal, proposal_of, requests_of};

/// See [`crate::Behaviour::Equivocate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Equivocate {
    /// Groups of replicas, each of which gets a batch of its own; whoever is in none gets the first
    /// one. Empty: `ways` groups of equal size.
    pub split: Vec<Vec<u16>>,
    /// Different batches for one slot.
    pub ways: u16,
    /// Signs PREPAREs and COMMITs for each batch as well, rather than for its own alone.
    pub votes: bool,
}

impl Default for Equivocate {
    fn default() -> Self {
        Equivocate {
            split: Vec::new(),
            ways: 2,
            votes: true,
        }
    }
}

impl Equivocate {
    /// The number of the batch that this one of the others gets.
    fn group(&self, others: &[ReplicaId], id: ReplicaId) -> usize {
        if !self.split.is_empty() {
            let is_in = |group: &Vec<u16>| group.contains(&id.0);
            return self.split.iter().position(is_in).unwrap_or(0);
        }
        let at = others.iter().position(|other| *other == id).unwrap_or(0);
        at * usize::from(self.ways.max(1)) / others.len().max(1)
    }

    fn groups(&self) -> usize {
        match self.split.len() {
            0 => usize::from(self.ways.max(1)),
            groups => groups,
        }
    }
}

impl Recipe for Equivocate {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Equivocating {
            plan: self.clone(),
            told: Retold::default(),
        })
    }
}

struct Equivocating {
    plan: Equivocate,
    told: Retold,
}

/// The proposals for that many groups; fewer if not enough is known for as many batches.
pub(super) fn rivals(hand: &Hand<'_>, groups: usize, (header, raw): &Version) -> Vec<Version> {
    let requests = requests_of(hand, raw);
    let mut all = vec![(*header, raw.clone())];
    for variant in 1..groups {
        let Some(batch) = hand.scene.memory.rival(&requests, variant) else {
            break;
        };
        all.push(proposal_of(hand, header, batch.to_raw(), batch.digest()));
    }
    all
}

impl Attack for Equivocating {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if let Some(proposal) = own_proposal(hand, &sent)
            && let at = proposal.0.statement
            && !self.told.holds(&at)
            && hand.strikes(Some(at.seq))
        {
            let versions = rivals(hand, self.plan.groups(), &proposal);
            if versions.len() > 1 {
                hand.did();
                self.told.insert(at, versions);
            }
        }
        let others = hand.scene.others();
        let group = |to| self.plan.group(&others, to);
        let votes = |to| self.plan.votes || group(to) == 0;
        if let Some(sent) = self.told.tell(hand, sent, group, votes, leaves) {
            leaves.push(sent);
        }
    }
}
