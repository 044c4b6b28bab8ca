//! Scenario files, as the program reads them: what is accepted and what it means, how a wrong one is refused, and the shipped ones.

#![allow(clippy::unwrap_used, missing_docs)]

mod attacks;
mod byzantine;
mod errors;
mod faults;
mod merge;
mod network;
mod round_trip;
mod shipped;
mod sweep;
