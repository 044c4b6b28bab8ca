//! When to send COMMITs: the fast path needs none, the fallback needs no mode switch
//! (docs/protocol.md R8). The policy affects cost and latency, never safety.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cluster::Quorums;
use crate::ids::SeqNo;
use crate::settings::{CommitMode, Policy};
use crate::time::Instant;

/// Slots among the last [`HISTORY`] that were waited for in vain or for too long and turn the replica eager.
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
    /// Moving average of the time from a proposal until its slot is prepared, in nanoseconds.
    round_ewma: Option<u64>,
    /// Bit per recent slot, newest lowest: was it waited for in vain, or for longer than it was worth?
    wasted: u16,
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
            round_ewma: None,
            wasted: 0,
            eager: false,
            timely_in_a_row: 0,
            waiting: VecDeque::new(),
        }
    }

    /// `T_fast = clamp(2 · EWMA(gap))`; without a measurement the most patient value.
    ///
    /// Where a round of votes takes longer than `fast_timeout_max`, T_fast may take as long as that: COMMITs would be
    /// another such round, so nobody can cost a slot more by voting late than by not voting. A fixed bound would
    /// expire at one of many busy replicas in every slot, and one COMMIT makes all send theirs.
    pub(super) fn timeout(&self) -> Duration {
        let most = self.timeout_max.max(self.round());
        self.gap_ewma.map_or(most, |gap| {
            Duration::from_nanos(gap.saturating_mul(2)).clamp(self.timeout_min, most)
        })
    }

    /// How long votes usually take from a proposal until its slot is prepared.
    fn round(&self) -> Duration {
        Duration::from_nanos(self.round_ewma.unwrap_or_default())
    }

    /// How long waiting for the fast quorum may take and still be worth it: COMMITs take about as long as the PREPAREs
    /// did, and the odd late vote shall not count. Who votes just before `T_fast` drives that timer, but not this.
    fn worth_waiting(&self) -> Duration {
        self.round().saturating_mul(2).max(self.timeout_min)
    }

    /// A slot was prepared, so long after its proposal was here (`None`: the proposal is not).
    pub(super) fn on_prepared(
        &mut self,
        now: Instant,
        seq: SeqNo,
        round: Option<Duration>,
    ) -> OnPrepared {
        if let Some(round) = round {
            self.round_ewma = Some(average(self.round_ewma, round));
        }
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
        self.gap_ewma = Some(average(self.gap_ewma, gap));
        if !timely {
            // It expired, and was counted then.
            self.timely_in_a_row = 0;
            return None;
        }
        self.timely_in_a_row = self.timely_in_a_row.saturating_add(1);
        if self.eager {
            let usual = Duration::from_nanos(self.gap_ewma.unwrap_or_default());
            if self.timely_in_a_row < PATIENT_AFTER || usual > self.worth_waiting() {
                return None;
            }
            self.eager = false;
            self.wasted = 0;
            return Some(false);
        }
        self.note(gap > self.worth_waiting())
    }

    /// A slot's wait expired undecided. Returns the new state if it changed.
    pub(super) fn on_expired(&mut self) -> Option<bool> {
        self.timely_in_a_row = 0;
        self.note(true)
    }

    /// Whether a slot was waited for in vain or for too long. Returns the new state if it changed.
    fn note(&mut self, wasted: bool) -> Option<bool> {
        self.wasted = (self.wasted << 1) | u16::from(wasted);
        const { assert!(HISTORY == u16::BITS) };
        // Who sends COMMITs at once in any case has waited for nothing.
        if self.always_eager || self.eager || self.wasted.count_ones() < EAGER_AFTER {
            return None;
        }
        self.eager = true;
        self.timely_in_a_row = 0;
        Some(true)
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

/// The moving average after another value, which counts for an eighth.
fn average(so_far: Option<u64>, value: Duration) -> u64 {
    let value = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
    so_far.map_or(value, |so_far| so_far - so_far / 8 + value / 8)
}
