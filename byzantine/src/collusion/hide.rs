//! C2: exactly one correct replica decides fast, the others do not hear of it, and the view changes.
//!
//! ```text
//!   primary and backups of the cabal, q_F = 7 of 9, f = 2:
//!     proposal   ──▶ q_F − f correct replicas, the victim among them; the other correct ones: nothing
//!     own votes  ──▶ the victim alone: it has q_F, everybody else q_F − f
//!     silence        the primary says nothing more; its view is left
//!     reports        of the cabal know nothing of the slot
//! ```

use std::collections::BTreeSet;

use consensus::pbft::message::{ViewChange, Wire};
use consensus::{Destination, ReplicaId, SeqNo, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe, slot_of};

/// Slots that are remembered.
const SLOTS_MAX: usize = 256;

/// See [`crate::Behaviour::HideFastCommit`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HideFastCommit {
    /// Slots of a view that are treated so before its primary falls silent.
    pub slots: u64,
    /// The one that decides; none: another one for each slot, which all colluders draw alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub victim: Option<u16>,
}

impl Default for HideFastCommit {
    fn default() -> Self {
        HideFastCommit {
            slots: 1,
            victim: None,
        }
    }
}

impl Recipe for HideFastCommit {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Hiding {
            plan: self.clone(),
            hidden: BTreeSet::new(),
        })
    }
}

struct Hiding {
    plan: HideFastCommit,
    hidden: BTreeSet<(View, SeqNo)>,
}

/// Who is told what about a slot.
struct Roles {
    victim: ReplicaId,
    /// Correct replicas that get the proposal, the victim among them.
    told: Vec<ReplicaId>,
}

impl Hiding {
    fn roles(&self, hand: &Hand<'_>, view: View, seq: SeqNo) -> Option<Roles> {
        let forge = &hand.scene.forge;
        let quorums = forge.keyring.cluster().quorums();
        let correct = hand.scene.victims();
        let mut chance = forge.cabal.chance_about(&[0xC2, view.0, seq.0]);
        let first = usize::try_from(chance.below(correct.len() as u64)).ok()?;
        let named = self
            .plan
            .victim
            .and_then(|id| correct.iter().position(|one| one.0 == id));
        let first = named.unwrap_or(first);
        let fast = quorums.fast().unwrap_or(quorums.slow());
        let count = fast.saturating_sub(forge.cabal.members().count()).max(1);
        let told = correct
            .iter()
            .cycle()
            .skip(first)
            .take(count.min(correct.len()));
        Some(Roles {
            victim: *correct.get(first)?,
            told: told.copied().collect(),
        })
    }

    /// Is this slot one that is hidden? Only in views that a colluder leads.
    fn is_hidden(&mut self, hand: &mut Hand<'_>, view: View, seq: SeqNo) -> bool {
        if self.hidden.contains(&(view, seq)) {
            return true;
        }
        let epoch = hand.scene.standing.epoch;
        let leader = hand.scene.forge.primary(epoch, view);
        let of_view = self.hidden.iter().filter(|(at, _)| *at == view).count();
        if !hand.scene.forge.cabal.holds(leader)
            || of_view as u64 >= self.plan.slots
            || !hand.strikes(Some(seq))
        {
            return false;
        }
        self.hidden.insert((view, seq));
        if self.hidden.len() > SLOTS_MAX {
            self.hidden.pop_first();
        }
        true
    }

    /// Has the primary of this view done what it was there for?
    fn falls_silent(&self, hand: &Hand<'_>, view: View) -> bool {
        let standing = hand.scene.standing;
        let of_view = self.hidden.iter().filter(|(at, _)| *at == view).count();
        view == standing.view
            && of_view as u64 >= self.plan.slots
            && hand.scene.forge.primary(standing.epoch, view) == hand.scene.me()
    }
}

fn is_in_cabal(hand: &Hand<'_>, id: ReplicaId) -> bool {
    hand.scene.forge.cabal.holds(id)
}

impl Attack for Hiding {
    fn leaving(&mut self, hand: &mut Hand<'_>, mut sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if let Wire::ViewChange(signed) = &sent.wire
            && !self.hidden.is_empty()
            && let Ok(mut report) = crypto::decode::<ViewChange>(&signed.bytes)
            && report.replica == hand.scene.me()
        {
            let before = report.records.len();
            let hidden: BTreeSet<SeqNo> = self.hidden.iter().map(|(_, seq)| *seq).collect();
            report
                .records
                .retain(|record| !hidden.contains(&record.seq));
            if report.records.len() < before {
                hand.did();
                sent.wire = Wire::ViewChange(hand.scene.forge.view_change(&report));
            }
            return leaves.push(sent);
        }
        let said = match &sent.wire {
            Wire::PrePrepare(header, _) => Some(header.statement),
            Wire::Prepare(vote) => Some(vote.statement),
            Wire::Commit(vote) => Some(vote.statement),
            _ => None,
        };
        let hidden = said.filter(|said| self.is_hidden(hand, said.view, said.seq));
        let Some(said) = hidden else {
            let view = hand.scene.standing.view;
            let to_colluder = matches!(sent.to, Destination::One(to) if is_in_cabal(hand, to));
            if !to_colluder && self.falls_silent(hand, view) {
                return hand.did();
            }
            // Nobody hears of the slot in another way.
            let is_told = matches!(sent.wire, Wire::Decision(_) | Wire::Batch(_));
            let about = slot_of(&sent.wire);
            let is_about = self.hidden.iter().any(|(_, seq)| Some(*seq) == about);
            if !(is_told && is_about) {
                leaves.push(sent);
            }
            return;
        };
        let Some(roles) = self.roles(hand, said.view, said.seq) else {
            return leaves.push(sent);
        };
        hand.did();
        let is_proposal = matches!(sent.wire, Wire::PrePrepare(..));
        for to in hand.scene.receivers(sent.to) {
            let hears = match is_proposal {
                true => roles.told.contains(&to),
                false => roles.victim == to,
            };
            if hears || is_in_cabal(hand, to) {
                leaves.push(sent.copy_for(to));
            }
        }
    }
}
