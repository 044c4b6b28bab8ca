//! What a session makes of replies.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::{ReplicaId, SeqNo};
use crate::reply::{Outcome, Reply};
use crate::time::Instant;

use super::ClientSession;
use super::action::{Action, Answer, Contradiction};
use super::bodies::Surroundings;
use super::pending::{Entry, Obeyed, Pending};
use super::tally::{agree, summary};

/// Accepted results that are kept to compare late replies with.
const RECENT_MAX: usize = 64;

impl ClientSession {
    /// Takes a reply that arrived on the channel of `from`.
    pub fn on_reply(&mut self, from: ReplicaId, reply: Reply, now: Instant, out: &mut Vec<Action>) {
        let ours = reply.id.client == self.id.client && reply.id.session == self.id.session;
        if from != reply.replica || !ours || from.index() >= self.cluster.quorums().n() {
            self.counters.refused += 1;
            return;
        }
        self.on_hint(from, reply.term, now, out);
        if reply.id.is_read() {
            return self.read_answered(reply, now, out);
        }
        let number = reply.id.number;
        if number <= self.acked {
            let age = usize::try_from(self.acked - number).unwrap_or(usize::MAX);
            let at = self.recent.len().checked_sub(age.saturating_add(1));
            let accepted = at.and_then(|at| self.recent.get(at));
            let contradiction =
                accepted.and_then(|(seq, was)| contradiction(number, (*seq, was), &reply.into()));
            return self.contradicted(contradiction, out);
        }
        match entry_of(&mut self.entries, self.acked, number) {
            None => self.counters.refused += 1,
            Some(Entry::Done(seq, accepted)) => {
                let contradiction = contradiction(number, (*seq, accepted), &reply.into());
                self.contradicted(contradiction, out);
            }
            Some(Entry::Waiting(_)) => self.answered(number, reply, now, out),
        }
    }

    /// An answer to a request that has no accepted result yet.
    fn answered(&mut self, number: u64, reply: Reply, now: Instant, out: &mut Vec<Action>) {
        let quorums = self.cluster.quorums();
        let need = quorums.write_replies(self.cluster.limits().quorum_reads);
        let Some(entry) = entry_of(&mut self.entries, self.acked, number) else {
            return;
        };
        let Entry::Waiting(pending) = entry else {
            return;
        };
        if let Outcome::Busy { retry_after_ms } = reply.outcome {
            self.counters.busy += 1;
            pending.busy = pending.busy.saturating_add(1);
            let obey = reply.replica == self.presumed.primary();
            pending.tally.record_soft(reply.replica, reply.outcome);
            if obey {
                self.obey(number, retry_after_ms, now);
            }
            return;
        }
        self.bodies.note(&reply, quorums.n());
        pending.tally.record(reply);
        let Some(winner) = pending.tally.take_winner(need) else {
            if pending.tally.answered() >= quorums.n() && pending.hurry(now) {
                let due = pending.due();
                self.note_due(due);
            }
            self.look_for_body(number, need, now, out);
            return;
        };
        let (completed, remembered) = pending.complete(number, winner, self.presumed.term(), now);
        let (seq, told) = (completed.seq, pending.told);
        let first_sent = pending.first_sent(now);
        *entry = Entry::Done(seq, remembered);
        self.learn_pace(now.since(first_sent));
        self.flow.completed(number);
        for said in &completed.differing {
            let contradiction = contradiction(number, (seq, &completed.outcome), said);
            self.contradicted(contradiction, out);
        }
        if !told {
            self.hand_out(completed, out);
        }
        self.advance();
        self.order_failed_reads(now, out);
        self.send_waiting(now, out);
    }

    /// The presumed primary has no room for this request.
    fn obey(&mut self, number: u64, retry_after_ms: u32, now: Instant) {
        let Some(pending) = waiting(&mut self.entries, self.acked, number) else {
            return;
        };
        match pending.refused(now, retry_after_ms, &self.pace, &mut self.jitter) {
            Obeyed::Before => {}
            Obeyed::NotForEver => {
                let due = pending.due();
                self.note_due(due);
            }
            Obeyed::Waits(sent_at) => {
                let (pace, jitter) = (&self.pace, &mut self.jitter);
                self.flow.refused(number, sent_at, now, |streak| {
                    jitter.stretch(pace.busy_pause(retry_after_ms, streak))
                });
                self.note_turn();
            }
        }
    }

    /// A request's result may be accepted by its digest while nobody has sent the body.
    fn look_for_body(&mut self, number: u64, need: usize, now: Instant, out: &mut Vec<Action>) {
        let near = Surroundings {
            number,
            n: self.cluster.quorums().n(),
            presumed: &self.presumed,
            typical: self.typical,
        };
        let Some(pending) = waiting(&mut self.entries, self.acked, number) else {
            return;
        };
        let Some(found) = pending.tally.without_body(need) else {
            return;
        };
        if pending.search.begin(found.seq, &self.bodies, &near, now) {
            let ask = pending.next_for_body(need, &mut self.bodies, &near, now);
            self.counters.bodies_asked += ask.iter().len() as u64;
            out.extend(ask);
        }
        let due = pending.due();
        self.note_due(due);
    }

    /// A result took this long.
    fn learn_pace(&mut self, took: Duration) {
        // Weight 1/8, as TCP weighs round trips.
        self.typical = self.typical - self.typical / 8 + took / 8;
        self.pace = self.base.stretched(self.typical);
    }

    /// Moves `acked` over what is done.
    fn advance(&mut self) {
        while let Some(Entry::Done(..)) = self.entries.front() {
            if let Some(Entry::Done(seq, outcome)) = self.entries.pop_front() {
                self.recent.push_back((seq, outcome));
            }
            self.acked += 1;
        }
        let surplus = self.recent.len().saturating_sub(RECENT_MAX);
        self.recent.drain(..surplus);
        if self.entries.is_empty() {
            self.next_due = self.reads.next_due();
        }
    }

    fn contradicted(&mut self, contradiction: Option<Contradiction>, out: &mut Vec<Action>) {
        if let Some(contradiction) = contradiction {
            self.counters.contradictions += 1;
            out.push(Action::Contradicted(contradiction));
        }
    }
}

/// Outcomes that are claims about an execution, which every correct replica makes alike. The
/// others depend on when a replica was asked.
fn is_claim(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Executed(_) | Outcome::Denied)
}

fn contradiction(
    number: u64,
    (accepted_seq, accepted): (SeqNo, &Outcome),
    said: &Answer,
) -> Option<Contradiction> {
    let same = said.seq == accepted_seq && agree(&said.outcome, accepted);
    (!same && is_claim(&said.outcome) && is_claim(accepted)).then(|| Contradiction {
        number,
        accepted_seq,
        accepted: summary(accepted),
        said: Answer {
            outcome: summary(&said.outcome),
            ..said.clone()
        },
    })
}

/// The entry of `number`; `None` if it is acknowledged or was never submitted.
fn entry_of(entries: &mut VecDeque<Entry>, acked: u64, number: u64) -> Option<&mut Entry> {
    let at = number.checked_sub(acked)?.checked_sub(1)?;
    entries.get_mut(usize::try_from(at).ok()?)
}

/// The request of `number`, if it has no accepted result yet.
pub(super) fn waiting(
    entries: &mut VecDeque<Entry>,
    acked: u64,
    number: u64,
) -> Option<&mut Pending> {
    match entry_of(entries, acked, number)? {
        Entry::Waiting(pending) => Some(pending),
        Entry::Done(..) => None,
    }
}
