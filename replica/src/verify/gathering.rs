//! Votes that wait for company before they are verified.
//!
//! A vote that completes no quorum changes nothing by itself, whenever it is verified; one signature alone costs as much as two
//! in a batch, and each verdict wakes the core. So a PREPARE or a COMMIT waits until it and those that wait with it could complete
//! a quorum together with this replica's own vote, and then all of them are verified at once. The vote that completes a
//! quorum never waits. Nor does one wait for long: after [`PATIENCE`] it is left over if its slot is settled (docs/protocol.md
//! R7.3), and is verified otherwise. To the core this is a network that delays some votes a little.
//!
//! ```text
//!   n = 5: three others' votes and one's own decide
//!     1st, 2nd ──► wait ─┐
//!     3rd ───────────────┴─► verified together ──► core, once
//!     4th ──► waits ──► left over
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use consensus::{Quorums, ReplicaId};

use crate::driver::ports::Ballot;

/// How long a vote waits for company at most: some slots' time on an idle machine, and nothing to whom a clock of this protocol matters.
const PATIENCE: Duration = Duration::from_millis(2);
/// How long nothing waits after a peer has sent something bad, for who signs badly counts as company and is none.
const WARY: Duration = Duration::from_secs(1);
/// Ballots remembered. A flood of votes for something else pushes others out, and they are verified a little late.
const BALLOTS_MAX: usize = 1024;

/// The votes for one thing.
struct Votes<T> {
    /// Who has voted for it, as far as that was seen here.
    seen: Vec<ReplicaId>,
    waiting: Vec<(ReplicaId, T)>,
}

/// What waits at one worker. Bounded like all that peers send: what it holds of their budgets waits along.
pub(super) struct Gathering<T> {
    /// Counts of others' votes at which a PREPARE or a COMMIT may decide something; empty: nothing waits.
    deciding: Vec<usize>,
    ballots: BTreeMap<Ballot, Votes<T>>,
    /// Those ballots, the oldest first.
    order: VecDeque<Ballot>,
    /// When what waits for a ballot has waited long enough, ascending.
    due: VecDeque<(Instant, Ballot)>,
    wary_until: Option<Instant>,
}

impl<T> Default for Gathering<T> {
    /// Nothing waits.
    fn default() -> Self {
        Gathering {
            deciding: Vec::new(),
            ballots: BTreeMap::new(),
            order: VecDeque::new(),
            due: VecDeque::new(),
            wary_until: None,
        }
    }
}

impl<T> Gathering<T> {
    /// For a replica of a cluster with these quorums.
    pub(super) fn of(quorums: &Quorums) -> Self {
        let others = |quorum: usize| quorum.saturating_sub(1);
        let mut deciding = vec![others(quorums.slow())];
        deciding.extend(quorums.fast().map(others));
        Gathering {
            deciding,
            ..Gathering::default()
        }
    }

    /// A vote came; what is to be verified now.
    pub(super) fn push(
        &mut self,
        now: Instant,
        ballot: Ballot,
        from: ReplicaId,
        vote: T,
    ) -> Vec<(ReplicaId, T)> {
        if self.deciding.is_empty() || self.wary_until.is_some_and(|until| now < until) {
            return vec![(from, vote)];
        }
        if !self.ballots.contains_key(&ballot) {
            self.order.push_back(ballot);
        }
        let votes = self.ballots.entry(ballot).or_insert_with(|| Votes {
            seen: Vec::new(),
            waiting: Vec::new(),
        });
        if votes.seen.contains(&from) {
            return vec![(from, vote)];
        }
        let verified = votes.seen.len() - votes.waiting.len();
        votes.seen.push(from);
        votes.waiting.push((from, vote));
        let decides = |count: &usize| verified < *count && *count <= votes.seen.len();
        let mut released = Vec::new();
        if self.deciding.iter().any(decides) {
            released = std::mem::take(&mut votes.waiting);
            self.due.retain(|(_, other)| *other != ballot);
        } else if votes.waiting.len() == 1 {
            self.due.push_back((now + PATIENCE, ballot));
        }
        if self.order.len() > BALLOTS_MAX
            && let Some(oldest) = self.order.pop_front()
            && let Some(votes) = self.ballots.remove(&oldest)
        {
            self.due.retain(|(_, other)| *other != oldest);
            released.extend(votes.waiting);
        }
        released
    }

