//! How soon the primary orders what a backup has seen (docs/protocol.md R15).
//!
//! A primary that is just fast enough for every timeout can still make the cluster slow. A backup
//! measures it by what it knows itself: requests reach it on their own, because clients send a sample
//! to all, and the *order delay* of a request is the time from there to the proposal that contains
//! it. What that should be at most follows from how long this replica takes to decide a slot, which
//! grows with the network and with the load of the machines as an honest primary's delay does.
//!
//! ```text
//!   request seen ────── order delay ──────► proposal accepted ── slot time ──► decided
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::order_delays::{ENOUGH, OrderDelays};
use crate::ids::ClientId;
use crate::time::Instant;

/// Slot times that count: the latest.
const LATEST: usize = 128;
/// An order delay of this many median slot times is long. An honest primary needs about two: what is
/// undecided when the request comes, and a round of its own.
const SLOT_TIMES: u32 = 8;
/// How much longer it may be than in earlier views.
const EARLIER_VIEWS: u32 = 3;
/// W_t: so long the delays must have been too long.
const PROBATION: Duration = Duration::from_secs(2);
/// A primary that proposed nothing too late for so long is not judged by what was before.
const STALE: Duration = Duration::from_secs(1);
/// The bound is never stretched by more than this.
const STRETCH_MAX: u64 = 64 * STRETCH_UNIT;
const STRETCH_UNIT: u64 = 1000;

/// An accepted proposal as it was when its turn came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    /// When header and body were here.
    pub(super) at: Instant,
    /// Nothing had been undecided here for so long.
    pub(super) idle: Duration,
}

/// The order delays in the current view, and what is to be expected of them.
#[derive(Clone, Debug)]
pub(super) struct OrderWatch {
    delays: OrderDelays,
    slots: Latest,
    /// After so long the backups have passed a request on.
    passed_on: Duration,
    /// p90 of earlier views, the latest last; at most n of them.
    earlier: VecDeque<Duration>,
    /// When this replica began to watch this view's primary.
    since: Instant,
    /// Accepted proposals that are undecided.
    undecided: usize,
    /// When a slot was decided last.
    idle_since: Instant,
    /// Since when the delays have been too long.
    slow_since: Option<Instant>,
    /// How far the bound is stretched, in thousandths.
    stretch: u64,
}

impl Default for OrderWatch {
    fn default() -> Self {
        OrderWatch {
            delays: OrderDelays::default(),
            slots: Latest::default(),
            passed_on: Duration::ZERO,
            earlier: VecDeque::new(),
            since: Instant::default(),
            undecided: 0,
            idle_since: Instant::default(),
            slow_since: None,
            stretch: STRETCH_UNIT,
        }
    }
}

impl OrderWatch {
    /// Another primary, after a time of grace in which it may put things in order. `passed_on`:
    /// after so long backups have passed a request on; `n`: members.
    pub(super) fn begin_view(
        &mut self,
        now: Instant,
        grace: Duration,
        passed_on: Duration,
        n: usize,
    ) {
        if self.delays.len() >= ENOUGH {
            self.earlier.push_back(self.delays.p90(self.passed_on));
            if self.earlier.len() > n {
                self.earlier.pop_front();
            }
        }
        self.delays = OrderDelays::default();
        self.slots = Latest::default();
        self.passed_on = passed_on;
        self.since = now + grace;
        self.undecided = 0;
        self.idle_since = now;
        self.slow_since = None;
    }

    /// The view is left. If the primary was slow, the next one gets twice the time, in case that
    /// the network is the cause.
    pub(super) fn left(&mut self) {
        if self.slow_since.take().is_none() {
            return;
        }
        self.stretch = self.stretch.saturating_mul(2).min(STRETCH_MAX);
    }

    /// A checkpoint became stable: a tenth less patience.
    pub(super) fn stable(&mut self) {
        self.stretch = (self.stretch - self.stretch / 10).max(STRETCH_UNIT);
    }

