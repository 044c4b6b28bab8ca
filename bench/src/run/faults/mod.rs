//! Faults while a scenario runs: when they strike, whom they hit, and what it cost.
//!
//! ```text
//!   [[fault]] ─► timeline ── looks up the target when the time has come ──► one thread for each replica that is hit:
//!                   │                                                       signal, wait, start again ─► Injected
//!                   └─ sets a mark that the recorders see                                                   │
//!   load workers ─► Recording (answers after each mark, time series) ─────────────────────► facts ◄─────────┘
//! ```
//!
//! What this cannot express: a process that is stopped by SIGSTOP still has its packets taken by the kernel, and no
//! replica's clock can be set: it is the monotonic one of the machine, so the simulator does that (docs/simulator.md).

mod clients;
mod disk;
mod facts;
mod links;
mod outsider;
mod target;
mod timeline;

pub(super) use facts::{Progressed, Seen, Standing, facts};
pub(super) use outsider::OutsidersWorld;
pub(super) use timeline::{Injected, Timeline, TimelinePlan};
