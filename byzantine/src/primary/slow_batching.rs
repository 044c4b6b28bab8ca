//! BP6: one request in a batch, and one batch after the other, whatever waits.

use std::collections::VecDeque;

use consensus::{Instant, ReplicaId, Request, SeqNo};
use crypto::Verified;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::retold::own_proposal;
use crate::span::Span;

/// Requests that wait; more are dropped and come again.
const WAITING_MAX: usize = 4096;

/// See [`crate::Behaviour::SlowBatching`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlowBatching {
    /// At least this long between two batches.
    pub gap: Span,
}

impl Recipe for SlowBatching {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Batching {
            plan: self.clone(),
            waiting: VecDeque::new(),
            proposed: SeqNo(0),
            next: Instant(0),
            asked: false,
        })
    }
}

struct Batching {
    plan: SlowBatching,
    waiting: VecDeque<Verified<Request>>,
    /// The last slot that was proposed.
    proposed: SeqNo,
    next: Instant,
    /// A request was handed in and not proposed yet.
    asked: bool,
}

impl Attack for Batching {
    fn requested(
        &mut self,
        hand: &mut Hand<'_>,
        _from: Option<ReplicaId>,
        requests: Vec<Verified<Request>>,
    ) -> Vec<Verified<Request>> {
        if !hand.strikes(None) {
            return requests;
        }
        for request in requests {
            let known = self.waiting.iter().any(|here| here.id == request.id);
            if !known && self.waiting.len() < WAITING_MAX {
                self.waiting.push_back(request);
            }
        }
        hand.did();
        Vec::new()
    }

    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if let Some((header, _)) = own_proposal(hand, &sent) {
            self.proposed = header.statement.seq;
            self.asked = false;
        }
        leaves.push(sent);
    }

    fn turn(&mut self, hand: &mut Hand<'_>, _leaves: &mut Vec<Outgoing>) {
        if !hand.is_open(None) {
            // It is over: what waits goes the usual way.
            self.asked = false;
            hand.scene.requests.extend(self.waiting.drain(..));
            return;
        }
        let now = hand.scene.now;
        // The honest code has had its turn: what it has not proposed by now it knows already.
        self.asked = false;
        let done = hand.scene.standing.last_executed >= self.proposed;
        if done
            && now >= self.next
            && let Some(request) = self.waiting.pop_front()
        {
            self.next = now + self.plan.gap.0;
            self.asked = true;
            hand.scene.requests.push(request);
        }
    }

    fn wake(&self) -> Option<Instant> {
        let waits = !self.waiting.is_empty() && !self.asked && !self.plan.gap.0.is_zero();
        waits.then_some(self.next)
    }
}
