//! State transfer between executors over the key-value store (docs/protocol.md R13), in virtual time:
//! honest sources, slow ones and liars.

#![allow(clippy::unwrap_used)]

mod cluster;
mod fetching;
mod flows;
mod hostile;
mod serving;
