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

/// To whom a request goes whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has never been sent.
    First,
    /// The primary refused it: to the primary again.
    Again,
    /// It had its time: to all.
    ToAll,
}

/// What to do about a "busy".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obeyed {
    /// It has been heeded already.
    Before,
    /// The request, sent at this time, waits for its turn.
    Waits(Instant),
    /// The primary had its time: its timer has moved.
    NotForEver,
}

/// Of a request that waits for its turn no timer is due.
const NEVER: Instant = Instant(u64::MAX);

/// A request without an accepted result.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) raw: Bytes,
    pub(super) resend_at: Instant,
    pub(super) retransmissions: u32,
    pub(super) busy: u32,
    /// The caller has been told that it timed out.
    pub(super) told: bool,
    pub(super) tally: Tally,
    pub(super) search: Search,
    /// When the caller submitted it.
    submitted_at: Instant,
    /// When it was sent for the first time, and the last.
    sent_at: Option<(Instant, Instant)>,
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
            resend_at: NEVER,
            retransmissions: 0,
            busy: 0,
            told: false,
            tally: Tally::default(),
            search: Search::default(),
            submitted_at: now,
            sent_at: None,
            deadline: now + pace.request_timeout,
            wait: pace.retransmit_after,
            busy_streak: 0,
            reacted: false,
        }
    }

    /// It is this request's turn.
    pub(super) fn next_turn(&mut self, now: Instant, pace: &Pace) -> Turn {
        if self.sent_at.is_none() {
            return Turn::First;
        }
        if self.is_patient(now, pace) {
            Turn::Again
        } else {
            Turn::ToAll
        }
    }

    /// The bytes to send, after which a result is waited for.
    pub(super) fn send(&mut self, now: Instant, pace: &Pace, jitter: &mut Jitter) -> Bytes {
        match &mut self.sent_at {
            Some((_, last)) => {
                *last = now;
                self.retransmissions = self.retransmissions.saturating_add(1);
            }
            None => {
                self.sent_at = Some((now, now));
                self.wait = pace.retransmit_after;
            }
        }
        self.resend_at = now + jitter.stretch(self.wait);
        self.wait = self.wait.saturating_mul(2).min(pace.retransmit_after_max);
        self.reacted = false;
        self.raw.clone()
    }

    /// Has it ever been sent?
    pub(super) fn is_sent(&self) -> bool {
        self.sent_at.is_some()
    }

    /// When it was sent for the first time; `now` if it never was.
    pub(super) fn first_sent(&self, now: Instant) -> Instant {
        self.sent_at.map_or(now, |(first, _)| first)
    }

    /// Another primary: as if sent for the first time.
    pub(super) fn begin_again(&mut self, pace: &Pace) {
        self.wait = pace.retransmit_after;
        self.busy_streak = 0;
    }

    /// The presumed primary is busy, and asks for a pause.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        retry_after_ms: u32,
        pace: &Pace,
        jitter: &mut Jitter,
    ) -> Obeyed {
        let Some((_, sent_at)) = self.sent_at.filter(|_| !self.reacted) else {
            return Obeyed::Before;
        };
        self.reacted = true;
        self.busy_streak = self.busy_streak.saturating_add(1);
        if self.is_patient(now, pace) {
            self.wait = pace.retransmit_after;
            self.resend_at = NEVER;
            return Obeyed::Waits(sent_at);
        }
        let pause = pace.busy_pause(retry_after_ms, 1);
        self.resend_at = now + jitter.stretch(pause);
        Obeyed::NotForEver
    }

    /// Does it go to the primary alone, however often that has refused it?
    fn is_patient(&self, now: Instant, pace: &Pace) -> bool {
        let since = now.since(self.first_sent(now));
        since < pace.retransmit_after * BUSY_WAITS && self.busy_streak <= BUSY_PATIENCE
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
            sent_at: self.submitted_at,
            waited: now.since(self.submitted_at),
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
            sent_at: self.submitted_at,
            completed_at: now,
            retransmissions: self.retransmissions,
            busy: self.busy,
            matching: winner.supporters,
            differing: self.tally.claims(),
        };
        (completed, remembered)
    }
}
