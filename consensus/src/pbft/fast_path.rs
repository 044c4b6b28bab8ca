//! When to send COMMITs: the fast path needs none, the fallback needs no mode switch
//! (docs/protocol.md R8). The policy affects cost and latency, never safety.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cluster::Quorums;
use crate::ids::SeqNo;
use crate::settings::{CommitMode, Policy};
use crate::time::Instant;

/// Expiries among the last [`HISTORY`] slots that turn the replica eager.
const EAGER_AFTER: u32 = 8;
/// Slots looked back on.
const HISTORY: u32 = 16;
/// Consecutive timely fast quorums that end the eager state.
const PATIENT_AFTER: u32 = 64;
/// Most slots that wait for their fast quorum; the window bounds them anyway.
const WAITING_MAX: usize = 1 << 16;

/// What to do with a slot that has just been prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnPrepared {
    /// Nothing: prepared is decided.
    Never,
    /// Send the COMMIT at once.
    Commit,
    /// Wait for the fast quorum until then.
    WaitUntil(Instant),
}

/// The adaptive commit policy of one replica.
#[derive(Clone, Debug)]
pub(super) struct CommitPolicy {
    prepared_is_decided: bool,
    always_eager: bool,
    timeout_min: Duration,
    timeout_max: Duration,
    /// Moving average of the gap between the q-th and the q_F-th PREPARE, in nanoseconds.
    gap_ewma: Option<u64>,
    /// Bit per recent slot, newest lowest: did its wait expire?
    expiries: u16,
    eager: bool,
    timely_in_a_row: u32,
    waiting: VecDeque<(Instant, SeqNo)>,
}

impl CommitPolicy {
    pub(super) fn new(quorums: &Quorums, policy: &Policy) -> Self {
        CommitPolicy {
            prepared_is_decided: quorums.prepared_is_decided(),
            always_eager: quorums.fast().is_none() || policy.commit_mode == CommitMode::Eager,
            timeout_min: policy.fast_timeout_min,
            timeout_max: policy.fast_timeout_max,
            gap_ewma: None,
            expiries: 0,
            eager: false,
            timely_in_a_row: 0,
            waiting: VecDeque::new(),
        }
    }

    /// `T_fast = clamp(2 · EWMA(gap))`; without a measurement the most patient value.
    pub(super) fn timeout(&self) -> Duration {
        match self.gap_ewma {
            Some(gap) => Duration::from_nanos(gap.saturating_mul(2))
                .clamp(self.timeout_min, self.timeout_max),
            None => self.timeout_max,
        }
    }

    /// A slot was prepared.
    pub(super) fn on_prepared(&mut self, now: Instant, seq: SeqNo) -> OnPrepared {
        if self.prepared_is_decided {
            OnPrepared::Never
        } else if self.always_eager || self.eager || self.waiting.len() >= WAITING_MAX {
            OnPrepared::Commit
        } else {
            let deadline = now + self.timeout();
            self.waiting.push_back((deadline, seq));
            OnPrepared::WaitUntil(deadline)
        }
    }

    /// The q_F-th PREPARE of a slot came `gap` after its q-th. Returns the new state if it
    /// changed.
    pub(super) fn on_fast_quorum(&mut self, gap: Duration) -> Option<bool> {
        let timely = gap <= self.timeout();
        let gap = u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX);
        self.gap_ewma = Some(match self.gap_ewma {
            Some(average) => average - average / 8 + gap / 8,
            None => gap,
        });
        if timely {
            self.expiries <<= 1;
            self.timely_in_a_row = self.timely_in_a_row.saturating_add(1);
            if self.eager && self.timely_in_a_row >= PATIENT_AFTER {
                self.eager = false;
                self.expiries = 0;
                return Some(false);
            }
        } else {
            self.timely_in_a_row = 0;
        }
        None
    }

    /// A slot's wait expired undecided. Returns the new state if it changed.
    pub(super) fn on_expired(&mut self) -> Option<bool> {
        self.timely_in_a_row = 0;
        self.expiries = (self.expiries << 1) | 1;
        const { assert!(HISTORY == u16::BITS) };
        if !self.eager && self.expiries.count_ones() >= EAGER_AFTER {
            self.eager = true;
            return Some(true);
        }
        None
    }

    /// The next slot whose wait is over. Deadlines may be out of order by the change of the
    /// timeout between two slots, which is at most the timeout's own bound.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<SeqNo> {
        let (deadline, _) = self.waiting.front()?;
        if *deadline > now {
            return None;
        }
        self.waiting.pop_front().map(|(_, seq)| seq)
    }

    /// When the next wait ends.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|(deadline, _)| *deadline)
    }

    /// A new view: nothing of the old one is waited for.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Is the wait of this slot no longer of interest?
    pub(super) fn drop_settled(&mut self, settled: impl Fn(SeqNo) -> bool) {
        while self.waiting.front().is_some_and(|(_, seq)| settled(*seq)) {
            self.waiting.pop_front();
        }
    }
}
