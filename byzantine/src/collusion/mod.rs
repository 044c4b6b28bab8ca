//! Members that act together (C2 to C5). On the real cluster they are separate processes; what they
//! agree on without a word follows from the cabal's seed, and each holds the keys of all.
//!
//! C1, honest code that runs twice with one key, is no behaviour: the simulator's twins are it.

mod hide;
mod mislead;
mod stall;
mod turncoat;

pub use hide::HideFastCommit;
pub use mislead::Mislead;
pub use stall::StallWithTheCrashed;
pub use turncoat::Turncoat;
