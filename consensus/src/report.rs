//! What the core tells the outside: the same reports feed metrics, traces, checkers and tests.

use crypto::Digest;

use crate::ids::{Epoch, ReplicaId, SeqNo, View};
use crate::protocol::Misbehaviour;

/// How a slot was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// By q_F PREPAREs.
    Fast,
    /// By q COMMITs.
    Slow,
    /// By another replica's certificate (DECISION).
    Transfer,
}

impl Path {
    /// As result files write it.
    pub fn name(self) -> &'static str {
        match self {
            Path::Fast => "fast",
            Path::Slow => "slow",
            Path::Transfer => "transfer",
        }
    }
}

/// Why a replica leaves a view (docs/protocol.md R10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A request waits too long.
    RequestTimeout,
    /// The NEW-VIEW does not come.
    NewViewTimeout,
    /// No message of the primary for too long.
    Silence,
    /// The primary itself leaves.
    Resignation,
    /// The primary signed a NEW-VIEW that is none.
    InvalidNewView,
    /// The primary signed a header with a body that nobody may vote for.
    BadProposal,
    /// The primary is proven to have signed contradicting messages.
    Equivocation,
    /// The primary takes too long to order what is pending (R15).
    Slowness,
    /// f + 1 replicas have left.
    Join,
    /// This replica is the primary and was restarted (R12).
    Restart,
}

impl Trigger {
    /// As result files write it.
    pub fn name(self) -> &'static str {
        match self {
            Trigger::RequestTimeout => "request-timeout",
            Trigger::NewViewTimeout => "new-view-timeout",
            Trigger::Silence => "silence",
            Trigger::Resignation => "resignation",
            Trigger::InvalidNewView => "invalid-new-view",
            Trigger::BadProposal => "bad-proposal",
            Trigger::Equivocation => "equivocation",
            Trigger::Slowness => "slowness",
            Trigger::Join => "join",
            Trigger::Restart => "restart",
        }
    }
}

/// Something that happened in the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A slot was proposed by this replica.
    Proposed {
        /// Slot.
        seq: SeqNo,
        /// Requests in it.
        requests: usize,
    },
    /// A slot was decided.
    Decided {
        /// The epoch: a slot behind its end is void, and decided anew in the next one (R16).
        epoch: Epoch,
        /// Slot.
        seq: SeqNo,
        /// View of the certificate.
        view: View,
        /// What was decided.
        digest: Digest,
        /// By which rule.
        path: Path,
    },
    /// The fast path did not decide in time; a COMMIT was sent.
    FellBack {
        /// Slot.
        seq: SeqNo,
        /// Replicas whose PREPARE was missing.
        missing: Vec<ReplicaId>,
    },
    /// The commit policy changed between eager and patient.
    EagerCommits(bool),
    /// A checkpoint became stable.
    Stable {
        /// The new low watermark.
        seq: SeqNo,
        /// Digest of the state.
        digest: Digest,
    },
    /// This replica has left its view and votes no more until the next one opens.
    LeftView {
        /// The view it goes to.
        to: View,
        /// Why.
        why: Trigger,
    },
    /// This replica opened a view as its primary.
    OpenedView {
        /// The view.
        view: View,
        /// Slots that are proposed again in it.
        slots: usize,
        /// Replicas that are excluded as proven Byzantine.
        excluded: usize,
    },
    /// A replica signed two contradicting messages; the proof was stored.
    Equivocation {
        /// The culprit.
        culprit: ReplicaId,
        /// Where.
        seq: SeqNo,
    },
    /// A message was dropped.
    Dropped {
        /// Sender.
        from: ReplicaId,
        /// Why.
        why: Misbehaviour,
    },
    /// Messages were sent again because a peer's STATUS showed that it lacks them.
    Retransmitted {
        /// The peer.
        to: ReplicaId,
        /// How many.
        messages: usize,
    },
    /// A peer is so far ahead that its log no longer holds what this replica lacks.
    Behind {
        /// This replica's last executed sequence number.
        last_executed: SeqNo,
        /// The peers' stable checkpoint.
        stable: SeqNo,
    },
    /// The state at a checkpoint is being fetched from other replicas.
    TransferStarted {
        /// The checkpoint.
        seq: SeqNo,
    },
    /// The fetched state was put in place of the own one.
    TransferDone {
        /// The checkpoint, which may be a later one than at the start.
        seq: SeqNo,
        /// Bytes of parts received.
        bytes: u64,
        /// Parts received; what was here already was not fetched.
        parts: u64,
        /// Replicas that they came from.
        sources: usize,
    },
    /// The view is open here: the replica votes in it.
    EnteredView(View),
    /// The epoch changed; a report of the view that it begins with follows (R16).
    EpochEntered(Epoch),
    /// This replica has lost its records: it executes and answers, but promises nothing (R16).
    BecameLearner,
    /// This replica votes from this epoch on.
    BecameMember(Epoch),
}
