//! Executes decided batches in order: sessions in front of the state machine (docs/protocol.md R6,
//! R7.5). Drivers own one; the protocol core never waits for it.

use crypto::{Digest, Hasher};

use crate::batch::Batch;
use crate::byte_list::ByteList;
use crate::cluster::Cluster;
use crate::configuration::{Configuration, Renew};
use crate::ids::{Epoch, RequestId, SeqNo};
use crate::read::{NotARead, ReadVersion};
use crate::reply::{Outcome, ResultBody};
use crate::request::Request;
pub use crate::session::Lookup;
use crate::session::SessionTable;
use crate::state_machine::StateMachine;
use crate::transfer::state::Frozen;
use std::collections::BTreeMap;
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

/// Sessions, configuration and state machine at `last_executed`.
pub struct Executor<S> {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) machine: S,
    pub(crate) sessions: SessionTable,
    pub(crate) configuration: Configuration,
    pub(crate) last_executed: SeqNo,
    /// States of checkpoints that are served to others (R13).
    pub(crate) frozen: BTreeMap<SeqNo, Frozen>,
    /// Digests of the states at the checkpoints of the last window.
    checkpoints: BTreeMap<SeqNo, Digest>,
}

impl<S: StateMachine> Executor<S> {
    /// An executor at sequence number 0.
    pub fn new(cluster: Arc<Cluster>, machine: S) -> Self {
        let window = cluster.limits().client_window;
        Executor {
            machine,
            sessions: SessionTable::new(window),
            configuration: Configuration::genesis(&cluster),
            last_executed: SeqNo(0),
            frozen: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            cluster,
        }
    }

    /// An executor that goes on from a stored state.
    pub fn restored(
        cluster: Arc<Cluster>,
        machine: S,
        sessions: SessionTable,
        configuration: Configuration,
        last_executed: SeqNo,
    ) -> Self {
        Executor {
            cluster,
            machine,
            sessions,
            configuration,
            last_executed,
            frozen: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
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

    /// The configuration, as of the last slot executed.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The configuration that it was founded with.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Executes operations that only read on the state as it is: results, and what each of them
    /// depends on as its reply says it (R14). They share a budget as those of a request do.
    ///
    /// # Errors
    /// If one of them does not only read.
    pub fn read(&self, ops: &ByteList) -> Result<(ByteList, Vec<SeqNo>), NotARead> {
        let mut room = self.cluster.limits().result_bytes_max as usize;
        let mut results = Vec::with_capacity(ops.len());
        let mut versions = Vec::with_capacity(ops.len());
        for op in ops.iter() {
            let (result, version) = self.machine.read(op, room).ok_or(NotARead)?;
            room = room.saturating_sub(result.len());
            results.push(result);
            versions.push(match version {
                ReadVersion::Key(seq) => seq,
                ReadVersion::State => self.last_executed,
            });
        }
        Ok((results.into_iter().collect(), versions))
    }

    /// What executing a request that has just arrived would come to: the session table says it of
    /// clients' requests, the configuration of RENEWs (R16).
    pub fn lookup(&self, request: &Request) -> Lookup {
        if request.id.client.is_service() {
            let seq = self.last_executed.next();
            let allowed = Renew::of(request)
                .map(|(replica, renew)| self.configuration.allows(seq, replica, &renew));
            return match allowed {
                Some(Ok(())) => Lookup::New,
                Some(Err(_)) | None => Lookup::Refused(Outcome::Denied),
            };
        }
        self.sessions.lookup(&request.id, request.ack)
    }

    /// Executes the batch at `seq`; `None` is the null batch. Requests that were executed before,
    /// or never may be, change nothing. RENEWs are no clients' requests: nobody waits for an answer
    /// to them, and they are not among the results.
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
        self.configuration.execute(seq, batch);
        let mut executed = Vec::with_capacity(requests.len());
        for request in requests {
            let id = request.id;
            if id.client.is_service() {
                continue;
            }
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
        let ops = request.ops();
        if request.atomic {
            return self
                .machine
                .apply_atomic(seq, &mut ops.iter(), room)
                .into_iter()
                .collect();
        }
        let results = ops.iter().map(|op| {
            let result = self.machine.apply(seq, op, room);
            room = room.saturating_sub(result.len());
            result
        });
        results.collect()
    }

    /// What a disk said of the checkpoints before the stored state (R9).
    pub fn remember_checkpoints(&mut self, earlier: &[(SeqNo, Digest)]) {
        self.checkpoints.extend(earlier.iter().copied());
        self.forget_checkpoints();
    }

    /// The state digest at a checkpoint that has just been reached. It is remembered as long as the
    /// checkpoint may be above h.
    pub fn checkpoint(&mut self) -> Digest {
        let digest = self.state_digest();
        self.checkpoints.insert(self.last_executed, digest);
        self.forget_checkpoints();
        digest
    }

    /// State digests of the checkpoints before the last slot executed, as far as they may be above
    /// h, ascending. They go to disk with a state (R9).
    pub fn earlier_checkpoints(&self) -> Vec<(SeqNo, Digest)> {
        let earlier = self.checkpoints.range(..self.last_executed);
        earlier.map(|(seq, digest)| (*seq, *digest)).collect()
    }

    /// Nothing is executed beyond h + L: what lies that far behind is not above h.
    fn forget_checkpoints(&mut self) {
        let window = self.cluster.limits().log_window;
        let passed = SeqNo(self.last_executed.0.saturating_sub(window));
        self.checkpoints = self.checkpoints.split_off(&passed.next());
    }

    /// `H("state" ‖ epoch ‖ seq ‖ kv_root ‖ sessions_root ‖ config_digest)` (R9).
    pub fn state_digest(&mut self) -> Digest {
        let (machine, sessions) = (self.machine.root(), self.sessions.root());
        digest_of(self.last_executed, &machine, &sessions, &self.configuration)
    }
}

/// The digest of the state that consists of these.
pub(crate) fn digest_of(
    seq: SeqNo,
    machine: &Digest,
    sessions: &Digest,
    configuration: &Configuration,
) -> Digest {
    let Epoch(epoch) = configuration.epoch();
    let mut hasher = Hasher::new("state");
    hasher
        .u64(epoch)
        .u64(seq.0)
        .update(machine.as_bytes())
        .update(sessions.as_bytes())
        .update(configuration.digest().as_bytes());
    hasher.finish()
}
