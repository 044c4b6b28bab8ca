//! What a replica answers to a request, and what makes answers match (docs/protocol.md R6).

use bincode::{Decode, Encode};
use crypto::{Digest, Hasher};

use crate::byte_list::ByteList;
use crate::ids::{ReplicaId, RequestId, SeqNo, Term};

/// REPLY. Authenticated by the channel, not by a signature.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reply {
    /// The replica's epoch and view when it answers: tells the client the presumed primary.
    pub term: Term,
    /// Who answers.
    pub replica: ReplicaId,
    /// What is answered.
    pub id: RequestId,
    /// Where the request was executed; 0 if it was not.
    pub seq: SeqNo,
    /// The answer.
    pub outcome: Outcome,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    /// Executed at its sequence number; one result per operation.
    Executed(ResultBody),
    /// The client is not authorised; nothing was changed.
    Denied,
    /// A newer session of this client has begun: this number.
    StaleSession(u64),
    /// The client has already acknowledged this reply; it is gone.
    AlreadyAcked,
    /// The number is more than W above the oldest unacknowledged one.
    OutOfWindow,
    /// Not taken in: this replica holds all the requests it may. Not an execution result; one
    /// replica's word, to be retried after about this many milliseconds.
    Busy {
        /// Suggested pause.
        retry_after_ms: u32,
    },
    /// A READ was executed on the state after `seq` (R14).
    Read {
        /// One result per operation.
        body: ResultBody,
        /// What each operation's result depends on: the slot of the last change of the key that it
        /// read; for an absent one that of the latest delete of any key, 0 if there was none; for a
        /// scan `seq`.
        versions: Vec<SeqNo>,
    },
}

/// The results, or their digest from the replicas that are not designated to send them (R6).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ResultBody {
    /// One result per operation.
    Full(ByteList),
    /// `H(results)`.
    Hash(Digest),
}

/// Results above this many bytes are sent in full by one designated replica only.
pub const FULL_RESULT_MAX: usize = 1024;

impl ResultBody {
    /// `H(results)`, whichever form this is.
    pub fn digest(&self) -> Digest {
        match self {
            ResultBody::Full(results) => results_digest(results),
            ResultBody::Hash(digest) => *digest,
        }
    }
}

/// `H(results)`.
pub fn results_digest(results: &ByteList) -> Digest {
    let mut hasher = Hasher::new("results");
    hasher.u64(results.len() as u64).part(results.as_bytes());
    hasher.finish()
}

impl Outcome {
    /// Replies match when (id, seq, this) are equal.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("outcome");
        match self {
            Outcome::Executed(body) => hasher.update(&[0]).update(body.digest().as_bytes()),
            Outcome::Denied => hasher.update(&[1]),
            Outcome::StaleSession(session) => hasher.update(&[2]).u64(*session),
            Outcome::AlreadyAcked => hasher.update(&[3]),
            Outcome::OutOfWindow => hasher.update(&[4]),
            Outcome::Busy { .. } => hasher.update(&[5]),
            Outcome::Read { body, versions } => {
                hasher.update(&[6]).update(body.digest().as_bytes());
                hasher.u64(versions.len() as u64);
                for version in versions {
                    hasher.u64(version.0);
                }
                &mut hasher
            }
        };
        hasher.finish()
    }
}

/// The replica that sends a large result in full: `(seq + number) mod n` (R6).
pub fn designated(seq: SeqNo, number: u64, n: usize) -> ReplicaId {
    let turn = (u128::from(seq.0) + u128::from(number)) % n.max(1) as u128;
    ReplicaId(u16::try_from(turn).expect("a configuration has fewer than 65,536 replicas"))
}
