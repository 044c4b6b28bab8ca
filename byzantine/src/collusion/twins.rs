//! C1: a member that runs twice with one key (BFT Twins). Both instances are honest code; each deals with
//! a part of the replicas, and the parts change. What two honest instances may say to each side, no side
//! can refuse, so this finds what scripted lies do not think of.
//!
//! The second instance has neither executor nor disk: what it decides it believes to have executed, and
//! what it is told of checkpoints it believes. It never signs a CHECKPOINT of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use consensus::pbft::Pbft;
use consensus::pbft::admission::Message;
use consensus::pbft::message::Wire;
use consensus::{
    Action, Configuration, Event, Instant, Outbox, Policy, Protocol, ReplicaId, Request, Ticket,
    Timer,
};
use crypto::Verified;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::span::Span;

/// Messages of the second instance that wait for their turn; more are dropped.
const WAITING_MAX: usize = 4096;
/// Requests that the second instance gets at a time, if so many come between two of its STATUS.
const COMPANY: usize = 3;
/// Events that one event may lead to at the second instance.
const CONSEQUENCES_MAX: usize = 1024;

/// See [`crate::Behaviour::Twins`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Twins {
    /// Whom the first and the second instance deal with; whoever is in neither group deals with both.
    /// Empty: drawn, and drawn anew as time goes by, alike by all colluders.
    pub split: Vec<Vec<u16>>,
    /// How long drawn groups last.
    pub change: Span,
}

impl Default for Twins {
    fn default() -> Self {
        Twins {
            split: Vec::new(),
            change: Span::millis(300),
        }
    }
}

impl Recipe for Twins {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Twinned {
            plan: self.clone(),
            second: None,
            outbox: Outbox::new(),
            timers: BTreeMap::new(),
            tickets: 0,
            waiting: Vec::new(),
            requests: Vec::new(),
        })
    }
}

type Happening = Event<Verified<Message>>;

/// Which instances a replica deals with: the first, the second.
type Side = (bool, bool);

struct Twinned {
    plan: Twins,
    second: Option<Pbft>,
    outbox: Outbox<Pbft>,
    timers: BTreeMap<Timer, Instant>,
    tickets: u64,
    waiting: Vec<Outgoing>,
    /// The second instance gets them later and in another order than the first, so that the two
    /// propose different batches.
    requests: Vec<Verified<Request>>,
}

impl Twinned {
    fn side(&self, hand: &Hand<'_>, id: ReplicaId) -> Side {
        if let [first, second, ..] = self.plan.split.as_slice() {
            let (first, second) = (first.contains(&id.0), second.contains(&id.0));
            return (first || !second, second || !first);
        }
        let length = self.plan.change.0.as_nanos().max(1);
        let period = u64::try_from(u128::from(hand.scene.now.0) / length).unwrap_or(u64::MAX);
        let cabal = &hand.scene.forge.cabal;
        match cabal.chance_about(&[period, u64::from(id.0)]).below(5) {
            0 | 1 => (true, false),
            2 | 3 => (false, true),
            _ => (true, true),
        }
    }

    /// The second instance takes in something, and all that follows from it.
    fn step(&mut self, hand: &mut Hand<'_>, event: Happening) {
        let mut events = VecDeque::new();
        if self.second.is_none() {
            let forge = &hand.scene.forge;
            let Some(key) = forge.cabal.key(forge.me) else {
                return;
            };
            let keyring = forge.keyring.clone();
            let policy = Policy::default();
            let mut second = Pbft::with_keyring(forge.me, keyring, policy, Arc::clone(key));
            second.go_on_when_proven();
            self.second = Some(second);
            events.push_back(Event::Started);
        }
        events.push_back(event);
        for _ in 0..CONSEQUENCES_MAX {
            let (Some(event), Some(second)) = (events.pop_front(), &mut self.second) else {
                return;
            };
            second.step(hand.scene.now, event, &mut self.outbox);
            let before = self.tickets;
            let actions: Vec<_> = self.outbox.drain().collect();
            for action in actions {
                self.perform(hand, action, &mut events);
            }
            if self.tickets > before {
                events.push_back(Event::Persisted(Ticket(self.tickets)));
            }
        }
    }

