//! Planted bugs: the rules that must not be "simplified", each with its simplification
//! (docs/protocol.md R21).
//!
//! A test that cannot fail proves nothing. At each rule that safety or progress rests on, the
//! source asks `active(Mutation::…)` whether to break that rule; the hunt (`hunt/`) breaks one
//! after the other and demands that a test notices. Without the feature `mutations` the answer is
//! a constant `false` and the compiler leaves neither question nor answer behind. Only the hunt's
//! dev-dependency switches the feature on; a test there reads cargo's own account of it.

/// A rule that is broken on purpose; each is a row, or a part of a row, of R21.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// q_F one smaller.
    FastQuorumOneSmaller,
    /// q one smaller.
    SlowQuorumOneSmaller,
    /// N_vc = n − f − 1.
    ViewChangeQuorumOneSmaller,
    /// PREPARE votes are ignored in the view change while the fast path is on.
    IgnoreVotes,
    /// Equivocators are not excluded; a tie goes to one of the digests.
    BreakTies,
    /// Equivocators are not excluded; a tie is refused.
    RefuseTies,
    /// Equivocators are excluded, but the vote threshold stays T_0.
    KeepBaseThreshold,
    /// One report makes a candidate.
    ThresholdOne,
    /// f reports make a candidate.
    ThresholdF,
    /// Only votes of one and the same view are added up.
    VotesPerExactView,
    /// Only votes of the view that is left are reported.
    ReportLastViewOnly,
    /// The first vote of a slot is reported, not the latest.
    ReportFirstVote,
    /// Votes for NULL are not reported.
    DropNullVotes,
    /// Votes are forgotten at a restart.
    ForgetVotesAtRestart,
    /// Votes are forgotten when a new view is entered.
    ForgetVotesAtViewChange,
    /// A prepared record is preferred, however old.
    PreferPrepared,
    /// A voted digest is preferred, however new the prepared record.
    PreferVotes,
    /// A prepared record must be newer than the votes: `P.view > W*`.
    PreparedStrictlyNewer,
    /// Prepared records are dropped although q_F > q.
    DropPrepared,
    /// Two votes for one view and slot.
    VoteTwice,
    /// A vote in the old view after the VIEW-CHANGE.
    VoteAfterViewChange,
    /// The primary's O is not computed again.
    TrustHeaders,
    /// A stable checkpoint in a VIEW-CHANGE is believed without its signatures.
    TrustCheckpointClaim,
    /// The new view starts from the smallest checkpoint reported, not from the largest.
    SmallestCheckpoint,
    /// Gaps below `max_s` stay unassigned.
    LeaveGaps,
    /// A reported vote counts without the primary's signature.
    UnsignedVoteReport,
    /// A restarted primary proposes again in its view.
    ProposeAfterRestart,
    /// f + 1 replies complete a write although quorum reads are on (R14).
    WeakWrites,
    /// Answers to a read match by their results alone (R14).
    MatchReadsByValue,
    /// A read needs n − f − 1 matching answers (R14).
    ReadQuorumOneSmaller,
    /// A restarted replica answers reads at once (R14).
    ReadsAtOnceAfterRestart,
}

/// Is this rule broken? Never, in anything but the hunt.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn active(_: Mutation) -> bool {
    false
}

#[cfg(feature = "mutations")]
pub use planted::{Planted, active, plant};

#[cfg(feature = "mutations")]
mod planted {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static PLANTED: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    impl Mutation {
        /// All of them, in the order of R21.
        pub const ALL: [Mutation; 31] = [
            Mutation::FastQuorumOneSmaller,
            Mutation::SlowQuorumOneSmaller,
            Mutation::ViewChangeQuorumOneSmaller,
            Mutation::IgnoreVotes,
            Mutation::BreakTies,
            Mutation::RefuseTies,
            Mutation::KeepBaseThreshold,
            Mutation::ThresholdOne,
            Mutation::ThresholdF,
            Mutation::VotesPerExactView,
            Mutation::ReportLastViewOnly,
            Mutation::ReportFirstVote,
            Mutation::DropNullVotes,
            Mutation::ForgetVotesAtRestart,
            Mutation::ForgetVotesAtViewChange,
            Mutation::PreferPrepared,
            Mutation::PreferVotes,
            Mutation::PreparedStrictlyNewer,
            Mutation::DropPrepared,
            Mutation::VoteTwice,
            Mutation::VoteAfterViewChange,
            Mutation::TrustHeaders,
            Mutation::TrustCheckpointClaim,
            Mutation::SmallestCheckpoint,
            Mutation::LeaveGaps,
            Mutation::UnsignedVoteReport,
            Mutation::ProposeAfterRestart,
            Mutation::WeakWrites,
            Mutation::MatchReadsByValue,
            Mutation::ReadQuorumOneSmaller,
            Mutation::ReadsAtOnceAfterRestart,
        ];
    }

    /// Is this rule broken on this thread?
    pub fn active(mutation: Mutation) -> bool {
        PLANTED.get() == Some(mutation)
    }

    /// Breaks a rule (or none) on this thread until the guard is dropped.
    #[must_use = "the rule is broken only as long as this lives"]
    pub fn plant(mutation: Option<Mutation>) -> Planted {
        Planted {
            before: PLANTED.replace(mutation),
        }
    }

    /// Puts back what was planted before.
    #[derive(Debug)]
    pub struct Planted {
        before: Option<Mutation>,
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(self.before);
        }
    }
}
