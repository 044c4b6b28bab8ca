//! When a replica gives up on its primary (docs/protocol.md R10.1, R10.7). One replica that does so
//! changes nothing for the others; f + 1 take the rest with them.

use std::collections::VecDeque;
use std::time::Duration;

use crypto::codec::Blob;

use super::Pbft;
use super::message::Mode;
use crate::ids::{ReplicaId, RequestId};
use crate::protocol::{Action, Outbox, Timer};
use crate::report::Trigger;
use crate::time::Instant;

/// No timeout grows beyond this.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Requests that wait to be passed on; of more the oldest are left to T_req.
const UNFORWARDED_MAX: usize = 8192;
/// They wait for this part of T_req.
const FORWARD_AFTER_PART: u32 = 8;
/// Each STATUS interval takes this part of the longest pause away: half of it in 90 of them.
const GAP_FADES: u32 = 128;
/// More doublings cannot matter: 2^32 ms are beyond any bound.
const DOUBLINGS_MAX: u32 = 32;

/// How long views are waited for: k consecutive view changes without progress double it k times.
#[derive(Clone, Debug, Default)]
pub(super) struct ViewPatience {
    failures: u32,
    executed: u64,
}

impl ViewPatience {
    /// A view was left.
    pub(super) fn left(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.executed = 0;
    }

    /// A slot was executed. Every K slots in one view make the next timeout shorter again.
    fn executed(&mut self, interval: u64) {
        self.executed = self.executed.saturating_add(1);
        if self.executed >= interval {
            self.executed = 0;
            self.failures = self.failures.saturating_sub(1);
        }
    }

    /// `timeout · 2^k`, at most a minute.
    pub(super) fn stretched(&self, timeout: Duration) -> Duration {
        let factor = 1u64 << self.failures.min(DOUBLINGS_MAX);
        let nanos = timeout
            .as_nanos()
            .saturating_mul(u128::from(factor))
            .min(TIMEOUT_MAX.as_nanos());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What this replica holds against the primary of its view.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// The oldest pending request, and whether it has been passed on a second time.
    request: Option<(RequestId, bool)>,
    /// When the primary was last heard.
    heard: Instant,
    /// The longest time between two of its messages, fading.
    gap: Duration,
    /// When the heartbeat timer is due.
    due: Instant,
    /// When the STATUS timer is due.
    status_due: Instant,
    /// Up to here it has been counted how long this replica was held up itself.
    accounted: Instant,
    /// Requests from clients that are passed on if they are still pending in a while, and when they
    /// came.
    unforwarded: VecDeque<(Instant, RequestId)>,
}

impl Watch {
    /// A client sent this request to a backup for the first time. Most of those are samples by which
    /// the primary is judged (R15), and the primary has them; it must not learn which they are before
    /// it has had its time.
    pub(super) fn expect_proposal(&mut self, now: Instant, id: RequestId) {
        if self.unforwarded.len() == UNFORWARDED_MAX {
            self.unforwarded.pop_front();
        }
        self.unforwarded.push_back((now, id));
    }
}

impl Pbft {
    /// Gives up on the primary: goes to the next view whose primary is not proven Byzantine.
    pub(super) fn suspect(&mut self, now: Instant, why: Trigger, out: &mut Outbox<Self>) {
        let mut next = self.view.next();
        for _ in 0..self.cluster().quorums().n() {
            if !self.is_proven(self.cluster().primary(self.epoch, next)) {
                break;
            }
            next = next.next();
        }
        self.start_view_change(now, next, why, out);
    }

    /// Starts to watch the primary of a view that has just opened.
    pub(super) fn watch_primary(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let grace = self.policy.view_change_timeout * 2;
        let n = self.cluster().quorums().n();
        // Looked for with each STATUS, and on its way.
        let passed_on =
            self.policy.request_timeout / FORWARD_AFTER_PART + 2 * self.policy.status_interval;
        self.order.begin_view(now, grace, passed_on, n);
        self.closing.begin_view();
        self.watch.heard = now;
        self.watch.gap = Duration::ZERO;
        self.watch.request = None;
        self.watch.unforwarded.clear();
        if self.is_proven(self.primary()) {
            self.suspect(now, Trigger::Equivocation, out);
            return;
        }
        self.set_heartbeat_timer(now, out);
        self.watch_oldest_request(out);
    }

    /// The peer at the other end of a channel said something, which came in at `at`: it was not
    /// silent while that waited for verification here.
    pub(super) fn heard(&mut self, at: Instant, from: ReplicaId) {
        if from == self.primary() {
            self.watch.gap = self.watch.gap.max(at.since(self.watch.heard));
            self.watch.heard = self.watch.heard.max(at);
        }
    }

    /// How long the primary may be silent: T_hb, or twice as long as it lately was at times, but no
    /// longer than T_req. A primary whose machine is so busy that it pauses is there all the same.
    fn silence(&self) -> Duration {
        let pauses = (self.watch.gap * 2).min(self.policy.request_timeout);
        let silence = self.policy.heartbeat_timeout.max(pauses);
        self.patience_of_views.stretched(silence)
    }

    fn set_heartbeat_timer(&mut self, now: Instant, out: &mut Outbox<Self>) {
        if self.is_primary() {
            out.push(Action::CancelTimer(Timer::Heartbeat));
            return;
        }
        let silence = self.silence();
        let after = silence.saturating_sub(now.since(self.watch.heard));
        self.watch.due = now + after;
        out.push(Action::SetTimer {
            timer: Timer::Heartbeat,
            after,
        });
    }

