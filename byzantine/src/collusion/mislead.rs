//! C3: some correct replicas are left out of everything, and whoever of them fetches the state gets an
//! old one.

use consensus::pbft::message::Wire;
use consensus::{Destination, ReplicaId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Leaving, Outgoing, Parcel, Recipe, slot_of};
use crate::backup::transfers::{Source, answer_in};
use crate::backup::{LyingTransfer, Serving};

/// See [`crate::Behaviour::Mislead`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mislead {
    /// Who is left out; empty: f correct replicas, which all colluders draw alike.
    pub excluded: Vec<u16>,
}

impl Recipe for Mislead {
    fn attack(&self) -> Box<dyn Attack> {
        let source = LyingTransfer {
            way: Serving::Old,
            ..LyingTransfer::default()
        };
        Box::new(Misleading {
            plan: self.clone(),
            source: Source::new(&source),
        })
    }
}

struct Misleading {
    plan: Mislead,
    source: Source,
}

impl Misleading {
    fn excluded(&self, hand: &Hand<'_>) -> Vec<ReplicaId> {
        let correct = hand.scene.victims();
        if !self.plan.excluded.is_empty() {
            let mut named = correct;
            named.retain(|id| self.plan.excluded.contains(&id.0));
            return named;
        }
        let mut chance = hand.scene.forge.cabal.chance_about(&[0xC3]);
        let first = usize::try_from(chance.below(correct.len() as u64)).unwrap_or(0);
        let around = correct.iter().cycle().skip(first);
        around
            .take(hand.scene.f().min(correct.len()))
            .copied()
            .collect()
    }
}

impl Attack for Misleading {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        // What is about slots, and new views; what is left makes it look alive.
        let counts =
            slot_of(&sent.wire).is_some() || matches!(sent.wire, Wire::Batch(_) | Wire::NewView(_));
        if !counts || !hand.strikes(slot_of(&sent.wire)) {
            return leaves.push(sent);
        }
        let excluded = self.excluded(hand);
        for to in hand.scene.receivers(sent.to) {
            if excluded.contains(&to) {
                hand.did();
            } else {
                leaves.push(sent.copy_for(to));
            }
        }
    }

    fn parting(
        &mut self,
        hand: &mut Hand<'_>,
        parcel: Leaving<Parcel>,
        leaves: &mut Vec<Leaving<Parcel>>,
    ) {
        let answer = answer_in(&parcel.what).cloned();
        let (Destination::One(to), Some(answer)) = (parcel.to, answer) else {
            return leaves.push(parcel);
        };
        if !self.excluded(hand).contains(&to) || !hand.strikes(None) {
            return leaves.push(parcel);
        }
        for stale in self.source.falsify(answer.clone()) {
            if stale != answer {
                hand.did();
            }
            leaves.push(Leaving {
                what: Parcel::Wire(Box::new(Wire::State(stale))),
                ..parcel.clone()
            });
        }
    }
}
