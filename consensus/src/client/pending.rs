//! One outstanding request: its bytes, its timers and the answers so far.

use bytes::Bytes;

use crate::ids::{ReplicaId, SeqNo, Term};
use crate::reply::Outcome;
use crate::time::Instant;

use super::action::{Action, Completed, Standing, TimedOut, To};
use super::bodies::{Bodies, Search, Surroundings};
use super::pace::{BUSY_PATIENCE, BUSY_WAITS, Jitter, Pace};
use super::primary::Presumed;
use super::tally::{Candidate, Tally, keepsake};

/// A number of the session above the acknowledged ones.
#[derive(Debug)]
pub(super) enum Entry {
    /// No accepted result yet.
    Waiting(Box<Pending>),
    /// Accepted: at which sequence number, and what.
    Done(SeqNo, Outcome),
}

/// To whom the next retransmission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The primary asked for a pause: to the primary again.
    Primary,
    /// It had its time: to all.
    All,
}

/// A request without an accepted result.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) raw: Bytes,
    pub(super) resend_at: Instant,
    pub(super) next: Next,
    pub(super) retransmissions: u32,
    pub(super) busy: u32,
    /// The caller has been told that it timed out.
    pub(super) told: bool,
    pub(super) tally: Tally,
    pub(super) search: Search,
    sent_at: Instant,
    deadline: Instant,
    /// The wait after the next sending.
    wait: std::time::Duration,
    busy_streak: u32,
    /// One reaction to each sending: a replica that answers "busy" again and again must not
    /// postpone the retransmission for ever.
    reacted: bool,
}

impl Pending {
    pub(super) fn new(raw: Bytes, now: Instant, pace: &Pace) -> Self {
        Pending {
            raw,
            resend_at: now,
            next: Next::All,
            retransmissions: 0,
            busy: 0,
            told: false,
            tally: Tally::default(),
            search: Search::default(),
            sent_at: now,
            deadline: now + pace.request_timeout,
            wait: pace.retransmit_after,
            busy_streak: 0,
            reacted: false,
        }
    }

    /// The bytes to send again, and the wait for that.
    pub(super) fn resend(&mut self, now: Instant, pace: &Pace, jitter: &mut Jitter) -> Bytes {
        self.retransmissions = self.retransmissions.saturating_add(1);
        self.wait_for_reply(now, pace, jitter);
        self.raw.clone()
    }

    /// The request has just been sent.
    pub(super) fn wait_for_reply(&mut self, now: Instant, pace: &Pace, jitter: &mut Jitter) {
        self.resend_at = now + jitter.stretch(self.wait);
        self.wait = self.wait.saturating_mul(2).min(pace.retransmit_after_max);
        self.next = Next::All;
        self.reacted = false;
    }

    /// Another primary: as if sent for the first time.
    pub(super) fn begin_again(&mut self, pace: &Pace) {
        self.wait = pace.retransmit_after;
        self.busy_streak = 0;
    }

    /// The presumed primary is busy: wait as long as it asks, longer each time. True if that
    /// moves the timer.
    pub(super) fn pause(
        &mut self,
        now: Instant,
        retry_after_ms: u32,
        pace: &Pace,
        jitter: &mut Jitter,
    ) -> bool {
        if self.reacted {
            return false;
        }
        self.reacted = true;
        self.busy_streak = self.busy_streak.saturating_add(1);
        let patient = now.since(self.sent_at) < pace.retransmit_after * BUSY_WAITS;
        let pause = if patient && self.busy_streak <= BUSY_PATIENCE {
            self.next = Next::Primary;
            self.wait = pace.retransmit_after;
            pace.busy_pause(retry_after_ms, self.busy_streak)
        } else {
            pace.busy_pause(retry_after_ms, 1)
        };
        self.resend_at = now + jitter.stretch(pause);
        true
    }

    /// All have answered, yet there is no quorum or no body: ask all again soon. True if that
    /// moves the timer.
    pub(super) fn hurry(&mut self, now: Instant) -> bool {
        // `wait` has doubled with each sending, and so does this.
        let soon = now + self.wait / 16;
        if self.reacted || soon >= self.resend_at {
            return false;
        }
        self.reacted = true;
        self.resend_at = soon;
        true
    }

    /// The question for the body of a result whose digest is accepted, to the next who has it: the
    /// request again, which every replica answers with the body.
    pub(super) fn next_for_body(
        &mut self,
        need: usize,
        bodies: &mut Bodies,
        near: &Surroundings<'_>,
        now: Instant,
    ) -> Option<Action> {
        let found = self.tally.without_body(need);
        let to = self.search.next(found, bodies, near, now)?;
        Some(Action::Send {
            to: To::One(to),
            raw: self.raw.clone(),
        })
    }

    /// When something is to be done.
    pub(super) fn due(&self) -> Instant {
        let again = self
            .search
            .due
            .map_or(self.resend_at, |due| due.min(self.resend_at));
        if self.told {
            again
        } else {
            again.min(self.deadline)
        }
    }

    /// True once, when the deadline has passed.
    pub(super) fn give_up(&mut self, now: Instant) -> bool {
        now >= self.deadline && !std::mem::replace(&mut self.told, true)
    }

    /// The report of a time-out.
    pub(super) fn timed_out(&self, number: u64, now: Instant, presumed: &Presumed) -> TimedOut {
        let answers = self.tally.answers();
        let standing =
            |replica: ReplicaId| match answers.iter().find(|answer| answer.replica == replica) {
                Some(answer) => Standing::Answered(answer.clone()),
                None if presumed.is_connected(replica) => Standing::Silent,
                None => Standing::NotConnected,
            };
        TimedOut {
            number,
            sent_at: self.sent_at,
            waited: now.since(self.sent_at),
            retransmissions: self.retransmissions,
            busy: self.busy,
            replicas: presumed.replicas().map(|id| (id, standing(id))).collect(),
        }
    }

    /// The report of a result, and what to remember of it.
    pub(super) fn complete(
        &mut self,
        number: u64,
        winner: Candidate,
        term: Term,
        now: Instant,
    ) -> (Completed, Outcome) {
        let remembered = keepsake(&winner.outcome);
        let completed = Completed {
            number,
            outcome: winner.outcome,
            seq: winner.seq,
            term,
            sent_at: self.sent_at,
            completed_at: now,
            retransmissions: self.retransmissions,
            busy: self.busy,
            matching: winner.supporters,
            differing: self.tally.claims(),
        };
        (completed, remembered)
    }
}
