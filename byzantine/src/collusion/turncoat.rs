//! C5: correct until it has been restarted; from then on it denies what it promised before. With all
//! replicas down at once, the others have nothing but what is on their own disks.

use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{ViewChange, Wire};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Leaving, Outgoing, Parcel, Recipe, slot_of};
use crate::backup::Bogus;
use crate::backup::double_vote::{rival_header, something_else};
use crate::backup::transfers::answer_in;
use crate::backup::view_changes::falsify;

/// See [`crate::Behaviour::Turncoat`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Turncoat {
    /// Votes for something else as well.
    pub votes: bool,
}

impl Default for Turncoat {
    fn default() -> Self {
        Turncoat { votes: true }
    }
}

impl Recipe for Turncoat {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Turned(self.clone()))
    }
}

struct Turned(Turncoat);

impl Attack for Turned {
    fn leaving(&mut self, hand: &mut Hand<'_>, mut sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if !hand.was_restarted() || !hand.strikes(slot_of(&sent.wire)) {
            return leaves.push(sent);
        }
        let forge = &hand.scene.forge;
        match &sent.wire {
            Wire::ViewChange(signed) => {
                if let Ok(mut report) = crypto::decode::<ViewChange>(&signed.bytes)
                    && report.replica == forge.me
                {
                    hand.did();
                    falsify(Bogus::OmitAll, forge, &mut report);
                    sent.wire = Wire::ViewChange(forge.view_change(&report));
                }
            }
            Wire::Prepare(vote) if self.0.votes => {
                let digest = something_else(&vote.statement.digest);
                let rival = Statement {
                    digest,
                    ..vote.statement
                };
                let header = rival_header(forge, &vote.header(), rival);
                let wire = Wire::Prepare(forge.prepare(forge.me, &header));
                hand.did();
                leaves.push(Outgoing {
                    wire,
                    ..sent.clone()
                });
            }
            Wire::Decision(_) | Wire::Stable(_) | Wire::Batch(_) => return hand.did(),
            _ => {}
        }
        leaves.push(sent);
    }

    fn parting(
        &mut self,
        hand: &mut Hand<'_>,
        parcel: Leaving<Parcel>,
        leaves: &mut Vec<Leaving<Parcel>>,
    ) {
        let is_asked = answer_in(&parcel.what).is_some();
        if is_asked && hand.was_restarted() && hand.strikes(None) {
            return hand.did();
        }
        leaves.push(parcel);
    }
}
