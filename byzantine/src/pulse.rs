//! What a member's parts and the process around it tell each other: when the measured phase began,
//! where the honest code stands, and how often each behaviour has struck. Words that any thread may
//! read and write; nobody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use consensus::{Epoch, Instant, View};

use crate::plan::BEHAVIOURS_MAX;
use crate::trigger::Part;

/// Shared by the wrapper, the bend and the process; clones are the same pulse.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Words>);

#[derive(Debug, Default)]
struct Words {
    begun: AtomicBool,
    /// Nanoseconds from the beginning to that first step, as far as they were told.
    ago: AtomicU64,
    /// The instant of the first step after the beginning, plus 1; 0: not yet.
    zero: AtomicU64,
    epoch: AtomicU64,
    view: AtomicU64,
    primary: AtomicBool,
    detected: AtomicBool,
    started: AtomicBool,
    restarted: AtomicBool,
    deeds: [AtomicU64; BEHAVIOURS_MAX],
}

impl Pulse {
    /// The measured phase begins. The member's own clock is read at its next step.
    pub fn begin(&self) {
        self.0.begun.store(true, Relaxed);
    }

    /// The measured phase began this long ago: for a member that is started again.
    pub fn began(&self, ago: Duration) {
        let ago = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
        self.0.ago.store(ago, Relaxed);
        self.begin();
    }

    /// How often each behaviour of the plan has struck, in its order.
    pub fn deeds(&self) -> Vec<u64> {
        self.0.deeds.iter().map(|deed| deed.load(Relaxed)).collect()
    }

    /// Has the member been found out?
    pub fn detected(&self) -> bool {
        self.0.detected.load(Relaxed)
    }

    pub(crate) fn note_detected(&self) {
        self.0.detected.store(true, Relaxed);
    }

    /// Has the member come back from what it had on disk?
    pub(crate) fn was_restarted(&self) -> bool {
        self.0.restarted.load(Relaxed)
    }

    /// A life of the member begins.
    pub(crate) fn note_started(&self) {
        if self.0.started.swap(true, Relaxed) {
            self.note_restarted();
        }
    }

    /// The member comes back from what it had on disk.
    pub fn note_restarted(&self) {
        self.0.restarted.store(true, Relaxed);
    }

    pub(crate) fn did(&self, place: usize) {
        if let Some(deed) = self.0.deeds.get(place) {
            deed.fetch_add(1, Relaxed);
        }
    }

    /// Time since the measured phase began; `None` before.
    pub(crate) fn measured(&self, now: Instant) -> Option<Duration> {
        if !self.0.begun.load(Relaxed) {
            return None;
        }
        let mark = now.0.saturating_add(1);
        let known = self.0.zero.compare_exchange(0, mark, Relaxed, Relaxed);
        let zero = known.map_or_else(|set| set, |_| mark);
        let since = mark.saturating_sub(zero);
        let ago = self.0.ago.load(Relaxed);
        Some(Duration::from_nanos(since.saturating_add(ago)))
    }

    pub(crate) fn stands(&self, epoch: Epoch, view: View, part: Part) {
        self.0.epoch.store(epoch.0, Relaxed);
        self.0.view.store(view.0, Relaxed);
        self.0.primary.store(part == Part::Primary, Relaxed);
    }

    pub(crate) fn standing(&self) -> (Epoch, View, Part) {
        let part = match self.0.primary.load(Relaxed) {
            true => Part::Primary,
            false => Part::Backup,
        };
        let (epoch, view) = (self.0.epoch.load(Relaxed), self.0.view.load(Relaxed));
        (Epoch(epoch), View(view), part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_phase_begins_at_the_first_step_after_it_was_said() {
        let pulse = Pulse::default();
        assert_eq!(pulse.measured(Instant(50)), None);
        pulse.begin();
        assert_eq!(pulse.measured(Instant(70)), Some(Duration::ZERO));
        let other = pulse.clone();
        assert_eq!(other.measured(Instant(75)), Some(Duration::from_nanos(5)));
    }

    #[test]
    fn a_member_that_is_started_again_knows_how_long_ago_that_was() {
        let pulse = Pulse::default();
        pulse.began(Duration::from_nanos(1_000));
        assert_eq!(
            pulse.measured(Instant(70)),
            Some(Duration::from_nanos(1_000))
        );
        assert_eq!(
            pulse.measured(Instant(75)),
            Some(Duration::from_nanos(1_005))
        );
    }
}
