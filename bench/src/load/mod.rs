//! Pressing on the cluster: clients of the load generator, in closed or open loop.
//!
//! ```text
//!   pacer ──(intended starts)──► worker ──requests──► hub ══QUIC══► replicas
//!  (open loop only)                ▲                   │
//!                                  └────completions────┘──► Recorder
//! ```
//!
//! Each worker is one thread with a runtime of its own; it drives the clients of one or more hubs
//! (sets of connections) with one task and no lock. Latency counts from the intended start: in the
//! open loop that is the arrival's place in the schedule, however late it was sent.

mod convert;
mod namespace;
mod pacer;
mod request;
mod worker;

pub use namespace::Namespace;
pub use worker::{Clock, Plan, Stage, Worker, WorkerReport};
