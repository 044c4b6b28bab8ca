//! How patient a session is, and the jitter that keeps many clients from acting in step.

use std::time::Duration;

/// Times of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// T_cli: the first wait for a result before the request is sent to all; it doubles.
    pub retransmit_after: Duration,
    /// The longest wait between two retransmissions.
    pub retransmit_after_max: Duration,
    /// After this time the caller is told that there is no result.
    pub request_timeout: Duration,
    /// One request in about this time goes to all at once while the session takes part: a sample, by
    /// which backups judge how soon the primary orders what it gets (R15).
    pub sample_interval: Duration,
    /// T_read: how long the answers to a read may take to match before it is ordered; at least three
    /// times what results usually take (R14).
    pub read_timeout: Duration,
    /// The longest pause that a busy primary may impose at a time.
    pub busy_pause_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            retransmit_after: Duration::from_secs(1),
            retransmit_after_max: Duration::from_secs(8),
            request_timeout: Duration::from_secs(30),
            sample_interval: Duration::from_millis(250),
            read_timeout: super::reads::READ_TIMEOUT,
            busy_pause_max: Duration::from_secs(1),
        }
    }
}

/// Pauses that the presumed primary may impose on one request before all replicas get it: a
/// primary that only pretends to be busy must not keep a request from the others (R15).
pub(super) const BUSY_PATIENCE: u32 = 6;

/// Nor for longer than this many first waits for a result, however long its pauses are.
pub(super) const BUSY_WAITS: u32 = 2;

/// The first wait for a result is at least this many times what results usually take.
const PATIENCE: u32 = 3;

impl Pace {
    /// The pace when results usually take `typical`. A cluster that is slow because it has much to
    /// do must not be given more by retransmissions.
    pub(super) fn stretched(&self, typical: Duration) -> Pace {
        let wait = self.retransmit_after.max(typical * PATIENCE);
        Pace {
            retransmit_after: wait.min(self.retransmit_after_max.max(self.retransmit_after)),
            ..self.clone()
        }
    }

    /// The pause after "busy": what the replica asks for, doubled each time, within bounds.
    pub(super) fn busy_pause(&self, retry_after_ms: u32, streak: u32) -> Duration {
        let asked = Duration::from_millis(u64::from(retry_after_ms.max(1)));
        let grown = asked.saturating_mul(1 << streak.saturating_sub(1).min(BUSY_PATIENCE));
        grown.min(self.busy_pause_max)
    }
}

/// A small deterministic generator (SplitMix64); the caller's seed is its only chance.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Jitter(seed)
    }

    /// Half of `wait`, and up to as much as `wait` more: nobody else can tell when.
    pub(super) fn around(&mut self, wait: Duration) -> Duration {
        wait / 2 + self.share(wait)
    }

    /// `wait` plus up to a quarter of it.
    pub(super) fn stretch(&mut self, wait: Duration) -> Duration {
        wait.saturating_add(self.share(wait / 4))
    }

    /// True once in so many times; always for one.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        times <= 1 || self.below(times) == 0
    }

    /// Any part of `most`.
    fn share(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(most))
    }

    /// Any number below `bound`; 0 if there is none.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let part = (u128::from(mixed) * u128::from(bound)) >> 64;
        u64::try_from(part).unwrap_or(bound)
    }
}