    /// A proposal of this view was accepted, with its body.
    pub(super) fn accepted(&mut self, now: Instant) -> Accepted {
        let idle = match self.undecided {
            0 => now.since(self.idle_since),
            _ => Duration::ZERO,
        };
        self.undecided += 1;
        Accepted { at: now, idle }
    }

    /// The slot of that proposal was decided.
    pub(super) fn decided(&mut self, now: Instant, accepted: Accepted) {
        self.undecided = self.undecided.saturating_sub(1);
        self.idle_since = now;
        self.slots.push(now.since(accepted.at));
    }

    /// A client's request of an accepted proposal was seen here at `seen`. `full`: its batch was, more
    /// or less, so that the primary may have had more to order than room for it.
    pub(super) fn ordered(
        &mut self,
        client: ClientId,
        seen: Instant,
        accepted: Accepted,
        full: bool,
    ) {
        if accepted.at < self.since {
            return;
        }
        let delay = accepted.at.since(seen.max(self.since));
        // With room in the pipeline, and nothing going on, a full batch is no excuse.
        let excused = full && accepted.idle < delay / 2;
        let delay = if excused { Duration::ZERO } else { delay };
        self.delays.push(client, delay, accepted.at);
    }

    /// Has the primary been too slow for too long? `least`: the bound is never below.
    pub(super) fn is_slow(&mut self, now: Instant, least: Duration) -> bool {
        let bound = self.bound(least);
        let last = self.delays.last_above(bound);
        let judged = self.delays.len() >= ENOUGH && last.is_some_and(|at| now.since(at) < STALE);
        if !judged || self.delays.p90(self.passed_on) <= bound {
            self.slow_since = None;
            return false;
        }
        let since = *self.slow_since.get_or_insert(now);
        now.since(since) >= PROBATION
    }

    fn bound(&self, least: Duration) -> Duration {
        let nanos = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX);
        let least = Duration::from_nanos(nanos.saturating_mul(self.stretch) / STRETCH_UNIT);
        let own = self
            .slots
            .quantile(1, 2)
            .saturating_mul(SLOT_TIMES)
            .max(least);
        let mut earlier: Vec<Duration> = self.earlier.iter().copied().collect();
        earlier.sort_unstable();
        let usual = earlier.get(earlier.len() / 2).copied().unwrap_or_default();
        own.max(usual.saturating_mul(EARLIER_VIEWS))
    }
}

/// The latest durations.
#[derive(Clone, Debug, Default)]
struct Latest(VecDeque<Duration>);

impl Latest {
    fn push(&mut self, duration: Duration) {
        if self.0.len() == LATEST {
            self.0.pop_front();
        }
        self.0.push_back(duration);
    }

