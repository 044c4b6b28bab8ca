//! Votes of one phase for one slot: one per replica and view counts, a second one with another
//! digest is evidence (docs/protocol.md R7.3). Bounded: two views per replica (R5).

use crypto::Signature;

use super::certificate::{Signers, Statement};
use super::message::{Commit, Prepare};
use crate::ids::ReplicaId;

/// A vote of either phase.
pub(super) trait Vote: Copy {
    /// What it is for.
    fn statement(&self) -> Statement;
    /// Whose it is.
    fn replica(&self) -> ReplicaId;
    /// Its signature.
    fn signature(&self) -> Signature;
}

impl Vote for Prepare {
    fn statement(&self) -> Statement {
        self.statement
    }
    fn replica(&self) -> ReplicaId {
        self.replica
    }
    fn signature(&self) -> Signature {
        self.signature
    }
}

impl Vote for Commit {
    fn statement(&self) -> Statement {
        self.statement
    }
    fn replica(&self) -> ReplicaId {
        self.replica
    }
    fn signature(&self) -> Signature {
        self.signature
    }
}

/// What casting a vote came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast<V> {
    /// It counts.
    Counted,
    /// It was there already, or is older than what is kept.
    Ignored,
    /// The replica has voted for another digest in that view: this vote. Only the first counts.
    Conflict(V),
}

/// Views kept per replica: the current one and one other (R5).
const VIEWS_PER_REPLICA: usize = 2;

/// The votes received for one slot.
#[derive(Clone, Debug)]
pub(super) struct VoteSet<V> {
    votes: Vec<V>,
}

impl<V> Default for VoteSet<V> {
    fn default() -> Self {
        VoteSet { votes: Vec::new() }
    }
}

impl<V: Vote> VoteSet<V> {
    /// Takes a vote in.
    pub(super) fn cast(&mut self, vote: V) -> Cast<V> {
        let (view, replica) = (vote.statement().view, vote.replica());
        let mut of_replica = 0;
        let mut oldest: Option<usize> = None;
        for (at, held) in self.votes.iter().enumerate() {
            if held.replica() != replica {
                continue;
            }
            if held.statement().view == view {
                return if held.statement() == vote.statement() {
                    Cast::Ignored
                } else {
                    Cast::Conflict(*held)
                };
            }
            of_replica += 1;
            let older = oldest
                .and_then(|oldest| self.votes.get(oldest))
                .is_none_or(|oldest| held.statement().view < oldest.statement().view);
            if older {
                oldest = Some(at);
            }
        }
        if of_replica < VIEWS_PER_REPLICA {
            self.votes.push(vote);
            return Cast::Counted;
        }
        match oldest.and_then(|at| self.votes.get_mut(at)) {
            Some(oldest) if oldest.statement().view < view => {
                *oldest = vote;
                Cast::Counted
            }
            _ => Cast::Ignored,
        }
    }

    /// Distinct replicas that voted for exactly this statement.
    pub(super) fn count(&self, statement: &Statement) -> usize {
        self.votes
            .iter()
            .filter(|vote| vote.statement() == *statement)
            .count()
    }

    /// Who voted for exactly this statement.
    pub(super) fn voters(&self, statement: &Statement) -> Vec<ReplicaId> {
        let votes = self.votes.iter();
        votes
            .filter(|vote| vote.statement() == *statement)
            .map(|vote| vote.replica())
            .collect()
    }

    /// Has this replica voted for it?
    pub(super) fn has(&self, replica: ReplicaId, statement: &Statement) -> bool {
        self.votes
            .iter()
            .any(|vote| vote.replica() == replica && vote.statement() == *statement)
    }

    /// The signatures of the first `quorum` voters by id, if there are that many.
    pub(super) fn signers(&self, statement: &Statement, quorum: usize) -> Option<Signers> {
        let mut signers: Vec<_> = self
            .votes
            .iter()
            .filter(|vote| vote.statement() == *statement)
            .map(|vote| (vote.replica(), vote.signature()))
            .collect();
        signers.sort_by_key(|(replica, _)| *replica);
        signers.truncate(quorum);
        (signers.len() == quorum).then_some(Signers(signers))
    }

    /// All votes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &V> {
        self.votes.iter()
    }
}
