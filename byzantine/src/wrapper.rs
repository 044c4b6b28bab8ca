//! The wrapper around the honest protocol.
//!
//! ```text
//!              requested, received                leaving            held back
//!   events ──▶ attack 1 ─ attack 2 ─▶ honest ──▶ attack 1 ─ attack 2 ──▶ ⏲ ──▶ actions
//!                                     Pbft         ▲ turn     ▲ turn
//! ```
//!
//! Every event goes through the attacks to the honest code; what it sends goes through them again, in
//! the order of the plan, so that several behaviours compose: the second sees what the first lets
//! out, forgeries included. Records pass as they are. A member that lies about its own disk is the
//! business of the disk's faults.

use consensus::pbft::Pbft;
use consensus::pbft::admission::Message;
use consensus::pbft::message::{Mode, Wire};
use consensus::pbft::record::Record;
use consensus::protocol::Horizon;
use consensus::transfer::message::StateMessage;
use consensus::{
    Action, Event, Instant, Keyring, Misbehaviour, Outbox, Protocol, ReplicaId, Request, Timer,
};
use crypto::{Check, Verified};

use crate::attack::{Attack, Hand, Outgoing, Scene, Standing};
use crate::behaviour::{Behaviour, Plays};
use crate::chance::Chance;
use crate::forge::Forge;
use crate::held::{Held, weight};
use crate::memory::Memory;
use crate::plan::Plan;
use crate::pulse::Pulse;
use crate::trigger::{Part, Trigger};

/// The pause suggested to clients whose requests are refused, in milliseconds.
const RETRY_MS: u32 = 100;
/// Times that a step hands requests of attacks on to the honest code.
const ROUNDS_MAX: usize = 4;

/// An attack with its place in the plan.
pub(crate) struct Placed {
    pub(crate) attack: Box<dyn Attack>,
    trigger: Trigger,
    plays: Plays,
    chance: Chance,
    place: usize,
}

impl Placed {
    /// The attacks of a plan; `stream` tells the two places apart that call them.
    pub(crate) fn all(plan: &Plan, me: ReplicaId, stream: u64) -> Vec<Placed> {
        let place = |(place, (behaviour, trigger)): (usize, &(Behaviour, Trigger))| Placed {
            attack: behaviour.attack(),
            trigger: trigger.clone(),
            plays: behaviour.plays(),
            chance: Chance::about(plan.seed, &[u64::from(me.0), place as u64, stream]),
            place,
        };
        plan.behaviours.iter().enumerate().map(place).collect()
    }

    pub(crate) fn hand<'a>(&'a mut self, scene: &'a mut Scene) -> (&'a mut dyn Attack, Hand<'a>) {
        let hand = Hand {
            scene,
            chance: &mut self.chance,
            trigger: &self.trigger,
            plays: self.plays,
            place: self.place,
        };
        (&mut *self.attack, hand)
    }
}

/// A replica that misbehaves: the wire, messages and records of the honest one.
pub struct Byzantine {
    honest: Pbft,
    attacks: Vec<Placed>,
    scene: Scene,
    held: Held<Outgoing>,
    inner: Outbox<Pbft>,
    /// What the timer is set to.
    alarm: Option<Instant>,
    /// It was the primary of its view in the last step.
    led: bool,
}

impl Byzantine {
    /// Wraps an honest replica that has not been started.
    pub fn new(mut honest: Pbft, forge: Forge, plan: &Plan, pulse: Pulse) -> Self {
        honest.go_on_when_proven();
        let attacks = Placed::all(plan, forge.me, 0);
        let standing = standing_of(&honest);
        Byzantine {
            honest,
            attacks,
            scene: Scene {
                now: Instant(0),
                standing,
                forge,
                memory: Memory::default(),
                requests: Vec::new(),
                refused: Vec::new(),
                pulse,
            },
            held: Held::default(),
            inner: Outbox::new(),
            alarm: None,
            led: false,
        }
    }

    /// The honest code inside.
    pub fn honest(&self) -> &Pbft {
        &self.honest
    }

    /// The honest code inside, for what a driver does beside stepping it.
    pub fn honest_mut(&mut self) -> &mut Pbft {
        &mut self.honest
    }

    /// Looks at where the honest code stands now.
    fn look(&mut self, now: Instant) {
        self.scene.now = now;
        self.scene.standing = standing_of(&self.honest);
        let Standing {
            epoch, view, mode, ..
        } = self.scene.standing;
        let part = self.scene.part();
        self.scene.pulse.stands(epoch, view, part);
        let leads = part == Part::Primary && mode == Mode::Normal;
        if self.led && !leads {
            self.scene.pulse.note_detected();
        }
        self.led = leads;
        // The first look begins the measured phase, even if no attack asks.
        self.scene.pulse.measured(now);
    }

    /// What is left of an event for the honest code.
    fn filter(&mut self, event: Event<Verified<Message>>) -> Option<Event<Verified<Message>>> {
        match event {
            Event::TimerFired(Timer::Wrapper) => {
                self.alarm = None;
                None
            }
            Event::Received { from, message } => {
                self.scene.memory.note(&message);
                if let Message::Evidence(proof) = &*message
                    && proof.culprit(&self.scene.forge.keyring) == self.scene.me()
                {
                    self.scene.pulse.note_detected();
                }
                let mut passes = true;
                for placed in &mut self.attacks {
                    let (attack, mut hand) = placed.hand(&mut self.scene);
                    passes &= attack.received(&mut hand, from, &message);
                }
                passes.then_some(Event::Received { from, message })
            }
            Event::Requested { from, mut requests } => {
                for request in &requests {
                    self.scene.memory.note_request(request);
                }
                for placed in &mut self.attacks {
                    let (attack, mut hand) = placed.hand(&mut self.scene);
                    requests = attack.requested(&mut hand, from, requests);
                }
                (!requests.is_empty()).then_some(Event::Requested { from, requests })
            }
            Event::Started => {
                self.scene.pulse.note_started();
                Some(Event::Started)
            }
            other => Some(other),
        }
    }

