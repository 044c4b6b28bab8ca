//! What comes out of a session: requests to send, and results, time-outs and contradictions, each
//! with who said what.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::ids::{ReplicaId, SeqNo, Term};
use crate::reply::{Outcome, Reply};
use crate::time::Instant;

/// Where a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// To one replica.
    One(ReplicaId),
    /// To every replica that is connected.
    All,
}

/// What the driver of a session must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes of a signed request.
    Send {
        /// To whom.
        to: To,
        /// The complete request.
        raw: Bytes,
    },
    /// Send these bytes of a signed READ.
    SendRead {
        /// To whom.
        to: To,
        /// The complete READ.
        raw: Bytes,
    },
    /// A request has its result.
    Completed(Completed),
    /// A read has its result (R14).
    ReadCompleted {
        /// The result; its number is the nonce, and its sequence number 0 unless it was ordered.
        completed: Completed,
        /// How it came about.
        path: ReadPath,
    },
    /// A request has no result in time; whether it was or will be executed is unknown.
    TimedOut(TimedOut),
    /// A replica said something else than what was accepted.
    Contradicted(Contradiction),
}

/// How a read came by its result (R14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPath {
    /// n − f replicas answered alike.
    Quorum,
    /// It is one replica's word.
    Stale,
    /// The answers did not match in time, and it was ordered.
    Ordered {
        /// The number of the request.
        number: u64,
    },
}

/// A request's accepted result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The request's number in its session.
    pub number: u64,
    /// The result; an executed one always has its full body.
    pub outcome: Outcome,
    /// Where it was executed.
    pub seq: SeqNo,
    /// The epoch and view that the session presumed then.
    pub term: Term,
    /// When the request was first sent.
    pub sent_at: Instant,
    /// When the last reply that was needed arrived.
    pub completed_at: Instant,
    /// How often it was sent again.
    pub retransmissions: u32,
    /// How many "busy" it was answered with, by any replica.
    pub busy: u32,
    /// The replicas whose matching replies were counted.
    pub matching: Vec<ReplicaId>,
    /// Other claims about the execution that had arrived by then. Usually empty: whoever made one
    /// is broken or lies.
    pub differing: Vec<Answer>,
}

/// What one replica answered; in reports the results are reduced to their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who.
    pub replica: ReplicaId,
    /// Where it says that the request was executed.
    pub seq: SeqNo,
    /// What it says.
    pub outcome: Outcome,
}

/// A request that has no accepted result in time. It may have been executed, or may yet be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedOut {
    /// The request's number in its session.
    pub number: u64,
    /// When the request was first sent.
    pub sent_at: Instant,
    /// How long it was waited for.
    pub waited: Duration,
    /// How often it was sent again.
    pub retransmissions: u32,
    /// How many "busy" it was answered with, by any replica.
    pub busy: u32,
    /// Every replica, in order of id.
    pub replicas: Vec<(ReplicaId, Standing)>,
}

/// How a replica stands to a request that timed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There was no channel to it.
    NotConnected,
    /// Connected, but no answer.
    Silent,
    /// This was its last answer.
    Answered(Answer),
}

/// A replica's reply that differs from the accepted result. It is broken or lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The request's number in its session.
    pub number: u64,
    /// Where the request was executed.
    pub accepted_seq: SeqNo,
    /// The accepted outcome, results reduced to their digest.
    pub accepted: Outcome,
    /// The other answer, and whose it is.
    pub said: Answer,
}

/// What a session saw, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that were sent again.
    pub retransmissions: u64,
    /// Requests that were sent to one replica again for the body of a result.
    pub bodies_asked: u64,
    /// "Busy" replies of any replica.
    pub busy: u64,
    /// Replies on another replica's channel or of another session: dropped.
    pub refused: u64,
    /// Replies that contradict an accepted result.
    pub contradictions: u64,
    /// Reads whose answers matched (R14).
    pub quorum_reads: u64,
    /// Reads that were ordered because their answers did not.
    pub read_fallbacks: u64,
}

/// Why a request was not taken. The caller is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many requests of this session are outstanding.
    #[error("window full: {0} requests of this client are outstanding; wait for one to complete")]
    WindowFull(usize),
    /// Writes of this cluster complete with too few replies for it.
    #[error(
        "quorum reads are off in this cluster: `quorum_reads` in its cluster file is false; \
         found it with quorum reads, or read with `ordered`"
    )]
    QuorumReadsOff,
    /// No operation, or too many.
    #[error("{count} operations in one request: 1 to {most} are allowed")]
    OpCount {
        /// Operations given.
        count: usize,
        /// Most allowed (`request_ops_max` of the cluster file).
        most: usize,
    },
    /// One operation is too long.
    #[error("operation of {bytes} bytes: at most {most} are allowed")]
    OpTooLarge {
        /// Its encoded size.
        bytes: usize,
        /// Most allowed (`op_bytes_max` of the cluster file).
        most: usize,
    },
    /// The operations together are too long.
    #[error("request of {bytes} bytes: at most {most} are allowed; use fewer operations")]
    RequestTooLarge {
        /// Its encoded size.
        bytes: usize,
        /// Most allowed (`batch_bytes_max` of the cluster file).
        most: usize,
    },
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Answer {
            replica: reply.replica,
            seq: reply.seq,
            outcome: reply.outcome,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {} answered ", self.replica.0)?;
        match &self.outcome {
            Outcome::Executed(body) => {
                write!(
                    f,
                    "executed at {} with results {:?}",
                    self.seq.0,
                    body.digest()
                )
            }
            Outcome::Denied => f.write_str("denied"),
            Outcome::StaleSession(newer) => write!(f, "stale session (newer: {newer})"),
            Outcome::AlreadyAcked => f.write_str("already acknowledged"),
            Outcome::OutOfWindow => f.write_str("out of window"),
            Outcome::Busy { retry_after_ms } => {
                write!(f, "busy (retry after {retry_after_ms} ms)")
            }
            Outcome::Read { body, .. } => write!(f, "read with results {:?}", body.digest()),
        }
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no accepted result after {:.1} s",
            self.waited.as_secs_f64()
        )?;
        let mut separator = ": ";
        for (replica, standing) in &self.replicas {
            f.write_str(separator)?;
            match standing {
                Standing::NotConnected => write!(f, "replica {} is not connected", replica.0)?,
                Standing::Silent => write!(f, "replica {} did not answer", replica.0)?,
                Standing::Answered(answer) => write!(f, "{answer}")?,
            }
            separator = "; ";
        }
        Ok(())
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, but request {} ", self.said, self.number)?;
        match &self.accepted {
            Outcome::Executed(body) => write!(
                f,
                "was executed at {} with results {:?}",
                self.accepted_seq.0,
                body.digest()
            ),
            _ => f.write_str("was denied"),
        }
    }
}
