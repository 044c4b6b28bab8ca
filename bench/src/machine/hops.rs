//! The least that one operation can take: message delays, writes to disk and signatures that follow one another.
//!
//! ```text
//!   client ──► primary ──► backups ──────► all ──► client                    fast path: 4 delays, 1 write
//!    sign      verify      verify 2        verify q_F − 1 votes
//!              sign        sign, write
//!   client ──► primary ──► backups ──► all ──────► all ──► client            three phases: 5 delays, 2 writes
//!                                      verify q − 1 PREPAREs   q − 1 COMMITs
//!                                      sign, write
//! ```
//!
//! Only what the answer cannot do without is counted: q_F votes, and as many replicas that count them as a client needs replies of.
//! Work of several replicas at the same time is shared out to the cores of the machine, and takes at least as long as that of one of them.

use consensus::Quorums;

use super::{Costs, verify_together_s};

/// The steps of one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HopPath {
    /// Votes that make a slot prepared or, on the fast path, decided.
    votes: usize,
    /// COMMITs that decide it, in three phases.
    commits: Option<usize>,
    /// Replies that a client needs.
    replies: usize,
    /// Whether a vote is on disk before it leaves.
    durable: bool,
}

/// What the steps cost, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCosts {
    /// One message delay.
    pub delay_s: f64,
    /// One small write, durable.
    pub write_s: f64,
    /// One signature.
    pub sign_s: f64,
    /// Verifying a request.
    pub verify_request_s: f64,
    /// Verifying a request and a proposal together.
    pub verify_proposal_s: f64,
    /// Verifying the others' PREPAREs that a replica needs together.
    pub verify_votes_s: f64,
    /// The same of COMMITs.
    pub verify_commits_s: f64,
}

impl HopPath {
    /// Of a cluster with these quorums and replies to a write, whose votes are on disk or not.
    #[must_use]
    pub fn new(quorums: &Quorums, replies: usize, durable: bool) -> Self {
        let fast = quorums.fast();
        HopPath {
            votes: fast.unwrap_or_else(|| quorums.slow()),
            commits: fast.is_none().then(|| quorums.slow()),
            replies,
            durable,
        }
    }

    /// Message delays.
    #[must_use]
    pub fn delays(&self) -> u32 {
        4 + u32::from(self.commits.is_some())
    }

    /// Writes to disk that must be durable before the next step.
    #[must_use]
    pub fn writes(&self) -> u32 {
        match (self.durable, self.commits) {
            (false, _) => 0,
            (true, None) => 1,
            (true, Some(_)) => 2,
        }
    }

    /// What its steps cost by what was measured; what is missing, if anything is.
    ///
    /// # Errors
    /// Why a part could not be measured.
    pub fn costs(&self, measured: &Costs) -> Result<StepCosts, String> {
        let round_trip = measured.round_trip.as_ref().map_err(Clone::clone)?;
        let write_s = match self.durable {
            false => 0.0,
            true => measured.writes[0].as_ref().map_err(Clone::clone)?.median_s,
        };
        Ok(StepCosts {
            delay_s: round_trip.median_s / 2.0,
            write_s,
            sign_s: measured.signatures.sign_s,
            verify_request_s: measured.signatures.verify_s,
            verify_proposal_s: verify_together_s(2),
            verify_votes_s: verify_together_s(self.votes.saturating_sub(1)),
            verify_commits_s: verify_together_s(self.commits.map_or(0, |q| q.saturating_sub(1))),
        })
    }

    /// Seconds from the client's signature to its answer, on this many cores.
    #[must_use]
    pub fn bound_s(&self, costs: &StepCosts, cores: f64) -> f64 {
        // So many replicas do this at the same time.
        let shared = |replicas: usize, each: f64| each * (replicas as f64 / cores).max(1.0);
        let proposing = costs.sign_s + costs.verify_request_s + costs.sign_s;
        let voting = shared(
            self.votes.saturating_sub(1),
            costs.verify_proposal_s + costs.sign_s,
        );
        let counting = match self.commits {
            None => shared(self.replies, costs.verify_votes_s),
            Some(commits) => {
                shared(commits, costs.verify_votes_s + costs.sign_s)
                    + shared(self.replies, costs.verify_commits_s)
            }
        };
        f64::from(self.delays()) * costs.delay_s
            + f64::from(self.writes()) * costs.write_s
            + proposing
            + voting
            + counting
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use consensus::FastQuorum;

    use super::*;

    const COSTS: StepCosts = StepCosts {
        delay_s: 1.0,
        write_s: 100.0,
        sign_s: 1_000.0,
        verify_request_s: 10_000.0,
        verify_proposal_s: 20_000.0,
        verify_votes_s: 100_000.0,
        verify_commits_s: 1_000_000.0,
    };

    fn path(n: u16, fast: FastQuorum, durable: bool) -> HopPath {
        let quorums = Quorums::new(n, 1, fast).unwrap();
        HopPath::new(&quorums, quorums.weak(), durable)
    }

    #[test]
    fn the_fast_path_is_four_delays_one_write_and_the_signatures_between_them() {
        let fast = path(5, FastQuorum::Strong, true);
        assert_eq!((fast.delays(), fast.writes()), (4, 1));
        // Enough cores: nobody waits for another. 4 delays, a write, 3 signatures, the request, the proposal, the votes.
        let alone = 4.0 + 100.0 + 3_000.0 + 10_000.0 + 20_000.0 + 100_000.0;
        assert_eq!(fast.bound_s(&COSTS, 16.0), alone);
        // Two cores: three backups vote, and two replicas count.
        assert_eq!(fast.bound_s(&COSTS, 2.0), alone + 0.5 * 21_000.0);
        // One core: each after the other.
        let one = alone + 2.0 * 21_000.0 + 100_000.0;
        assert_eq!(fast.bound_s(&COSTS, 1.0), one);
        let off = path(5, FastQuorum::Strong, false);
        assert_eq!(off.bound_s(&COSTS, 16.0), alone - 100.0);
    }

    #[test]
    fn three_phases_are_a_delay_a_write_and_a_round_of_votes_more() {
        let classic = path(4, FastQuorum::Off, true);
        assert_eq!((classic.delays(), classic.writes()), (5, 2));
        let alone = 5.0 + 200.0 + 4_000.0 + 10_000.0 + 20_000.0 + 100_000.0 + 1_000_000.0;
        assert_eq!(classic.bound_s(&COSTS, 16.0), alone);
        let off = path(4, FastQuorum::Off, false);
        assert_eq!(off.writes(), 0);
    }

    #[test]
    fn what_could_not_be_measured_leaves_no_bound() {
        let place = tempfile::tempdir().unwrap();
        let mut measured = Costs::measure(place.path(), crate::machine::Effort::Brief);
        let (durable, not) = (
            path(5, FastQuorum::Strong, true),
            path(5, FastQuorum::Strong, false),
        );
        assert!(durable.costs(&measured).unwrap().write_s > 0.0);
        measured.writes[0] = Err("no disk".to_owned());
        assert_eq!(durable.costs(&measured), Err("no disk".to_owned()));
        assert_eq!(not.costs(&measured).unwrap().write_s, 0.0);
        measured.round_trip = Err("no port".to_owned());
        assert_eq!(not.costs(&measured), Err("no port".to_owned()));
    }
}
