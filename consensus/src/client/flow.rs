//! How much of a session's window is under way while replicas are busy (docs/protocol.md R6, R15).
//!
//! If each refused request came again at its own time, thousands of them would circulate, each
//! read and refused several times over, and in the end go to all replicas: a cluster that has too
//! much to do would be given several times as much. So a session has a second window, of what it
//! has sent and nobody has refused. "Busy" makes it a quarter smaller, or as small as what was taken
//! of many that were sent together, and stops the session for a moment; results make it grow again,
//! slowly (additive increase, multiplicative decrease: Chiu and Jain 1989, RFC 5681 section 3.1).
//! What does not fit waits here, the oldest first.
//!
//! ```text
//!   submit ──► under way ──────► result: room for the next, and now and then for one more
//!        │      ▲     │ "busy"
//!        ▼      │     ▼
//!        waits here  ◄┘   (the window shrinks, once for all that was sent before it did)
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use crate::pool::FAIR_PENDING_MIN;
use crate::time::Instant;

/// "Busy" leaves this part of what is under way ...
const LEFT: (usize, usize) = (3, 4);
/// ... or as much as was not refused, if that is less, though never less than everybody is granted
/// ([`FAIR_PENDING_MIN`]). When all of it has its results it grows by so many requests.
const GROWTH: usize = 4;

/// What a session has under way, and what waits for that.
#[derive(Debug)]
pub(super) struct Flow {
    /// Requests that may be under way ...
    most: usize,
    /// ... and never more than this: the session's window.
    window: usize,
    /// Requests that are.
    under_way: usize,
    /// Results that the window has not grown by yet.
    credit: usize,
    /// Numbers that wait here.
    waiting: BTreeSet<u64>,
    /// When the window last shrank.
    shrunk_at: Option<Instant>,
    /// Nothing is sent before this.
    paused_until: Instant,
    /// Times that the window shrank without a result in between.
    streak: u32,
}

impl Flow {
    /// Everything in a window of so many may be sent until somebody says "busy".
    pub(super) fn new(window: u64) -> Self {
        let window = usize::try_from(window).unwrap_or(usize::MAX).max(1);
        Flow {
            most: window,
            window,
            under_way: 0,
            credit: 0,
            waiting: BTreeSet::new(),
            shrunk_at: None,
            paused_until: Instant::default(),
            streak: 0,
        }
    }

    /// A new request: is it under way at once (true), or does it wait here?
    pub(super) fn admit(&mut self, number: u64, now: Instant) -> bool {
        let now = self.waiting.is_empty() && self.is_open(now);
        if now {
            self.under_way += 1;
        } else {
            self.waiting.insert(number);
        }
        now
    }

    /// The next one that is under way from now on.
    pub(super) fn next(&mut self, now: Instant) -> Option<u64> {
        if !self.is_open(now) {
            return None;
        }
        let number = self.waiting.pop_first()?;
        self.under_way += 1;
        Some(number)
    }

    /// When [`Flow::next`] has something, if nothing happens before; `None`: not before a result.
    pub(super) fn due(&self) -> Option<Instant> {
        let room = self.under_way < self.most && !self.waiting.is_empty();
        room.then_some(self.paused_until)
    }

    /// A request that was sent at `sent_at` was refused and waits here again. `pause`: how long
    /// nothing is sent, given how often that has happened in succession.
    pub(super) fn refused(
        &mut self,
        number: u64,
        sent_at: Instant,
        now: Instant,
        pause: impl FnOnce(u32) -> Duration,
    ) {
        let sent = self.under_way;
        if self.waiting.insert(number) {
            self.under_way -= 1;
        }
        // What was sent before is refused for the same reason.
        if self.shrunk_at.is_none_or(|shrunk| sent_at > shrunk) {
            self.shrunk_at = Some(now);
            self.streak = self.streak.saturating_add(1);
            self.credit = 0;
            self.most = (sent.min(self.most) * LEFT.0 / LEFT.1).max(1);
            self.paused_until = now + pause(self.streak);
        }
        // Of many that were sent together, as many as were taken say how much room there is.
        self.most = self.most.min(self.under_way.max(FAIR_PENDING_MIN));
    }

    /// A request has its result.
    pub(super) fn completed(&mut self, number: u64) {
        if !self.waiting.remove(&number) {
            self.under_way -= 1;
        }
        self.streak = 0;
        self.credit += GROWTH;
        while self.credit >= self.most {
            self.credit -= self.most;
            self.most = (self.most + 1).min(self.window);
        }
    }

    /// Does this one wait here?
    pub(super) fn holds(&self, number: u64) -> bool {
        self.waiting.contains(&number)
    }

