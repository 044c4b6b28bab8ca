//! The oracles of every run (ATTACKS 1.0), kept up to date while it goes on, so that what is
//! settled can be forgotten and a run may be as long as it likes:
//!
//! | oracle | here |
//! |---|---|
//! | S1 agreement | one digest for each slot, decided or executed, at every correct replica |
//! | S2 state | checkpoint digests agree, and what the stores hold is what `reference` holds |
//! | S3 linearizability | results are those of the log, and the log follows real time |
//! | S4 integrity | known clients, valid signatures, executed once |
//! | S5 durability | the probe after a restart of all is answered from the whole log |
//! | S6 non-equivocation | `signed` |
//! | S7 no halt, S8 blame, L1 progress | reported by the world |
//!
//! What is kept for ever is sixteen bytes a slot.

pub(crate) mod reference;
mod signed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use consensus::batch::null_digest;
use consensus::{
    Batch, ByteList, Configuration, Epoch, Keyring, Outcome, ResultBody, SeqNo, StateMachine,
};
use crypto::Digest;

use crate::mix::of_bytes;
use reference::{Reference, content_of};
pub(crate) use signed::Said;
use signed::Signed;

/// Windows of slots below the end of the log for which signatures are remembered.
const WINDOWS_REMEMBERED: u64 = 8;

/// What the replicas did, as the world saw it.
pub(crate) struct Ledger {
    keyring: Keyring,
    reference: Reference,
    signed: Signed,
    /// Fingerprint of the digest that was executed in each slot, from slot 1.
    slots: Vec<u64>,
    /// Decided and not executed by anybody yet: fingerprint, and who decided first.
    decided: BTreeMap<(Epoch, SeqNo), (u64, usize)>,
    /// As of the last slot that anybody has executed.
    configuration: Configuration,
    /// The slot that each epoch began behind.
    starts: Vec<SeqNo>,
    states: BTreeMap<SeqNo, State>,
    /// The last place in the log of a request whose result a client has.
    answered: u64,
    /// The root of what the reference held after this many requests, computed from nothing.
    computed: Option<(u64, Digest)>,
    pub(crate) violations: Vec<String>,
}

/// A checkpoint: what the reference holds there, and the digest of the first who saved it.
struct State {
    content: u64,
    saved: Option<u64>,
}

/// A client's claim: this was answered to a request that was made when the answers up to `floor`
/// had been given.
pub(crate) struct Answered<'a> {
    pub(crate) client: u32,
    pub(crate) session: u64,
    pub(crate) number: u64,
    pub(crate) seq: SeqNo,
    pub(crate) outcome: &'a Outcome,
    pub(crate) floor: u64,
}

impl Ledger {
    /// Beside the first `clients` clients there may be Byzantine ones, which nobody owes a result.
    pub(crate) fn new(keyring: Keyring, clients: u32) -> Self {
        let configuration = Configuration::genesis(keyring.cluster());
        Ledger {
            reference: Reference::new(keyring.cluster().limits(), clients),
            keyring,
            signed: Signed::default(),
            slots: Vec::new(),
            decided: BTreeMap::new(),
            configuration,
            starts: vec![SeqNo(0)],
            states: BTreeMap::new(),
            answered: 0,
            computed: None,
            violations: Vec::new(),
        }
    }

    pub(crate) fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    /// The last slot that anybody has executed.
    pub(crate) fn end(&self) -> SeqNo {
        SeqNo(self.slots.len() as u64)
    }

    /// Requests executed.
    pub(crate) fn requests(&self) -> u64 {
        self.reference.executed()
    }

    /// The place in the log of the last request whose result a client has.
    pub(crate) fn floor(&self) -> u64 {
        self.answered
    }

    fn executed_in(&self, seq: SeqNo) -> Option<u64> {
        let index = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.slots.get(index).copied()
    }

    /// The epoch that an executed slot belongs to.
    fn epoch_of(&self, seq: SeqNo) -> Epoch {
        let begun = self.starts.partition_point(|start| *start < seq);
        Epoch((begun as u64).saturating_sub(1))
    }

    /// S1: a replica decided a slot. Behind the end of its epoch that is void (R16).
    pub(crate) fn decided(&mut self, replica: usize, epoch: Epoch, seq: SeqNo, digest: Digest) {
        let fingerprint = of_bytes(digest.as_bytes());
        let executed = self
            .executed_in(seq)
            .filter(|_| self.epoch_of(seq) == epoch);
        let (first, by) = match executed {
            Some(executed) => (executed, None),
            None => {
                let held = self
                    .decided
                    .entry((epoch, seq))
                    .or_insert((fingerprint, replica));
                (held.0, Some(held.1))
            }
        };
        if first != fingerprint {
            let who = by.map_or("those who executed it".to_owned(), |by| {
                format!("replica {by}")
            });
            self.violation(format!(
                "agreement: replica {replica} decided {digest:?} in slot {seq}, {who} something else"
            ));
        }
    }

