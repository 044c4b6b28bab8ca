//! The bend at the way out: what does not pass the protocol leaves through it. Replies to clients, the
//! state transfer, and everything else once more as it goes out, so that an attack can make bytes of it
//! that are no message.
//!
//! A driver gives it everything that is about to leave, and sends what it gets back. What is kept back
//! comes out of [`Bend::due`], which is to be asked at [`Bend::deadline`].

use std::time::Duration;

use consensus::pbft::message::{Mode, Wire};
use consensus::{Destination, Instant, Reply, SeqNo};

use crate::attack::{Leaving, Parcel, Scene, Standing};
use crate::forge::Forge;
use crate::held::{Held, weight_of};
use crate::memory::Memory;
use crate::plan::Plan;
use crate::pulse::Pulse;
use crate::wrapper::Placed;

/// About how many bytes a reply has beside its results.
const REPLY_BYTES: usize = 256;

/// Something whose time to leave has come.
#[derive(Clone, Debug)]
pub enum Due {
    /// To a replica, or to all others.
    Parcel(Destination, Parcel),
    /// To the client that it names.
    Reply(Reply),
}

/// The attacks of a member at its way out. It is the wrapper's other half and shares its pulse.
pub struct Bend {
    attacks: Vec<Placed>,
    scene: Scene,
    held: Held<Due>,
}

impl Bend {
    /// Of the same plan, keys and pulse as the wrapper.
    pub fn new(forge: Forge, plan: &Plan, pulse: Pulse) -> Self {
        let attacks = Placed::all(plan, forge.me, 1);
        let (epoch, view, _) = pulse.standing();
        Bend {
            attacks,
            scene: Scene {
                now: Instant(0),
                standing: Standing {
                    epoch,
                    view,
                    mode: Mode::Normal,
                    stable: SeqNo(0),
                    last_executed: SeqNo(0),
                },
                forge,
                memory: Memory::default(),
                requests: Vec::new(),
                refused: Vec::new(),
                pulse,
            },
            held: Held::default(),
        }
    }

    fn look(&mut self, now: Instant) {
        self.scene.now = now;
        let (epoch, view, _) = self.scene.pulse.standing();
        self.scene.standing.epoch = epoch;
        self.scene.standing.view = view;
    }

    /// What leaves at once when this is about to leave for a replica.
    pub fn message(
        &mut self,
        now: Instant,
        to: Destination,
        wire: Wire,
    ) -> Vec<(Destination, Parcel)> {
        self.look(now);
        let mut leaves = vec![Leaving {
            to,
            what: Parcel::Wire(Box::new(wire)),
            after: Duration::ZERO,
        }];
        for placed in &mut self.attacks {
            let (attack, mut hand) = placed.hand(&mut self.scene);
            let mut next = Vec::new();
            for parcel in leaves {
                attack.parting(&mut hand, parcel, &mut next);
            }
            leaves = next;
        }
        let mut at_once = Vec::new();
        for Leaving { to, what, after } in leaves {
            if after.is_zero() {
                at_once.push((to, what));
            } else {
                let bytes = weight_of(&what);
                self.held.keep(now + after, bytes, Due::Parcel(to, what));
            }
        }
        at_once
    }

    /// What leaves at once when this is about to leave for a client.
    pub fn reply(&mut self, now: Instant, reply: Reply) -> Vec<Reply> {
        self.look(now);
        let mut leaves = vec![Leaving {
            to: Destination::Others,
            what: reply,
            after: Duration::ZERO,
        }];
        for placed in &mut self.attacks {
            let (attack, mut hand) = placed.hand(&mut self.scene);
            let mut next = Vec::new();
            for reply in leaves {
                attack.replying(&mut hand, reply, &mut next);
            }
            leaves = next;
        }
        let mut at_once = Vec::new();
        for Leaving { what, after, .. } in leaves {
            if after.is_zero() {
                at_once.push(what);
            } else {
                self.held.keep(now + after, REPLY_BYTES, Due::Reply(what));
            }
        }
        at_once
    }

    /// When [`Bend::due`] is to be asked next.
    pub fn deadline(&self) -> Option<Instant> {
        self.held.next()
    }

    /// What was kept back until now.
    pub fn due(&mut self, now: Instant) -> Vec<Due> {
        std::iter::from_fn(|| self.held.take(now)).collect()
    }
}
