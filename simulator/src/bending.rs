//! The way out of Byzantine members: their messages and replies pass a bend, which may make bytes of
//! them that are no message. What the receivers would not admit goes no further; they count it.

use std::rc::Rc;
use std::time::Duration;

use byzantine::attack::Parcel;
use byzantine::{Bend, Due};
use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::protocol::{When, admit_all};
use consensus::{Destination, Instant, Reply};

use crate::network::Packet;
use crate::queue::What;
use crate::world::World;

impl World<'_> {
    /// A member's bend, with its local time.
    fn bend(&mut self, at: usize) -> Option<(Instant, &mut Bend)> {
        let node = &mut self.nodes[at];
        let local = node.clock.read(self.now);
        let (bend, _) = node.running.as_mut()?.bend.as_mut()?;
        Some((local, bend))
    }

    /// A Byzantine member sends a message.
    pub(crate) fn send_bent(&mut self, at: usize, to: Destination, wire: Wire, when: When) {
        let Some((local, bend)) = self.bend(at) else {
            return;
        };
        for (to, parcel) in bend.message(local, to, wire) {
            self.send_parcel(at, to, parcel, when);
        }
        self.schedule_bend(at);
    }

    /// A Byzantine member answers a client.
    pub(crate) fn reply_bent(&mut self, at: usize, reply: Reply) {
        let Some((local, bend)) = self.bend(at) else {
            return;
        };
        for reply in bend.reply(local, reply) {
            self.send_reply(at, reply);
        }
        self.schedule_bend(at);
    }

    /// What was kept back leaves.
    pub(crate) fn bend_is_due(&mut self, at: usize) {
        if let Some(running) = &mut self.nodes[at].running
            && let Some((_, alarm)) = &mut running.bend
        {
            *alarm = None;
        }
        let Some((local, bend)) = self.bend(at) else {
            return;
        };
        for due in bend.due(local) {
            match due {
                Due::Parcel(to, parcel) => self.send_parcel(at, to, parcel, When::Now),
                Due::Reply(reply) => self.send_reply(at, reply),
            }
        }
        self.schedule_bend(at);
    }

    fn send_parcel(&mut self, at: usize, to: Destination, parcel: Parcel, when: When) {
        let bytes = match parcel {
            Parcel::Wire(wire) => crypto::encode(&*wire),
            Parcel::Bytes(bytes) => bytes,
        };
        match self.admitted(at, &bytes) {
            Some(packet) => self.send_packet(at, to, packet, when),
            None => self.stats.byzantine_refused += 1,
        }
    }

    /// Decodes and admits as every receiver would.
    fn admitted(&self, at: usize, bytes: &[u8]) -> Option<Rc<Packet>> {
        let from = self.nodes[at].id;
        let wire: Wire = crypto::decode(bytes).ok()?;
        let (_, admitted) = admit_all::<Pbft>(&self.keyring, vec![(from, wire.clone())]).pop()?;
        Some(self.packet(from, &wire, admitted.ok()?, bytes))
    }

    fn schedule_bend(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let running = node.running.as_mut();
        let Some((bend, alarm)) = running.and_then(|running| running.bend.as_mut()) else {
            return;
        };
        let Some(deadline) = bend.deadline() else {
            return;
        };
        let after = node.clock.until(self.now, deadline) + Duration::from_nanos(1);
        let due = self.now + after;
        if alarm.is_none_or(|set| due < set) {
            *alarm = Some(due);
            let (at, life) = (at as u32, node.life);
            self.schedule(after, What::BendDue { at, life });
        }
    }
}
