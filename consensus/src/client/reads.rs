//! Reads beside the log (docs/protocol.md R14).
//!
//! ```text
//!   read ──► all that are connected ──► n − f answers that match, one with the body ──► ReadCompleted
//!                     │                                                                      ▲
//!                     └── they can no longer match, or T_read: one ordered request ──────────┘
//! ```
//!
//! A read has one attempt. Whatever comes of it, what follows is an ordinary request with the same
//! operations, which has its result like any other. A replica that answers something else than the
//! others is not accused: it may be at another place in the log.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crypto::Digest;

use crate::byte_list::ByteList;
use crate::ids::{ReplicaId, RequestId, SeqNo};
use crate::mutation::{Mutation, active};
use crate::read::{Grade, READ_NUMBERS, Read};
use crate::reply::{Outcome, Reply, ResultBody};
use crate::time::Instant;

use super::ClientSession;
use super::action::{Action, Completed, ReadPath, Standing, SubmitError, TimedOut, To};
use super::primary::Presumed;

/// T_read is at least this many times what results usually take.
const PATIENCE: u32 = 3;

/// The reads of a session that have no result yet; at most W, as many as there may be requests.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Reads made so far.
    count: u64,
    /// By nonce.
    open: BTreeMap<u64, Open>,
    /// Those that wait for room in the window of requests, the first to fail first.
    failed: VecDeque<u64>,
    /// Requests that are reads which failed, by their numbers: the nonces.
    ordered: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Open {
    ops: ByteList,
    grade: Grade,
    called: Instant,
    /// The caller is told then that there is no result.
    deadline: Instant,
    /// None once they are given up.
    answers: Option<Answers>,
}

/// The answers to one READ.
#[derive(Debug)]
struct Answers {
    need: usize,
    /// T_read is over.
    until: Instant,
    /// Asked, and neither answered nor lost.
    missing: Vec<ReplicaId>,
    groups: Vec<Group>,
}

/// Answers that match.
#[derive(Debug)]
struct Group {
    digest: Digest,
    from: Vec<ReplicaId>,
    body: Option<ByteList>,
}

enum Verdict {
    Accepted(Group),
    Open,
    Hopeless,
}

