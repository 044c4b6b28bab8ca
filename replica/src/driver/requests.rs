//! What becomes of requests before the protocol sees them: known ones are answered or dropped (docs/protocol.md R6).

use consensus::{
    Event, Instant, Lookup, Outcome, Protocol, ReplicaId, Request, RequestId, SeqNo, Transferable,
};
use crypto::Verified;

use super::answers::Occasion;
use super::ports::{Describe, Disk, Network};
use super::settling::Settling;
use super::{Driver, Stop};

/// Pause suggested to a client that asks for stored replies too often: a moment of `resends`.
const RESEND_PAUSE_MS: u32 = 100;

impl<P, S, D, N> Driver<P, S, D, N>
where
    P: Protocol,
    S: Transferable,
    D: Disk<P::Record, S::Change>,
    N: Network + Describe<P::Wire>,
{
    /// Requests that a peer passes on. What the session table knows already is dropped: the client
    /// is not at the other end of this channel, and a peer must not be able to have old requests
    /// ordered again.
    pub(super) fn take_forwarded(
        &mut self,
        now: Instant,
        from: ReplicaId,
        mut requests: Vec<Verified<Request>>,
    ) -> Result<(), Stop> {
        let settling = self.settling();
        requests.retain(|request| {
            !settling.settles(&request.id) && self.executor.lookup(request) == Lookup::New
        });
        if requests.is_empty() {
            return Ok(());
        }
        let from = Some(from);
        self.step(now, Event::Requested { from, requests })
    }

    /// What the executions that wait for the end of the turn settle.
    fn settling(&self) -> Settling {
        let waiting = self.turn.executions.iter();
        Settling::of(waiting.filter_map(|execution| execution.batch.as_deref()))
    }

    /// Answers what the session table knows already; the rest is for the protocol (R6).
    pub(super) fn take_unknown(
        &mut self,
        now: Instant,
        requests: Vec<Verified<Request>>,
    ) -> Vec<Verified<Request>> {
        let mut unknown = Vec::with_capacity(requests.len());
        let settling = self.settling();
        for request in requests {
            let id = request.id;
            if settling.settles(&id) {
                continue;
            }
            let (seq, outcome) = match self.executor.lookup(&request) {
                Lookup::New => {
                    unknown.push(request);
                    continue;
                }
                Lookup::Done(seq, outcome) => (seq, outcome),
                Lookup::Refused(outcome) => (SeqNo(0), outcome),
            };
            // A state that is not on disk yet may be lost, and with it what it answers for (R14).
            if self.answers_for_undurable_state() {
                continue;
            }
            if !self.resends.allow(id.client, &outcome, now) {
                self.observer.counters.resends_refused.add(1);
                self.turn_away(id, RESEND_PAUSE_MS);
                continue;
            }
            self.observer.counters.replies_resent.add(1);
            self.turn.replies.push(
                self.answers
                    .reply(id, seq, outcome, Occasion::Retransmission),
            );
        }
        unknown
    }

    pub(super) fn turn_away(&mut self, id: RequestId, retry_after_ms: u32) {
        let now = std::time::Instant::now();
        self.observer.overload.turned_away(id.client, now);
        let outcome = Outcome::Busy { retry_after_ms };
        let reply = self
            .answers
            .reply(id, SeqNo(0), outcome, Occasion::Execution);
        self.turn.replies.push(reply);
    }
}
