//! What an attack is: code that sits around honest code, sees what comes in, and decides what leaves.
//!
//! Each behaviour's arguments make an [`Attack`]. Two places call it, each with an instance of its
//! own: the wrapper ([`crate::Byzantine`]) for everything that passes the protocol, and the bend
//! ([`crate::Bend`]) for what does not: replies, state transfer, and bytes. An attack asks
//! [`Hand::strikes`] before it does anything, and says [`Hand::did`] once it has: a run in which
//! nothing was done shows nothing.

use std::time::Duration;

use consensus::pbft::admission::Message;
use consensus::pbft::message::{Mode, Wire};
use consensus::protocol::When;
use consensus::{Destination, Epoch, Instant, ReplicaId, Reply, Request, RequestId, SeqNo, View};
use crypto::Verified;

use crate::behaviour::Plays;
use crate::chance::Chance;
use crate::forge::Forge;
use crate::memory::Memory;
use crate::pulse::Pulse;
use crate::trigger::{Moment, Part, Trigger};

/// A message of the protocol on its way out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// To whom.
    pub to: Destination,
    /// What.
    pub wire: Wire,
    /// What it waits for on disk.
    pub when: When,
    /// How long it is kept back.
    pub after: Duration,
}

impl Outgoing {
    /// Something forged, for one replica; it waits for nothing.
    pub fn forged(to: ReplicaId, wire: Wire) -> Outgoing {
        Outgoing {
            to: Destination::One(to),
            wire,
            when: When::Now,
            after: Duration::ZERO,
        }
    }

    /// Something forged, for everybody else.
    pub fn forged_for_all(wire: Wire) -> Outgoing {
        Outgoing {
            to: Destination::Others,
            ..Outgoing::forged(ReplicaId(0), wire)
        }
    }

    /// The same, kept back longer.
    #[must_use]
    pub fn later(mut self, by: Duration) -> Outgoing {
        self.after = self.after.saturating_add(by);
        self
    }

    /// The same message for one replica.
    pub fn copy_for(&self, to: ReplicaId) -> Outgoing {
        Outgoing {
            to: Destination::One(to),
            ..self.clone()
        }
    }
}

/// What leaves at the bend.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// A message, still to be encoded.
    Wire(Box<Wire>),
    /// Bytes as they are, perhaps of no message at all.
    Bytes(Vec<u8>),
}

/// Something on its way out at the bend.
#[derive(Clone, Debug)]
pub struct Leaving<T> {
    /// To whom; for replies the client is in the reply.
    pub to: Destination,
    /// What.
    pub what: T,
    /// How long it is kept back.
    pub after: Duration,
}

/// Where the honest code inside stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its view.
    pub view: View,
    /// Open, or between views.
    pub mode: Mode,
    /// Low watermark h; at the bend 0.
    pub stable: SeqNo,
    /// Executed up to here; at the bend 0.
    pub last_executed: SeqNo,
}

/// What all attacks of a member look at.
pub struct Scene {
    /// Now, on the member's clock.
    pub now: Instant,
    /// Of the honest code.
    pub standing: Standing,
    /// Signs.
    pub forge: Forge,
    /// What has passed by.
    pub memory: Memory,
    /// Requests that the honest code gets next, as if they had just come.
    pub requests: Vec<Verified<Request>>,
    /// Requests that their clients are told were not taken in.
    pub refused: Vec<RequestId>,
    pub(crate) pulse: Pulse,
}

impl Scene {
    /// The member itself.
    pub fn me(&self) -> ReplicaId {
        self.forge.me
    }

    /// Its part in the view.
    pub fn part(&self) -> Part {
        let (epoch, view) = (self.standing.epoch, self.standing.view);
        match self.forge.primary(epoch, view) == self.me() {
            true => Part::Primary,
            false => Part::Backup,
        }
    }

    /// Replicas.
    pub fn n(&self) -> usize {
        self.forge.keyring.cluster().quorums().n()
    }

    /// Byzantine replicas that the cluster tolerates.
    pub fn f(&self) -> usize {
        self.forge.keyring.cluster().quorums().f()
    }

    /// Every other replica, ascending.
    pub fn others(&self) -> Vec<ReplicaId> {
        let me = self.me();
        let n = u16::try_from(self.n()).unwrap_or(u16::MAX);
        (0..n).map(ReplicaId).filter(|id| *id != me).collect()
    }

    /// Every other replica outside the cabal, ascending.
    pub fn victims(&self) -> Vec<ReplicaId> {
        let mut others = self.others();
        others.retain(|id| !self.forge.cabal.holds(*id));
        others
    }

    /// To whom something goes.
    pub fn receivers(&self, to: Destination) -> Vec<ReplicaId> {
        match to {
            Destination::Others => self.others(),
            Destination::One(one) => vec![one],
        }
    }
}

