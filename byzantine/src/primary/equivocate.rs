//! BP1: different batches for one view and slot.

use std::collections::BTreeMap;

use consensus::pbft::message::{Header, Wire};
use consensus::{Destination, RawBatch, ReplicaId, Request, SeqNo, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};

/// Slots of which it is remembered who was told what.
const SLOTS_MAX: usize = 512;

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
            told: BTreeMap::new(),
        })
    }
}

struct Equivocating {
    plan: Equivocate,
    /// What each group is told about a slot; the first is what the honest code proposed.
    told: BTreeMap<(View, SeqNo), Vec<(Header, RawBatch)>>,
}

impl Equivocating {
    /// The proposals for the groups; fewer than there are groups if not enough is known.
    fn rivals(
        hand: &Hand<'_>,
        groups: usize,
        header: Header,
        raw: &RawBatch,
    ) -> Vec<(Header, RawBatch)> {
        let limits = hand.scene.forge.keyring.cluster().limits();
        let parsed = raw
            .0
            .iter()
            .map(|one| Request::parse(one.0.clone(), limits));
        let Ok(requests) = parsed.collect::<Result<Vec<_>, _>>() else {
            return Vec::new();
        };
        let mut all = vec![(header, raw.clone())];
        for variant in 1..groups {
            let Some(batch) = hand.scene.memory.rival(&requests, variant) else {
                break;
            };
            let at = header.statement;
            let rival = hand
                .scene
                .forge
                .header(header.epoch, at.view, at.seq, batch.digest());
            all.push((rival, batch.to_raw()));
        }
        all
    }

    fn version<'a>(
        &self,
        hand: &Hand<'_>,
        told: &'a [(Header, RawBatch)],
        to: ReplicaId,
    ) -> Option<&'a (Header, RawBatch)> {
        let group = self.plan.group(&hand.scene.others(), to);
        told.get(group).or(told.first())
    }
}

impl Attack for Equivocating {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let at = match &sent.wire {
            Wire::PrePrepare(header, _) => header.statement,
            Wire::Prepare(vote) => vote.statement,
            Wire::Commit(vote) => vote.statement,
            _ => return leaves.push(sent),
        };
        let place = (at.view, at.seq);
        if let Wire::PrePrepare(header, Some(raw)) = &sent.wire
            && sent.to == Destination::Others
            && !self.told.contains_key(&place)
            && hand.scene.forge.primary(header.epoch, at.view) == hand.scene.me()
            && hand.strikes(Some(at.seq))
        {
            let told = Self::rivals(hand, self.plan.groups(), *header, raw);
            if told.len() > 1 {
                hand.did();
                self.told.insert(place, told);
                if self.told.len() > SLOTS_MAX {
                    self.told.pop_first();
                }
            }
        }
        let Some(told) = self.told.get(&place) else {
            return leaves.push(sent);
        };
        // Votes for what the honest code proposed; a later view's proposal of it is not ours.
        let is_ours = told.iter().any(|(header, _)| header.statement == at);
        if !is_ours || (!self.plan.votes && !matches!(sent.wire, Wire::PrePrepare(..))) {
            return leaves.push(sent);
        }
        let forge = &hand.scene.forge;
        for to in hand.scene.receivers(sent.to) {
            let Some((header, raw)) = self.version(hand, told, to) else {
                continue;
            };
            let wire = match &sent.wire {
                Wire::PrePrepare(_, body) => {
                    Wire::PrePrepare(*header, body.as_ref().map(|_| raw.clone()))
                }
                Wire::Prepare(_) => Wire::Prepare(forge.prepare(forge.me, header)),
                _ => Wire::Commit(forge.commit(forge.me, header.epoch, header.statement)),
            };
            leaves.push(Outgoing {
                wire,
                ..sent.copy_for(to)
            });
        }
    }
}
