//! Oracles over a finished run: agreement, state against an independent re-execution, results in
//! real-time order, at most one execution.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use consensus::{Batch, Cluster, Executor, Outcome, RequestId, SeqNo, StateMachine};
use crypto::Digest;

use crate::client::Call;

/// What the replicas did, as the world saw it.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Slot → the digest that some replica decided, and the batch once one executed it.
    decided: BTreeMap<SeqNo, (Digest, usize)>,
    batches: BTreeMap<SeqNo, Option<Arc<Batch>>>,
    states: BTreeMap<SeqNo, Digest>,
    pub(crate) violations: Vec<String>,
}

impl Ledger {
    /// S1: a replica decided a slot.
    pub(crate) fn decided(&mut self, replica: usize, seq: SeqNo, digest: Digest) {
        let (first, by) = self.decided.entry(seq).or_insert((digest, replica));
        if *first != digest {
            self.violations.push(format!(
                "agreement: slot {seq} is {first:?} at replica {by} and {digest:?} at replica {replica}"
            ));
        }
    }

    /// A replica executed a slot.
    pub(crate) fn executed(&mut self, seq: SeqNo, batch: Option<Arc<Batch>>) {
        self.batches.entry(seq).or_insert(batch);
    }

    /// S2, first half: checkpoint digests agree.
    pub(crate) fn state(&mut self, replica: usize, seq: SeqNo, digest: Digest) {
        let first = self.states.entry(seq).or_insert(digest);
        if *first != digest {
            self.violations.push(format!(
                "state: checkpoint {seq} of replica {replica} is {digest:?}, others have {first:?}"
            ));
        }
    }

    /// Slots executed by anybody.
    pub(crate) fn slots(&self) -> u64 {
        self.batches.len() as u64
    }

    /// The checks that need the whole run.
    pub(crate) fn finish(&mut self, cluster: &Arc<Cluster>, calls: &[Call]) {
        let results = self.re_execute(cluster);
        let mut positions = Vec::new();
        for call in calls {
            let Some((returned, seq, outcome)) = &call.returned else {
                self.violations.push(format!(
                    "liveness: request {} of client {} was never answered",
                    call.number, call.client
                ));
                continue;
            };
            let expected = results.get(&(call.client.0, call.number));
            let same = expected
                .is_some_and(|(at, result)| at == seq && result.digest() == outcome.digest());
            if !same {
                self.violations.push(format!(
                    "results: request {} of client {} was answered {outcome:?} at {seq}, \
                     re-execution says {expected:?}",
                    call.number, call.client
                ));
            }
            positions.push((*seq, call.called, *returned));
        }
        // Linearizability, given that results follow the log: nobody who was called after another
        // had returned stands before it in the log.
        positions.sort();
        let mut latest_call = consensus::Instant(0);
        for window in positions.chunk_by(|a, b| a.0 == b.0) {
            for (seq, _, returned) in window {
                if *returned < latest_call {
                    self.violations.push(format!(
                        "linearizability: a request at slot {seq} returned before one in an \
                         earlier slot was called"
                    ));
                }
            }
            for (_, called, _) in window {
                latest_call = latest_call.max(*called);
            }
        }
    }

    /// S2, second half, and S4: the log executed again from nothing.
    fn re_execute(&mut self, cluster: &Arc<Cluster>) -> BTreeMap<(u32, u64), (SeqNo, Outcome)> {
        let mut executor = Executor::new(Arc::clone(cluster), kv::Store::new());
        let mut results = BTreeMap::new();
        let mut next = SeqNo(1);
        for (seq, batch) in std::mem::take(&mut self.batches) {
            if seq != next {
                self.violations
                    .push(format!("log: slot {next} was never executed"));
                break;
            }
            next = next.next();
            for executed in executor.execute(seq, batch.as_deref()) {
                if !executed.fresh {
                    continue;
                }
                let RequestId { client, number, .. } = executed.id;
                let key = (client.0, number);
                if results
                    .insert(key, (executed.seq, executed.outcome))
                    .is_some()
                {
                    self.violations
                        .push(format!("exactly-once: {:?} executed twice", executed.id));
                }
            }
            if let Some(digest) = self.states.get(&seq)
                && *digest != executor.state_digest()
            {
                self.violations.push(format!(
                    "state: checkpoint {seq} is not what re-execution gives"
                ));
            }
            let _ = executor.machine_mut().take_changes();
        }
        results
    }
}
