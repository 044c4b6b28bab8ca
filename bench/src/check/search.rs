//! The search for a linearization of one key's history (Wing and Gong 1993, Lowe 2017): put the operations into an order that respects real time and that the key
//! could have executed one after the other.
//!
//! The search takes, again and again, one of the operations that may come next: those called before any other open operation returned. Four things keep
//! it short.
//!
//! - *Forced steps.* An operation which holds now and changes nothing may always go first. So may a plain write (put, update) whose readers may all follow at once, while
//!   the present value has no readers left, and no delete or failed cas is left that could tell the difference. Neither needs a second thought.
//! - *Unique values.* A value that is gone never comes back, so nothing may overwrite it while one of its readers is still to come.
//! - *Likeness.* Of writes of unknown outcome that ask for the same and leave what nobody looks at, one is as good as another: only the one called first is tried.
//! - *Memory.* A set of done operations together with a value is searched once. The set is remembered as the sum (xor) of a random 128-bit number for each
//!   operation: two different sets coincide with a chance of about 2^-88 even among a million.
//!
//! Where the search must choose, it follows the sequence numbers of the replies, which is nearly always right at once.

use std::collections::HashSet;

use super::register::{ABSENT, Action, Demand, ValueId};
use crate::workload::spread;

/// One operation of the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) call: u64,
    /// When it returned; `None`: its outcome is unknown, and it may never have happened.
    pub(super) ret: Option<u64>,
    pub(super) action: Action,
    /// Where the replies say it was executed: a hint, not trusted.
    pub(super) seq: Option<u64>,
    /// Its line in the history.
    pub(super) line: usize,
}

/// What the search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// An order exists.
    Linearizable,
    /// None exists. The furthest attempt placed `placed` operations, left the value `state`, and could not place `stuck` (a line) in time.
    Violation {
        placed: usize,
        state: ValueId,
        stuck: usize,
    },
    /// More choices than allowed.
    Undecided,
}

/// Searches for an order of `steps`, starting from an absent key; `values` is one more than the largest value. Gives up when
/// more than `choices_max` choices are remembered.
pub(super) fn search(mut steps: Vec<Step>, values: usize, choices_max: usize) -> Found {
    let unique = written_once(&steps, values);
    if unique {
        settle_observed(&mut steps, values);
    }
    steps.sort_by_key(|step| step.call);
    Search::new(steps, values, unique).run(choices_max)
}

fn written_once(steps: &[Step], values: usize) -> bool {
    let mut written = vec![false; values];
    steps
        .iter()
        .filter_map(|step| step.action.writes)
        .filter(|value| *value != ABSENT)
        .all(|value| !std::mem::replace(&mut written[value as usize], true))
}

