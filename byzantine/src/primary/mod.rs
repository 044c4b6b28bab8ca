//! A Byzantine primary (BP1 to BP16): one file for each family of attacks.

mod equivocate;
mod silent;
mod slow;

pub use equivocate::Equivocate;
pub use silent::{Messages, Silent};
pub use slow::SlowPrimary;
