//! Reads beside the log (docs/protocol.md R14): how they come to replicas, and how results are judged.

use bytes::Bytes;
use consensus::client::{Completed, ReadPath};
use consensus::read::answer;
use consensus::{Outcome, Read, ResultBody};

use crate::check::Answered;
use crate::client::{Call, SESSION};
use crate::world::World;

impl World<'_> {
    /// As a replica does: the signature, then the executed state.
    pub(crate) fn deliver_read(&mut self, to: usize, raw: Bytes) {
        let Some(running) = &self.nodes[to].running else {
            return;
        };
        let read = match Read::parse(raw, self.cluster.limits()) {
            Ok(read) => read,
            Err(error) => return self.ledger.violation(format!("read: {error}")),
        };
        let checks: Vec<_> = read.check(&self.keyring).into_iter().collect();
        let read = match crypto::admit(read, &checks, self.keyring.scheme()) {
            Ok(read) => read,
            Err(error) => return self.ledger.violation(format!("read: {error}")),
        };
        let (me, term) = (self.nodes[to].id, running.protocol.term());
        match answer(&running.executor, &running.reads, me, &read) {
            Ok((seq, outcome)) => {
                let refused = matches!(outcome, Outcome::Busy { .. });
                self.stats.reads_refused += u64::from(refused);
                self.reply(to, term, read.id, seq, outcome);
            }
            Err(error) => self.ledger.violation(format!("read: {error}")),
        }
    }

    /// S3: a client has what it has read.
    pub(crate) fn judge_read(
        &mut self,
        client: u32,
        call: &Call,
        completed: &Completed,
        path: ReadPath,
    ) {
        match (path, &completed.outcome) {
            (ReadPath::Ordered { number }, outcome) => self.ledger.answered(&Answered {
                client,
                session: SESSION,
                number,
                seq: completed.seq,
                outcome,
                floor: call.floor,
            }),
            (ReadPath::Quorum, Outcome::Executed(ResultBody::Full(results))) => {
                self.ledger.read(client, &call.reads, results, call.floor);
            }
            (_, outcome) => self.ledger.violation(format!(
                "results: a read of client {client} has {outcome:?}"
            )),
        }
    }

    /// States that no open read can have seen are not needed any more.
    pub(crate) fn forget_states(&mut self) {
        let calls = self.clients.iter().flat_map(|client| &client.open);
        let floor = calls.map(|call| call.floor).min();
        let floor = floor.unwrap_or_else(|| self.ledger.floor());
        self.ledger.forget_states(floor);
    }
}
