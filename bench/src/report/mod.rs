//! What a person sees: progress while a run goes on, and a summary at its end.
//!
//! ```text
//!   run.json ─► summary ─► Document ─┬─► text      (terminal or pipe)
//!                                    └─► markdown  (summary.md)
//! ```

mod document;
mod doubts;
mod faults;
mod markdown;
mod measurements;
mod network;
mod paint;
mod progress;
mod setup;
mod summary;
mod text;
mod units;

pub use paint::Paint;
pub use progress::{ClusterView, HEARTBEAT, Progress, Stage};
pub use summary::{summary_markdown, summary_text};
