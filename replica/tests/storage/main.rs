//! Storage under test: one contract for all adapters, damage to the files of the SQLite adapter, and
//! the threads in front of them.
#![allow(clippy::unwrap_used)]

mod contract;
mod damage;
mod sqlite_files;
mod state_memory;
mod support;
mod writer;
