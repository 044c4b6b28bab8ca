//! `bench run --tui`: a run as it goes, on the whole terminal.
//!
//! The terminal belongs to the user: it is given back at the end of a repeat, on a panic and before the program exits, and
//! Ctrl-C stays what it is. Only stderr is drawn on, so that stdout can be kept. What would be written to stderr meanwhile
//! waits until the screen is gone.

mod draw;
mod held;
mod state;
mod terminal;

pub use held::{Held, hold};
pub use state::{ReplicaView, Shown, Standing, View};
pub use terminal::{Screen, restore};
