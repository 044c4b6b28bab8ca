//! One seed again, as a message sequence chart.

use consensus::SeqNo;
use simulator::trace::{Chart, ChartBounds, chart};

use super::Plan;

/// What of the run is shown.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// Ends when somebody has executed this slot.
    pub until: Option<u64>,
    /// Lines at most: the last ones.
    pub lines_max: usize,
    /// STATUS messages, too.
    pub heartbeats: bool,
}

/// Runs the seed again and draws it.
#[must_use]
pub fn replay(plan: &Plan, seed: u64, shown: Replay) -> Chart {
    let bounds = ChartBounds {
        until: shown.until.map(SeqNo),
        lines_max: shown.lines_max,
        heartbeats: shown.heartbeats,
    };
    chart(&plan.config(seed), bounds)
}
