//! BP9: the same requests again, in later batches and later views.

use std::collections::BTreeSet;

use consensus::RequestId;
use crypto::Verified;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::retold::{own_proposal, requests_of};

/// See [`crate::Behaviour::RepeatRequests`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RepeatRequests {
    /// Old requests that it proposes again after each proposal with a new one.
    pub count: u16,
}

impl Default for RepeatRequests {
    fn default() -> Self {
        RepeatRequests { count: 4 }
    }
}

impl Recipe for RepeatRequests {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Repeating {
            count: self.count.into(),
            again: BTreeSet::new(),
            fresh: false,
        })
    }
}

struct Repeating {
    count: usize,
    /// Handed to the honest code as if they were new.
    again: BTreeSet<RequestId>,
    /// Something new was proposed.
    fresh: bool,
}

impl Attack for Repeating {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if let Some((_, raw)) = own_proposal(hand, &sent) {
            for request in requests_of(hand, &raw) {
                match self.again.remove(&request.id) {
                    true => hand.did(),
                    false => self.fresh = true,
                }
            }
        }
        leaves.push(sent);
    }

    fn turn(&mut self, hand: &mut Hand<'_>, _leaves: &mut Vec<Outgoing>) {
        if !std::mem::take(&mut self.fresh) || !hand.strikes(None) {
            return;
        }
        self.again.clear();
        let old: Vec<_> = hand
            .scene
            .memory
            .requests()
            .take(self.count)
            .cloned()
            .collect();
        for request in old {
            self.again.insert(request.id);
            hand.scene.requests.push(Verified::own(request));
        }
    }
}
