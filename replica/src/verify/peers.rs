//! Peers' messages that wait at one verification worker, by the kind of work that they are.
//!
//! A round takes votes of each peer, more than a correct one ever has waiting; so nobody's votes wait
//! for a flood of another's, and a flood of bad ones is known for what it is before it has cost more
//! than a round. Of the rest it takes little, one message of each peer in turn: a NEW-VIEW may cost as
//! much as a thousand votes, and requests that peers pass on are clients' traffic, whoever brings it.
//! Bounded at the source: each peer has a budget of bytes, whose
//! permits travel with the messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use consensus::{Quorums, ReplicaId};
use tokio::sync::OwnedSemaphorePermit;

use super::gathering::Gathering;
use super::newest::Newest;
use crate::driver::ports::{Ballot, Work};

/// Votes of one peer in one round: several for each slot of the window (docs/protocol.md R15).
pub const ROUND_VOTES_EACH_MAX: usize = 256;
/// Bulk messages in one round.
pub const ROUND_BULK_MAX: usize = 8;
/// Frames of passed-on requests in one round.
pub const ROUND_FORWARDS_MAX: usize = 4;

/// Goes back when the last message that came with it is verified.
type Permit = Arc<Option<OwnedSemaphorePermit>>;

/// Messages, and what they hold of their peers' budgets.
pub(super) struct Round<W> {
    pub(super) wires: Vec<(ReplicaId, W)>,
    pub(super) permits: Vec<Permit>,
}

impl<W> Default for Round<W> {
    fn default() -> Self {
        Round {
            wires: Vec::new(),
            permits: Vec::new(),
        }
    }
}

impl<W> Round<W> {
    fn add(&mut self, from: ReplicaId, (wire, permit): (W, Permit)) {
        self.wires.push((from, wire));
        self.permits.push(permit);
    }
}

/// The queues of one worker.
pub(super) struct PeerQueues<W> {
    /// Not due yet.
    gathering: Gathering<(W, Permit)>,
    votes: InTurn<W>,
    reports: Newest<(W, Permit)>,
    bulk: InTurn<W>,
    forwarded: InTurn<W>,
}

impl<W> Default for PeerQueues<W> {
    /// In which no vote waits for others.
    fn default() -> Self {
        PeerQueues {
            gathering: Gathering::default(),
            votes: InTurn::default(),
            reports: Newest::default(),
            bulk: InTurn::default(),
            forwarded: InTurn::default(),
        }
    }
}

impl<W> PeerQueues<W> {
    /// In which votes wait for others that could complete one of these quorums with them.
    pub(super) fn that_gather(quorums: &Quorums) -> Self {
        PeerQueues {
            gathering: Gathering::of(quorums),
            ..PeerQueues::default()
        }
    }

    /// Takes in a vote, which is verified together with others.
    pub(super) fn push_vote(
        &mut self,
        now: Instant,
        ballot: Ballot,
        from: ReplicaId,
        wire: W,
        permit: &Permit,
    ) {
        let item = (wire, Arc::clone(permit));
        for (from, item) in self.gathering.push(now, ballot, from, item) {
            self.votes.push(from, item);
        }
    }

    /// Votes that have waited long enough are to be verified, except those that are left over; returns how many are.
    pub(super) fn wait_no_longer(
        &mut self,
        now: Instant,
        is_left_over: impl Fn(&Ballot) -> bool,
    ) -> usize {
        let mut left_over = 0;
        for (ballot, votes) in self.gathering.overdue(now) {
            if is_left_over(&ballot) {
                left_over += votes.len();
                continue;
            }
            for (from, item) in votes {
                self.votes.push(from, item);
            }
        }
        left_over
    }

    /// Something that a peer sent was bad: for a while no vote waits for others.
    pub(super) fn beware(&mut self, now: Instant) {
        self.gathering.beware(now);
    }

