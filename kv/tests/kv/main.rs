//! Tests of the state machine through its public interface.

#![allow(clippy::unwrap_used)]

mod common;
mod digest;
mod parts;
mod reading;
mod replication;
mod semantics;
