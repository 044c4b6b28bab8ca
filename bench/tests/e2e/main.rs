//! The whole program from outside: real replicas, real sockets, real signals. Each test says in its name what a user may rely on.
//!
//! The runs are as short as a run can be, and no test depends on how fast the machine is: deadlines are far beyond what anything takes.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that cannot go on fails, and where it failed says why"
)]

mod again;
mod attached;
mod byzantine;
mod command;
mod commands;
mod disks;
mod ends;
mod explained;
mod faults;
mod history;
mod hostile_clients;
mod local;
mod outsiders;
mod refusals;
mod results;
mod verify;
mod workloads;
