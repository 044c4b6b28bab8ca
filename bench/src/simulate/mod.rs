//! Whole clusters in virtual time: many seeds of the simulator, and one seed as a chart.
//!
//! ```text
//!   SCENARIO ─► plan ─► Config of each seed ─► simulator::run ─► sweep ─► report
//!                                         └──► simulator::trace::chart (bench replay)
//! ```
//!
//! A seed and the scenario decide a run completely, so a failure is a command line that anybody can repeat.

mod plan;
mod replay;
mod report;
mod sweep;

pub use plan::{Plan, Seeds};
pub use replay::{Replay, replay};
pub(crate) use report::failed;
pub use report::{json, text};
pub use sweep::{Failure, Kind, Progress, Sweep, sweep};
