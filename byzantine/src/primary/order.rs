//! BP4: an order of its own choice. Requests of one client wait while later ones of the others pass, and
//! of what comes at once the last is first.

use std::collections::VecDeque;

use consensus::{Instant, ReplicaId, Request};
use crypto::Verified;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::span::Span;

/// Requests kept back at a time; more push the oldest on.
const KEPT_MAX: usize = 4096;

/// See [`crate::Behaviour::UnfairOrder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnfairOrder {
    /// Clients whose requests wait.
    pub clients: Vec<u32>,
    /// How long they wait: below the request timeout nobody is suspected.
    pub hold: Span,
    /// Turns the requests that come at once around.
    pub reverse: bool,
}

impl Default for UnfairOrder {
    fn default() -> Self {
        UnfairOrder {
            clients: vec![0],
            hold: Span::millis(200),
            reverse: true,
        }
    }
}

impl Recipe for UnfairOrder {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Ordering {
            plan: self.clone(),
            kept: VecDeque::new(),
            passed: VecDeque::new(),
        })
    }
}

struct Ordering {
    plan: UnfairOrder,
    kept: VecDeque<(Instant, Verified<Request>)>,
    /// What has waited already: a copy that a client or backup sends again is not kept again.
    passed: VecDeque<consensus::RequestId>,
}

impl Attack for Ordering {
    fn requested(
        &mut self,
        hand: &mut Hand<'_>,
        _from: Option<ReplicaId>,
        mut requests: Vec<Verified<Request>>,
    ) -> Vec<Verified<Request>> {
        if self.plan.reverse && requests.len() > 1 && hand.strikes(None) {
            hand.did();
            requests.reverse();
        }
        let mut pass = Vec::new();
        for request in requests {
            let id = request.id;
            if self.kept.iter().any(|(_, kept)| kept.id == id) {
                continue;
            }
            let is_victim = self.plan.clients.contains(&id.client.0);
            if !is_victim || self.passed.contains(&id) || !hand.strikes(None) {
                pass.push(request);
                continue;
            }
            hand.did();
            self.kept
                .push_back((hand.scene.now + self.plan.hold.0, request));
        }
        pass
    }

    fn turn(&mut self, hand: &mut Hand<'_>, _leaves: &mut Vec<Outgoing>) {
        while let Some((due, _)) = self.kept.front()
            && (*due <= hand.scene.now || self.kept.len() > KEPT_MAX)
        {
            if let Some((_, request)) = self.kept.pop_front() {
                self.passed.push_back(request.id);
                if self.passed.len() > KEPT_MAX {
                    self.passed.pop_front();
                }
                hand.scene.requests.push(request);
            }
        }
    }

    fn wake(&self) -> Option<Instant> {
        self.kept.front().map(|(due, _)| *due)
    }
}