    /// When something has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.front().map(|(at, _)| *at)
    }

    /// What has waited long enough.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(Ballot, Vec<(ReplicaId, T)>)> {
        let mut overdue = Vec::new();
        while let Some((_, ballot)) = self.due.pop_front_if(|(at, _)| *at <= now) {
            if let Some(votes) = self.ballots.get_mut(&ballot) {
                overdue.push((ballot, std::mem::take(&mut votes.waiting)));
            }
        }
        overdue
    }

    /// Something that a peer sent was bad. What waits is due at once, and for a while nothing waits.
    pub(super) fn beware(&mut self, now: Instant) {
        self.wary_until = Some(now + WARY);
        self.due.iter_mut().for_each(|(at, _)| *at = now);
    }

    /// Drops what waits of the peers for which this holds; asks once for each of whom something waits.
    pub(super) fn forget_if(&mut self, holds: impl Fn(ReplicaId) -> bool) {
        let waiting = self
            .due
            .iter()
            .filter_map(|(_, ballot)| self.ballots.get(ballot));
        let senders: BTreeSet<ReplicaId> = waiting
            .flat_map(|votes| votes.waiting.iter().map(|(from, _)| *from))
            .collect();
        let gone: BTreeSet<ReplicaId> = senders.into_iter().filter(|from| holds(*from)).collect();
        if gone.is_empty() {
            return;
        }
        for (_, ballot) in &self.due {
            if let Some(votes) = self.ballots.get_mut(ballot) {
                votes.waiting.retain(|(from, _)| !gone.contains(from));
                votes.seen.retain(|from| !gone.contains(from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::pbft::certificate::{Phase, Statement};
    use consensus::{Epoch, FastQuorum, SeqNo, View};
    use crypto::Digest;

    fn quorums(n: u16, fast: FastQuorum) -> Gathering<u16> {
        Gathering::of(&Quorums::new(n, 1, fast).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Of five replicas, three besides oneself decide.
    fn of_five() -> Gathering<u16> {
        quorums(5, FastQuorum::Strong)
    }

    fn ballot(seq: u64) -> Ballot {
        let on = Statement {
            view: View(0),
            seq: SeqNo(seq),
            digest: Digest::default(),
        };
        Ballot {
            epoch: Epoch(0),
            phase: Phase::Prepare,
            on,
        }
    }

    /// Pushes one vote of each for slot 1; how many each of them released.
    fn released(gathering: &mut Gathering<u16>, now: Instant, voters: &[u16]) -> Vec<usize> {
        let push = |voter: &u16| {
            let released = gathering.push(now, ballot(1), ReplicaId(*voter), *voter);
            assert!(released.iter().all(|(from, vote)| from.0 == *vote));
            released.len()
        };
        voters.iter().map(push).collect()
    }

    #[test]
    fn votes_wait_until_they_could_decide_and_what_comes_after_waits_to_be_left_over() {
        let (mut gathering, now) = (of_five(), Instant::now());
        assert_eq!(gathering.due(), None);
        assert_eq!(released(&mut gathering, now, &[1, 2]), [0, 0]);
        assert_eq!(gathering.due(), Some(now + PATIENCE));
        let commit = Ballot {
            phase: Phase::Commit,
            ..ballot(1)
        };
        let other = gathering.push(now, commit, ReplicaId(3), 3);
        assert!(other.is_empty(), "a COMMIT is no company of PREPAREs");
        assert_eq!(released(&mut gathering, now, &[3, 4]), [3, 0]);
        assert!(gathering.overdue(now).is_empty());
        let overdue = gathering.overdue(now + PATIENCE);
        assert_eq!(
            overdue,
            [
                (commit, vec![(ReplicaId(3), 3)]),
                (ballot(1), vec![(ReplicaId(4), 4)])
            ]
        );
        assert_eq!(gathering.due(), None);
    }

    #[test]
    fn the_vote_that_decides_never_waits_however_late_it_is() {
        let (mut gathering, now) = (of_five(), Instant::now());
        for voter in [1, 2] {
            assert_eq!(released(&mut gathering, now, &[voter]), [0]);
            assert_eq!(gathering.overdue(now + PATIENCE).len(), 1);
        }
        assert_eq!(released(&mut gathering, now + PATIENCE * 100, &[3]), [1]);
        assert_eq!(gathering.due(), None);
    }

    #[test]
    fn a_fast_quorum_that_is_larger_is_a_second_reason_to_look() {
        let mut gathering = quorums(5, FastQuorum::Exactly(5));
        let voters = [1, 2, 3, 4];
        let counts = released(&mut gathering, Instant::now(), &voters);
        assert_eq!(counts.iter().sum::<usize>(), 4, "{counts:?}");
        assert_eq!(counts[..3], [0, 0, 3], "{counts:?}");
    }

    #[test]
    fn nobody_is_company_of_oneself() {
        let (mut gathering, now) = (of_five(), Instant::now());
        assert_eq!(released(&mut gathering, now, &[1, 1, 1, 2]), [0, 1, 1, 0]);
    }

    #[test]
    fn after_a_bad_vote_nothing_waits_for_a_while() {
        let (mut gathering, now) = (of_five(), Instant::now());
        assert_eq!(released(&mut gathering, now, &[1]), [0]);
        gathering.beware(now);
        assert_eq!(gathering.due(), Some(now));
        assert_eq!(gathering.overdue(now).len(), 1);
        assert_eq!(released(&mut gathering, now, &[2]), [1]);
        assert_eq!(released(&mut gathering, now + WARY, &[4]), [0]);
    }

    #[test]
    fn what_a_peer_sent_that_is_cut_off_is_dropped_and_counts_for_nothing() {
        let (mut gathering, now) = (of_five(), Instant::now());
        assert_eq!(released(&mut gathering, now, &[1, 2]), [0, 0]);
        gathering.forget_if(|peer| peer == ReplicaId(1));
        assert_eq!(released(&mut gathering, now, &[3, 4]), [0, 3]);
    }

    #[test]
    fn a_flood_of_ballots_is_bounded_and_loses_nothing() {
        let (mut gathering, now) = (of_five(), Instant::now());
        let most = BALLOTS_MAX as u64;
        let push = |seq| gathering.push(now, ballot(seq), ReplicaId(1), 1).len();
        let released: usize = (0..most + 10).map(push).sum();
        assert_eq!(released, 10);
        assert_eq!(gathering.ballots.len(), BALLOTS_MAX);
        let overdue = gathering.overdue(now + PATIENCE);
        assert_eq!(overdue.len(), BALLOTS_MAX);
    }
}
