//! What the core tells the outside: the same reports feed metrics, traces, checkers and tests.

use crypto::Digest;

use crate::ids::{ReplicaId, SeqNo, View};
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

/// Why a replica suspects the primary (docs/protocol.md R10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspicion {
    /// A request waits too long.
    RequestTimeout,
    /// No valid message for too long.
    Silence,
    /// A signed header with a bad body.
    BadProposal,
    /// Two signed headers for one slot.
    Equivocation,
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
    /// The primary is suspected.
    Suspected {
        /// Who.
        primary: ReplicaId,
        /// Why.
        why: Suspicion,
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
    /// The view changed.
    EnteredView(View),
}
