//! One directed link: what becomes of a datagram that is sent on it at some time. Pure.
//!
//! ```text
//!   sent ─► cut? ─► too large? ─► lost? ─► waits for the bandwidth (or the queue is full) ─► is under way ─► arrives
//!                                                                      damaged, twice, overtaken: on the way
//! ```

use super::dice::{Dice, Purpose};
use super::distance::{delay_ns, nanos};
use super::settings::LinkSettings;

/// A link that was idle may send this much at once before its bandwidth holds it up: a millisecond's worth, and one
/// datagram at least.
const BURST_NS: u64 = 1_000_000;

/// Why a datagram does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The link is cut.
    Cut,
    /// It is larger than the MTU.
    Mtu,
    /// Chance.
    Loss,
    /// The queue in front of the bandwidth is full.
    Queue,
}

/// How a datagram arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When, in nanoseconds of the clock that `now` was read from.
    pub at_ns: u64,
    /// When its copy does, if there is one.
    pub copy_at_ns: Option<u64>,
    /// The bit that is flipped.
    pub flipped_bit: Option<usize>,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does not arrive.
    Dropped(Cause),
    /// It does.
    Passes(Passage),
}

/// A directed link with its memory.
#[derive(Clone, Debug)]
pub struct Link {
    settings: LinkSettings,
    dice: Dice,
    /// Datagrams sent so far.
    sent: u64,
    /// When the last bit of what waits has left.
    busy_until_ns: u64,
    /// When the latest of those that keep their order arrives.
    last_at_ns: u64,
}

impl Link {
    /// The link number `id` of a run with this seed.
    pub fn new(settings: LinkSettings, seed: u64, id: u64) -> Self {
        Link {
            settings,
            dice: Dice::new(seed, id),
            sent: 0,
            busy_until_ns: 0,
            last_at_ns: 0,
        }
    }

    /// What it does.
    pub fn settings(&self) -> &LinkSettings {
        &self.settings
    }

    /// From now on it does this. What is under way arrives as it would have, and what comes next may overtake it.
    pub fn change(&mut self, settings: LinkSettings) {
        self.settings = settings;
        self.busy_until_ns = 0;
        self.last_at_ns = 0;
    }

    /// What becomes of a datagram of `bytes` that is sent at `now_ns`. Times must not go backwards.
    pub fn send(&mut self, now_ns: u64, bytes: usize) -> Fate {
        let index = self.sent;
        self.sent += 1;
        let LinkSettings {
            loss,
            duplicate,
            reorder,
            mtu,
            corrupt,
            cut,
            ..
        } = self.settings;
        if cut {
            return Fate::Dropped(Cause::Cut);
        }
        if mtu.is_some_and(|mtu| bytes > usize::from(mtu)) {
            return Fate::Dropped(Cause::Mtu);
        }
        let happens = |share, purpose| self.dice.happens(share, purpose, index);
        // A datagram that is lost on the way has used the bandwidth before; here it has not, so that `bandwidth` is what
        // arrives on a link with both.
        if happens(loss, Purpose::Loss) {
            return Fate::Dropped(Cause::Loss);
        }
        let overtaken = happens(reorder, Purpose::Reorder);
        let twice = happens(duplicate, Purpose::Duplicate);
        let flipped_bit = (happens(corrupt, Purpose::Corrupt) && bytes > 0).then(|| {
            let word = self.dice.word(Purpose::CorruptWhere, index);
            // A datagram has far fewer than 2^32 bits.
            (word % (bytes as u64 * 8)) as usize
        });
        let Some(left_ns) = self.transmit(now_ns, bytes as u64) else {
            return Fate::Dropped(Cause::Queue);
        };
        let mut at_ns = left_ns.saturating_add(delay_ns(&self.settings, self.dice, left_ns));
        if overtaken {
            at_ns = at_ns.saturating_add(self.detour_ns(Purpose::ReorderBy, index));
        } else {
            at_ns = at_ns.max(self.last_at_ns);
            self.last_at_ns = at_ns;
        }
        let copy_at_ns = twice.then(|| match overtaken {
            true => at_ns.saturating_add(self.detour_ns(Purpose::ReorderCopyBy, index)),
            false => at_ns,
        });
        Fate::Passes(Passage {
            at_ns,
            copy_at_ns,
            flipped_bit,
        })
    }

    /// When the last bit has left; `None` if there is no room to wait.
    fn transmit(&mut self, now_ns: u64, bytes: u64) -> Option<u64> {
        let Some(bits_per_s) = self.settings.bandwidth else {
            return Some(now_ns);
        };
        let took_ns = |bytes: u64| {
            let ns = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(bits_per_s.max(1));
            u64::try_from(ns).unwrap_or(u64::MAX)
        };
        let waits_ns = self.busy_until_ns.saturating_sub(now_ns);
        if waits_ns.saturating_add(took_ns(bytes)) > took_ns(self.settings.queue.max(bytes)) {
            return None;
        }
        // An idle link has saved up a little.
        let begins_ns = self.busy_until_ns.max(now_ns.saturating_sub(BURST_NS));
        self.busy_until_ns = begins_ns.saturating_add(took_ns(bytes));
        Some(self.busy_until_ns.max(now_ns))
    }

    fn detour_ns(&self, purpose: Purpose, index: u64) -> u64 {
        let most = nanos(self.settings.reorder_within) as f64;
        // 1 - share is never 0: who is overtaken arrives later than it would have.
        (most * (1.0 - self.dice.share(purpose, index))) as u64
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