    /// S1, S4: a replica executed a slot. The first to do so brings the reference forward.
    pub(crate) fn executed(&mut self, replica: usize, seq: SeqNo, batch: Option<&Arc<Batch>>) {
        let digest = batch.map_or_else(null_digest, |batch| batch.digest());
        let fingerprint = of_bytes(digest.as_bytes());
        let end = self.end();
        if let Some(first) = self.executed_in(seq) {
            if first != fingerprint {
                self.violation(format!(
                    "agreement: replica {replica} executed {digest:?} in slot {seq}, others \
                     something else"
                ));
            }
            return;
        }
        if seq != end.next() {
            self.violation(format!(
                "log: replica {replica} executed slot {seq}, but nobody slot {}",
                end.next()
            ));
            return;
        }
        self.configuration.execute(seq, batch.map(Arc::as_ref));
        let epoch = self.configuration.epoch();
        if epoch.0 == self.starts.len() as u64 {
            self.starts.push(self.configuration.base());
        }
        if let Some((decided, by)) = self.decided.remove(&(epoch, seq))
            && decided != fingerprint
        {
            self.violation(format!(
                "agreement: replica {replica} executed {digest:?} in slot {seq}, replica {by} \
                 decided something else"
            ));
        }
        self.slots.push(fingerprint);
        if let Some(batch) = batch {
            self.check_signatures(seq, batch);
            self.reference.execute(seq, batch);
        }
        let limits = self.keyring.cluster().limits();
        if seq.0.is_multiple_of(limits.checkpoint_interval) {
            let content = self.reference.content();
            self.states.insert(
                seq,
                State {
                    content,
                    saved: None,
                },
            );
            let remembered = WINDOWS_REMEMBERED * limits.log_window;
            self.signed.prune(SeqNo(seq.0.saturating_sub(remembered)));
        }
    }

    /// S4: whoever asked is known and has signed.
    fn check_signatures(&mut self, seq: SeqNo, batch: &Batch) {
        for request in batch.requests() {
            let good = request
                .check(&self.keyring)
                .is_some_and(|check| self.keyring.scheme().verify(&check));
            if !good {
                self.violations.push(format!(
                    "integrity: {request:?} in slot {seq} has no valid signature of a known client"
                ));
            }
        }
    }

    /// S2: a replica has saved the state at a checkpoint.
    pub(crate) fn saved(&mut self, replica: usize, seq: SeqNo, digest: Digest) {
        let fingerprint = of_bytes(digest.as_bytes());
        let Some(state) = self.states.get_mut(&seq) else {
            self.violation(format!(
                "state: replica {replica} saved checkpoint {seq}, which nobody has reached"
            ));
            return;
        };
        if *state.saved.get_or_insert(fingerprint) != fingerprint {
            self.violation(format!(
                "state: checkpoint {seq} of replica {replica} is {digest:?}, others have another"
            ));
        }
    }

    /// S2: what a replica's store holds after executing a checkpoint.
    pub(crate) fn holds(&mut self, replica: usize, seq: SeqNo, store: &kv::Store) {
        let expected = self.states.get(&seq).map(|state| state.content);
        if expected != Some(content_of(store)) {
            self.violation(format!(
                "state: at checkpoint {seq} replica {replica} does not hold what executing the \
                 log gives"
            ));
        }
    }

    /// S2: a digest that was kept up to date is the digest of what is held, computed from nothing.
    pub(crate) fn root(&mut self, replica: usize, root: Digest) {
        let executed = self.reference.executed();
        let right = match self.computed {
            Some((at, right)) if at == executed => right,
            _ => self.reference.to_store().root(),
        };
        self.computed = Some((executed, right));
        if root != right {
            self.violation(format!(
                "state: the root that replica {replica} kept is not that of what it holds"
            ));
        }
    }

    /// S3: a client has a result.
    pub(crate) fn answered(&mut self, answer: &Answered<'_>) {
        let Answered {
            client,
            session,
            number,
            seq,
            outcome,
            floor,
        } = *answer;
        let Some(effect) = self.reference.settle(client, session, number) else {
            self.violation(format!(
                "results: request {number} of client {client} was answered {outcome:?} at {seq}, \
                 but never executed"
            ));
            return;
        };
        let right: &ByteList = &effect.results;
        if effect.seq != seq || *outcome != Outcome::Executed(ResultBody::Full(right.clone())) {
            self.violation(format!(
                "results: request {number} of client {client} was answered {outcome:?} at {seq}, \
                 executing the log gives {right:?} at {}",
                effect.seq
            ));
        }
        if effect.position <= floor {
            self.violation(format!(
                "linearizability: request {number} of client {client} stands in the log at {seq}, \
                 before a request whose result was there when it was made"
            ));
        }
        self.answered = self.answered.max(effect.position);
    }

    /// S3: a client has read these results beside the log. Some state that there has been since its
    /// floor must give them; what is answered later must not be older than the first such state.
    pub(crate) fn read(&mut self, client: u32, ops: &ByteList, results: &ByteList, floor: u64) {
        match self.reference.seen_at(ops, results, floor) {
            Some(position) => self.answered = self.answered.max(position),
            None => self.violation(format!(
                "linearizability: a read of client {client} gave {results:?}, but no state since \
                 request {floor} of the log, whose result was there when it was made, does"
            )),
        }
    }

    /// No read that is open was made before the result of this request was there.
    pub(crate) fn forget_states(&mut self, floor: u64) {
        self.reference.forget_before(floor);
    }

    /// S6: a correct replica's signature leaves.
    pub(crate) fn sent(&mut self, said: &Said) {
        self.violations.extend(self.signed.witness(said));
    }

    /// What the ledger itself holds, beside sixteen bytes a slot: bounded.
    pub(crate) fn held(&self) -> usize {
        self.signed.len() + self.reference.unsettled() + self.decided.len()
    }
}
