//! Reads beside the log that are submitted in one turn, joined into one READ (docs/protocol.md R14).
//!
//! ```text
//!   read a ─┐                                        ┌─► result of a
//!   read b ─┼─► READ [a, b, c] ──► one answer ──────┼─► result of b
//!   read c ─┘   one signature      of each replica   └─► result of c
//! ```
//!
//! All of them are read from one state, which is more than each of them asked for. What is submitted
//! alone is sent alone: nothing waits for company.

use std::collections::BTreeMap;

use consensus::client::{Action, ClientSession, Completed, ReadPath, SubmitError, TimedOut};
use consensus::{ByteList, Grade, Instant, Limits};

use crate::completion::{Completion, Waiter};
use crate::error::RequestError;

/// Reads of one client that were submitted in this turn, and those that wait for their results.
#[derive(Default)]
pub(crate) struct JoinedReads {
    submitted: Vec<Submitted>,
    waiting: BTreeMap<u64, Vec<Share>>,
}

struct Submitted {
    grade: Grade,
    ops: ByteList,
    waiter: Waiter,
}

/// Whose part of the results it is: that many, in order.
struct Share {
    ops: usize,
    waiter: Waiter,
}

impl JoinedReads {
    /// Takes a read for the end of the turn; true if it is the first.
    pub(crate) fn push(&mut self, grade: Grade, ops: ByteList, waiter: Waiter) -> bool {
        self.submitted.push(Submitted { grade, ops, waiter });
        self.submitted.len() == 1
    }

    /// Hands what was submitted to the session.
    pub(crate) fn submit(
        &mut self,
        session: &mut ClientSession,
        limits: &Limits,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let most = joined_max(limits);
        let mut submitted = std::mem::take(&mut self.submitted).into_iter().peekable();
        while let Some(first) = submitted.next() {
            let grade = first.grade;
            let mut joined = vec![first];
            while joined.len() < most
                && is_single(&joined)
                && let Some(next) =
                    submitted.next_if(|next| next.grade == grade && next.ops.len() == 1)
            {
                joined.push(next);
            }
            self.ask(joined, session, now, out);
        }
    }

    fn ask(
        &mut self,
        joined: Vec<Submitted>,
        session: &mut ClientSession,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(Submitted { grade, ops, .. }) = joined.first() else {
            return;
        };
        let asked = match joined.len() {
            1 => session.read(ops, *grade, now, out),
            _ => {
                let ops: ByteList = joined.iter().flat_map(|each| each.ops.iter()).collect();
                session.read(&ops, *grade, now, out)
            }
        };
        match asked {
            Ok(nonce) => {
                let share = |each: Submitted| Share {
                    ops: each.ops.len(),
                    waiter: each.waiter,
                };
                let shares = joined.into_iter().map(share).collect();
                self.waiting.insert(nonce, shares);
            }
            Err(error) => self.refuse(joined, error, session, now, out),
        }
    }

    /// One of them may be to blame: each is asked for alone, and told what is wrong with it.
    fn refuse(
        &mut self,
        joined: Vec<Submitted>,
        error: SubmitError,
        session: &mut ClientSession,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let alone = joined.len() == 1;
        for each in joined {
            match alone {
                true => each.waiter.answer(Err(error.into())),
                false => self.ask(vec![each], session, now, out),
            }
        }
    }

    /// A READ has its results.
    pub(crate) fn completed(
        &mut self,
        completed: Completed,
        path: ReadPath,
        origin: tokio::time::Instant,
    ) {
        let Some(shares) = self.waiting.remove(&completed.number) else {
            return;
        };
        let whole = Completion::of(completed, Some(path), origin);
        let (mut leads, mut before) = (true, 0);
        for Share { ops, waiter } in shares {
            waiter.answer(whole.clone().map(|whole| Completion {
                results: whole.results.iter().skip(before).take(ops).collect(),
                leads: std::mem::take(&mut leads),
                ..whole
            }));
            before += ops;
        }
    }

    /// A READ has no result in time.
    pub(crate) fn timed_out(&mut self, timed_out: &TimedOut) {
        for share in self.waiting.remove(&timed_out.number).unwrap_or_default() {
            let timed_out = Box::new(timed_out.clone());
            share.waiter.answer(Err(RequestError::TimedOut(timed_out)));
        }
    }
}

fn is_single(joined: &[Submitted]) -> bool {
    joined.iter().all(|each| each.ops.len() == 1)
}

/// As many single operations as have room for their results in one answer, however long each is:
/// joining takes nothing from any of them.
fn joined_max(limits: &Limits) -> usize {
    let room = limits.result_bytes_max as usize / kv::RESULT_BYTES_MAX;
    room.clamp(1, usize::from(limits.request_ops_max))
}