    /// Sends on through the attacks from this place on.
    fn bend(&mut self, first: usize, sent: Outgoing, out: &mut Outbox<Self>) {
        let mut leaves = vec![sent];
        for placed in self.attacks.iter_mut().skip(first) {
            let (attack, mut hand) = placed.hand(&mut self.scene);
            let mut next = Vec::new();
            for sent in leaves {
                attack.leaving(&mut hand, sent, &mut next);
            }
            leaves = next;
        }
        for sent in leaves {
            if sent.after.is_zero() {
                out.push(released(sent));
            } else {
                let due = self.scene.now + sent.after;
                self.held.keep(due, weight(&sent.wire), sent);
            }
        }
    }

    fn perform(&mut self, out: &mut Outbox<Self>) {
        let actions: Vec<_> = self.inner.drain().collect();
        for action in actions {
            match action {
                // Nobody confesses, and nobody betrays a colluder.
                Action::Send {
                    wire: Wire::Evidence(proof),
                    ..
                } if self.is_ours(proof.culprit(&self.scene.forge.keyring)) => {}
                Action::Send { to, wire, when } => {
                    let sent = Outgoing {
                        to,
                        wire,
                        when,
                        after: std::time::Duration::ZERO,
                    };
                    self.bend(0, sent, out);
                }
                other => out.push(other),
            }
        }
    }

    fn is_ours(&self, id: ReplicaId) -> bool {
        id == self.scene.me() || self.scene.forge.cabal.holds(id)
    }

    fn turns(&mut self, out: &mut Outbox<Self>) {
        for place in 0..self.attacks.len() {
            let mut forged = Vec::new();
            if let Some(placed) = self.attacks.get_mut(place) {
                let (attack, mut hand) = placed.hand(&mut self.scene);
                attack.turn(&mut hand, &mut forged);
            }
            for sent in forged {
                self.bend(place + 1, sent, out);
            }
        }
        for id in std::mem::take(&mut self.scene.refused) {
            out.push(Action::Busy {
                id,
                retry_after_ms: RETRY_MS,
            });
        }
    }

    fn set_alarm(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let wishes = self
            .attacks
            .iter()
            .filter_map(|placed| placed.attack.wake());
        let next = wishes.chain(self.held.next()).min();
        if let Some(next) = next
            && self.alarm != Some(next)
        {
            out.push(Action::SetTimer {
                timer: Timer::Wrapper,
                after: next.since(now),
            });
        }
        self.alarm = next.or(self.alarm);
    }
}

fn released(sent: Outgoing) -> Action<Wire, Record> {
    Action::Send {
        to: sent.to,
        wire: sent.wire,
        when: sent.when,
    }
}

fn standing_of(honest: &Pbft) -> Standing {
    Standing {
        epoch: honest.epoch(),
        view: honest.view(),
        mode: honest.mode(),
        stable: honest.stable(),
        last_executed: honest.last_executed(),
    }
}

impl Protocol for Byzantine {
    type Wire = Wire;
    type Message = Message;
    type Record = Record;

    fn examine<'k>(
        keyring: &'k Keyring,
        from: ReplicaId,
        wire: Wire,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<Message, Misbehaviour> {
        Pbft::examine(keyring, from, wire, checks)
    }

    fn settle(message: Message, verdicts: &[bool]) -> Result<Message, Misbehaviour> {
        Pbft::settle(message, verdicts)
    }

    fn requests_in(
        message: Verified<Message>,
    ) -> Result<Vec<Verified<Request>>, Verified<Message>> {
        Pbft::requests_in(message)
    }

    fn horizon(&self) -> Option<Horizon> {
        self.honest.horizon()
    }

    fn is_beyond(wire: &Wire, horizon: Horizon) -> bool {
        Pbft::is_beyond(wire, horizon)
    }

    fn state_wire(message: StateMessage) -> Wire {
        Pbft::state_wire(message)
    }

    fn restore(&mut self, record: Record) {
        // The role alone is there before anything was promised.
        if !matches!(record, Record::Role(_)) {
            self.scene.pulse.note_restarted();
        }
        self.honest.restore(record);
    }

    fn step(&mut self, now: Instant, event: Event<Verified<Message>>, out: &mut Outbox<Self>) {
        self.look(now);
        let mut next = self.filter(event);
        for _ in 0..ROUNDS_MAX {
            if let Some(event) = next.take() {
                self.honest.step(now, event, &mut self.inner);
                self.look(now);
                self.perform(out);
            }
            self.turns(out);
            let requests = std::mem::take(&mut self.scene.requests);
            if requests.is_empty() {
                break;
            }
            let from = None;
            next = Some(Event::Requested { from, requests });
        }
        while let Some(sent) = self.held.take(now) {
            out.push(released(sent));
        }
        self.set_alarm(now, out);
        out.end_at_halt();
    }
}
