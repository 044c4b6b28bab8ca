//! From a key without a linearization to the few operations that show it.
//!
//! Leaving operations out of a history is not always fair: without a write its readers are wrong. Three things are:
//!
//! - *Cutting the end off.* What was called later is left out, and what had not returned by then may or may not have happened.
//! - *Forgetting an answer.* An operation that wrote nothing is left out.
//! - *Forgetting when.* A write may have happened at any time, or never.
//!
//! Each makes the history easier to explain. So if what remains cannot be explained, the whole cannot either, and the
//! operations that were not forgotten are the reason, whatever the others did. They are minimal in that none of them can be
//! forgotten as well, unless the search became too long.

use super::register::{ABSENT, Demand};
use super::search::{Found, Step, search};

/// Searches at most: each forgets some operations and looks whether the rest is still wrong.
const SEARCHES_MAX: usize = 1_000;
/// Operations looked at by all of them together.
const WORK_MAX: usize = 10_000_000;
/// Choices of one search; a history that takes more counts as explained.
const CHOICES_MAX: usize = 5_000;

/// The operations that cannot be explained whatever the others did that were called by a certain time.
pub(super) struct Core {
    /// That time.
    pub(super) until: u64,
    /// The operations in order of their calls.
    pub(super) steps: Vec<Step>,
}

/// Reduces a history that no order explains.
pub(super) fn shrink(steps: &[Step], values: usize) -> Core {
    let mut shrinking = Shrinking {
        values,
        searches: SEARCHES_MAX,
        work: WORK_MAX,
    };
    let (until, mut core) = shrinking.cut(steps);
    let mut forgotten: Vec<Step> = Vec::new();
    let mut size = core.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < core.len() {
            let end = core.len().min(at + size);
            let mut rest = core.clone();
            let out: Vec<Step> = rest.drain(at..end).collect();
            let mut without = forgotten.clone();
            without.extend(out.into_iter().filter(|step| step.action.writes.is_some()));
            if shrinking.is_wrong(&rest, &without) {
                (core, forgotten) = (rest, without);
            } else {
                at = end;
            }
        }
        size = match size {
            1 => 0,
            larger => larger.div_ceil(2),
        };
    }
    core.sort_by_key(|step| step.call);
    Core { until, steps: core }
}

struct Shrinking {
    values: usize,
    searches: usize,
    work: usize,
}

impl Shrinking {
    /// The shortest beginning that is wrong, and when it ends.
    fn cut(&mut self, steps: &[Step]) -> (u64, Vec<Step>) {
        let mut ends: Vec<u64> = steps.iter().filter_map(|step| step.ret).collect();
        ends.sort_unstable();
        ends.dedup();
        let upto = |end: u64| -> Vec<Step> {
            let called = steps.iter().filter(|step| step.call <= end);
            called
                .map(|step| Step {
                    ret: step.ret.filter(|ret| *ret <= end),
                    ..*step
                })
                .filter(|step| step.ret.is_some() || step.action.writes.is_some())
                .collect()
        };
        let (mut right, mut wrong) = (0, ends.len());
        while right < wrong {
            let middle = right.midpoint(wrong);
            match ends.get(middle).map(|end| upto(*end)) {
                Some(beginning) if self.is_wrong(&beginning, &[]) => wrong = middle,
                _ => right = middle + 1,
            }
        }
        let until = ends.get(wrong).copied().unwrap_or(u64::MAX);
        (until, upto(until))
    }

    /// Whether no order explains `core`, with the writes in `forgotten` at any time or never.
    fn is_wrong(&mut self, core: &[Step], forgotten: &[Step]) -> bool {
        let mut steps = core.to_vec();
        steps.extend(useful(core, forgotten));
        let affordable = self.searches > 0 && self.work >= steps.len();
        if !affordable {
            return false;
        }
        self.searches -= 1;
        self.work -= steps.len();
        matches!(
            search(steps, self.values, CHOICES_MAX),
            Found::Violation { .. }
        )
    }
}

/// The forgotten writes that could help to explain the others: those whose value somebody saw, and of the others as many as
/// there are operations which only ask that the value be another, or absent. More would stand between two writes
/// where nobody looks.
fn useful(core: &[Step], forgotten: &[Step]) -> Vec<Step> {
    let anytime = |step: &Step| Step {
        call: 0,
        ret: None,
        seq: None,
        ..*step
    };
    let mut kept: Vec<Step> = Vec::new();
    let mut left: Vec<Step> = forgotten.iter().map(anytime).collect();
    loop {
        let seen: std::collections::HashSet<u32> = core
            .iter()
            .chain(&kept)
            .filter_map(|step| match step.action.demand {
                Demand::Is(value) | Demand::IsNot(value) if value != ABSENT => Some(value),
                _ => None,
            })
            .collect();
        let (now, later): (Vec<Step>, Vec<Step>) = left.into_iter().partition(|step| {
            step.action
                .writes
                .is_some_and(|value| seen.contains(&value))
        });
        left = later;
        if now.is_empty() {
            break;
        }
        kept.extend(now);
    }
    let asks = |wanted: fn(Demand) -> bool| {
        let demands = core.iter().chain(&kept).map(|step| step.action.demand);
        demands.filter(|demand| wanted(*demand)).count()
    };
    let others = asks(|demand| matches!(demand, Demand::IsNot(_)));
    let absents = asks(|demand| demand == Demand::Is(ABSENT));
    // What a write asks for decides what it can do; those that ask for the same are as good as each other.
    let mut taken: std::collections::HashMap<(Demand, bool), usize> =
        std::collections::HashMap::new();
    for step in left {
        let deletes = step.action.is_delete();
        let room = taken.entry((step.action.demand, deletes)).or_default();
        // A value that some write wants absent before it may take one more of each.
        if *room < others + absents {
            *room += 1;
            kept.push(step);
        }
    }
    kept
}
