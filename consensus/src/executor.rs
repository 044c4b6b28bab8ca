//! Executes decided batches in order: sessions in front of the state machine (docs/protocol.md R6,
//! R7.5). Drivers own one; the protocol core never waits for it.

use crypto::{Digest, Hasher};

use crate::batch::Batch;
use crate::byte_list::ByteList;
use crate::cluster::Cluster;
use crate::ids::{RequestId, SeqNo};
use crate::reply::{Outcome, ResultBody};
use crate::request::Request;
pub use crate::session::Lookup;
use crate::session::SessionTable;
use crate::state_machine::StateMachine;
use crypto::ClusterId;
use std::sync::Arc;

/// What a batch came to, request by request in batch order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The request.
    pub id: RequestId,
    /// Where it was executed: this batch, or an earlier one if it had been executed before.
    pub seq: SeqNo,
    /// The full outcome.
    pub outcome: Outcome,
    /// True if this batch executed it; false if the reply is a stored one or a refusal.
    pub fresh: bool,
}

/// Sessions and state machine at `last_executed`.
pub struct Executor<S> {
    cluster: Arc<Cluster>,
    machine: S,
    sessions: SessionTable,
    last_executed: SeqNo,
}

impl<S: StateMachine> Executor<S> {
    /// An executor at sequence number 0.
    pub fn new(cluster: Arc<Cluster>, machine: S) -> Self {
        let window = cluster.limits().client_window;
        Executor {
            cluster,
            machine,
            sessions: SessionTable::new(window),
            last_executed: SeqNo(0),
        }
    }

    /// An executor that goes on from a stored state.
    pub fn restored(
        cluster: Arc<Cluster>,
        machine: S,
        sessions: SessionTable,
        last_executed: SeqNo,
    ) -> Self {
        Executor {
            cluster,
            machine,
            sessions,
            last_executed,
        }
    }

    /// The sequence number that was executed last.
    pub fn last_executed(&self) -> SeqNo {
        self.last_executed
    }

    /// The state machine.
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// The state machine, for checkpoints.
    pub fn machine_mut(&mut self) -> &mut S {
        &mut self.machine
    }

    /// The session table.
    pub fn sessions(&self) -> &SessionTable {
        &self.sessions
    }

    /// What the session table says of a request that has just arrived.
    pub fn lookup(&self, request: &Request) -> Lookup {
        self.sessions.lookup(&request.id, request.ack)
    }

    /// Executes the batch at `seq`; `None` is the null batch. Requests that were executed before,
    /// or never may be, change nothing.
    ///
    /// # Panics
    /// If `seq` is not the next one: execution out of order would fork the state.
    pub fn execute(&mut self, seq: SeqNo, batch: Option<&Batch>) -> Vec<Executed> {
        assert_eq!(
            seq,
            self.last_executed.next(),
            "batches execute in sequence order"
        );
        self.last_executed = seq;
        let requests = batch.map(Batch::requests).unwrap_or_default();
        let mut executed = Vec::with_capacity(requests.len());
        for request in requests {
            let id = request.id;
            if self.cluster.client_key(id.client).is_none() {
                executed.push(Executed {
                    id,
                    seq,
                    outcome: Outcome::Denied,
                    fresh: false,
                });
                continue;
            }
            self.sessions.enter(&id);
            let (seq, outcome, fresh) = match self.sessions.lookup(&id, request.ack) {
                Lookup::Done(stored, outcome) => (stored, outcome, false),
                Lookup::Refused(outcome) => (seq, outcome, false),
                Lookup::New => {
                    let results = self.apply(seq, request);
                    let outcome = Outcome::Executed(ResultBody::Full(results));
                    self.sessions
                        .complete(&id, request.ack, seq, outcome.clone());
                    (seq, outcome, true)
                }
            };
            executed.push(Executed {
                id,
                seq,
                outcome,
                fresh,
            });
        }
        executed
    }

    /// All results of a request share one budget, so that what a session keeps is bounded by
    /// W × that budget however many operations a request has.
    fn apply(&mut self, seq: SeqNo, request: &Request) -> ByteList {
        let mut room = self.cluster.limits().result_bytes_max as usize;
        if request.atomic {
            let ops = &mut request.ops.iter();
            return self
                .machine
                .apply_atomic(seq, ops, room)
                .into_iter()
                .collect();
        }
        let results = request.ops.iter().map(|op| {
            let result = self.machine.apply(seq, op, room);
            room = room.saturating_sub(result.len());
            result
        });
        results.collect()
    }

    /// `H("state" ‖ epoch ‖ seq ‖ kv_root ‖ sessions_root ‖ config_digest)` (R9).
    pub fn state_digest(&mut self) -> Digest {
        let ClusterId(config) = self.cluster.id();
        let mut hasher = Hasher::new("state");
        hasher
            .u64(0)
            .u64(self.last_executed.0)
            .update(self.machine.root().as_bytes())
            .update(self.sessions.root().as_bytes())
            .update(config.as_bytes());
        hasher.finish()
    }
}
