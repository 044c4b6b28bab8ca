//! Members that act together (C1 to C5). On the real cluster they are separate processes; what they
//! agree on without a word follows from the cabal's seed, and each holds the keys of all.
//!
//! C1, honest code that runs twice with one key, is here for the real cluster; the simulator's own twins have
//! a disk and an executor each.

mod hide;
mod mislead;
mod stall;
mod turncoat;
mod twins;

pub use hide::HideFastCommit;
pub use mislead::Mislead;
pub use stall::StallWithTheCrashed;
pub use turncoat::Turncoat;
pub use twins::Twins;
