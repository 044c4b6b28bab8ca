//! How fine this machine's clock is, and what a look at it costs.

use std::time::{Duration, Instant};

/// Looks at the clock.
const LOOKS: u32 = 20_000;

/// The monotonic clock that latencies are measured with.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    /// The smallest step that was seen, nanoseconds.
    pub step_ns: f64,
    /// What one look costs on average, nanoseconds.
    pub look_ns: f64,
    /// The kernel's source of time; `None` if it does not say.
    pub source: Option<String>,
}

/// Looks at the clock again and again.
#[must_use]
pub fn clock() -> Clock {
    let began = Instant::now();
    let mut before = began;
    let mut step = Duration::MAX;
    for _ in 0..LOOKS {
        let now = Instant::now();
        if now > before {
            step = step.min(now - before);
        }
        before = now;
    }
    // A clock that never moved has a step of at least the whole time.
    let step = if step == Duration::MAX {
        began.elapsed()
    } else {
        step
    };
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    Clock {
        step_ns: step.as_nanos() as f64,
        look_ns: (before - began).as_nanos() as f64 / f64::from(LOOKS),
        source: std::fs::read_to_string(source)
            .ok()
            .map(|text| text.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_moves() {
        let clock = clock();
        assert!(clock.look_ns > 0.0 && clock.step_ns >= 0.0);
    }
}