    /// When there is something to verify; `None`: nothing has come.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if !self.is_empty() {
            return Some(now);
        }
        let due = [self.gathering.due(), self.reports.due(now)];
        due.into_iter().flatten().min()
    }

    /// Nothing is to be verified now.
    pub(super) fn is_empty(&self) -> bool {
        self.votes.is_empty() && self.bulk.is_empty() && self.forwarded.is_empty()
    }

    /// Takes in a message; says whether it took the place of another one.
    pub(super) fn push(&mut self, work: Work, from: ReplicaId, wire: W, permit: &Permit) -> bool {
        let item = (wire, Arc::clone(permit));
        let queue = match work {
            Work::Reports => return self.reports.push(from, item),
            Work::Votes => &mut self.votes,
            Work::Bulk => &mut self.bulk,
            Work::Requests => &mut self.forwarded,
        };
        queue.push(from, item);
        false
    }

    /// A round's share of the votes.
    pub(super) fn votes(&mut self) -> Round<W> {
        self.votes.take_of_each(ROUND_VOTES_EACH_MAX)
    }

    /// The newest VIEW-CHANGEs that it is time to look at.
    pub(super) fn reports(&mut self, now: Instant) -> Round<W> {
        let mut round = Round::default();
        for (from, item) in self.reports.take(now) {
            round.add(from, item);
        }
        round
    }

    /// Drops all that waits of the peers for which this holds; asks only for those of whom something waits.
    pub(super) fn forget_if(&mut self, holds: impl Fn(ReplicaId) -> bool) {
        self.gathering.forget_if(&holds);
        self.reports.forget_if(&holds);
        for queues in [&mut self.votes, &mut self.bulk, &mut self.forwarded] {
            queues.forget_if(&holds);
        }
    }

    /// A round's share of the bulk.
    pub(super) fn bulk(&mut self) -> Round<W> {
        self.bulk.take(ROUND_BULK_MAX)
    }

    /// A round's share of the requests that peers pass on.
    pub(super) fn forwarded(&mut self) -> Round<W> {
        self.forwarded.take(ROUND_FORWARDS_MAX)
    }
}

/// A queue for each peer; who was served last is served next after the others.
struct InTurn<W> {
    queues: BTreeMap<ReplicaId, VecDeque<(W, Permit)>>,
    turn: VecDeque<ReplicaId>,
}

impl<W> Default for InTurn<W> {
    fn default() -> Self {
        InTurn {
            queues: BTreeMap::new(),
            turn: VecDeque::new(),
        }
    }
}

impl<W> InTurn<W> {
    fn is_empty(&self) -> bool {
        self.turn.is_empty()
    }

    fn push(&mut self, from: ReplicaId, item: (W, Permit)) {
        let queue = self.queues.entry(from).or_default();
        if queue.is_empty() {
            self.turn.push_back(from);
        }
        queue.push_back(item);
    }

    fn take(&mut self, most: usize) -> Round<W> {
        let mut round = Round::default();
        while round.wires.len() < most {
            let Some(from) = self.turn.pop_front() else {
                break;
            };
            let Some(queue) = self.queues.get_mut(&from) else {
                continue;
            };
            if let Some(item) = queue.pop_front() {
                round.add(from, item);
            }
            if !queue.is_empty() {
                self.turn.push_back(from);
            }
        }
        round
    }

    /// The first `most` of every peer, in order of arrival.
    fn take_of_each(&mut self, most: usize) -> Round<W> {
        let mut round = Round::default();
        self.turn.retain(|from| {
            let Some(queue) = self.queues.get_mut(from) else {
                return false;
            };
            for item in queue.drain(..most.min(queue.len())) {
                round.add(*from, item);
            }
            !queue.is_empty()
        });
        round
    }

