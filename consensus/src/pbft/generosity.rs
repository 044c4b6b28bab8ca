//! How much is sent to a peer because it says that it lacks something (docs/protocol.md R13, R15).
//!
//! Whoever lags behind is helped, but what a peer says of itself is its word alone: a Byzantine one may claim for ever
//! to lack what it was just sent, and a hundred bytes of STATUS would fetch sixteen batches, again and again. So what goes out
//! for the first time is free, for the log grows only so fast, and what goes out again is paid from an allowance in bytes that
//! fills up with time. A correct peer that lost what it had needs the whole window once, which the allowance of all helpers
//! together covers; whoever needs more fetches a state.

use std::time::Duration;

use crate::ids::SeqNo;
use crate::time::Instant;

/// Bytes that may be sent again at once to one peer: a window of ordinary batches.
pub const ALLOWANCE_BYTES_MAX: u64 = 32 << 20;
/// Bytes by which the allowance of a peer grows in a second.
pub const ALLOWANCE_BYTES_PER_S: u64 = 8 << 20;
/// What a message costs beside its batch: certificate, frame and the work of making it.
const MESSAGE_COST: u64 = 512;

/// What one peer may still be sent again.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    bytes: u64,
    filled_at: Option<Instant>,
    /// The highest slot whose decision it was sent.
    sent_upto: SeqNo,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance {
            bytes: ALLOWANCE_BYTES_MAX,
            filled_at: None,
            sent_upto: SeqNo(0),
        }
    }
}

impl Allowance {
    /// Time passes.
    pub(super) fn fill(&mut self, now: Instant) {
        let since = self.filled_at.map_or(Duration::ZERO, |at| now.since(at));
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let more = ALLOWANCE_BYTES_PER_S.saturating_mul(micros) / 1_000_000;
        // Less than a byte's time is kept for later.
        if more > 0 || self.filled_at.is_none() {
            self.filled_at = Some(now);
        }
        self.bytes = self.bytes.saturating_add(more).min(ALLOWANCE_BYTES_MAX);
    }

    /// May the decision of this slot, with so many bytes of batch, be sent to the peer? If so, it is paid for.
    pub(super) fn decision(&mut self, seq: SeqNo, batch_bytes: usize) -> bool {
        if seq > self.sent_upto {
            self.sent_upto = seq;
            return true;
        }
        self.pay(batch_bytes)
    }

    /// May something of so many bytes be sent again? If so, it is paid for. What is larger than all that may be saved up
    /// costs all of it.
    pub(super) fn pay(&mut self, bytes: usize) -> bool {
        let cost = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_add(MESSAGE_COST)
            .min(ALLOWANCE_BYTES_MAX);
        let Some(left) = self.bytes.checked_sub(cost) else {
            return false;
        };
        self.bytes = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn what_is_new_is_free_and_what_is_asked_for_again_is_paid() {
        let mut allowance = Allowance::default();
        allowance.fill(at(0));
        assert!((1..=1_000).all(|seq| allowance.decision(SeqNo(seq), MIB)));
        let again = (1..=1_000).filter(|seq| allowance.decision(SeqNo(*seq), MIB));
        assert_eq!(again.count(), 31, "32 MiB, and something for each message");
        assert!(
            allowance.decision(SeqNo(1_001), MIB),
            "new ones are still free"
        );
    }

    #[test]
    fn the_allowance_grows_with_time_and_not_without_end() {
        let mut allowance = Allowance::default();
        allowance.fill(at(0));
        while allowance.pay(MIB) {}
        let granted = |allowance: &mut Allowance| (0..100).filter(|_| allowance.pay(MIB)).count();
        // Looked at every millisecond, nothing is lost to rounding.
        (1..=1_000).for_each(|ms| allowance.fill(at(ms)));
        assert_eq!(granted(&mut allowance), 8);
        allowance.fill(at(3_600_000));
        assert_eq!(granted(&mut allowance), 31);
        allowance.fill(at(3_600_000));
        assert_eq!(granted(&mut allowance), 0);
    }

    #[test]
    fn something_enormous_can_be_sent_when_all_is_saved_up() {
        let mut allowance = Allowance::default();
        assert!(allowance.pay(usize::MAX));
        assert!(!allowance.pay(0));
    }
}
