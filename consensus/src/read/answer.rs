//! What a replica answers to a READ (docs/protocol.md R14).

use super::{Grade, Read, ReadGate};
use crate::byte_list::ByteList;
use crate::executor::Executor;
use crate::ids::{ReplicaId, SeqNo};
use crate::reply::{FULL_RESULT_MAX, Outcome, ResultBody};
use crate::state_machine::StateMachine;

/// What the result of a reading operation depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadVersion {
    /// One key: the slot that modified it last, or, if it is absent, that of the latest delete of
    /// any key.
    Key(SeqNo),
    /// Everything, as far as anybody knows.
    State,
}

/// One of the operations of a READ does not only read, or is none. The client is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operation that does not only read")]
pub struct NotARead;

/// What replica `me` says to a READ: the slot that it has executed, and the outcome, which is
/// "busy" when it has nothing to say.
///
/// # Errors
/// If it is no read: whoever signed it is to blame.
pub fn answer<S: StateMachine>(
    executor: &Executor<S>,
    gate: &ReadGate,
    me: ReplicaId,
    read: &Read,
) -> Result<(SeqNo, Outcome), NotARead> {
    let executed = executor.last_executed();
    if read.grade == Grade::Quorum && !gate.is_open(executed) {
        let nothing = Outcome::Busy { retry_after_ms: 0 };
        return Ok((SeqNo(0), nothing));
    }
    let (results, versions) = executor.read(&read.ops)?;
    let body = if sends_body(executor, me, read, &results) {
        ResultBody::Full(results)
    } else {
        ResultBody::Hash(ResultBody::Full(results).digest())
    };
    Ok((executed, Outcome::Read { body, versions }))
}

/// Large results come from f + 1 replicas: one of them is correct. Reads take turns with them.
fn sends_body<S: StateMachine>(
    executor: &Executor<S>,
    me: ReplicaId,
    read: &Read,
    results: &ByteList,
) -> bool {
    if read.grade == Grade::Stale || results.as_bytes().len() <= FULL_RESULT_MAX {
        return true;
    }
    let quorums = executor.cluster().quorums();
    let n = quorums.n() as u64;
    let first = read.id.number % n;
    let place = (u64::from(me.0) + n - first) % n;
    place < quorums.weak() as u64
}