    fn forget_if(&mut self, holds: impl Fn(ReplicaId) -> bool) {
        self.turn.retain(|from| {
            let gone = holds(*from);
            if gone {
                self.queues.remove(from);
            }
            !gone
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(round: Round<u32>) -> Vec<(u16, u32)> {
        let of = |(from, wire): (ReplicaId, u32)| (from.0, wire);
        round.wires.into_iter().map(of).collect()
    }

    #[test]
    fn votes_never_wait_behind_view_changes_or_requests() {
        let mut queues = PeerQueues::default();
        let permit = Arc::new(None);
        for number in 0..100 {
            queues.push(Work::Bulk, ReplicaId(1), number, &permit);
            queues.push(Work::Requests, ReplicaId(1), 200 + number, &permit);
        }
        queues.push(Work::Votes, ReplicaId(2), 1000, &permit);
        queues.push(Work::Bulk, ReplicaId(3), 1001, &permit);
        assert_eq!(numbers(queues.votes()), [(2, 1000)]);
        let bulk = numbers(queues.bulk());
        assert_eq!(bulk.len(), ROUND_BULK_MAX);
        assert_eq!(bulk[..3], [(1, 0), (3, 1001), (1, 1)], "each peer in turn");
        let forwarded = numbers(queues.forwarded());
        assert_eq!(forwarded, [(1, 200), (1, 201), (1, 202), (1, 203)]);
        assert!(!queues.is_empty());
    }

    #[test]
    fn votes_of_a_flood_wait_and_those_of_others_do_not_nor_those_of_who_is_cut_off() {
        let mut queues = PeerQueues::default();
        let permit = Arc::new(None);
        let flood = 2 * ROUND_VOTES_EACH_MAX as u32 + 1;
        for number in 0..flood {
            queues.push(Work::Votes, ReplicaId(1), number, &permit);
        }
        queues.push(Work::Votes, ReplicaId(2), 7, &permit);
        let round = numbers(queues.votes());
        assert_eq!(round.len(), ROUND_VOTES_EACH_MAX + 1);
        assert_eq!(round.last(), Some(&(2, 7)));
        queues.push(Work::Votes, ReplicaId(2), 8, &permit);
        queues.push(Work::Bulk, ReplicaId(1), 9, &permit);
        queues.forget_if(|peer| peer == ReplicaId(1));
        assert_eq!(numbers(queues.votes()), [(2, 8)]);
        assert!(queues.is_empty());
        assert_eq!(Arc::strong_count(&permit), 1, "its budget is free again");
        queues.push(Work::Votes, ReplicaId(1), 10, &permit);
        assert_eq!(
            numbers(queues.votes()),
            [(1, 10)],
            "nor is it forgotten for good"
        );
    }

    #[test]
    fn of_many_view_changes_of_a_peer_one_waits_and_holds_its_own_budget_alone() {
        let mut queues = PeerQueues::default();
        let (first, last) = (Arc::new(None), Arc::new(None));
        let replaced = (0..50)
            .filter(|number| queues.push(Work::Reports, ReplicaId(1), *number, &first))
            .count();
        assert_eq!(replaced, 49);
        assert!(queues.push(Work::Reports, ReplicaId(1), 50, &last));
        assert_eq!(Arc::strong_count(&first), 1, "its budget is free again");
        let now = Instant::now();
        assert_eq!(queues.due(now), Some(now));
        assert_eq!(numbers(queues.reports(now)), [(1, 50)]);
        queues.push(Work::Reports, ReplicaId(1), 51, &last);
        assert_eq!(numbers(queues.reports(now)), []);
        assert!(queues.is_empty(), "there is nothing to do yet");
        assert!(queues.due(now).is_some_and(|due| due > now));
        queues.forget_if(|peer| peer == ReplicaId(1));
        assert_eq!(queues.due(now), None, "it is cut off");
    }

    #[test]
    fn nothing_is_lost_and_a_peers_order_is_kept() {
        let mut queues = PeerQueues::default();
        let permit = Arc::new(None);
        (0..20).for_each(|number| {
            queues.push(Work::Bulk, ReplicaId(1), number, &permit);
        });
        let mut seen = Vec::new();
        while !queues.is_empty() {
            seen.extend(numbers(queues.bulk()).into_iter().map(|(_, number)| number));
        }
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
        assert_eq!(Arc::strong_count(&permit), 1, "its budget is free again");
    }
}
