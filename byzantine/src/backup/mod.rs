//! A Byzantine backup (BB1 to BB16): one file for each family of attacks.

mod withhold;

pub use withhold::{Phases, WithholdVotes};