    /// The second instance gets what clients have asked for meanwhile, the last first.
    fn ask(&mut self, hand: &mut Hand<'_>) {
        let mut requests = std::mem::take(&mut self.requests);
        requests.reverse();
        let from = None;
        self.step(hand, Event::Requested { from, requests });
    }

    fn perform(
        &mut self,
        hand: &mut Hand<'_>,
        action: Action<Wire, consensus::pbft::record::Record>,
        events: &mut VecDeque<Happening>,
    ) {
        match action {
            Action::Persist(_) => self.tickets += 1,
            Action::Send { to, wire, .. } => self.send(hand, to, &wire),
            Action::Execute { seq, .. } => events.push_back(Event::Executed(seq)),
            Action::FetchState { seq, digest, .. } => {
                let cluster = hand.scene.forge.keyring.cluster();
                events.push_back(Event::StateInstalled {
                    seq,
                    digest,
                    configuration: Configuration::genesis(cluster),
                });
            }
            Action::SetTimer { timer, after } => {
                self.timers.insert(timer, hand.scene.now + after);
            }
            Action::CancelTimer(timer) => {
                self.timers.remove(&timer);
            }
            Action::Halt(_) => {
                // It begins again, having forgotten everything.
                self.second = None;
                self.timers.clear();
            }
            Action::State { .. }
            | Action::Busy { .. }
            | Action::Truncate(_)
            | Action::Report(_) => {}
        }
    }

    fn send(&mut self, hand: &Hand<'_>, to: consensus::Destination, wire: &Wire) {
        let forge = &hand.scene.forge;
        if let Wire::Evidence(proof) = wire
            && forge.cabal.holds(proof.culprit(&forge.keyring))
        {
            return;
        }
        for to in hand.scene.receivers(to) {
            let (_, second) = self.side(hand, to);
            if second && self.waiting.len() < WAITING_MAX {
                self.waiting.push(Outgoing::forged(to, wire.clone()));
            }
        }
    }
}

impl Attack for Twinned {
    fn requested(
        &mut self,
        hand: &mut Hand<'_>,
        _from: Option<ReplicaId>,
        requests: Vec<Verified<Request>>,
    ) -> Vec<Verified<Request>> {
        if hand.strikes(None) {
            self.requests.extend(requests.iter().cloned());
            if self.requests.len() >= COMPANY {
                self.ask(hand);
            }
        }
        requests
    }

    fn received(&mut self, hand: &mut Hand<'_>, from: ReplicaId, message: &Message) -> bool {
        if !hand.strikes(None) {
            return true;
        }
        let (first, second) = self.side(hand, from);
        if second {
            let message = Verified::own(message.clone());
            self.step(hand, Event::Received { from, message });
        }
        first
    }

    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if !hand.is_open(None) {
            return leaves.push(sent);
        }
        for to in hand.scene.receivers(sent.to) {
            let (first, _) = self.side(hand, to);
            if first {
                leaves.push(sent.copy_for(to));
            }
        }
    }

    fn turn(&mut self, hand: &mut Hand<'_>, leaves: &mut Vec<Outgoing>) {
        if !hand.is_open(None) {
            // Whoever comes back has forgotten everything.
            self.second = None;
            self.timers.clear();
            self.waiting.clear();
            self.requests.clear();
            return;
        }
        let now = hand.scene.now;
        let due = |timers: &BTreeMap<Timer, Instant>| {
            let due = timers.iter().find(|(_, due)| **due <= now);
            due.map(|(timer, _)| *timer)
        };
        for _ in 0..CONSEQUENCES_MAX {
            let Some(timer) = due(&self.timers) else {
                break;
            };
            self.timers.remove(&timer);
            if timer == Timer::Status && !self.requests.is_empty() {
                self.ask(hand);
            }
            self.step(hand, Event::TimerFired(timer));
        }
        for sent in self.waiting.drain(..) {
            if matches!(sent.wire, Wire::PrePrepare(..) | Wire::Prepare(_)) {
                hand.did();
            }
            leaves.push(sent);
        }
    }

    fn wake(&self) -> Option<Instant> {
        self.timers.values().min().copied()
    }
}
