//! State transfer in the simulated world: what a replica's driver does for it, on a clock, a network
//! and a disk that are simulated.

use std::time::Duration;

use consensus::pbft::Pbft;
use consensus::protocol::When;
use consensus::transfer::Effect;
use consensus::{Destination, Executor, Instant, Protocol, SeqNo, Transfer};

use crate::queue::What;
use crate::world::World;

/// What a turn of the state transfer does: at a local time, with the state, for effects.
type Turn<'a> =
    dyn FnOnce(Instant, &mut Transfer<kv::Store>, &mut Executor<kv::Store>, &mut Vec<Effect>) + 'a;

impl World<'_> {
    /// Lets a replica's state transfer take in something, and performs what it wants done.
    pub(crate) fn transfer(&mut self, at: usize, turn: Box<Turn<'_>>) {
        let node = &mut self.nodes[at];
        let local = node.clock.read(self.now);
        let Some(running) = &mut node.running else {
            return;
        };
        let mut effects = Vec::new();
        turn(
            local,
            &mut running.transfer,
            &mut running.executor,
            &mut effects,
        );
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    let wire = Pbft::state_wire(message);
                    self.send(at, Destination::One(to), wire, When::Now);
                }
                Effect::Installed { seq, .. } => {
                    self.note(10, at as u32, seq.0);
                    self.chart(|world| {
                        format!("{:<4} installs the state at {seq}", world.name(at))
                    });
                    self.begin_save(at, seq, true);
                }
                Effect::Report(report) => self.report(at, report),
                Effect::Halt(diagnosis) => self.halts(at, &diagnosis),
            }
        }
        self.schedule_transfer(at);
    }

    /// A state was frozen or may be forgotten: nothing leaves.
    pub(crate) fn checkpoint_executed(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let local = node.clock.read(self.now);
        if let Some(running) = &mut node.running {
            running.transfer.checkpoint(local, &mut running.executor);
        }
    }

    /// A checkpoint is stable at a replica.
    pub(crate) fn checkpoint_stable(&mut self, at: usize, seq: SeqNo) {
        let node = &mut self.nodes[at];
        let local = node.clock.read(self.now);
        if let Some(running) = &mut node.running {
            running.transfer.stable(local, seq, &mut running.executor);
        }
    }

    /// The transfer's time has come, unless the clock was set back meanwhile.
    pub(crate) fn transfer_is_due(&mut self, at: usize) {
        if let Some(running) = &mut self.nodes[at].running {
            running.transfer_due = None;
        }
        let turn = |now, transfer: &mut Transfer<_>, executor: &mut _, out: &mut _| {
            transfer.tick(now, executor, out);
        };
        self.transfer(at, Box::new(turn));
    }

    fn schedule_transfer(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(running) = &mut node.running else {
            return;
        };
        let Some(deadline) = running.transfer.deadline() else {
            return;
        };
        let after = node.clock.until(self.now, deadline) + Duration::from_nanos(1);
        let due = self.now + after;
        if running.transfer_due.is_none_or(|set| due < set) {
            running.transfer_due = Some(due);
            let (at, life) = (at as u32, node.life);
            self.schedule(after, What::TransferDue { at, life });
        }
    }
}
