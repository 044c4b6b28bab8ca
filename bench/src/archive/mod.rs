//! Results on disk: which run is meant, what there is, and what one has to say when it is asked again.
//!
//! ```text
//!   RUN (a directory, an id, its beginning, @1) ─► find ─► read ─┬─► the summary again
//!   results/ ─► list (a line for each run)                       └─► the command that runs it again
//! ```

mod find;
mod list;
mod read;
mod render;
mod reproduce;
mod several;

pub use find::{Found, find, find_place, find_run};
pub use list::{LIST_SCHEMA, Listing, RunLine, State, list_runs};
pub use read::read_run;
pub use render::listing_text;
pub use reproduce::{REPRODUCE_SCHEMA, Reproduction, reproduce};
