//! The library and the command against five replicas that answer as they please.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod cli;
mod fake;
mod joined;
mod library;
#[path = "../../../network/tests/common/relay.rs"]
mod relay;
