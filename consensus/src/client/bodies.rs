//! Where the body of a large result comes from.
//!
//! One designated replica sends it with its answer, the others its digest (docs/protocol.md R6).
//! While that one is away, behind or keeps it back, every n-th large result would wait for the
//! retransmission to all. So the session asks one of those whose digest is accepted, then the
//! next: at once if the designated replica is not connected or was late the last time, otherwise
//! after a moment. The last time counts, so one that has caught up is trusted again.

use std::time::Duration;

use crate::ids::{ReplicaId, SeqNo};
use crate::reply::{FULL_RESULT_MAX, Outcome, Reply, ResultBody, designated};
use crate::time::Instant;

use super::primary::Presumed;
use super::tally::Candidate;

/// The shortest wait for the body once its digest is accepted: replicas execute a slot within about
/// a millisecond of each other when nothing is wrong.
const WAIT_MIN: Duration = Duration::from_millis(2);

/// Which replicas were late with the last body that they owed.
#[derive(Debug)]
pub(super) struct Bodies {
    late: Vec<bool>,
}

/// The search for the body of one request's result.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// When to ask the next replica; none before a digest is accepted, nor after the last one.
    pub(super) due: Option<Instant>,
    /// Replicas asked; at most one per replica of the cluster.
    asked: u32,
}

/// What a search needs to know of the session.
pub(super) struct Surroundings<'a> {
    pub(super) number: u64,
    pub(super) n: usize,
    pub(super) presumed: &'a Presumed,
    /// How long results usually take.
    pub(super) typical: Duration,
}

impl Bodies {
    pub(super) fn new(n: usize) -> Self {
        Bodies {
            late: vec![false; n],
        }
    }

    /// A reply to a request that has no accepted result yet: does it pay what its sender owed?
    pub(super) fn note(&mut self, reply: &Reply, n: usize) {
        let large = matches!(&reply.outcome, Outcome::Executed(ResultBody::Full(results))
            if results.as_bytes().len() > FULL_RESULT_MAX);
        if large && designated(reply.seq, reply.id.number, n) == reply.replica {
            self.set_late(reply.replica, false);
        }
    }

    fn is_late(&self, replica: ReplicaId) -> bool {
        self.late.get(replica.index()).copied().unwrap_or(false)
    }

    fn set_late(&mut self, replica: ReplicaId, now: bool) {
        if let Some(late) = self.late.get_mut(replica.index()) {
            *late = now;
        }
    }
}

impl Search {
    /// A digest is accepted without its body: begins unless it has begun. True if there is
    /// somebody to ask at once.
    pub(super) fn begin(
        &mut self,
        seq: SeqNo,
        bodies: &Bodies,
        near: &Surroundings<'_>,
        now: Instant,
    ) -> bool {
        if self.due.is_some() || self.asked > 0 {
            return false;
        }
        let owes = designated(seq, near.number, near.n);
        let hopeless = bodies.is_late(owes) || !near.presumed.is_connected(owes);
        self.due = Some(if hopeless { now } else { now + near.wait() });
        hopeless
    }

    /// Whom to ask now. `found`: the result whose body is missing, if there is (still) one.
    pub(super) fn next(
        &mut self,
        found: Option<&Candidate>,
        bodies: &mut Bodies,
        near: &Surroundings<'_>,
        now: Instant,
    ) -> Option<ReplicaId> {
        self.due = None;
        let Candidate {
            seq, supporters, ..
        } = found?;
        let owes = designated(*seq, near.number, near.n);
        bodies.set_late(owes, true);
        let able: Vec<ReplicaId> = supporters
            .iter()
            .copied()
            .filter(|id| *id != owes && near.presumed.is_connected(*id))
            .collect();
        // One who was asked and kept silent is not asked twice; the retransmission goes to all.
        let turn = u64::from(self.asked);
        if turn >= able.len() as u64 {
            return None;
        }
        // Different requests begin with different replicas, so that none has all the work.
        let at = near.number.wrapping_add(turn) % able.len() as u64;
        let chosen = able.get(usize::try_from(at).ok()?).copied();
        self.asked += 1;
        self.due = Some(now + near.wait() * 2u32.saturating_pow(self.asked.min(8)));
        chosen
    }
}

impl Surroundings<'_> {
    /// How much later than the accepted digest a body usually is, at most.
    fn wait(&self) -> Duration {
        (self.typical / 2).max(WAIT_MIN)
    }
}
