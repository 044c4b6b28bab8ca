//! A request's result on its way to whoever asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use consensus::client::{Answer, Completed, ReadPath};
use consensus::{ByteList, Outcome, ReplicaId, ResultBody, SeqNo, Term};
use kv::OpResult;
use tokio::sync::{mpsc, oneshot};

use crate::error::RequestError;

/// The accepted result of a request, and how it came about.
#[derive(Clone, Debug)]
pub struct Completion {
    /// One encoded [`OpResult`] for each operation.
    pub results: ByteList,
    /// Where the request was executed; 0 for a read beside the log.
    pub seq: SeqNo,
    /// How a read came by it; none for what was to be ordered from the start.
    pub read: Option<ReadPath>,
    /// Is it the first, or only, result that its request or READ has brought? Reads of one turn are
    /// joined; counting these counts what was sent.
    pub leads: bool,
    /// The epoch and view that were presumed then.
    pub term: Term,
    /// The replicas whose matching replies were counted.
    pub matching: Vec<ReplicaId>,
    /// What others had answered by then; usually empty.
    pub differing: Vec<Answer>,
    /// How often the request was sent again.
    pub retransmissions: u32,
    /// How many "busy" it was answered with.
    pub busy: u32,
    /// When the request was first sent; later than its submission if it had to wait for its turn.
    pub sent_at: Instant,
    /// When the last reply that was needed arrived.
    pub completed_at: Instant,
}

impl Completion {
    /// What the session of a hub that began at `origin` accepted.
    pub(crate) fn of(
        completed: Completed,
        read: Option<ReadPath>,
        origin: tokio::time::Instant,
    ) -> Result<Completion, RequestError> {
        let at = |then: consensus::Instant| (origin + Duration::from_nanos(then.0)).into_std();
        let results = match completed.outcome {
            Outcome::Executed(ResultBody::Full(results)) => results,
            Outcome::Denied => return Err(RequestError::Denied),
            Outcome::StaleSession(newer) => return Err(RequestError::StaleSession(newer)),
            Outcome::AlreadyAcked => return Err(RequestError::AlreadyAcked),
            // A session completes with none of these.
            outcome @ (Outcome::Executed(ResultBody::Hash(_))
            | Outcome::OutOfWindow
            | Outcome::Busy { .. }
            | Outcome::Read { .. }) => {
                return Err(RequestError::UnreadableResult(format!("{outcome:?}")));
            }
        };
        Ok(Completion {
            results,
            seq: completed.seq,
            read,
            leads: true,
            term: completed.term,
            matching: completed.matching,
            differing: completed.differing,
            retransmissions: completed.retransmissions,
            busy: completed.busy,
            sent_at: at(completed.sent_at),
            completed_at: at(completed.completed_at),
        })
    }

    /// The results, decoded, in order of the operations.
    pub fn results(&self) -> impl Iterator<Item = Result<OpResult, RequestError>> + '_ {
        self.results.iter().map(|bytes| {
            OpResult::decode(bytes)
                .map_err(|error| RequestError::UnreadableResult(error.to_string()))
        })
    }
}

/// Takes the results of requests that were submitted with [`crate::ClientHandle::submit_with`].
/// Called on the hub's task: it must not block. Called exactly once for each such request.
pub trait CompletionSink: Send + Sync {
    /// `token` is what the request was submitted with.
    fn complete(&self, token: u64, result: Result<Completion, RequestError>);
}

/// One channel for the results of many requests. It holds at most as many as are outstanding, so
/// whoever bounds those bounds it.
impl CompletionSink for mpsc::UnboundedSender<(u64, Result<Completion, RequestError>)> {
    fn complete(&self, token: u64, result: Result<Completion, RequestError>) {
        // Nobody waits any more: then nobody misses the result.
        let _ = self.send((token, result));
    }
}

/// Who waits for a request. Dropped without an answer it says that the client was closed.
pub(crate) struct Waiter(Option<Target>);

enum Target {
    One(oneshot::Sender<Result<Completion, RequestError>>),
    Shared {
        token: u64,
        sink: Arc<dyn CompletionSink>,
    },
}

impl Waiter {
    pub(crate) fn one(sender: oneshot::Sender<Result<Completion, RequestError>>) -> Self {
        Waiter(Some(Target::One(sender)))
    }

    pub(crate) fn shared(token: u64, sink: Arc<dyn CompletionSink>) -> Self {
        Waiter(Some(Target::Shared { token, sink }))
    }

    pub(crate) fn answer(mut self, result: Result<Completion, RequestError>) {
        self.deliver(result);
    }

    /// Nobody is to be told: the submission was refused on the spot.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }

    fn deliver(&mut self, result: Result<Completion, RequestError>) {
        match self.0.take() {
            None => {}
            Some(Target::One(sender)) => {
                // Whoever asked has stopped waiting.
                let _ = sender.send(result);
            }
            Some(Target::Shared { token, sink }) => sink.complete(token, result),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.deliver(Err(RequestError::Closed));
    }
}
