//! The phases of one repeat on the run's monotonic clock: load, warm-up, measured, after.

use serde::{Deserialize, Serialize};

/// The part of a run an operation belongs to, by its intended start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Records are created.
    Load,
    /// Load as in the measured phase, not measured.
    Warmup,
    /// What the numbers are about.
    Measured,
    /// Behind the end of the measured phase: read-back and the like, not measured.
    After,
}

/// When each phase begins, in nanoseconds of the run's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phases {
    warmup_ns: u64,
    measured_ns: u64,
    end_ns: u64,
}

impl Phases {
    /// The load phase ends at `warmup_ns`, the warm-up at `measured_ns`, the measurement at `end_ns`. Times out of order are taken as empty phases.
    #[must_use]
    pub fn new(warmup_ns: u64, measured_ns: u64, end_ns: u64) -> Self {
        let measured_ns = measured_ns.max(warmup_ns);
        Self {
            warmup_ns,
            measured_ns,
            end_ns: end_ns.max(measured_ns),
        }
    }

    /// The phase of an operation with this intended start.
    #[must_use]
    pub const fn of(&self, intended_ns: u64) -> Phase {
        if intended_ns < self.warmup_ns {
            Phase::Load
        } else if intended_ns < self.measured_ns {
            Phase::Warmup
        } else if intended_ns < self.end_ns {
            Phase::Measured
        } else {
            Phase::After
        }
    }

    /// Where the measured phase begins.
    #[must_use]
    pub const fn measured_ns(&self) -> u64 {
        self.measured_ns
    }

    /// Where it ends.
    #[must_use]
    pub const fn end_ns(&self) -> u64 {
        self.end_ns
    }

    /// Ends the measurement early (an interrupted run).
    pub fn cut(&mut self, now_ns: u64) {
        self.end_ns = self.end_ns.min(now_ns).max(self.measured_ns);
    }
}
