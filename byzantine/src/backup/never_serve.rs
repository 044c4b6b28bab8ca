//! BB15: questions that are never answered, or those of one replica only.

use consensus::pbft::message::Wire;
use consensus::{Destination, ReplicaId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::transfers::answer_in;
use crate::attack::{Attack, Hand, Leaving, Parcel, Recipe};

/// See [`crate::Behaviour::NeverServe`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NeverServe {
    /// The only replica that is answered; none: nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<u16>,
}

impl Recipe for NeverServe {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Mute(self.only.map(ReplicaId)))
    }
}

struct Mute(Option<ReplicaId>);

impl Attack for Mute {
    fn parting(
        &mut self,
        hand: &mut Hand<'_>,
        parcel: Leaving<Parcel>,
        leaves: &mut Vec<Leaving<Parcel>>,
    ) {
        let is_served = match &parcel.what {
            Parcel::Wire(wire) => matches!(
                **wire,
                Wire::Batch(_) | Wire::Decision(_) | Wire::Stable(_) | Wire::Evidence(_)
            ),
            Parcel::Bytes(_) => false,
        } || answer_in(&parcel.what).is_some();
        let favoured = matches!(parcel.to, Destination::One(to) if self.0 == Some(to));
        if is_served && !favoured && hand.strikes(None) {
            hand.did();
        } else {
            leaves.push(parcel);
        }
    }
}
