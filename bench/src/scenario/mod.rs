//! Scenario files: read, merged, checked and explained.
//!
//! ```text
//!   files and embedded texts ─┐                                   ┌─► Scenario (typed, complete)
//!     + what they extend      ├─► one tree, every value with ─► read ─► origins (explain)
//!   --set key=value ──────────┘   the place it was written        └─► problems with file, line, column, remedy
//! ```
//!
//! [`load`] is the entry: it gives a [`Loaded`] scenario, or all that is wrong with it. Keys, defaults and bounds are
//! declared once, where `read` takes them; unknown keys, `explain` and the effective file all follow from that.

mod budget;
pub mod byzantine;
mod catalog;
mod cells;
mod client;
mod cluster;
mod compare;
mod correct;
mod disk;
mod expect;
mod fault;
mod goals;
mod json_schema;
mod link;
mod load;
mod loaded;
mod nearest;
mod network;
mod outsider;
mod over;
mod partition;
mod problem;
mod read;
mod reading;
mod refusal;
pub mod schema;
mod section;
mod source;
mod sweep;
mod tree;
mod units;
mod workload;

pub use catalog::{FOLDER, Listed, list, list_text, new_scenario};
pub use cells::{CELLS_MAX, Cell, planned_rate};
pub use correct::{correct, witnesses};
pub use json_schema::schema as json_schema;
pub use loaded::{Loaded, check, explain, load, load_over};
pub(crate) use nearest::nearest;
pub use problem::{Problem, ScenarioError, Style, render};
pub use schema::Scenario;
pub use source::{QUICKSTART, Source, all_embedded, embedded, embedded_below};
pub use units::Quantity;
