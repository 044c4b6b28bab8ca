//! Requests that the batches of this turn settle, which are executed only at its end.
//!
//! The protocol forgets a request when it hands its batch over for execution, and the session table
//! knows of it once the batch is executed. A copy that arrives in between is new to both: the
//! protocol would wait for an execution that has been, and in the end give up a primary that has
//! nothing to order. So it is dropped: whoever sent it gets the reply of the execution.

use std::collections::{BTreeMap, BTreeSet};

use consensus::{Batch, ClientId, RequestId};

/// What the batches of a turn settle.
#[derive(Debug, Default)]
pub(super) struct Settling {
    executed: BTreeSet<RequestId>,
    /// The latest session and the highest acknowledgement in it.
    acked: BTreeMap<ClientId, (u64, u64)>,
}

impl Settling {
    /// What these batches settle.
    pub(super) fn of<'b>(batches: impl Iterator<Item = &'b Batch>) -> Self {
        let mut settling = Settling::default();
        for request in batches.flat_map(Batch::requests) {
            let id = request.id;
            settling.executed.insert(id);
            let acked = settling.acked.entry(id.client).or_default();
            *acked = (*acked).max((id.session, request.ack));
        }
        settling
    }

    /// Is this request executed in this turn, or can it not be any more after it?
    pub(super) fn settles(&self, id: &RequestId) -> bool {
        let acked = self.acked.get(&id.client);
        self.executed.contains(id) || acked.is_some_and(|acked| (id.session, id.number) <= *acked)
    }
}