    /// The value that `part` of `whole` do not exceed; zero of nothing.
    fn quantile(&self, part: usize, whole: usize) -> Duration {
        let mut sorted: Vec<Duration> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let at = sorted.len() * part / whole;
        let last = sorted.last().copied();
        sorted.get(at).copied().or(last).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = ms(40);

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Proposals every `every`, each with one request that was seen `delay` before and decided
    /// `slot` later; says after how long the primary counts as slow, if within ten seconds.
    fn verdict(
        watch: &mut OrderWatch,
        from: Instant,
        [every, delay, slot]: [Duration; 3],
        full: bool,
    ) -> Option<Duration> {
        let mut now = from;
        while now.since(from) < Duration::from_secs(10) {
            now = now + every;
            let accepted = watch.accepted(now);
            let seen = Instant(now.0.saturating_sub(delay.as_nanos() as u64));
            watch.ordered(ClientId(1), seen, accepted, full);
            watch.decided(now + slot, accepted);
            if watch.is_slow(now, LEAST) {
                return Some(now.since(from));
            }
        }
        None
    }

    fn opened() -> (OrderWatch, Instant) {
        let mut watch = OrderWatch::default();
        let now = Instant(7_000_000_000);
        watch.begin_view(now, ms(1000), ms(100), 5);
        (watch, now)
    }

    #[test]
    fn a_primary_that_holds_every_proposal_back_is_slow_after_grace_and_probation() {
        let (mut watch, now) = opened();
        let slow = verdict(&mut watch, now, [ms(100), ms(100), ms(3)], false);
        let slow = slow.expect("slow");
        assert!(slow >= ms(3000) && slow < ms(4500), "{slow:?}");
    }

    #[test]
    fn a_primary_is_not_slow_when_deciding_takes_as_long() {
        let (mut watch, now) = opened();
        let steps = [ms(50), ms(100), ms(40)];
        assert_eq!(verdict(&mut watch, now, steps, false), None);
        let (mut watch, now) = opened();
        let prompt = [ms(5), ms(30), ms(1)];
        assert_eq!(verdict(&mut watch, now, prompt, false), None);
    }

    #[test]
    fn full_batches_excuse_a_primary_that_never_rests_and_no_other() {
        let (mut watch, now) = opened();
        assert_eq!(
            verdict(&mut watch, now, [ms(10), ms(300), ms(20)], true),
            None
        );
        let (mut watch, now) = opened();
        assert!(verdict(&mut watch, now, [ms(300), ms(300), ms(3)], true).is_some());
    }

    #[test]
    fn what_was_usual_in_earlier_views_is_not_slow() {
        let (mut watch, mut now) = opened();
        for _ in 0..3 {
            verdict(&mut watch, now, [ms(100), ms(100), ms(3)], false);
            now = now + Duration::from_secs(20);
            watch.begin_view(now, ms(1000), ms(100), 5);
        }
        let as_before = [ms(100), ms(200), ms(3)];
        assert_eq!(verdict(&mut watch, now, as_before, false), None);
        now = now + Duration::from_secs(20);
        assert!(verdict(&mut watch, now, [ms(400), ms(400), ms(3)], false).is_some());
    }

    #[test]
    fn each_change_for_slowness_doubles_the_patience_and_checkpoints_take_it_back() {
        let (mut watch, mut now) = opened();
        let steps = [ms(100), ms(100), ms(3)];
        watch.left();
        assert!(
            verdict(&mut watch, now, steps, false).is_some(),
            "it was not slow"
        );
        for _ in 0..2 {
            watch.slow_since = Some(now);
            watch.left();
        }
        watch.earlier.clear();
        now = now + Duration::from_secs(20);
        watch.delays = OrderDelays::default();
        assert_eq!(verdict(&mut watch, now, steps, false), None, "160 ms");
        for _ in 0..40 {
            watch.stable();
        }
        let later = now + Duration::from_secs(20);
        assert!(verdict(&mut watch, later, steps, false).is_some());
    }

    #[test]
    fn a_flood_that_is_over_is_not_held_against_the_primary() {
        let (mut watch, now) = opened();
        let begun = now + ms(1500);
        // What a hundred clients still had waiting when their flood ended.
        for step in 0..100_u32 {
            let at = begun + ms(5 * u64::from(step));
            let accepted = watch.accepted(at);
            let seen = Instant(at.0 - ms(1000).as_nanos() as u64);
            watch.ordered(ClientId(step % 100), seen.max(now), accepted, false);
            watch.decided(at + ms(1), accepted);
            assert!(!watch.is_slow(at, LEAST));
        }
        let mut at = begun + ms(500);
        // A few clients, promptly: it takes them long to push all of that out.
        for step in 0..60_u32 {
            at = at + ms(100);
            let accepted = watch.accepted(at);
            let seen = Instant(at.0 - ms(2).as_nanos() as u64);
            watch.ordered(ClientId(step % 8), seen, accepted, false);
            watch.decided(at + ms(1), accepted);
            assert!(!watch.is_slow(at, LEAST), "{step}");
        }
    }

    #[test]
    fn old_delays_say_nothing_about_a_primary_that_has_nothing_to_do() {
        let (mut watch, now) = opened();
        let begun = now + ms(1500);
        for step in 0..20 {
            let at = begun + ms(step);
            let accepted = watch.accepted(at);
            watch.ordered(ClientId(1), now, accepted, false);
        }
        assert!(!watch.is_slow(begun + ms(20), LEAST));
        assert!(!watch.is_slow(begun + ms(5000), LEAST));
    }
}
