//! What a person sees: progress while a run goes on, a summary at its end, and a report with figures.
//!
//! ```text
//!   run.json ─► summary ─► Document ─┬─► text      (terminal or pipe)
//!                  │                 └─► markdown  (summary.md)
//!                  ▼
//!   files of a run ─► figures ─► page (report.html), markdown, csv, bench.report/v1
//! ```

mod cells;
mod document;
mod doubts;
mod faults;
pub(crate) mod figure;
mod figures;
mod files;
mod headline;
mod html;
mod markdown;
mod measurements;
mod network;
mod paint;
mod progress;
mod rendered;
mod setup;
mod slots;
mod story;
mod summary;
mod sweeps;
mod text;
pub(crate) mod units;

pub(crate) use document::{Section, Table, Tone};
pub use files::{ReportError, RunFiles};
pub(crate) use markdown::page as page_markdown;
pub use paint::Paint;
pub use progress::{ClusterView, HEARTBEAT, Progress, Stage};
pub(crate) use rendered::comparison_page;
pub use rendered::{
    REPORT_FILE, REPORT_SCHEMA, RUNS_MAX, report_csv, report_html, report_json, report_markdown,
};
pub use summary::{environment_text, faults_text, summary_markdown, summary_text};
pub use sweeps::{SweepFiles, sweep_html};
pub(crate) use text::{columns as columns_text, page as page_text};
