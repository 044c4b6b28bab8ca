//! Reads beside the log (docs/protocol.md R14): answered from the executed state, at the end of a
//! turn, within a budget of their own for each client.

use std::collections::BTreeMap;
use std::time::Duration;

use consensus::read::answer;
use consensus::{
    ClientId, Instant, Outcome, Protocol, Read, Reply, RequestId, ResultBody, SeqNo, Transferable,
};

use super::Driver;
use super::ports::{Describe, Disk, Network};

/// The time over which reads are counted.
const MOMENT: Duration = Duration::from_millis(500);
/// Operations that one client reads in a moment: a core's worth of work is about ten times that.
const OPS_MAX: usize = 1 << 17;
/// Bytes of results and versions in a moment.
const BYTES_MAX: usize = 32 << 20;
/// Bytes of results in one turn, over all clients: votes wait for them, 10 ms at the utmost.
const TURN_BYTES_MAX: usize = 16 << 20;
/// Pause suggested to who has had its share.
const PAUSE_MS: u32 = 100;

impl<P, S, D, N> Driver<P, S, D, N>
where
    P: Protocol,
    S: Transferable,
    D: Disk<P::Record, S::Change>,
    N: Network + Describe<P::Wire>,
{
    /// Answers this turn's reads, all from one state.
    pub(super) fn answer_reads(&mut self, now: Instant) {
        let mut bytes = 0;
        for read in std::mem::take(&mut self.turn.reads) {
            let read = &*read;
            let (id, me) = (read.id, self.answers.me);
            if bytes >= TURN_BYTES_MAX || !self.read_budget.allow(id.client, now) {
                self.answer_read(id, SeqNo(0), busy(PAUSE_MS));
                continue;
            }
            let Ok((seq, outcome)) = answer(&self.executor, &self.gate_of_reads, me, read) else {
                self.observer.counters.bad_requests.add(1);
                continue;
            };
            let cost = cost(&outcome);
            bytes += cost;
            self.read_budget.spend(id.client, read, cost);
            self.answer_read(id, seq, outcome);
        }
    }

    fn answer_read(&mut self, id: RequestId, seq: SeqNo, outcome: Outcome) {
        let counters = &self.observer.counters;
        match outcome {
            Outcome::Read { .. } => counters.reads.add(1),
            _ => counters.reads_refused.add(1),
        }
        self.turn.replies.push(Reply {
            term: self.answers.term,
            replica: self.answers.me,
            id,
            seq,
            outcome,
        });
    }

    /// A state that came from others is on its way to disk. Until it is there a crash takes it back,
    /// farther than a restarted replica knows of: nothing is answered for it where that counts.
    pub(super) fn answers_for_undurable_state(&self) -> bool {
        let limits = self.executor.cluster().limits();
        let installing = |saving: &super::Saving| saving.installed.is_some();
        limits.quorum_reads && self.saving.iter().any(installing)
    }
}

fn busy(retry_after_ms: u32) -> Outcome {
    Outcome::Busy { retry_after_ms }
}

fn cost(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Read { body, versions } => {
            let results = match body {
                ResultBody::Full(results) => results.as_bytes().len(),
                ResultBody::Hash(_) => 0,
            };
            results + 8 * versions.len()
        }
        _ => 0,
    }
}

/// What each client has read in its current moment. Clients of the configuration only.
#[derive(Debug, Default)]
pub(super) struct ReadBudget {
    moments: BTreeMap<ClientId, Moment>,
}

#[derive(Debug)]
struct Moment {
    since: Instant,
    ops: usize,
    bytes: usize,
}

impl ReadBudget {
    /// May this client read now?
    fn allow(&mut self, client: ClientId, now: Instant) -> bool {
        let fresh = Moment {
            since: now,
            ops: 0,
            bytes: 0,
        };
        let moment = self.moments.entry(client).or_insert(fresh);
        if now.since(moment.since) >= MOMENT {
            (moment.since, moment.ops, moment.bytes) = (now, 0, 0);
        }
        moment.ops < OPS_MAX && moment.bytes < BYTES_MAX
    }

    fn spend(&mut self, client: ClientId, read: &Read, bytes: usize) {
        if let Some(moment) = self.moments.get_mut(&client) {
            moment.ops += read.ops.len();
            moment.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::{ByteList, Grade, ReadGate};
    use crypto::{ClusterId, Digest, SecretKey};

    fn read(ops: usize) -> Read {
        let ops: ByteList = std::iter::repeat_n([0_u8], ops).collect();
        let id = RequestId {
            client: ClientId(1),
            session: 1,
            number: consensus::read::READ_NUMBERS | 1,
        };
        let key = SecretKey::from_seed(&[1; 32]);
        Read::sign(&key, &ClusterId(Digest([0; 32])), id, Grade::Stale, &ops)
    }

    #[test]
    fn a_client_reads_its_share_in_a_moment_and_then_waits_for_the_next() {
        let mut budget = ReadBudget::default();
        let (now, read) = (Instant(1_000_000_000), read(1 << 10));
        let mut times = 0;
        while budget.allow(ClientId(1), now) {
            budget.spend(ClientId(1), &read, 100);
            times += 1;
        }
        assert_eq!(times, OPS_MAX >> 10);
        assert!(budget.allow(ClientId(2), now), "others have their own");
        assert!(!budget.allow(ClientId(1), now + MOMENT / 2));
        assert!(budget.allow(ClientId(1), now + MOMENT));
        budget.spend(ClientId(1), &read, BYTES_MAX);
        assert!(!budget.allow(ClientId(1), now + MOMENT), "bytes count, too");
    }

    #[test]
    fn a_gate_is_shut_after_a_restart_until_a_window_is_executed() {
        let limits = consensus::Limits::default();
        let gate = ReadGate::restarted(SeqNo(64), &limits);
        let last = SeqNo(64 + limits.log_window);
        assert!(!gate.is_open(SeqNo(last.0 - 1)) && gate.is_open(last));
    }
}
