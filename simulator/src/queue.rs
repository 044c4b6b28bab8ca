//! What is due when: a heap ordered by virtual time, and among equal times by the order in which
//! things were scheduled, so that a run is decided by its seed alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use consensus::{Instant, ReplicaId, Reply, Term, Timer};

use crate::network::Packet;

/// What can happen. Replicas are meant by their place among the nodes.
pub(crate) enum What {
    /// A message arrives.
    Packet { to: u32, packet: Rc<Packet> },
    /// A client's request arrives.
    Request { to: u32, raw: bytes::Bytes },
    /// A client's read arrives.
    Read { to: u32, raw: bytes::Bytes },
    /// A replica's answer arrives at a client.
    Reply {
        to: u32,
        from: ReplicaId,
        reply: Box<Reply>,
    },
    /// A client learns of a replica's epoch and view.
    Hint {
        to: u32,
        from: ReplicaId,
        term: Term,
    },
    /// A client notices that its channel to a replica is up, or gone.
    Channel { to: u32, from: ReplicaId, up: bool },
    /// A timer runs out, if it is still that setting.
    Timer {
        at: u32,
        timer: Timer,
        generation: u64,
    },
    /// A sync to disk is done.
    Synced { at: u32, life: u32 },
    /// A checkpoint's state is written.
    Saved { at: u32, life: u32 },
    /// A state transfer has something to do.
    TransferDue { at: u32, life: u32 },
    /// A Byzantine member lets out what it has kept back at its way out.
    BendDue { at: u32, life: u32 },
    /// A client has something to do.
    ClientTick { client: u32 },
    /// A client has thought for long enough.
    ClientReady { client: u32 },
    /// A Byzantine client has its turn.
    RogueTurn { rogue: u32 },
    /// Something goes wrong: see `nemesis`.
    Nemesis,
    /// A fault of the script: see `script`.
    Scripted { number: usize },
    /// A round of a short schedule begins: see `campaign`.
    Round,
    /// Something that went wrong ends.
    Remedy(Remedy),
    /// From here on nothing goes wrong any more.
    Heal,
}

/// The end of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The replica that went down as this life is started again.
    Restart { at: u32, life: u32 },
    /// The armed crash comes now, if no persistence point has brought it.
    Crash { at: u32, life: u32 },
    /// The replica loses power.
    PowerCut { at: u32, life: u32 },
    /// Its disk is well again, if it has not brought the replica down.
    Disarm { at: u32, life: u32 },
    /// The paused process goes on.
    Resume { at: u32, life: u32 },
    /// This arrangement of the network ends.
    Network { arrangement: u64 },
}

struct Due {
    at: Instant,
    order: u64,
    what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Everything that is still to happen.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Due>>,
    order: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Instant, what: What) {
        self.order += 1;
        let order = self.order;
        self.heap.push(Reverse(Due { at, order, what }));
    }

    /// The next thing to happen, and when.
    pub(crate) fn pop(&mut self) -> Option<(Instant, What)> {
        let Reverse(due) = self.heap.pop()?;
        Some((due.at, due.what))
    }
}
