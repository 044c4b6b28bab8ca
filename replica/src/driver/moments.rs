//! When the steps of each slot were taken, as the driver sees them; from one step to the next is a phase.
//!
//! Only the core thread is here, so that these are plain numbers. Slots stand in a ring of fixed size.

use consensus::report::Path;
use consensus::{SeqNo, Ticket};
use std::collections::VecDeque;

use crate::observer::phases::{Phase, Phases};

/// Slots that are remembered: several windows. An older one makes way, and its sample is missing.
const SLOTS_REMEMBERED: usize = 1 << 12;
/// Groups of records on their way to disk; the protocol's window allows far fewer.
const GROUPS_REMEMBERED: usize = 1024;

/// The moments of the slots under way, in microseconds of the observer's clock; 0: not yet.
#[derive(Debug)]
pub(super) struct Moments {
    slots: Box<[Slot]>,
    groups: VecDeque<(Ticket, u64)>,
    /// When the slots that this turn has executed were decided.
    executed: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    seq: u64,
    voted: u64,
    committed: u64,
    decided: u64,
}

impl Default for Moments {
    fn default() -> Self {
        Moments {
            slots: vec![Slot::default(); SLOTS_REMEMBERED].into(),
            groups: VecDeque::new(),
            executed: Vec::new(),
        }
    }
}

impl Moments {
    fn slot(&mut self, seq: SeqNo) -> &mut Slot {
        let slot = &mut self.slots[seq.0 as usize & (SLOTS_REMEMBERED - 1)];
        if slot.seq != seq.0 {
            *slot = Slot {
                seq: seq.0,
                ..Slot::default()
            };
        }
        slot
    }

    /// The own vote was cast. The first one counts: what is sent again, or voted for again in a later view, waits since then.
    pub(super) fn voted(&mut self, seq: SeqNo, phases: &Phases) {
        let slot = self.slot(seq);
        if slot.voted == 0 && slot.decided == 0 {
            slot.voted = phases.now();
            phases.vote_cast(seq, slot.voted);
        }
    }

    /// The own COMMIT was cast. One that only helps others, behind the decision, ends nothing.
    pub(super) fn committed(&mut self, seq: SeqNo, phases: &Phases) {
        let slot = self.slot(seq);
        if slot.committed == 0 && slot.decided == 0 {
            slot.committed = phases.now();
            span(phases, Phase::Prepare, slot.voted, slot.committed);
        }
    }

    /// The slot was decided.
    pub(super) fn decided(&mut self, seq: SeqNo, path: Path, phases: &Phases) {
        let slot = self.slot(seq);
        if slot.decided != 0 {
            return;
        }
        slot.decided = phases.now();
        match path {
            Path::Fast if slot.committed == 0 => {
                span(phases, Phase::Prepare, slot.voted, slot.decided);
            }
            Path::Slow => span(phases, Phase::Commit, slot.committed, slot.decided),
            // Decided fast behind a COMMIT: preparing ended with that.
            Path::Fast | Path::Transfer => {}
        }
    }

    /// The slot was executed; its replies are handed over at the end of the turn.
    pub(super) fn executed(&mut self, seq: SeqNo) {
        let decided = self.slot(seq).decided;
        if decided != 0 {
            self.executed.push(decided);
        }
    }

    /// Everything that the turn has executed is answered.
    pub(super) fn answered(&mut self, phases: &Phases) {
        if self.executed.is_empty() {
            return;
        }
        let now = phases.now();
        for decided in self.executed.drain(..) {
            span(phases, Phase::Execute, decided, now);
        }
    }

    /// The disk was given everything up to this ticket.
    pub(super) fn persisting(&mut self, upto: Ticket, phases: &Phases) {
        if self.groups.len() < GROUPS_REMEMBERED {
            self.groups.push_back((upto, phases.now()));
        }
    }

    /// Everything up to this ticket is durable.
    pub(super) fn durable(&mut self, upto: Ticket, phases: &Phases) {
        let now = phases.now();
        while let Some((_, since)) = self.groups.pop_front_if(|(ticket, _)| *ticket <= upto) {
            span(phases, Phase::Fsync, since, now);
        }
    }
}

fn span(phases: &Phases, phase: Phase, from: u64, to: u64) {
    if from != 0 {
        phases.of(phase).record(to.saturating_sub(from));
    }
}
