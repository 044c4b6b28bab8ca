//! BB11: messages with flipped bits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Leaving, Parcel, Recipe};

/// See [`crate::Behaviour::BitFlips`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BitFlips {
    /// Of the messages to one replica, this share is damaged.
    pub share: f64,
    /// Bits flipped in each.
    pub bits: u16,
}

impl Default for BitFlips {
    fn default() -> Self {
        BitFlips {
            share: 0.1,
            bits: 1,
        }
    }
}

impl Recipe for BitFlips {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Flipping(self.clone()))
    }
}

struct Flipping(BitFlips);

impl Attack for Flipping {
    fn parting(
        &mut self,
        hand: &mut Hand<'_>,
        parcel: Leaving<Parcel>,
        leaves: &mut Vec<Leaving<Parcel>>,
    ) {
        if !hand.is_open(None) {
            return leaves.push(parcel);
        }
        for to in hand.scene.receivers(parcel.to) {
            let mut copy = Leaving {
                to: consensus::Destination::One(to),
                ..parcel.clone()
            };
            if hand.chance.is(self.0.share) && hand.strikes(None) {
                hand.did();
                let mut bytes = match copy.what {
                    Parcel::Wire(wire) => crypto::encode(&*wire),
                    Parcel::Bytes(bytes) => bytes,
                };
                for _ in 0..self.0.bits {
                    let at = hand.chance.below(bytes.len() as u64 * 8);
                    let place = usize::try_from(at / 8).unwrap_or(0);
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte ^= 1 << (at % 8);
                    }
                }
                copy.what = Parcel::Bytes(bytes);
            }
            leaves.push(copy);
        }
    }
}