impl ClientSession {
    /// Signs and sends a read of one or more operations that do nothing but read; returns its nonce.
    /// Its result comes as [`Action::ReadCompleted`].
    ///
    /// # Errors
    /// If too many reads are open, the operations are over a limit, or quorum reads are off in this
    /// cluster: the caller is to blame.
    pub fn read(
        &mut self,
        ops: &ByteList,
        grade: Grade,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Result<u64, SubmitError> {
        let limits = self.cluster.limits();
        if grade == Grade::Quorum && !limits.quorum_reads {
            return Err(SubmitError::QuorumReadsOff);
        }
        self.check(ops)?;
        if !self.has_room_to_read() {
            return Err(SubmitError::WindowFull(self.reads.open.len()));
        }
        self.reads.count += 1;
        let number = READ_NUMBERS | self.reads.count;
        let connected: Vec<ReplicaId> = self
            .presumed
            .replicas()
            .filter(|id| self.presumed.is_connected(*id))
            .collect();
        let (need, to, missing) = match grade {
            Grade::Quorum => (self.cluster.quorums().read_replies(), To::All, connected),
            Grade::Stale => {
                // In turn, so that none has all the work.
                let at = self.reads.count % connected.len().max(1) as u64;
                let at = usize::try_from(at).unwrap_or(0);
                let one = connected.get(at).copied();
                (1, one.map_or(To::All, To::One), one.into_iter().collect())
            }
        };
        let patience = self.pace.read_timeout.max(self.typical * PATIENCE);
        let possible = missing.len() >= need;
        let answers = possible.then(|| Answers {
            need,
            until: now + patience,
            missing,
            groups: Vec::new(),
        });
        let open = Open {
            ops: ops.clone(),
            grade,
            called: now,
            deadline: now + self.pace.request_timeout,
            answers,
        };
        self.note_due(open.due());
        self.reads.open.insert(number, open);
        if !possible {
            self.fall_back(number, now, out);
            return Ok(number);
        }
        let id = RequestId {
            client: self.id.client,
            session: self.id.session,
            number,
        };
        let read = Read::sign(&*self.signer, self.cluster.id(), id, grade, ops);
        out.push(Action::SendRead {
            to,
            raw: read.raw().clone(),
        });
        Ok(number)
    }

    /// Would [`ClientSession::read`] take another one?
    pub fn has_room_to_read(&self) -> bool {
        (self.reads.open.len() as u64) < self.cluster.limits().client_window
    }

    /// An answer to a read.
    pub(super) fn read_answered(&mut self, reply: Reply, now: Instant, out: &mut Vec<Action>) {
        let number = reply.id.number;
        let Some(open) = self.reads.open.get_mut(&number) else {
            return;
        };
        let Some(answers) = &mut open.answers else {
            return;
        };
        answers.count(reply);
        self.judge(number, now, out);
    }

    fn judge(&mut self, number: u64, now: Instant, out: &mut Vec<Action>) {
        let Some(open) = self.reads.open.get_mut(&number) else {
            return;
        };
        let verdict = open.answers.as_mut().map(Answers::verdict);
        match verdict {
            Some(Verdict::Hopeless) => self.fall_back(number, now, out),
            Some(Verdict::Accepted(group)) => self.read_accepted(number, group, now, out),
            Some(Verdict::Open) | None => {}
        }
    }

    fn read_accepted(&mut self, number: u64, group: Group, now: Instant, out: &mut Vec<Action>) {
        let (Some(open), Some(body)) = (self.reads.open.remove(&number), group.body) else {
            return;
        };
        let path = match open.grade {
            Grade::Quorum => ReadPath::Quorum,
            Grade::Stale => ReadPath::Stale,
        };
        self.counters.quorum_reads += u64::from(path == ReadPath::Quorum);
        let completed = Completed {
            number,
            outcome: Outcome::Executed(ResultBody::Full(body)),
            seq: SeqNo(0),
            term: self.presumed.term(),
            sent_at: open.called,
            completed_at: now,
            retransmissions: 0,
            busy: 0,
            matching: group.from,
            differing: Vec::new(),
        };
        out.push(Action::ReadCompleted { completed, path });
    }

    /// The one attempt has failed: an ordered request, once the window has room for it.
    fn fall_back(&mut self, number: u64, now: Instant, out: &mut Vec<Action>) {
        if let Some(open) = self.reads.open.get_mut(&number) {
            open.answers = None;
            self.counters.read_fallbacks += 1;
            self.reads.failed.push_back(number);
            self.order_failed_reads(now, out);
        }
    }

    /// Submits failed reads as ordered requests, as far as the window has room.
    pub(super) fn order_failed_reads(&mut self, now: Instant, out: &mut Vec<Action>) {
        while self.has_room()
            && let Some(nonce) = self.reads.failed.pop_front()
        {
            let Some(open) = self.reads.open.get(&nonce) else {
                continue;
            };
            let ops = open.ops.clone();
            // It was within the limits when it was made, and there is room.
            if let Ok(number) = self.submit(&ops, false, now, out) {
                self.reads.ordered.insert(number, nonce);
            }
        }
    }

    /// A channel is lost: what it has not answered it will not.
    pub(super) fn read_lost(&mut self, replica: ReplicaId, now: Instant, out: &mut Vec<Action>) {
        let open: Vec<u64> = self.reads.open.keys().copied().collect();
        for number in open {
            let open = self.reads.open.get_mut(&number);
            if let Some(answers) = open.and_then(|open| open.answers.as_mut()) {
                answers.missing.retain(|id| *id != replica);
                self.judge(number, now, out);
            }
        }
    }

    /// Gives up what is due.
    pub(super) fn tick_reads(&mut self, now: Instant, out: &mut Vec<Action>) {
        let due: Vec<u64> = self.reads.due(now).collect();
        for number in due {
            let late = |open: &Open| open.deadline <= now;
            if self.reads.open.get(&number).is_some_and(late) {
                if let Some(open) = self.reads.open.remove(&number) {
                    out.push(Action::TimedOut(open.timed_out(
                        number,
                        now,
                        &self.presumed,
                    )));
                }
            } else {
                self.fall_back(number, now, out);
            }
        }
        if let Some(due) = self.reads.next_due() {
            self.note_due(due);
        }
    }

    /// Hands out a result, as that of a read if the request was one that had failed.
    pub(super) fn hand_out(&mut self, completed: Completed, out: &mut Vec<Action>) {
        match self.reads.settle(completed.number) {
            Some((nonce, open)) => out.push(Action::ReadCompleted {
                path: ReadPath::Ordered {
                    number: completed.number,
                },
                completed: Completed {
                    number: nonce,
                    sent_at: open.called,
                    ..completed
                },
            }),
            None => out.push(Action::Completed(completed)),
        }
    }
}

impl Reads {
    /// The request of this number is over: the read that it stood for, which still waits.
    fn settle(&mut self, number: u64) -> Option<(u64, Open)> {
        let nonce = self.ordered.remove(&number)?;
        Some((nonce, self.open.remove(&nonce)?))
    }