/// A write of unknown outcome whose value somebody saw did happen, and before the first who saw it returned.
fn settle_observed(steps: &mut [Step], values: usize) {
    loop {
        let mut seen_by = vec![u64::MAX; values];
        for (value, ret) in steps
            .iter()
            .filter_map(|step| Some((step.action.observes()?, step.ret?)))
        {
            seen_by[value as usize] = seen_by[value as usize].min(ret);
        }
        let mut changed = false;
        for step in steps.iter_mut().filter(|step| step.ret.is_none()) {
            let seen = step
                .action
                .writes
                .filter(|value| *value != ABSENT)
                .map_or(u64::MAX, |value| seen_by[value as usize]);
            if seen != u64::MAX {
                step.ret = Some(seen);
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// Counts of open operations that forbid or allow a forced step.
#[derive(Debug, Default)]
struct Open {
    /// By value: operations that must still see it.
    observers: Vec<u32>,
    /// By value: cas operations among all (also those of unknown outcome) that want to see it.
    cas: Vec<u32>,
    deletes: u32,
    failed_cas: u32,
    /// Operations that must still be placed.
    required: usize,
}

struct Choice {
    trail: usize,
    state: ValueId,
    done: u128,
    alternatives: Vec<usize>,
    next: usize,
}

struct Search {
    steps: Vec<Step>,
    unique: bool,
    /// By value: the last call of those who must see it.
    last_observer_call: Vec<u64>,
    by_call: List,
    /// Operations that returned only.
    by_ret: List,
    open: Open,
    state: ValueId,
    done: u128,
    trail: Vec<usize>,
    best: (usize, ValueId, usize),
}

impl Search {
    fn new(steps: Vec<Step>, values: usize, unique: bool) -> Self {
        let mut order: Vec<usize> = (0..steps.len())
            .filter(|index| steps[*index].ret.is_some())
            .collect();
        order.sort_by_key(|index| steps[*index].ret);
        let mut search = Self {
            unique,
            last_observer_call: vec![0; values],
            by_call: List::new(steps.len(), 0..steps.len()),
            by_ret: List::new(steps.len(), order.into_iter()),
            open: Open {
                observers: vec![0; values],
                cas: vec![0; values],
                ..Open::default()
            },
            state: ABSENT,
            done: 0,
            trail: Vec::new(),
            best: (0, ABSENT, 0),
            steps,
        };
        for index in 0..search.steps.len() {
            let step = search.steps[index];
            search.count(&step, true);
            if let (Some(value), Some(_)) = (step.action.observes(), step.ret) {
                let last = &mut search.last_observer_call[value as usize];
                *last = step.call.max(*last);
            }
        }
        search
    }

    fn run(mut self, choices_max: usize) -> Found {
        let mut seen: HashSet<(u128, ValueId)> = HashSet::new();
        let mut choices: Vec<Choice> = Vec::new();
        loop {
            self.take_forced_steps();
            if self.open.required == 0 {
                return Found::Linearizable;
            }
            if seen.insert((self.done, self.state)) {
                if seen.len() > choices_max {
                    return Found::Undecided;
                }
                self.note_progress();
                let alternatives = self.alternatives();
                choices.push(Choice {
                    trail: self.trail.len(),
                    state: self.state,
                    done: self.done,
                    alternatives,
                    next: 0,
                });
            }
            loop {
                let Some(choice) = choices.last_mut() else {
                    let (placed, state, stuck) = self.best;
                    return Found::Violation {
                        placed,
                        state,
                        stuck,
                    };
                };
                let (trail, state, done) = (choice.trail, choice.state, choice.done);
                let alternative = choice.alternatives.get(choice.next).copied();
                choice.next += 1;
                while self.trail.len() > trail {
                    self.take_back();
                }
                (self.state, self.done) = (state, done);
                if let Some(index) = alternative {
                    self.place(index);
                    break;
                }
                choices.pop();
            }
        }
    }

    /// The earliest return of an open operation: whatever is called later must wait.
    fn horizon(&self) -> u64 {
        self.by_ret
            .first()
            .and_then(|index| self.steps[index].ret)
            .unwrap_or(u64::MAX)
    }

    fn take_forced_steps(&mut self) {
        'again: loop {
            let mut cursor = self.by_call.first();
            while let Some(index) = cursor {
                let step = self.steps[index];
                if step.call > self.horizon() {
                    return;
                }
                cursor = self.by_call.after(index);
                if step.ret.is_some() && step.action.holds(self.state) {
                    if step.action.writes.is_none() {
                        self.place(index);
                    } else if self.may_go_first(&step) {
                        self.place(index);
                        continue 'again;
                    }
                }
            }
            return;
        }
    }

    /// Whether a plain write and its readers can be moved to the front of any order without anybody noticing.
    fn may_go_first(&self, step: &Step) -> bool {
        let Some(value) = step.action.writes else {
            return false;
        };
        let (now, value) = (self.state as usize, value as usize);
        self.unique
            && self.state != ABSENT
            && step.action.is_plain_write()
            && self.open.deletes == 0
            && self.open.failed_cas == 0
            && self.open.observers[now] == 0
            && self.open.cas[now] == 0
            && self.open.cas[value] == 0
            && (self.open.observers[value] == 0 || self.last_observer_call[value] <= self.horizon())
    }

    /// The writes that may come next, the likeliest first.
    fn alternatives(&self) -> Vec<usize> {
        let horizon = self.horizon();
        let waiting = if self.unique && self.state != ABSENT {
            self.open.observers[self.state as usize]
        } else {
            0
        };
        let mut alternatives = Vec::new();
        let mut alike: Vec<(Demand, bool)> = Vec::new();
        let mut cursor = self.by_call.first();
        while let Some(index) = cursor {
            let step = &self.steps[index];
            if step.call > horizon {
                break;
            }
            cursor = self.by_call.after(index);
            // Its own demand may be the last one for the present value.
            let own = u32::from(step.ret.is_some() && step.action.observes() == Some(self.state));
            if step.action.writes.is_some() && step.action.holds(self.state) && waiting == own {
                if let Some(kind) = self.kind_of_unseen(step) {
                    if alike.contains(&kind) {
                        continue;
                    }
                    alike.push(kind);
                }
                alternatives.push(index);
            }
        }
        alternatives.sort_by_key(|index| {
            let step = &self.steps[*index];
            (step.ret.is_none(), step.seq.unwrap_or(u64::MAX), step.call)
        });
        alternatives
    }

    /// What a write of unknown outcome asks for, and whether it deletes, if nobody can tell its value from another one.
    fn kind_of_unseen(&self, step: &Step) -> Option<(Demand, bool)> {
        let value = step.action.writes.filter(|_| step.ret.is_none())?;
        let deletes = value == ABSENT;
        let looked_at = self.open.observers[value as usize]
            + self.open.cas[value as usize]
            + self.open.failed_cas;
        (deletes || (self.unique && looked_at == 0)).then_some((step.action.demand, deletes))
    }

    fn place(&mut self, index: usize) {
        let step = self.steps[index];
        self.by_call.remove(index);
        if step.ret.is_some() {
            self.by_ret.remove(index);
        }
        self.count(&step, false);
        self.state = step.action.after(self.state);
        self.done ^= number_of(index);
        self.trail.push(index);
    }

    /// Undoes the last placement; the caller restores state and set.
    fn take_back(&mut self) {
        if let Some(index) = self.trail.pop() {
            let step = self.steps[index];
            self.count(&step, true);
            if step.ret.is_some() {
                self.by_ret.restore(index);
            }
            self.by_call.restore(index);
        }
    }

    fn count(&mut self, step: &Step, opens: bool) {
        let shift = |count: &mut u32| *count = if opens { *count + 1 } else { *count - 1 };
        let action = step.action;
        if let Some(value) = action.observes() {
            if step.ret.is_some() {
                shift(&mut self.open.observers[value as usize]);
            }
            if action.writes.is_some() {
                shift(&mut self.open.cas[value as usize]);
            }
        }
        if action.is_delete() {
            shift(&mut self.open.deletes);
        }
        if action.is_failed_cas() {
            shift(&mut self.open.failed_cas);
        }
        if step.ret.is_some() {
            self.open.required = if opens {
                self.open.required + 1
            } else {
                self.open.required - 1
            };
        }
    }

    fn note_progress(&mut self) {
        if let Some(stuck) = self
            .by_ret
            .first()
            .filter(|_| self.trail.len() >= self.best.0)
        {
            self.best = (self.trail.len(), self.state, self.steps[stuck].line);
        }
    }
}

fn number_of(index: usize) -> u128 {
    let low = spread(index as u64);
    (u128::from(spread(low ^ 0x5bf0_3635)) << 64) | u128::from(low)
}

/// A doubly linked list over indices, from which any element can be removed and, in reverse order, put back (Knuth's dancing links). The index `len` is
/// both ends.
struct List {
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl List {
    fn new(len: usize, order: impl Iterator<Item = usize>) -> Self {
        let mut list = Self {
            next: vec![len; len + 1],
            previous: vec![len; len + 1],
        };
        let mut last = len;
        for index in order {
            list.next[last] = index;
            list.previous[index] = last;
            last = index;
        }
        list.next[last] = len;
        list.previous[len] = last;
        list
    }

    fn first(&self) -> Option<usize> {
        self.after(self.next.len() - 1)
    }

    fn after(&self, index: usize) -> Option<usize> {
        Some(self.next[index]).filter(|next| *next != self.next.len() - 1)
    }

    fn remove(&mut self, index: usize) {
        let (previous, next) = (self.previous[index], self.next[index]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn restore(&mut self, index: usize) {
        let (previous, next) = (self.previous[index], self.next[index]);
        self.next[previous] = index;
        self.previous[next] = index;
    }
}
