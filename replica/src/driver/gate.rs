//! The durability gate: a message that carries a promise waits until the promise is on disk
//! (docs/protocol.md R12, first rule of `consensus::protocol`).

use std::collections::VecDeque;

use consensus::Ticket;

use super::ports::Outgoing;

/// Messages that wait for a ticket. Bounded by what a protocol has in progress: it persists at
/// most a few records for each sequence number of its window before their tickets come back.
#[derive(Debug, Default)]
pub(super) struct Gate {
    durable: Ticket,
    waiting: VecDeque<(Ticket, Outgoing)>,
}

impl Gate {
    /// Takes a message that may leave when everything up to `ticket` is durable. It comes back at
    /// once if that is so already.
    pub(super) fn hold(&mut self, ticket: Ticket, message: Outgoing) -> Option<Outgoing> {
        if ticket <= self.durable && self.waiting.is_empty() {
            return Some(message);
        }
        debug_assert!(self.waiting.back().is_none_or(|(last, _)| *last <= ticket));
        self.waiting.push_back((ticket, message));
        None
    }

    /// Everything up to `ticket` is durable: appends what may leave now, in the order held.
    pub(super) fn release(&mut self, ticket: Ticket, out: &mut Vec<Outgoing>) {
        self.durable = self.durable.max(ticket);
        let free = self
            .waiting
            .partition_point(|(needs, _)| *needs <= self.durable);
        out.extend(self.waiting.drain(..free).map(|(_, message)| message));
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
