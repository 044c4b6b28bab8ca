//! Runs side by side.

pub mod statistics;