    /// The STATUS timer was set.
    pub(super) fn status_timer_set(&mut self, now: Instant) {
        self.watch.status_due = now + self.policy.status_interval;
    }

    /// The STATUS timer, which is never far off, has fired: a good witness of being held up.
    pub(super) fn status_timer_fired(&mut self, now: Instant) {
        self.fired(now, self.watch.status_due);
        self.watch.gap -= self.watch.gap / GAP_FADES;
    }

    /// A timer fires as late as this replica was held up itself, by its own work or by a machine that
    /// is too busy. Nobody can be heard in that time, so it is no silence of the primary.
    fn fired(&mut self, now: Instant, due: Instant) {
        let held_up = now.since(due.max(self.watch.accounted));
        self.watch.accounted = now;
        self.watch.heard = (self.watch.heard + held_up).min(now);
    }

    /// Passes on to the primary what clients sent here and what it has not proposed in time.
    pub(super) fn forward_waiting(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let after = self.policy.request_timeout / FORWARD_AFTER_PART;
        let mut forwarded = Vec::new();
        while let Some((_, id)) = self
            .watch
            .unforwarded
            .pop_front_if(|(came, _)| now.since(*came) >= after)
        {
            forwarded.extend(self.pool.raw(&id).map(Blob));
        }
        if !self.is_primary() {
            self.forward(forwarded, out);
        }
    }

    /// R15: the primary may take too long to order what is pending.
    pub(super) fn judge_order(&mut self, now: Instant, out: &mut Outbox<Self>) {
        if self.mode == Mode::Normal
            && !self.is_primary()
            && self.order.is_slow(now, self.policy.order_delay_min)
        {
            self.suspect(now, Trigger::Slowness, out);
        }
    }

    /// T_hb: the primary may have been silent for too long.
    pub(super) fn on_heartbeat_timer(&mut self, now: Instant, out: &mut Outbox<Self>) {
        if self.mode != Mode::Normal || self.is_primary() {
            return;
        }
        let silence = self.silence();
        // After a long time what the primary said meanwhile may still be on its way through the
        // queues.
        if now.since(self.watch.due) > silence / 2 {
            self.watch.heard = now;
        }
        self.fired(now, self.watch.due);
        if now.since(self.watch.heard) >= silence {
            self.suspect(now, Trigger::Silence, out);
        } else {
            self.set_heartbeat_timer(now, out);
        }
    }

    /// Watches the oldest pending request, if none is watched.
    pub(super) fn watch_oldest_request(&mut self, out: &mut Outbox<Self>) {
        if self.mode != Mode::Normal || self.watch.request.is_some() {
            return;
        }
        if let Some(id) = self.pool.oldest() {
            self.watch.request = Some((id, false));
            self.set_request_timer(out);
        }
    }

    /// Half of T_req: in the middle the request is passed on once more.
    fn set_request_timer(&mut self, out: &mut Outbox<Self>) {
        let timeout = self
            .patience_of_views
            .stretched(self.policy.request_timeout);
        out.push(Action::SetTimer {
            timer: Timer::Request,
            after: timeout / 2,
        });
    }

    /// The watched request was executed or dropped: the next one has its full time.
    pub(super) fn after_execution(&mut self, executed: u64, out: &mut Outbox<Self>) {
        let interval = self.cluster().limits().checkpoint_interval;
        for _ in 0..executed {
            self.patience_of_views.executed(interval);
        }
        if let Some((id, _)) = self.watch.request
            && !self.pool.holds(&id)
        {
            self.watch.request = None;
            self.watch_oldest_request(out);
            if self.watch.request.is_none() {
                out.push(Action::CancelTimer(Timer::Request));
            }
        }
    }

    /// T_req: the oldest pending request is not executed. The primary may never have got it, or may
    /// have had no room for it, so it gets it once more before it is suspected.
    pub(super) fn on_request_timer(&mut self, now: Instant, out: &mut Outbox<Self>) {
        if self.mode != Mode::Normal {
            return;
        }
        match self.watch.request {
            Some((id, false)) if self.pool.holds(&id) => {
                self.watch.request = Some((id, true));
                if let Some(raw) = self.pool.raw(&id)
                    && !self.is_primary()
                {
                    self.forward(vec![Blob(raw)], out);
                }
                self.set_request_timer(out);
            }
            Some((id, true)) if self.pool.holds(&id) => {
                self.suspect(now, Trigger::RequestTimeout, out);
            }
            _ => {
                self.watch.request = None;
                self.watch_oldest_request(out);
            }
        }
    }

    /// T_vc: the view does not open.
    pub(super) fn on_new_view_timer(&mut self, now: Instant, out: &mut Outbox<Self>) {
        if self.mode == Mode::ViewChange {
            self.suspect(now, Trigger::NewViewTimeout, out);
        }
    }

    /// Passes everything that is pending on to the new primary: clients may be gone, and the
    /// requests that they sent to the backups must not be held against it.
    pub(super) fn hand_over_pending(&mut self, out: &mut Outbox<Self>) {
        if !self.is_primary() {
            let pending = self.pool.all_raw().map(Blob).collect();
            self.forward(pending, out);
        }
    }
}
