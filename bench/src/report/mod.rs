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
mod slots;
mod summary;
mod text;
pub(crate) mod units;

pub(crate) use document::{Section, Table, Tone};
pub(crate) use markdown::page as page_markdown;
pub use paint::Paint;
pub use progress::{ClusterView, HEARTBEAT, Progress, Stage};
pub use summary::{environment_text, faults_text, summary_markdown, summary_text};
pub(crate) use text::{columns as columns_text, page as page_text};