    /// Another primary: the pauses were for the last one.
    pub(super) fn resume(&mut self, now: Instant) {
        self.paused_until = now;
        self.streak = 0;
    }

    fn is_open(&self, now: Instant) -> bool {
        self.under_way < self.most && now >= self.paused_until
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn full(window: u64) -> Flow {
        let mut flow = Flow::new(window);
        assert!((1..=window).all(|number| flow.admit(number, at(0))));
        flow
    }

    #[test]
    fn without_a_refusal_the_whole_window_may_be_under_way_and_no_more() {
        let mut flow = full(16);
        assert!(!flow.admit(17, at(0)), "the window is full");
        assert_eq!((flow.next(at(0)), flow.due()), (None, None));
        flow.completed(3);
        assert_eq!(flow.next(at(0)), Some(17));
    }

    #[test]
    fn a_few_refusals_of_what_was_sent_at_once_make_it_a_quarter_smaller_once() {
        let mut flow = full(16);
        for number in 13..=16 {
            flow.refused(number, at(0), at(5), |streak| PAUSE * streak);
        }
        assert_eq!((flow.most, flow.due()), (12, None), "twelve were taken");
        flow.completed(1);
        assert_eq!(flow.due(), Some(at(105)));
        assert_eq!(flow.next(at(104)), None, "a pause");
        assert_eq!(flow.next(at(105)), Some(13), "the oldest first");
        flow.completed(2);
        assert_eq!(flow.next(at(105)), Some(14));
        // Sent since, refused again without a result in between.
        flow.refused(13, at(105), at(106), |streak| PAUSE * streak);
        flow.refused(14, at(105), at(107), |streak| PAUSE * streak);
        assert_eq!(flow.most, 9);
        (3..=4).for_each(|number| flow.completed(number));
        assert_eq!(flow.due(), Some(at(206)), "one pause for both");
    }

    #[test]
    fn where_most_was_refused_as_much_is_sent_again_as_was_taken() {
        let mut flow = full(200);
        for number in 24..=200 {
            flow.refused(number, at(0), at(5), |streak| PAUSE * streak);
        }
        assert_eq!((flow.most, flow.under_way), (23, 23));
        (1..=23).for_each(|number| flow.completed(number));
        let sent = std::iter::from_fn(|| flow.next(at(105)));
        assert_eq!(sent.count(), flow.most);
        assert!((24..=30).contains(&flow.most), "{}", flow.most);
    }

    #[test]
    fn four_are_sent_again_if_nothing_was_taken_and_twice_as_late_the_next_time() {
        let mut flow = full(16);
        for (round, due) in [(0, 105), (105, 310)] {
            let sent: Vec<u64> = (1..=16).filter(|number| !flow.holds(*number)).collect();
            for number in sent {
                flow.refused(number, at(round), at(round + 5), |streak| PAUSE * streak);
            }
            assert_eq!(flow.due(), Some(at(due)));
            let again: Vec<u64> = std::iter::from_fn(|| flow.next(at(due))).collect();
            assert_eq!(again, (1..=again.len() as u64).collect::<Vec<_>>());
            assert_eq!(again.len(), if round == 0 { 4 } else { 3 });
        }
    }

    #[test]
    fn results_make_it_grow_again_up_to_the_window() {
        let mut flow = full(16);
        // Refused one by one: each was sent after the window had shrunk for the one before.
        for round in 1..=8 {
            let now = at(100 * round);
            flow.refused(round, now, now, |_| Duration::ZERO);
        }
        let mut under_way: VecDeque<u64> = (9..=16).collect();
        let mut sizes = Vec::new();
        for new in 17..200 {
            flow.completed(under_way.pop_front().expect("one may always be under way"));
            sizes.push(flow.most);
            under_way.extend(flow.admit(new, at(9000)).then_some(new));
            under_way.extend(std::iter::from_fn(|| flow.next(at(9000))));
        }
        assert!(sizes.is_sorted() && sizes[0] < 8, "{sizes:?}");
        assert_eq!(sizes.last(), Some(&16));
    }

    #[test]
    fn one_request_may_always_be_under_way() {
        let mut flow = full(1);
        for round in 0..50 {
            let now = at(1000 * round);
            flow.refused(1, now, now, |_| PAUSE);
            assert_eq!(flow.next(now + PAUSE), Some(1));
        }
    }

    #[test]
    fn a_new_primary_is_asked_at_once() {
        let mut flow = full(4);
        flow.refused(1, at(0), at(0), |_| PAUSE * 100);
        flow.refused(2, at(0), at(0), |_| PAUSE);
        assert_eq!(flow.next(at(50)), None);
        flow.resume(at(50));
        assert_eq!(flow.next(at(50)), Some(1));
    }
}