    /// A time-out of a request; in the name of the read that it stood for.
    pub(super) fn renamed(&mut self, timed_out: TimedOut) -> TimedOut {
        match self.settle(timed_out.number) {
            Some((number, open)) => TimedOut {
                number,
                sent_at: open.called,
                ..timed_out
            },
            None => timed_out,
        }
    }

    fn due(&self, now: Instant) -> impl Iterator<Item = u64> {
        let due = move |(_, open): &(&u64, &Open)| open.due() <= now;
        self.open.iter().filter(due).map(|(number, _)| *number)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.open.values().map(Open::due).min()
    }
}

impl Open {
    fn due(&self) -> Instant {
        let answers = self.answers.as_ref();
        answers.map_or(self.deadline, |answers| answers.until.min(self.deadline))
    }

    fn timed_out(&self, number: u64, now: Instant, presumed: &Presumed) -> TimedOut {
        let standing = |replica| match presumed.is_connected(replica) {
            true => Standing::Silent,
            false => Standing::NotConnected,
        };
        TimedOut {
            number,
            sent_at: self.called,
            waited: now.since(self.called),
            retransmissions: 0,
            busy: 0,
            replicas: presumed.replicas().map(|id| (id, standing(id))).collect(),
        }
    }
}

impl Answers {
    /// Each replica counts once, with its first answer.
    fn count(&mut self, reply: Reply) {
        let Some(at) = self.missing.iter().position(|id| *id == reply.replica) else {
            return;
        };
        self.missing.swap_remove(at);
        let Outcome::Read { body, versions } = &reply.outcome else {
            return;
        };
        let digest = match active(Mutation::MatchReadsByValue) && !versions.is_empty() {
            true => body.digest(),
            false => reply.outcome.digest(),
        };
        let known = self.groups.iter().position(|group| group.digest == digest);
        let at = known.unwrap_or_else(|| {
            self.groups.push(Group {
                digest,
                from: Vec::new(),
                body: None,
            });
            self.groups.len() - 1
        });
        if let (Some(group), Outcome::Read { body, .. }) = (self.groups.get_mut(at), reply.outcome)
        {
            group.from.push(reply.replica);
            if let ResultBody::Full(results) = body {
                group.body.get_or_insert(results);
            }
        }
    }

    fn verdict(&mut self) -> Verdict {
        let (need, missing) = (self.need, self.missing.len());
        let wins = |group: &Group| group.from.len() >= need && group.body.is_some();
        if let Some(at) = self.groups.iter().position(wins) {
            return Verdict::Accepted(self.groups.swap_remove(at));
        }
        let most = self.groups.iter().map(|group| group.from.len()).max();
        // A group that is large enough may still wait for its body.
        let possible = missing > 0 && most.unwrap_or(0) + missing >= need;
        match possible {
            true => Verdict::Open,
            false => Verdict::Hopeless,
        }
    }
}

/// T_read before anything is known of how long results take.
pub(super) const READ_TIMEOUT: Duration = Duration::from_millis(100);
