//! Who answered what to one request. Each replica counts once, with its latest answer, so there
//! are never more entries than replicas.

use crate::ids::{ReplicaId, SeqNo};
use crate::reply::{FULL_RESULT_MAX, Outcome, Reply, ResultBody};

use super::action::Answer;

/// The answers to one request.
#[derive(Debug, Default)]
pub(super) struct Tally {
    candidates: Vec<Candidate>,
    /// Answers that say nothing about an execution: each replica's last one.
    soft: Vec<(ReplicaId, Outcome)>,
}

/// One result and the replicas that answered it.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) seq: SeqNo,
    /// With the full body as soon as one supporter sent it.
    pub(super) outcome: Outcome,
    pub(super) supporters: Vec<ReplicaId>,
}

impl Tally {
    /// Notes an answer that can not complete the request.
    pub(super) fn record_soft(&mut self, replica: ReplicaId, outcome: Outcome) {
        self.withdraw(replica, None);
        self.soft.push((replica, outcome));
    }

    /// Counts an answer. "Out of window" never completes a request: it depends on how far the
    /// replica has executed, and a later answer may be another.
    pub(super) fn record(&mut self, reply: Reply) {
        let Reply {
            replica,
            seq,
            outcome,
            ..
        } = reply;
        if outcome == Outcome::OutOfWindow {
            return self.record_soft(replica, outcome);
        }
        let known = self
            .candidates
            .iter_mut()
            .position(|known| known.seq == seq && agree(&known.outcome, &outcome));
        let at = known.unwrap_or(self.candidates.len());
        match self.candidates.get_mut(at) {
            None => {
                let supporters = vec![replica];
                self.candidates.push(Candidate {
                    seq,
                    outcome,
                    supporters,
                });
            }
            Some(candidate) => candidate.support(replica, outcome),
        }
        self.withdraw(replica, Some(at));
    }

    /// The candidate that `need` replicas answered and whose full body is here; removed.
    pub(super) fn take_winner(&mut self, need: usize) -> Option<Candidate> {
        let at = self.candidates.iter().position(|candidate| {
            candidate.supporters.len() >= need
                && !matches!(candidate.outcome, Outcome::Executed(ResultBody::Hash(_)))
        })?;
        Some(self.candidates.swap_remove(at))
    }

    /// The candidate that `need` replicas answered, all of them with a digest only.
    pub(super) fn without_body(&self, need: usize) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| {
            candidate.supporters.len() >= need
                && matches!(candidate.outcome, Outcome::Executed(ResultBody::Hash(_)))
        })
    }

    /// Replicas that have answered something.
    pub(super) fn answered(&self) -> usize {
        let counted = self
            .candidates
            .iter()
            .map(|candidate| candidate.supporters.len());
        self.soft.len() + counted.sum::<usize>()
    }

    /// Everybody's answer, in no particular order.
    pub(super) fn answers(&self) -> Vec<Answer> {
        let soft = self.soft.iter().map(|(replica, outcome)| Answer {
            replica: *replica,
            seq: SeqNo(0),
            outcome: outcome.clone(),
        });
        self.claims().into_iter().chain(soft).collect()
    }

    /// The answers that are claims about an execution: correct replicas make them alike. "Busy"
    /// and the like are not among them.
    pub(super) fn claims(&self) -> Vec<Answer> {
        let counted = self.candidates.iter().flat_map(|candidate| {
            let outcome = summary(&candidate.outcome);
            let seq = candidate.seq;
            candidate.supporters.iter().map(move |replica| Answer {
                replica: *replica,
                seq,
                outcome: outcome.clone(),
            })
        });
        counted.collect()
    }

    /// Forgets what `replica` answered, but for its support of the candidate `except`.
    fn withdraw(&mut self, replica: ReplicaId, except: Option<usize>) {
        self.soft.retain(|(other, _)| *other != replica);
        for (at, candidate) in self.candidates.iter_mut().enumerate() {
            if Some(at) != except {
                candidate.supporters.retain(|other| *other != replica);
            }
        }
        self.candidates
            .retain(|candidate| !candidate.supporters.is_empty());
    }
}

impl Candidate {
    fn support(&mut self, replica: ReplicaId, outcome: Outcome) {
        if !self.supporters.contains(&replica) {
            self.supporters.push(replica);
        }
        if matches!(outcome, Outcome::Executed(ResultBody::Full(_))) {
            self.outcome = outcome;
        }
    }
}

/// Do two outcomes match? Their digests decide (R6); equal bytes need no digest.
pub(super) fn agree(a: &Outcome, b: &Outcome) -> bool {
    match (a, b) {
        (Outcome::Executed(ResultBody::Full(a)), Outcome::Executed(ResultBody::Full(b))) => a == b,
        (Outcome::Executed(a), Outcome::Executed(b)) => a.digest() == b.digest(),
        (a, b) => a == b,
    }
}

/// The outcome with its results reduced to their digest.
pub(super) fn summary(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Executed(body) => Outcome::Executed(ResultBody::Hash(body.digest())),
        other => other.clone(),
    }
}

/// What is kept of an accepted outcome to compare late replies with: small bodies as they are,
/// which costs no digest; large ones by digest, which costs no memory.
pub(super) fn keepsake(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Executed(ResultBody::Full(results))
            if results.as_bytes().len() > FULL_RESULT_MAX =>
        {
            summary(outcome)
        }
        other => other.clone(),
    }
}