/// What an attack has in its hand for one call.
pub struct Hand<'a> {
    /// What it looks at.
    pub scene: &'a mut Scene,
    /// A stream of its own.
    pub chance: &'a mut Chance,
    pub(crate) trigger: &'a Trigger,
    pub(crate) plays: Plays,
    pub(crate) place: usize,
}

impl Hand<'_> {
    fn moment(&self, seq: Option<SeqNo>) -> Moment {
        Moment {
            measured: self.scene.pulse.measured(self.scene.now),
            view: self.scene.standing.view,
            seq,
            part: self.scene.part(),
            detected: self.scene.pulse.detected(),
        }
    }

    /// Does it strike on this occasion? Draws once from its probability.
    pub fn strikes(&mut self, seq: Option<SeqNo>) -> bool {
        let moment = self.moment(seq);
        self.plays_now() && self.trigger.strikes(&moment, self.chance)
    }

    fn plays_now(&self) -> bool {
        match self.plays {
            Plays::Primary => self.scene.part() == Part::Primary,
            Plays::Backup => self.scene.part() == Part::Backup,
            Plays::Either => true,
        }
    }

    /// Is this its time, chance aside?
    pub fn is_open(&self, seq: Option<SeqNo>) -> bool {
        self.plays_now() && self.trigger.is_open(&self.moment(seq))
    }

    /// The same hand for an attack inside an attack; unless `open`, nothing strikes.
    pub fn inner(&mut self, open: bool) -> Hand<'_> {
        Hand {
            scene: &mut *self.scene,
            chance: &mut *self.chance,
            trigger: match open {
                true => self.trigger,
                false => &NEVER,
            },
            plays: self.plays,
            place: self.place,
        }
    }

    /// Has the member been restarted, with promises on its disk?
    pub fn was_restarted(&self) -> bool {
        self.scene.pulse.was_restarted()
    }

    /// It has done something.
    pub fn did(&self) {
        self.scene.pulse.did(self.place);
    }
}

/// Of no view: it never strikes.
const NEVER: Trigger = Trigger {
    from: None,
    to: None,
    probability: None,
    views: Some([1, 0]),
    seqs: None,
    part: None,
    until_detected: false,
};

/// A way to misbehave. Every method does nothing by default.
pub trait Attack: Send {
    /// Clients' requests, or forwarded ones, before the honest code gets them: what it gives back goes on.
    fn requested(
        &mut self,
        hand: &mut Hand<'_>,
        from: Option<ReplicaId>,
        requests: Vec<Verified<Request>>,
    ) -> Vec<Verified<Request>> {
        let _ = (hand, from);
        requests
    }

    /// A message before the honest code gets it; `false` keeps it away.
    fn received(&mut self, hand: &mut Hand<'_>, from: ReplicaId, message: &Message) -> bool {
        let _ = (hand, from, message);
        true
    }

    /// A message of the protocol on its way out: what is put into `leaves` goes on instead.
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let _ = hand;
        leaves.push(sent);
    }

    /// After every step, and when its time has come: what is put into `leaves` leaves as well.
    fn turn(&mut self, hand: &mut Hand<'_>, leaves: &mut Vec<Outgoing>) {
        let _ = (hand, leaves);
    }

    /// When [`Attack::turn`] is wanted at the latest.
    fn wake(&self) -> Option<Instant> {
        None
    }

    /// At the bend: anything that goes to a replica, state transfer included.
    fn parting(
        &mut self,
        hand: &mut Hand<'_>,
        parcel: Leaving<Parcel>,
        leaves: &mut Vec<Leaving<Parcel>>,
    ) {
        let _ = hand;
        leaves.push(parcel);
    }

    /// At the bend: a reply to a client.
    fn replying(
        &mut self,
        hand: &mut Hand<'_>,
        reply: Leaving<Reply>,
        leaves: &mut Vec<Leaving<Reply>>,
    ) {
        let _ = hand;
        leaves.push(reply);
    }
}

/// Arguments of a behaviour: they make its attack.
pub trait Recipe {
    /// A fresh instance.
    fn attack(&self) -> Box<dyn Attack>;
}

/// The slot that a message is about, if it is about one.
pub fn slot_of(wire: &Wire) -> Option<SeqNo> {
    match wire {
        Wire::PrePrepare(header, _) => Some(header.statement.seq),
        Wire::Prepare(vote) => Some(vote.statement.seq),
        Wire::Commit(vote) => Some(vote.statement.seq),
        Wire::Checkpoint(claim) => Some(claim.seq),
        Wire::Stable(certificate) => Some(certificate.seq),
        Wire::Decision(decision) => Some(decision.certificate.statement.seq),
        Wire::FetchBatch(seq, _) => Some(*seq),
        Wire::Evidence(proof) => Some(proof.seq()),
        Wire::FetchDecisions(first, _) => Some(*first),
        Wire::Status(_)
        | Wire::Batch(_)
        | Wire::Forward(_)
        | Wire::ViewChange(_)
        | Wire::NewView(_)
        | Wire::State(_) => None,
    }
}
