//! `bench compare`: two or more runs side by side, and an answer in words.
//!
//! ```text
//!   RUN RUN ... ─► Side (repeats of one thing) ─► comparable? ─► judge, by statistics ─► words ─► table, markdown
//!                                                  └─ refused                              └────► bench.compare/v1
//! ```
//!
//! The first run is the baseline, and each other one is compared with it. The repeat is the unit of
//! statistics: a fresh cluster, one value for each metric. A metric is *better* or *worse* only if chance is an unlikely
//! explanation, the interval of the change leaves out "none", and the change is large enough to matter; it is *the
//! same* if its interval lies within what does not matter; all else is *inconclusive*, with the number of repeats that would
//! decide. Runs that answer different questions are refused.

mod comparable;
mod comparison;
mod difference;
mod document;
mod error;
mod floor;
mod judge;
mod metric;
mod page;
mod read;
mod render;
mod side;
mod words;

pub use comparable::Obstacle;
pub use comparison::{Comparison, Options, Pair, compare};
pub use difference::{Difference, differences};
pub use document::{COMPARE_SCHEMA, document};
pub use error::CompareError;
pub use floor::NoiseFloor;
pub use judge::{MetricComparison, Sample, Verdict, judge};
pub use metric::{Direction, Metric, Unit};
pub use page::comparison_html;
pub use read::{Measured, read_sides};
pub use render::{comparison_markdown, comparison_text};
pub use side::{LABELS, Side};
pub use words::conclusion;

#[cfg(test)]
mod simulated_tests;
#[cfg(test)]
mod tests;
